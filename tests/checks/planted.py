"""Faults planted into clean data: the files as bytes, and where each fault is."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from planted_clean import Row, Splits, asked, dumped

ANSWERS = ("label", "output", "completion")


@dataclass(eq=False)
class Line:
    """One line of a file; a planted one may hold several, or no row at all."""

    data: bytes
    row: Row
    spent: bool = False

    def write(self, row: Row | str | bytes) -> None:
        """Put another row, or the text of one, in its place."""
        text = dumped(row) if isinstance(row, dict) else row
        self.data = text.encode("utf-8") if isinstance(text, str) else text


@dataclass(frozen=True)
class Planted:
    """A fault: ``line`` is ``None`` where it is a whole file's."""

    code: str
    variant: str
    split: str
    line: Line | None


@dataclass
class Batch:
    """Clean files that faults are planted into, each on rows of its own."""

    name: str
    splits: Splits
    chance: Random
    files: dict[str, list[Line]] = field(default_factory=dict)
    faults: list[Planted] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.files = {
            split: [Line(dumped(row).encode("utf-8"), row) for row in rows] for split, rows in self.splits.items()
        }

    def take(self, split: str = "train", wanted: Callable[[Row], bool] = lambda row: True) -> Line:
        """A row that no other fault has to do with; never the last, which can be cut off."""
        free = [line for line in self.files[split][:-1] if not line.spent and line.row and wanted(line.row)]
        assert free, f"no row of {self.name} is left to plant this in"
        line = self.chance.choice(free)
        line.spent = True
        return line

    def put(self, row: Row, split: str = "train", after: Line | None = None) -> Line:
        """A new row at a random place, on demand behind another one."""
        lines = self.files[split]
        first = 0 if after is None else lines.index(after) + 1
        line = Line(dumped(row).encode("utf-8"), row, spent=True)
        lines.insert(self.chance.randint(first, max(first, len(lines) - 1)), line)
        return line

    def write(self, folder: Path) -> list[str]:
        """The files, as bytes."""
        folder.mkdir(parents=True)
        paths = []
        for split, lines in self.files.items():
            path = folder / f"{split}.jsonl"
            end = b"" if split in self.cut else b"\n"
            path.write_bytes(b"\n".join(line.data for line in lines) + end)
            paths.append(str(path))
        return paths

    def line_number(self, fault: Planted) -> int | None:
        if fault.line is None:
            return None
        before = self.files[fault.split][: self.files[fault.split].index(fault.line)]
        return 1 + len(before) + sum(line.data.count(b"\n") for line in before)


@dataclass(frozen=True)
class Plant:
    """A way to plant one kind of fault; ``plant`` returns the split and the line where it is to be found."""

    code: str
    variant: str
    sets: Sequence[str]
    plant: Callable[[Batch], tuple[str, Line | None]]
    times: int = 1

    def into(self, batch: Batch) -> None:
        batch.faults.append(Planted(self.code, self.variant, *self.plant(batch)))


def answer(row: Row) -> str:
    """The text of a row's answer."""
    told = row["messages"][-1]["content"] if "messages" in row else next(row[key] for key in ANSWERS if key in row)
    return told if isinstance(told, str) else dumped(told)


def value(row: Row) -> Any:
    """The JSON value of a row's answer."""
    return json.loads(answer(row))


def with_text(row: Row, text: str) -> Row:
    """The row with another question."""
    new = copy.deepcopy(row)
    old = asked(row)
    for turn in [turn for key in ("messages", "chosen", "rejected") if isinstance(new.get(key), list)
                 for turn in new[key]]:  # fmt: skip
        if turn["content"] == old:
            turn["content"] = text
    return new | {key: text for key in ("text", "input", "prompt") if key in new}


def with_answer(row: Row, told: Any) -> Row:
    """The row with another answer, which is written as it is."""
    new = copy.deepcopy(row)
    if "messages" in new:
        new["messages"][-1]["content"] = told
        return new
    return new | {key: told for key in ANSWERS if key in new}


def with_value(row: Row, held: Any) -> Row:
    """The row with another JSON answer, written in the way of the others."""
    return with_answer(row, dumped(held))


def replaced(
    code: str,
    variant: str,
    sets: Sequence[str],
    change: Callable[[Row], Row | str | bytes],
    wanted: Callable[[Row], bool] = lambda row: True,
    split: str = "train",
    times: int = 1,
) -> Plant:
    """A plant that writes another row in the place of one."""

    def plant(batch: Batch) -> tuple[str, Line]:
        line = batch.take(split, wanted)
        line.write(change(line.row))
        return split, line

    return Plant(code, variant, sets, plant, times)
