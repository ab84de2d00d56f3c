"""Answers as a model that is often wrong would give them, from right ones."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "../shared/data"
JUNK = ("", "{", "[1", "null", '"a"', "{}", "[]")


def public(name: str, split: str) -> list[tuple[str, str]]:
    """Inputs and answers of a data set that is not part of this project."""
    path = DATA / name / f"{split}.jsonl"
    if not path.is_file():
        pytest.skip(f"the development data set {name} is not here")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        (row["messages"][-2]["content"], row["messages"][-1]["content"])
        if "messages" in row
        else (row["input"], row["output"])
        for row in rows
    ]


def misspelt(text: str, draw: random.Random) -> str:
    """A character more, less or another, or a word more or less."""
    place = draw.randrange(len(text) + 1)
    return draw.choice([text[:place] + "x" + text[place:], text[:place] + text[place + 1 :], text[1:], text + "。", ""])


def piece(text: str, draw: random.Random) -> str:
    """Some stretch of the input."""
    start = draw.randrange(max(1, len(text)))
    return text[start : start + draw.randint(1, 6)]


def shaken(items: list[Any], make: Any, change: Any, draw: random.Random) -> list[Any]:
    """Some items dropped, some changed, some twice, some added, in another order."""
    kept = [change(item) if draw.random() < 0.2 else item for item in items if draw.random() < 0.85]
    kept += [draw.choice(items) for _ in range(2) if items and draw.random() < 0.15]
    kept += [make() for _ in range(2) if draw.random() < 0.2]
    draw.shuffle(kept)
    return kept
