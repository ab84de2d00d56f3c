"""Preference pairs (D6), and answers that are none of a task (D701)."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace

from exactune.checks import Dataset
from exactune.types import Splits

from cases import Case, Pairs, dataset, loaded, ready, rows

WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "tu", "se") for b in ("ra", "no", "pi", "du", "ve", "sha")]


def pairs(triples: Sequence[tuple[str, str, str]]) -> Dataset:
    """Preference rows of prompt, chosen and rejected answer."""
    chosen = rows("train", [(prompt, answer) for prompt, answer, _ in triples])
    return Dataset(
        Splits(tuple(replace(row, rejected=worse) for row, (*_, worse) in zip(chosen, triples, strict=True)))
    )


def lengths(number: int, longer: int) -> Dataset:
    """Pairs of which the first ones have the longer chosen answer."""
    return pairs([(f"q {n}", f"{n} yes" + " indeed" * (n < longer), f"{n} no way") for n in range(number)])


def stories(number: int, words: int) -> Pairs:
    chance = random.Random(0)
    return [(f"Tell of number {n}.", " ".join(chance.choices(WORDS, k=words))) for n in range(number)]


def conversation(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def compared(question: str) -> str:
    return json.dumps({"chosen": conversation("2 + 2?", "4"), "rejected": conversation(question, "6")})


CASES = {
    "D601": Case(
        ready(pairs([("q", "yes", "no"), ("q 2", "4", " 4"), ("q 3", '{"a": 1, "b": 2}', '{"b":2,"a":1}')])),
        [2, 3],
        ready(pairs([("q", "yes", "no"), ("q 2", "4", "5"), ("q 3", '{"a": 1, "b": 2}', '{"b":1,"a":2}')])),
    ),
    "D602": Case(ready(lengths(50, 45)), [None], ready(lengths(50, 44))),
    "D603": Case(loaded(compared("2 + 2?"), compared("2 + 3?")), [2], loaded(compared("2 + 2?"), compared("2 + 2?"))),
    "D604": Case(
        ready(pairs([("q", "yes", "no"), ("q 2", "4", " \n")])),
        [2],
        ready(pairs([("q", "yes", "no"), ("q 2", "4", "5")])),
    ),
    "D605": Case(
        ready(pairs([("q", "4", "5"), ("q 2", "4", "5"), ("Q!", "6", "4")])),
        [3],
        ready(pairs([("q", "4", "5"), ("q 2", "5", "4"), ("Q!", "4", "6")])),
    ),
    "D701": Case(ready(dataset(stories(60, 80))), [None], ready(dataset(stories(60, 12)))),
}
