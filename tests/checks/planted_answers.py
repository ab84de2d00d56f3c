"""Plants of answers that are not as the others are (D4)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from opencc import OpenCC

from planted import Plant, answer, replaced, value, with_answer, with_value
from planted_clean import Row, asked, dumped

RECORDS = ("orders_en", "orders_zh")
OBJECTS = ("orders_en", "orders_zh", "relations_en", "relations_zh")
JSON = ("finance_zh", "contacts_en", "orders_en", "types_zh", "spans_en", "relations_zh")
NAMED = ("types_zh", "spans_en", "relations_en", "relations_zh")
LINKED = ("relations_en", "relations_zh")

Value = Any


def _turn(sets: tuple[str, ...], place: int) -> tuple[str, ...]:
    """Two of the sets, others for each place."""
    return (sets[place % len(sets)], sets[(place + 1) % len(sets)])


BROKEN: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[: len(text) * 2 // 3],
    "no bracket": lambda text: text[:-1],
    "comma": lambda text: text[:-1] + "," + text[-1],
    "single quotes": lambda text: text.replace('"', "'"),
    "wide quotes": lambda text: re.sub(r'"([^"]*)"', r"“\1”", text),
    "wide colon": lambda text: text.replace(": ", "：", 1),
    "NaN": lambda text: re.sub(r": (null|\"[^\"]*\"|\[)", r": NaN, \g<0>", text, count=1),
    "plain text": lambda text: "none",
    "a number": lambda text: "3",
    "quoted twice": lambda text: dumped(text),
    "bare keys": lambda text: re.sub(r'"(\w+)": ', r"\1: ", text),
    "two values": lambda text: text + "\n" + text,
}
AROUND: dict[str, Callable[[str], str]] = {
    "before": lambda text: "Here is the result: " + text,
    "behind": lambda text: text + "\nLet me know if you need more.",
    "fence": lambda text: f"```json\n{text}\n```",
    "bare fence": lambda text: f"```\n{text}\n```",
    "Chinese": lambda text: f"擷取結果如下：\n{text}",
    "fence and words": lambda text: f"Sure!\n```json\n{text}\n```\nDone.",
    "word": lambda text: "JSON " + text,
}
THOUGHTS: dict[str, Callable[[str], str]] = {
    "think": lambda text: f"<think>The text says so.</think>{text}",
    "empty think": lambda text: f"<think>\n\n</think>\n\n{text}",
    "unclosed": lambda text: f"<think>先看句子裡有什麼。\n{text}",
    "closed only": lambda text: f"先看句子裡有什麼。</think>\n{text}",
    "thinking": lambda text: f"<thinking>two candidates</thinking>\n{text}",
    "reasoning": lambda text: f"<reasoning>first the date</reasoning>{text}",
    "Magistral": lambda text: f"[THINK]hm[/THINK]{text}",
    "Kimi": lambda text: f"◁think▷hm◁/think▷{text}",
    "capitals": lambda text: f"<THINK>hm</THINK>{text}",
}
WRITTEN: dict[str, Callable[[Value], str]] = {
    "tight": lambda held: json.dumps(held, ensure_ascii=False, separators=(",", ":")),
    "indented": lambda held: json.dumps(held, ensure_ascii=False, indent=2),
    "tight commas": lambda held: json.dumps(held, ensure_ascii=False, separators=(",", ": ")),
    "blanks inside": lambda held: "{ " + dumped(held)[1:-1] + " }",
}


def _changed(change: Callable[[Value], object]) -> Callable[[Row], Row]:
    """A change made in the answer's value itself."""

    def plant(row: Row) -> Row:
        held = value(row)
        change(held)
        return with_value(row, held)

    return plant


STRUCTURES: dict[str, Callable[[Value], object]] = {
    "missing key": lambda held: held.pop("item"),
    "missing number": lambda held: held.pop("quantity"),
    "number as text": lambda held: held.update(quantity=str(held["quantity"])),
    "text as list": lambda held: held.update(item=[held["item"]]),
    "text as number": lambda held: held.update(item=12),
    "text as object": lambda held: held.update(item={"name": held["item"]}),
    "misspelt key": lambda held: held.update(quantitiy=held.pop("quantity")),
    "capital key": lambda held: held.update(Item=held.pop("item")),
    "extra key": lambda held: held.update(confidence=0.9),
    "true for a number": lambda held: held.update(quantity=True),
}


def _nested(held: Value) -> None:
    held["entities"][0].pop("type")


def _number(held: Value) -> None:
    held["relations"][0]["type"] = 3


def _string_items(held: Value) -> None:
    held["entities"] = [entity["text"] for entity in held["entities"]]


LINKED_STRUCTURES = {
    "nested key": _nested, "nested number": _number, "texts for objects": _string_items,
    "no relations": lambda held: held.pop("relations"),
    "object for list": lambda held: held.update(relations=held["relations"][0]),
}  # fmt: skip

# What is written in the answer in place of a text that was copied.
_TRADITIONAL = OpenCC("t2s")
COPIES: dict[str, Callable[[str], str]] = {
    "wide": lambda span: "".join(chr(ord(sign) + 0xFEE0) if "!" < sign < "~" else sign for sign in span),
    "simplified": _TRADITIONAL.convert,
    "blank within": lambda span: span[:1] + " " + span[1:],
    "capitals": str.upper,
    "digit": lambda span: re.sub(r"\d", lambda found: str((int(found[0]) + 5) % 10), span, count=1),
    "letter": lambda span: span[:-2] + ("q" if span[-2] != "q" else "z") + span[-1],
    "invented": lambda span: "Ferncastle" if span.isascii() else "霧峰銀行",
    "mark": lambda span: span + ("." if span.isascii() else "。"),
    "blanks around": lambda span: f" {span} ",
    "translated": lambda span: "公司" if span.isascii() else "company",
}
COPIED_IN = {"wide": RECORDS, "digit": RECORDS, "capitals": ("orders_en", "relations_en"),
             "simplified": ("orders_zh", "types_zh", "relations_zh")}  # fmt: skip
"""Where not every set has what a way changes."""


def _spans(held: Value) -> list[str]:
    """The texts that an answer copies."""
    if isinstance(held, dict) and "entities" in held:
        return [entity["text"] for entity in held["entities"]]
    if isinstance(held, dict) and "item" in held:
        return [held[key] for key in ("item", "customer", "phone", "due") if held[key]]
    if isinstance(held, dict):
        return [span for spans in held.values() for span in spans]
    return [item["text"] for item in held]


def _miscopied(way: Callable[[str], str]) -> Callable[[Row], Row]:
    def plant(row: Row) -> Row:
        span = next(one for one in _spans(value(row)) if way(one) not in asked(row))
        # Everywhere in the answer, so that its parts still agree.
        return with_answer(row, answer(row).replace(dumped(span), dumped(way(span))))

    return plant


def _can(way: Callable[[str], str]) -> Callable[[Row], bool]:
    return lambda row: any(way(span) not in asked(row) for span in _spans(value(row)))


def _shifted(by: int) -> Callable[[Value], object]:
    return lambda held: held[0].update(start=held[0]["start"] + by, end=held[0]["end"] + by)


OFFSETS = {
    "shifted": _shifted(1), "far": _shifted(500), "from zero": _shifted(-3),
    "longer": lambda held: held[0].update(end=held[0]["end"] + 2),
}  # fmt: skip

TYPE_SLIPS = ("PRODUCTS", "PRODCUT")
TYPE_FORMS = {"PER": "Per", "ORG": "org", "LOC": "ＬＯＣ"}


def _in_form(row: Row) -> Row:
    told, kind = answer(row), next(kind for kind in TYPE_FORMS if f'"{kind}"' in answer(row))
    return with_answer(row, told.replace(f'"{kind}"', f'"{TYPE_FORMS[kind]}"', 1))


def _of_new_type(kind: str) -> Callable[[Row], Row]:
    return lambda row: with_answer(row, re.sub('"(PER|ORG|LOC|PRODUCT)"', f'"{kind}"', answer(row), count=1))


def _unlisted(held: Value) -> None:
    gone = held["relations"][0]["head"]
    held["entities"] = [entity for entity in held["entities"] if entity["text"] != gone]


DANGLING = {
    "entity left out": _unlisted,
    "part of the tail": lambda held: held["relations"][0].update(tail=held["relations"][0]["tail"][:-1]),
    "part of the head": lambda held: held["relations"][0].update(head=held["relations"][0]["head"][1:]),
    "invented": lambda held: held["relations"][0].update(head="Ferncastle"),
    "empty list": lambda held: held.update(entities=[]),
}

PLANTS: list[Plant] = [
    *(replaced("D401", name, _turn(JSON, n), lambda row, way=way: with_answer(row, way(answer(row))))
      for n, (name, way) in enumerate(BROKEN.items())),
    *(replaced("D402", name, RECORDS, _changed(change)) for name, change in STRUCTURES.items()),
    *(replaced("D402", name, LINKED, _changed(change)) for name, change in LINKED_STRUCTURES.items()),
    *(replaced("D403", "escapes", (name,), lambda row: with_answer(row, json.dumps(value(row))), times=2)
      for name in ("finance_zh", "orders_zh", "relations_zh", "news_zh")),
    *(replaced("D403", "escaped twice", (name,),
               lambda row: with_answer(row, json.dumps(value(row)).replace("\\u", "\\\\u")))
      for name in ("finance_zh", "orders_zh")),
    replaced("D403", "in a label", ("intents_zh",),
             lambda row: with_answer(row, json.dumps(answer(row))[1:-1]), times=4),
    *(replaced("D404", name, (set_name,), lambda row, way=way: with_answer(row, way(value(row))))
      for name, way in WRITTEN.items() for set_name in OBJECTS),
    replaced("D404", "order of keys", RECORDS,
             lambda row: with_value(row, dict(reversed(value(row).items()))), times=2),
    replaced("D404", "order within", LINKED,
             _changed(lambda held: held["entities"].__setitem__(0, dict(reversed(held["entities"][0].items()))))),
    *(replaced("D405", name, COPIED_IN.get(name, _turn((*RECORDS, "types_zh", *LINKED), n)), _miscopied(way), _can(way))
      for n, (name, way) in enumerate(COPIES.items())),
    *(replaced("D405", f"offsets {name}", ("spans_en",), _changed(change), times=2)
      for name, change in OFFSETS.items()),
    replaced("D303", "type", NAMED, _in_form, lambda row: any(f'"{kind}"' in answer(row) for kind in TYPE_FORMS)),
    *(replaced("D406", "misspelt", NAMED,
               lambda row, slip=slip: with_answer(row, answer(row).replace('"PRODUCT"', f'"{slip}"', 1)),
               lambda row: '"PRODUCT"' in answer(row)) for slip in TYPE_SLIPS),
    *(replaced("D406", "new", NAMED, _of_new_type("EVENT"), split=split) for split in ("eval", "test")),
    *(replaced("D407", name, LINKED, _changed(change)) for name, change in DANGLING.items()),
    *(replaced("D408", name, _turn(JSON, n), lambda row, way=way: with_answer(row, way(answer(row))))
      for n, (name, way) in enumerate(AROUND.items())),
    *(replaced("D409", name, _turn(("intents_en", "intents_zh", *JSON), n),
               lambda row, way=way: with_answer(row, way(answer(row))))
      for n, (name, way) in enumerate(THOUGHTS.items())),
]  # fmt: skip
