"""Small cuts of the data sets, all in one form, for runs of a minute."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml

__all__ = ["SETS", "Row", "Source", "Splits", "cut"]

HERE = Path(__file__).parent
DATA = HERE.parent.parent.parent / "shared" / "data"
EXAMPLES = HERE.parent.parent / "examples"

Row = dict[str, str]
"""``instruction``, ``input`` and ``output``, all of them strings."""

Splits = dict[str, list[Row]]
"""``train``, ``eval`` and ``test``."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from.

    Attributes:
        folder: With a file for each split.
        labels: Only rows of the first so many answers, by how often training rows have them; 0 for all.
        task: What the config says of the task where neither an example's own nor ``labels`` does.
        baselines: Those that take no answers of the base model.
    """

    folder: Path
    labels: int = 0
    task: Mapping[str, Any] = field(default_factory=dict)
    baselines: tuple[str, ...] = ("majority", "linear")

    def answers(self) -> dict[str, Any]:
        """What a config says of the task, as it was before any damage; an example's own config says it."""
        config = self.folder / "task.yaml"
        if config.is_file():
            return dict(yaml.safe_load(config.read_text(encoding="utf-8"))["task"])
        if self.labels:
            return {
                "type": "classification",
                "labels": sorted(_frequent(_read(self.folder / "train.jsonl"), self.labels)),
            }
        return dict(self.task)


SETS: Mapping[str, Source] = {
    "banking-8": Source(DATA / "banking77", labels=8),
    "banking-20": Source(DATA / "banking77", labels=20),
    "waimai": Source(DATA / "waimai", task={"type": "classification", "labels": ["正面", "负面"]}),
    "snips": Source(DATA / "snips", task={"type": "json"}, baselines=("majority", "fields")),
    "twlaw": Source(DATA / "twlaw", task={"type": "json"}, baselines=("majority", "fields")),
    "cluener": Source(DATA / "cluener", task={"type": "entities"}, baselines=("majority", "gazetteer")),
    "conll04": Source(DATA / "conll04", task={"type": "relations"}, baselines=("majority", "gazetteer")),
    "finance": Source(EXAMPLES / "finance-sentiment-zh"),
    "contact": Source(EXAMPLES / "contact-extraction-en", baselines=("majority", "fields")),
    "news": Source(EXAMPLES / "news-entities-zh", baselines=("majority", "gazetteer")),
}


def cut(source: Source, sizes: tuple[int, int, int], seed: int) -> Splits:
    """So many rows of each split, or all there are, drawn by ``seed``."""
    splits = {name: _read(source.folder / f"{name}.jsonl") for name in ("train", "eval", "test")}
    if source.labels:
        kept = _frequent(splits["train"], source.labels)
        splits = {name: [row for row in rows if row["output"] in kept] for name, rows in splits.items()}
    chance = Random(seed)
    return {
        name: chance.sample(rows, min(size, len(rows)))
        for (name, rows), size in zip(splits.items(), sizes, strict=True)
    }


def _frequent(rows: list[Row], labels: int) -> set[str]:
    return {answer for answer, _ in Counter(row["output"] for row in rows).most_common(labels)}


def _read(file: Path) -> list[Row]:
    return [_row(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def _row(found: Mapping[str, Any]) -> Row:
    if "messages" not in found:
        return {name: found[name] for name in ("instruction", "input", "output")}
    system, user, assistant = (message["content"] for message in found["messages"])
    return {"instruction": system, "input": user, "output": assistant}
