"""Plants of rows that cannot be read or used (D1)."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence

from planted import Batch, Line, Plant, replaced, with_answer, with_text
from planted_clean import Row, asked, dumped

ANY = ("finance_zh", "intents_en", "intents_zh", "orders_en", "orders_zh", "spans_en", "types_zh", "relations_zh")
CHATS = ("finance_zh", "contacts_en", "spans_en")
LABELS = ("intents_en", "intents_zh")


def _closed(row: Row, rest: str) -> str:
    return dumped(row)[:-1] + rest


UNREADABLE = {
    "cut": lambda row: dumped(row)[: len(dumped(row)) // 2],
    "no brace": lambda row: dumped(row)[:-1],
    "no first brace": lambda row: dumped(row)[1:],
    "comma": lambda row: _closed(row, ",}"),
    "single quotes": lambda row: repr(row),
    "NaN": lambda row: _closed(row, ', "score": NaN}'),
    "Infinity": lambda row: _closed(row, ', "score": -Infinity}'),
    "Python words": lambda row: _closed(row, ', "checked": True}'),
    "bare key": lambda row: re.sub(r'^\{"(\w+)"', r"{\1", dumped(row)),
    "no comma": lambda row: dumped(row).replace('", "', '" "', 1),
    "no colon": lambda row: dumped(row).replace('": ', '" ', 1),
    "inner quotes": lambda row: dumped(with_text(row, "@")).replace('"@"', '"he said "no" to it"'),
    "wide quotes": lambda row: dumped(row).replace('"', "”"),
    "raw tab": lambda row: dumped(with_text(row, "@")).replace('"@"', '"one\ttwo"'),
    "raw newline": lambda row: dumped(with_text(row, "@")).replace('"@"', '"one\ntwo"'),
    "list": lambda row: f"[{dumped(row)}]",
    "number": lambda row: "42",
    "text": lambda row: dumped(asked(row)),
    "null": lambda row: "null",
    "two rows": lambda row: dumped(row) + dumped(row),
    "comment": lambda row: "// " + asked(row),
    "table": lambda row: f"{asked(row)},正面",
    "page": lambda row: "<html><body>502 Bad Gateway</body></html>",
    "conflict": lambda row: "<<<<<<< HEAD",
    "half a pair": lambda row: _closed(row, ', "note": "\\ud83d"}'),
    "bad escape": lambda row: _closed(row, ', "path": "C:\\users"}'),
    "leading zero": lambda row: _closed(row, ', "id": 007}'),
    "semicolon": lambda row: dumped(row) + ";",
}


def _spread(sets: Sequence[str], place: int) -> tuple[str]:
    return (sets[place % len(sets)],)


def _messages(row: Row) -> list[Row]:
    return copy.deepcopy(row["messages"])


def _chat(*turns: Row) -> Row:
    return {"messages": list(turns)}


FORMATS = {
    "no content": lambda row: _chat(*_messages(row)[:1], {"role": "user"}, *_messages(row)[2:]),
    "messages as text": lambda row: {"messages": asked(row)},
    "messages as object": lambda row: {"messages": _messages(row)[1]},
    "a turn as text": lambda row: _chat(*_messages(row)[:1], asked(row), *_messages(row)[2:]),
    "an image": lambda row: with_text(row, [{"type": "image_url", "image_url": {"url": "a.png"}}]),
    "misspelt key": lambda row: {"mesages": _messages(row)},
    "other keys": lambda row: {"title": asked(row), "stars": 4, "body": "as described", "useful": 1},
    "a text as object": lambda row: with_text(row, {"raw": asked(row)}),
    "nothing": lambda row: {},
}


def _system(text: str = "Answer briefly.") -> Row:
    return {"role": "system", "content": text}


def _roles(row: Row) -> tuple[Row, Row, Row]:
    first, user, last = _messages(row)
    return first, user, last


ROLES = {
    "answer first": lambda row: _chat((m := _roles(row))[2], m[1], m[2]),
    "system between": lambda row: _chat((m := _roles(row))[1], m[0], m[2]),
    "two systems": lambda row: _chat((m := _roles(row))[0], _system(), m[1], m[2]),
    "late system": lambda row: _chat(*(m := _roles(row))[:2], m[2], _system(), m[1], m[2]),
    "two answers": lambda row: _chat(*(m := _roles(row)), m[2]),
    "unknown role": lambda row: _chat((m := _roles(row))[0], {**m[1], "role": "customer"}, m[2]),
    "misspelt role": lambda row: _chat(*(m := _roles(row))[:2], {**m[2], "role": "assitant"}),
    "capital role": lambda row: _chat((m := _roles(row))[0], {**m[1], "role": "User"}, m[2]),
    "empty role": lambda row: _chat((m := _roles(row))[0], {**m[1], "role": ""}, m[2]),
    "tool from nowhere": lambda row: _chat((m := _roles(row))[0], m[1], {"role": "tool", "content": "4"}, m[2]),
}

NO_ANSWER = {
    "ends with user": lambda row: _chat(*_messages(row)[:-1]),
    "user again": lambda row: _chat(*_messages(row), {"role": "user", "content": "Thanks."}),
    "no turns": lambda row: _chat(),
    "null": lambda row: with_answer(row, None),
    "system only": lambda row: _chat(*_messages(row)[:1]),
}
NO_LABEL = {
    "no label": lambda row: {"text": row["text"]},
    "null label": lambda row: with_answer(row, None),
}
BLANKS = {"nothing": "", "blank": " ", "lines": "\n\n", "wide blank": "\u3000", "tab": "\t ", "no-break": "\u00a0",
          "zero width": "\u200b", "mark": "\ufeff"}  # fmt: skip

BYTES = {
    "Latin-1": lambda row: dumped(with_text(row, "caf\u00e9 au lait")).encode("utf-8").replace(b"\xc3\xa9", b"\xe9"),
    "Windows-1252": lambda row: dumped(with_text(row, "price 5 @")).encode("utf-8").replace(b"@", b"\x80"),
    "Big5": lambda row: dumped(with_text(row, "@")).encode("utf-8").replace(b"@", "股價大漲".encode("cp950")),
    "GBK": lambda row: dumped(with_text(row, "@")).encode("utf-8").replace(b"@", "股价大涨".encode("gbk")),
    "half a character": lambda row: dumped(with_text(row, "股")).encode("utf-8").replace(b"\xe8\x82\xa1", b"\xe8\x82"),
    "stray byte": lambda row: dumped(row).encode("utf-8")[:-2] + b'\xff"}',
    "overlong": lambda row: dumped(with_text(row, "a@")).encode("utf-8").replace(b"@", b"\xc0\xaf"),
}

TWICE = {
    "at the end": lambda row: _closed(row, f", {dumped(next(iter(row)))}: {dumped(next(iter(row.values())))}}}"),
    "another value": lambda row: _closed(row, f', {dumped(list(row)[-1])}: "other"}}'),
    "null first": lambda row: "{" + f"{dumped(list(row)[-1])}: null, " + dumped(row)[1:],
    "within": lambda row: _closed(row, ', "meta": {"source": "a", "source": "b"}}'),
}
TWICE_IN_TURN = {
    "role": lambda row: dumped(row).replace('{"role": "user"', '{"role": "user", "role": "user"', 1),
    "content": lambda row: dumped(row).replace('"content": ', '"content": "", "content": ', 1),
}


def _cut(split: str, kept: float) -> Plant:
    def plant(batch: Batch) -> tuple[str, Line]:
        line = batch.files[split][-1]
        line.data = line.data[: max(2, int(len(line.data) * kept))]
        batch.cut.add(split)
        return split, line

    return Plant("D108", f"{kept:.0%} of {split}", (), plant)


CUTS = [(split, kept) for kept in (0.03, 0.3, 0.6, 0.99) for split in ("train", "eval", "test")]

PLANTS = [
    *(replaced("D101", name, _spread(ANY, n), change) for n, (name, change) in enumerate(UNREADABLE.items())),
    *(replaced("D102", name, CHATS, change) for name, change in FORMATS.items()),
    *(replaced("D103", name, CHATS, change) for name, change in ROLES.items()),
    *(replaced("D104", name, CHATS, change) for name, change in NO_ANSWER.items()),
    *(replaced("D104", name, LABELS, change, split="eval") for name, change in NO_LABEL.items()),
    *(
        replaced("D105", name, _spread(ANY, n), lambda row, blank=blank: with_answer(row, blank))
        for n, (name, blank) in enumerate(BLANKS.items())
    ),
    *(
        replaced("D106", name, _spread(("finance_zh", *LABELS), n), lambda row, blank=blank: with_text(row, blank))
        for n, (name, blank) in enumerate(BLANKS.items())
    ),
    *(replaced("D107", name, _spread(ANY, n), change, times=2) for n, (name, change) in enumerate(BYTES.items())),
    *(replaced("D109", name, _spread(ANY, n), change, times=2) for n, (name, change) in enumerate(TWICE.items())),
    *(replaced("D109", name, CHATS, change) for name, change in TWICE_IN_TURN.items()),
    *(
        Plant(cut.code, cut.variant, _spread(ANY, n // 3), cut.plant)
        for n, cut in enumerate(_cut(split, kept) for split, kept in CUTS)
    ),
]
