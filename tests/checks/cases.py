"""What the contract test gives to each data rule, and the builders of such data.

The cases of a group of rules stand in a ``cases_*.py`` of their own, as ``CASES``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exactune.checks import Dataset
from exactune.data.load import load_paths
from exactune.types import Example, Location, Message, Splits

Pairs = Sequence[tuple[str, str]]
Build = Callable[[Path], Dataset]


@dataclass(frozen=True)
class Case:
    """One rule's example.

    Attributes:
        bad: Data in which the rule finds one thing.
        lines: Where.
        fixed: The same data mended as the rule says.
    """

    bad: Build
    lines: Sequence[int | None]
    fixed: Build


def rows(file: str, pairs: Pairs, system: str = "") -> tuple[Example, ...]:
    return tuple(
        Example(
            f"{file}:{line}",
            (Message("system", system), Message("user", text)),
            answer,
            Location(file, line),
            "text_label",
        )
        for line, (text, answer) in enumerate(pairs, 1)
    )


def dataset(train: Pairs, eval: Pairs = (), test: Pairs = ()) -> Dataset:
    return Dataset(Splits(rows("train", train), rows("eval", eval), rows("test", test)))


def labelled(number: int = 120) -> list[tuple[str, str]]:
    return [(f"text {n}", "ab"[n % 2]) for n in range(number)]


def loaded(*lines: str) -> Build:
    def build(folder: Path) -> Dataset:
        path = folder / "train.jsonl"
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
        found = load_paths([str(path)])
        return Dataset(found.splits, found.findings)

    return build


def ready(data: Dataset) -> Build:
    return lambda _: data


def turns(*roles: str) -> str:
    return json.dumps({"messages": [{"role": role, "content": "x"} for role in roles]})
