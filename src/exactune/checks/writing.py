"""Rules about how the same answer is written: escapes, spacing, order of keys (D403, D404)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from exactune.checks.dataset import Dataset
from exactune.checks.slips import is_strict
from exactune.data.words import count, excerpt, unique
from exactune.language import Text, join, say
from exactune.rules import Finding, Rule
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.layout import LOOKED_AT, Layout, find_layout
from exactune.tasks.shape import Shape
from exactune.types import Example, JsonValue

__all__ = ["escaped_answer", "json_style_drift"]

EVIDENCE = 20

ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*((?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\u[0-9a-fA-F]{4})")
"""An escape that stands for a character, or for a pair of surrogates: the backslash is not escaped itself."""

WORDS = re.compile(r"(?:\\+u[0-9a-fA-F]{4}){2,}")
"""Escapes in a row spell words; a single one may be part of a program or a pattern (``[\\u4e00-\\u9fff]``)."""


def escaped_answer(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    r"""Characters written as `\uXXXX` in an answer's own text.

    What it does:
        Finds answers whose text, as the model has to write it, holds escapes such as `\u6b63` for characters that could
        stand there as they are; in answers that are not JSON, and where the backslash is escaped too, only escapes in
        a row. The escapes of the data file itself are read as what they stand for, and never reported.

    Why it matters:
        The model learns to write six characters of code for each one of the text: longer, slower, and easily wrong.
        Mostly the answers were made by `json.dumps` without `ensure_ascii=False`.

    Example:
        the answer {"label": "\u6b63\u9762"} instead of {"label": "正面"}

    Fix:
        Write the answers with plain characters: `json.dumps(answer, ensure_ascii=False)`.
    """
    found = [
        (row, escape)
        for _, rows in dataset.named_splits
        for row in rows
        if "\\u" in row.answer and (escape := _needless(row))
    ]
    if found:
        first, escape = found[0]
        yield rule.finding(
            say(
                "{answers} with escapes for plain characters: at {place} {escape} for {plain!r} in {answer!r}",
                answers=count(len(found), "answer"),
                place=first.location,
                escape=escape,
                plain=_plain(escape),
                answer=excerpt(first.answer),
            ),
            locations=unique(row.location for row, _ in found),
            evidence={
                "rows": len(found),
                "samples": [
                    {"row": str(row.location), "escape": one, "plain": _plain(one)} for row, one in found[:EVIDENCE]
                ],
            },
        )


def _needless(example: Example) -> str | None:
    """The first escape that a plain character could replace, or that spells words."""
    answer = example.answer
    if isinstance(parse_answer(answer).value, (dict, list)):
        escapes = (found[1] for found in ESCAPE.finditer(answer))
        single = next((one for one in escapes if _plain(one).isprintable()), None)
        if single:
            return single
    words = WORDS.search(answer)
    # What JSON writes with two backslashes the input may have with one.
    if words is None or words[0].replace("\\\\", "\\") in example.input or not _plain(words[0]).isprintable():
        return None
    return words[0]


def _plain(escapes: str) -> str:
    """The characters that escapes stand for."""
    units = b"".join(bytes.fromhex(code) for code in re.findall("u(.{4})", escapes))
    return units.decode("utf-16-be", "replace")


@dataclass(frozen=True)
class _Style:
    """How most training answers are written."""

    layout: Layout | None
    shape: Shape

    def drift(self, text: str) -> str | None:
        """In what an answer departs from it: ``spacing``, ``key order`` or nothing."""
        value = parse_answer(text).value
        if not isinstance(value, (dict, list)):
            return None
        spaced = self.layout is not None and not _written(text, value, self.layout)
        what = "spacing" if spaced else None if _ordered(value, self.shape) else "key order"
        # A key that stands twice is no matter of style.
        return what if what is None or is_strict(text) else None


def json_style_drift(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A JSON answer with other spacing or another order of keys than most.

    What it does:
        Takes the spacing, line breaks and, of the keys that nearly all answers have, the order that more than half of
        the training answers share, and finds the answers written otherwise, in every split.

    Why it matters:
        Both ways mean the same, so the model has to guess which one comes: loss goes into spaces, and an answer can end
        up half in one way and half in the other.

    Example:
        train.jsonl:7  {"label": "正面", "score": 2}
        train.jsonl:31 {"score":1,"label":"負面"}

    Fix:
        Write all answers by one program with one setting, for example `json.dumps(answer, ensure_ascii=False)` with the
        keys always in one order.
    """
    if dataset.shape is None:
        return
    style = _Style(find_layout(_sample(dataset.splits.train)), dataset.shape)
    drift = lru_cache(10_000)(style.drift)  # labels come again and again
    drifted: list[tuple[Example, str]] = []
    for _, rows in dataset.named_splits:
        for row in rows:
            what = drift(row.answer)
            if what is not None:
                drifted.append((row, what))
    if drifted:
        spaced = sum(what == "spacing" for _, what in drifted)
        first, _ = drifted[0]
        yield rule.finding(
            say(
                "{answers} not written as most are ({what}): {place} {answer!r}, where most look like {other!r}",
                answers=count(len(drifted), "answer"),
                what=_named(spaced, len(drifted) - spaced),
                place=first.location,
                answer=first.answer[:60],
                other=_usual(first, style)[:60],
            ),
            locations=unique(row.location for row, _ in drifted),
            evidence={
                "rows": len(drifted),
                "spacing": spaced,
                "key_order": len(drifted) - spaced,
                "samples": [
                    {
                        "row": str(row.location),
                        "what": what,
                        "answer": row.answer[:80],
                        "usual": _usual(row, style)[:80],
                    }
                    for row, what in drifted[:EVIDENCE]
                ],
            },
        )


def _named(spaced: int, ordered: int) -> Text:
    parts = [say("spacing of {number:,}", number=spaced)] * (spaced > 0)
    return join(", ", [*parts, *[say("order of keys of {number:,}", number=ordered)] * (ordered > 0)])


def _sample(train: Sequence[Example]) -> list[str]:
    """Answers spread evenly over the rows."""
    step = -(-len(train) // LOOKED_AT) or 1
    return [row.answer for number, row in enumerate(train) if number % step == 0]


_LOOSE = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*')


def _written(text: str, value: JsonValue, layout: Layout) -> bool:
    """Whether a text is the value in a layout, whichever way its strings and numbers are written."""
    usual = layout.dump(value)
    return usual == text or _LOOSE.sub("0", usual) == _LOOSE.sub("0", text)


def _ordered(value: JsonValue, shape: Shape) -> bool:
    """Whether every object has its firm keys in the order of most."""
    if isinstance(value, dict):
        order = [key for key in shape.order if key in value]
        firm = set(order)
        return [key for key in value if key in firm] == order and all(
            _ordered(item, shape.fields[key])
            for key, item in value.items()
            if isinstance(item, (dict, list)) and key in shape.fields
        )
    if isinstance(value, list) and shape.items is not None:
        items = shape.items
        return all(_ordered(item, items) for item in value if isinstance(item, (dict, list)))
    return True


def _usual(example: Example, style: _Style) -> str:
    """The answer as most are written."""
    value = _sorted(parse_answer(example.answer).value, style.shape)
    return (style.layout or Layout()).dump(value)


def _sorted(value: JsonValue, shape: Shape) -> JsonValue:
    if isinstance(value, dict):
        keys = [*(key for key in shape.order if key in value), *(key for key in value if key not in shape.order)]
        return {key: _sorted(value[key], shape.fields.get(key, Shape())) for key in keys}
    if isinstance(value, list) and shape.items is not None:
        return [_sorted(item, shape.items) for item in value]
    return value
