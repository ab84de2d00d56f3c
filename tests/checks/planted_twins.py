"""Plants of rows that stand there twice, or nearly, in one split or in two (D2)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from random import Random

from planted import Batch, Line, Plant, answer, with_answer, with_text
from planted_clean import Row, asked

ENGLISH = ("intents_en", "orders_en", "contacts_en")
CHINESE = ("finance_zh", "intents_zh", "orders_zh", "types_zh")
LABELLED = ("intents_en", "intents_zh", "finance_zh")

LONG_WORD = re.compile(r"\b[a-z]{7,}\b")
Retype = Callable[[str, Random], str]


def _wide(text: str, chance: Random) -> str:
    return "".join(chr(ord(sign) + 0xFEE0) if sign in ",.?!:;()" else sign for sign in text)


def _narrow(text: str, chance: Random) -> str:
    return unicodedata.normalize("NFKC", text)


# What differs in case, width, blanks and punctuation alone asks the same.
SAME: Mapping[str, Retype] = {
    "the same": lambda text, chance: text,
    "an end mark": lambda text, chance: text.rstrip(".。？?！!") + "!!",
    "no end mark": lambda text, chance: text.rstrip(".。？?！!"),
    "a blank before": lambda text, chance: "  " + text,
    "a line behind": lambda text, chance: text + "\n",
}
SAME_ENGLISH: Mapping[str, Retype] = {
    "capitals": lambda text, chance: text.upper(),
    "small letters": lambda text, chance: text.lower(),
    "wide marks": _wide,
    "dropped commas": lambda text, chance: text.replace(",", ""),
    "doubled blanks": lambda text, chance: text.replace(" ", "  "),
    "no-break blanks": lambda text, chance: text.replace(" ", "\u00a0"),
}
SAME_CHINESE: Mapping[str, Retype] = {
    "narrow marks": _narrow,
    "dropped commas": lambda text, chance: text.replace("，", ""),
    "wide letters": lambda text, chance: "".join(chr(ord(s) + 0xFEE0) if "!" < s < "~" else s for s in text),
    "blanks within": lambda text, chance: text[:5] + " " + text[5:],
    "zero width": lambda text, chance: text[:4] + "\u200b" + text[4:],
}


def _in_word(change: Callable[[str, int], str]) -> Retype:
    """Changes one long word within it, where two letters differ."""

    def retype(text: str, chance: Random) -> str:
        word = chance.choice(list(LONG_WORD.finditer(text)))
        place = chance.choice([at for at in range(2, len(word[0]) - 2) if word[0][at] != word[0][at + 1]])
        return text[: word.start()] + change(word[0], place) + text[word.end() :]

    return retype


def _at_blank(filler: str) -> Retype:
    def retype(text: str, chance: Random) -> str:
        words = text.split(" ")
        return " ".join([*words[:-2], filler, *words[-2:]])

    return retype


def _doubled(text: str, chance: Random) -> str:
    words = text.split(" ")
    place = chance.choice([at for at, word in enumerate(words) if word.isalpha()])
    return " ".join([*words[: place + 1], *words[place:]])


def _behind_han(added: str) -> Retype:
    """Puts a character before the last mark."""
    return lambda text, chance: re.sub(r"([。？！]?)$", added + r"\1", text, count=1)


SLIPS_ENGLISH: Mapping[str, Retype] = {
    "letters swapped": _in_word(lambda word, at: word[:at] + word[at + 1] + word[at] + word[at + 2 :]),
    "letter dropped": _in_word(lambda word, at: word[:at] + word[at + 1 :]),
    "letter doubled": _in_word(lambda word, at: word[:at] + word[at] + word[at:]),
    "letter wrong": _in_word(lambda word, at: word[:at] + ("x" if word[at] != "x" else "y") + word[at + 1 :]),
    "word doubled": _doubled,
    "please": _at_blank("please"),
    "the": _at_blank("the"),
}
# In a row of 14 characters a further one changes a third of the pieces that sketches are made of: one such row in 20 or
# so is missed, and is not worth more bands for all rows.
SLIPS_CHINESE: Mapping[str, Retype] = {
    "吧": _behind_han("吧"),
    "啊": _behind_han("啊"),
    "characters doubled": lambda text, chance: text[:8] + text[6:8] + text[8:],
}


def _long(text: str) -> bool:
    """Long enough for a slip to be told from another request."""
    return len(text) >= 30 if text.isascii() else len(re.findall("[\u4e00-\u9fff]", text)) >= 14


def _fits(row: Row, slips: bool) -> bool:
    text = asked(row)
    if not slips:
        return len(text) > 8
    return _long(text) and (not text.isascii() or len(LONG_WORD.findall(text)) > 1)


def _other_answer(batch: Batch, row: Row) -> Row:
    answers = sorted({answer(one) for one in batch.splits["train"]} - {answer(row)})
    told = batch.chance.choice(answers)
    return with_answer(row, told)


def _twin(code: str, name: str, retype: Retype, home: str, *, slips: bool, agrees: bool) -> Callable[[str], Plant]:
    """A row of ``home`` once more, retyped: behind it in its split, or in training where ``home`` is another."""

    def changes(row: Row) -> bool:
        return _fits(row, slips) and (name == "the same" or retype(asked(row), Random(0)) != asked(row))

    def plant(batch: Batch) -> tuple[str, Line]:
        line = batch.take(home, changes)
        row = with_text(line.row, retype(asked(line.row), batch.chance))
        row = row if agrees else _other_answer(batch, row)
        split = "train" if code in ("D205", "D206", "D207") else home
        return split, batch.put(row, split, line if split == home else None)

    return lambda name_of_set: Plant(code, name, (name_of_set,), plant)


def _plants() -> list[Plant]:
    plants: list[Plant] = []
    same = ({**SAME, **SAME_ENGLISH}, {**SAME, **SAME_CHINESE})
    slips = (SLIPS_ENGLISH, SLIPS_CHINESE)
    for code, kinds, slipped, agrees in (
        ("D201", same, False, True), ("D203", same, False, False), ("D205", same, False, True),
        ("D207", same, False, False), ("D202", slips, True, True), ("D204", slips, True, False),
        ("D206", slips, True, True),
    ):  # fmt: skip
        for ways, sets in zip(kinds, (ENGLISH, CHINESE), strict=True):
            homes = ("eval", "test") if code in ("D205", "D206", "D207") else ("train",)
            homes = ("train", "eval") if code in ("D203", "D204") else homes
            usable = [name for name in sets if agrees or name in LABELLED]
            # Few ways: each in two sets.
            for n, (name, retype) in enumerate([*ways.items()] * (2 if slipped else 1)):
                make = _twin(code, name, retype, homes[n % len(homes)], slips=slipped, agrees=agrees)
                home = usable[(n + n // len(ways)) % len(usable)]
                # Headlines have no mark at their end.
                plants.append(make("intents_zh" if (home, name) == ("finance_zh", "no end mark") else home))
    return plants


def _in_small_letters(code: str, home: str, name: str) -> Plant:
    """A row once more in small letters, with the answer that copies them."""

    def plant(batch: Batch) -> tuple[str, Line]:
        line = batch.take(home, lambda row: asked(row) != asked(row).lower())
        row = with_answer(with_text(line.row, asked(line.row).lower()), answer(line.row).lower())
        return "train", batch.put(row, "train", line if home == "train" else None)

    return Plant(code, "small letters, answer too", (name,), plant)


PLANTS = [
    *_plants(),
    *(
        _in_small_letters(code, home, name)
        for code, home in (("D201", "train"), ("D205", "eval"), ("D205", "test"))
        for name in ("orders_en", "contacts_en")
    ),
]
