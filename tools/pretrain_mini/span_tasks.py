"""Chat tasks whose answers are copied out of the text: spans, lists, typed spans, forms."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from . import dates
from .passages import Passage, Passages
from .wording import Task, dump

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DATE = re.compile(
    r"\d{4}年(?:\d{1,2}月(?:\d{1,2}日)?)?|\d{1,2}月\d{1,2}日"
    r"|(?:January|February|March|April|May|June|July|August|September|October|November|December)"
    r"(?: \d{1,2})?,? \d{4}|\b(?:1[5-9]|20)\d\d\b"
)
_BEFORE = "(?<=[，。、；：「（()在於于與与和的是由從从到被及至往去為为])"
_INSIDE = "[^\\W\\da-zA-Z，在於于與与和的是由從从到被及至往去為为有了這这該该此其]"
_PLACE = re.compile(
    f"{_BEFORE}(?:{_INSIDE}{{2,3}}[省市縣县區区鎮镇州島岛]|台灣|臺灣|台湾|中國|中国|美國|美国|日本|英國|英国|法國|法国|德國|德国)"
)
_ORGANISATION = re.compile(
    f"{_BEFORE}{_INSIDE}{{2,8}}(?:大學|大学|公司|銀行|银行|學院|学院|協會|协会|委員會|委员会|黨|党|隊|队)"
)
"""Chinese places and organisations by their endings, from a mark or a function word on: rough."""
_QUOTED = re.compile(r"《([^《》\n]{1,30})》|「([^「」\n]{1,30})」|“([^“”\n]{1,60})”|\"([^\"\n]{1,60})\"")
_NAME = {
    "en": re.compile(r"(?<=[a-z,] )[A-Z][a-z]+(?: [A-Z][a-z]+)*"),
    "zh": re.compile(r"[A-Za-z][A-Za-z]+(?: [A-Za-z]+)*"),
}

_TYPES: dict[str, dict[str, list[str]]] = {
    "en": {
        "number": ["number", "quantity"],
        "date": ["date", "time"],
        "quoted": ["quote", "title"],
        "name": ["name", "entity"],
    },
    "zh_tw": {
        "number": ["數字", "數量"],
        "date": ["日期", "時間"],
        "quoted": ["引文", "作品"],
        "name": ["英文詞", "外文"],
        "place": ["地名", "地點"],
        "organisation": ["機構", "組織"],
    },
    "zh_cn": {
        "number": ["数字", "数量"],
        "date": ["日期", "时间"],
        "quoted": ["引文", "作品"],
        "name": ["英文词", "外文"],
        "place": ["地名", "地点"],
        "organisation": ["机构", "组织"],
    },
}
_PARSED = {"en": ("intent", "slots"), "zh_tw": ("意圖", "欄位"), "zh_cn": ("意图", "槽位")}
_MARKERS = [
    ("<<", ">>"),
    ("[", "]"),
    ("**", "**"),
    ("{{", "}}"),
    ("<a>", "</a>"),
    ("##", "##"),
    ("【", "】"),
    ("|", "|"),
]


def find(kind: str, passage: Passage) -> list[str]:
    """Spans of a kind, in order, without repetition."""
    if kind == "quoted":
        spans = ["".join(groups) for groups in _QUOTED.findall(passage.text)]
    elif kind == "name":
        spans = _NAME["en" if passage.language == "en" else "zh"].findall(passage.text)
    else:
        patterns = {"date": _DATE, "number": _NUMBER, "place": _PLACE, "organisation": _ORGANISATION}
        spans = patterns[kind].findall(passage.text)
    return list(dict.fromkeys(span.strip() for span in spans))


def between(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """The span between two markers."""
    words = list(re.finditer(r"\w+" if passage.language == "en" else r"[\u4e00-\u9fff]", passage.text))
    if len(words) < 4:
        return None
    first = rng.randrange(len(words))
    last = min(len(words) - 1, first + rng.randint(0, 7))
    start, stop = words[first].start(), words[last].end()
    opening, closing = rng.choice(_MARKERS)
    text = passage.text
    return (
        "between",
        {"open": opening, "close": closing},
        text[:start] + opening + text[start:stop] + closing + text[stop:],
        text[start:stop],
    )


def listing(kind: str, wording: str) -> Callable[[random.Random, Passage, Passages], Task | None]:
    """Makes the task of listing one kind of span; an empty list is a rare answer."""

    def task(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
        spans = find(kind, passage)
        return (wording, {}, passage.text, dump(spans)) if spans or rng.random() < 0.05 else None

    return task


def typed(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """`{type: [span, ...]}`, types without spans left out."""
    kinds, names = _named_kinds(rng, passage)
    answer = {name: spans for kind, name in zip(kinds, names, strict=True) if (spans := find(kind, passage))}
    return (
        ("typed", {"types": _join(names, passage)}, passage.text, dump(answer))
        if answer or rng.random() < 0.1
        else None
    )


def items(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """`[{"text", "type"}]` in order of appearance."""
    kinds, names = _named_kinds(rng, passage)
    found = [
        (passage.text.find(span), span, name)
        for kind, name in zip(kinds, names, strict=True)
        for span in find(kind, passage)
    ]
    answer = [{"text": span, "type": name} for _, span, name in sorted(found)]
    return (
        ("items", {"types": _join(names, passage)}, passage.text, dump(answer))
        if answer or rng.random() < 0.1
        else None
    )


def first(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """The first of several sentences."""
    return ("first", {}, passage.text, passage.sentences[0]) if len(passage.sentences) > 1 else None


def last(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """The last of several sentences."""
    return ("last", {}, passage.text, passage.sentences[-1]) if len(passage.sentences) > 1 else None


def which(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """Those of a few words that occur in the text, in the order asked."""
    other = source.draw(rng, passage.language, 60)
    words = rng.sample(passage.words, min(len(passage.words), rng.randint(1, 3))) + rng.sample(
        other.words, min(len(other.words), rng.randint(1, 3))
    )
    words = list(dict.fromkeys(words))
    rng.shuffle(words)
    answer = [word for word in words if word in passage.text]
    return ("which", {"words": _join(words, passage)}, passage.text, dump(answer)) if len(words) > 1 else None


def form(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """An annotated utterance's slots, or fields whose values the text states."""
    passage = source.annotated(rng, passage.language)
    slots = passage.slots or {}
    flat = slots.get("条件") or slots.get("條件") or (slots if passage.language == "en" else {})
    if not isinstance(flat, dict) or not flat:
        return None
    stated = {key: value for key, value in flat.items() if isinstance(value, str) and value in passage.text}
    return ("form", {"fields": _join(list(stated), passage)}, passage.text, dump(stated)) if stated else None


def parse(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """An annotated utterance's intent and slots in one of three layouts."""
    passage = source.annotated(rng, passage.language)
    slots = passage.slots or {}
    flat = slots.get("条件") or slots.get("條件") or (slots if passage.language == "en" else {})
    if not isinstance(flat, dict) or not passage.label:
        return None
    stated = {key: value for key, value in flat.items() if isinstance(value, str) and value in passage.text}
    intent, held = _PARSED[passage.language]
    answer, layout = rng.choice(
        [
            ({intent: passage.label, held: {key: [value] for key, value in stated.items()}}, "lists"),
            ({intent: passage.label, held: stated}, "strings"),
            ({intent: passage.label, **stated}, "flat"),
        ]
    )
    return f"parse_{layout}", {"intent": intent, "slots": held}, passage.text, dump(answer)


def _named_kinds(rng: random.Random, passage: Passage) -> tuple[list[str], list[str]]:
    table = _TYPES[passage.language]
    kinds = rng.sample(list(table), rng.randint(2, len(table)))
    return kinds, [rng.choice(table[kind]) for kind in kinds]


def _join(words: list[str], passage: Passage) -> str:
    return (", " if passage.language == "en" else "、").join(words)


TASKS: tuple[Callable[[random.Random, Passage, Passages], Task | None], ...] = (
    between,
    listing("number", "numbers"),
    listing("date", "dates"),
    listing("quoted", "quoted"),
    listing("name", "names"),
    typed,
    items,
    first,
    last,
    which,
    form,
    form,
    parse,
    dates.iso,
)
"""Twice `form`: its answers and those of `parse` are the only ones that people annotated."""
