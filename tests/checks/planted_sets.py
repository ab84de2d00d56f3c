"""Plants in labels, lengths and preference pairs (D3, D5, D6, D703), and whole sets that are at fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from opencc import OpenCC

from planted import Plant, answer, replaced, with_answer, with_text, with_value
from planted_clean import WORDS, Row, Splits, asked, intent, made, order, preference
from planted_words import fill

ENGLISH, CHINESE = "intents_en", "intents_zh"
LABELLED = (ENGLISH, CHINESE)

UNSEEN = {
    "another": {ENGLISH: "legal_threat", CHINESE: "法律諮詢"},
    "misspelt": {ENGLISH: "track_parcell", CHINESE: "查尋物流"},
    "translated": {ENGLISH: "申請退款", CHINESE: "refund_request"},
    "a number": {ENGLISH: "7", CHINESE: "7"},
    "a sentence": {ENGLISH: "The customer wants a refund.", CHINESE: "客人想要退款"},
}
FORMS: dict[str, tuple[str, Callable[[str], str]]] = {
    "end mark": (ENGLISH, lambda label: label + "."),
    "Chinese end mark": (CHINESE, lambda label: label + "。"),
    "capital": (ENGLISH, str.capitalize),
    "capitals": (ENGLISH, str.upper),
    "blanks for joints": (ENGLISH, lambda label: label.replace("_", " ")),
    "hyphens": (ENGLISH, lambda label: label.replace("_", "-")),
    "joined": (ENGLISH, lambda label: label.replace("_", "")),
    "wide": (ENGLISH, lambda label: "".join(chr(ord(sign) + 0xFEE0) for sign in label)),
    "blank within": (CHINESE, lambda label: label[:2] + " " + label[2:]),
    "simplified": (CHINESE, OpenCC("t2s").convert),
    "quoted": (CHINESE, lambda label: f"「{label}」"),
    "zero width": (CHINESE, lambda label: label + "\u200b"),
}


def _form(name: str) -> list[Plant]:
    home, way = FORMS[name]
    change, wanted = lambda row: with_answer(row, way(row["label"])), lambda row: way(row["label"]) != row["label"]
    return [replaced("D303", name, (home,), change, wanted, split) for split in ("train", "train", "eval")]


def _long(language: str) -> Callable[[Row], Row]:
    chance = Random(5)
    make = [asked(intent(language, chance)) for _ in range(300)]
    return lambda row: with_text(row, asked(row) + " ".join(make))


def _told(row: Row, side: str, text: str) -> Row:
    """A preference row with another answer on one side."""
    if isinstance(row[side], str):
        return row | {side: text}
    return row | {side: [row[side][0], {"role": "assistant", "content": text}]}


def _chosen(row: Row) -> str:
    return str(row["chosen"] if isinstance(row["chosen"], str) else row["chosen"][-1]["content"])


PREFERENCES = ("preference_en", "preference_zh")
EQUAL: dict[str, Callable[[Row], Row]] = {
    "the same": lambda row: _told(row, "rejected", _chosen(row)),
    "blanks around": lambda row: _told(row, "rejected", f" {_chosen(row)}\n"),
    "JSON": lambda row: _told(_told(row, "rejected", '{"b":2,"a":1}'), "chosen", '{"a": 1, "b": 2}'),
}


def _asks_else(row: Row) -> Row:
    return row | {"rejected": [{"role": "user", "content": "What else is there?"}, row["rejected"][-1]]}


def _asked_twice(row: Row) -> Row:
    return row | {"prompt": [{"role": "user", "content": "What else is there?"}]}


def _longer_side(row: Row) -> Row:
    return row | {"rejected": [*row["rejected"][:1], {"role": "assistant", "content": "?"}, *row["rejected"]]}


PLANTS: list[Plant] = [
    *(replaced("D302", name, (home,), lambda row, label=label: with_answer(row, label), split=split)
      for name, labels in UNSEEN.items() for home, label in labels.items() for split in ("eval", "test")),
    *(replaced("D302", "in JSON", ("finance_zh",), lambda row: with_value(row, {"sentiment": "不明"}), split=split)
      for split in ("eval", "test")),
    *(plant for name in FORMS for plant in _form(name)),
    replaced("D303", "in JSON", ("finance_zh",),
             lambda row: with_answer(row, answer(row).replace('"}', '。"}')), times=3),
    *(replaced("D501", "estimated", (name,), _long(name[-2:]), split=split)
      for name in LABELLED for split in ("train", "eval", "test")),
    *(replaced("D601", name, PREFERENCES, change, times=2) for name, change in EQUAL.items()),
    *(replaced("D604", name, PREFERENCES, lambda row, text=text: _told(row, "rejected", text), times=2)
      for name, text in (("nothing", ""), ("blanks", " \u3000\n"))),
    *(replaced("D603", name, PREFERENCES[:1], change, times=2)
      for name, change in (("rejected asks else", _asks_else), ("prompt asks else", _asked_twice),
                           ("rejected is longer", _longer_side))),
]  # fmt: skip


class Whole(NamedTuple):
    """A set that is at fault as a whole: what it holds, and the code; ``rows`` tells which are named, if any."""

    code: str
    variant: str
    splits: Splits
    rows: Callable[[Row], bool] | None = None


def _relabelled(change: Callable[[Row, Random], Row], make: str = "en", seed: int = 21) -> Splits:
    chance = Random(seed)
    return {
        split: [change(row, chance) for row in rows] for split, rows in made(intent, make, seed).items()
    }  # fmt: skip


def _mostly(label: str, share: float, rest: str = "") -> Callable[[Row, Random], Row]:
    def change(row: Row, chance: Random) -> Row:
        return row | {"label": label if chance.random() < share else rest or row["label"]}

    return change


def _second_name(name: str, other: str) -> Callable[[Row, Random], Row]:
    """Of the rows of a third of the labels, joined under one name, every third has another."""

    def change(row: Row, chance: Random) -> Row:
        joined = row["label"] in ("track_parcel", "late_delivery", "refund_request", "damaged_item")
        return row | {"label": other if chance.random() < 0.35 else name} if joined else row

    return change


def _few(label: str, rows: int) -> Splits:
    splits = made(intent, "en", 31)
    for row in Random(1).sample(splits["train"], rows):
        row["label"] = label
    return splits


def _longer(language: str) -> Splits:
    def change(row: Row) -> Row:
        more = fill(WORDS[language], Random(asked(row)))
        return _told(row, "chosen", _chosen(row) + " " + " ".join(more.values()))

    return {split: [change(row) for row in rows] for split, rows in made(preference, language, 41).items()}


def _essays(language: str) -> Splits:
    """Questions with long answers that say each another thing."""
    chance = Random(51)

    def essay() -> str:
        return " ".join(asked(intent(language, chance)) for _ in range(8))

    return {
        split: [{"instruction": f"{asked(row)} {number}", "output": essay()} for number, row in enumerate(rows)]
        for split, rows in made(preference, language, 51).items()
    }


def _small(splits: Splits, rows: int) -> Splits:
    return splits | {"train": splits["train"][:rows]}


def wholes() -> Iterator[Whole]:
    yield Whole("D301", "nearly all", _relabelled(_mostly("refund_request", 0.95, "other")))
    yield Whole("D301", "most of many", _relabelled(_mostly("查詢物流", 0.5), "zh"))
    yield Whole("D301", "all", _relabelled(_mostly("yes", 1.1)))
    yield Whole("D301", "all JSON", {split: [with_value(row, {"ok": True}) for row in rows]
                                     for split, rows in made(order, "en", 22).items()})  # fmt: skip
    for name, other in (("complaint", "complaints"), ("parcel_problem", "problem_parcel"), ("complaint", "complant")):
        yield Whole(
            "D305", other, _relabelled(_second_name(name, other)), lambda row, other=other: row["label"] == other
        )
    for rows in (1, 4, 9):
        yield Whole("D703", f"{rows} rows", _few("legal_threat", rows), lambda row: row["label"] == "legal_threat")
    for language in ("en", "zh"):
        yield Whole("D602", language, _longer(language))
        yield Whole("D701", language, _essays(language))
        yield Whole("D702", language, _small(made(intent, language, 61), 99))
        yield Whole("D702", f"{language} JSON", _small(made(order, language, 62), 30))
