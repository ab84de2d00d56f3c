"""The recipe: a patch chosen from ``recipes.yaml`` by the number of training rows and what the base declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import yaml

from exactune.bases import Base
from exactune.language import Text, say
from exactune.types import Patch

__all__ = ["Expected", "Recipe", "bands", "choose"]


@dataclass(frozen=True, slots=True)
class Expected:
    """The band the guide expects from this many rows on, as fractions of 1."""

    rows: int
    low: float
    high: float
    note: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """What was chosen and why.

    Attributes:
        rows: Training rows it was chosen for.
        bracket: Name of the row bracket.
        patch: The values, with ``source="recipe"`` and the reason.
        expected: The guide's band; ``None`` under its minimum of 100 rows.
    """

    rows: int
    bracket: str
    patch: Patch
    expected: Expected | None


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = yaml.safe_load(files("exactune").joinpath("recipes.yaml").read_text(encoding="utf-8"))
    return table


Entry = TypeVar("Entry", bound=Mapping[str, Any])


def _bracket(entries: Sequence[Entry], rows: int) -> Entry:
    return next(entry for entry in entries if entry["below"] is None or rows < entry["below"])


def bands() -> tuple[Expected, ...]:
    """What the guide expects, by number of rows, the fewest first; the first begins at its minimum."""
    entries = _table()["expected"]
    starts = [_table()["minimum_rows"], *(entry["below"] for entry in entries[:-1])]
    return tuple(
        Expected(start, entry["low"], entry["high"], Text(entry["note"]))
        for start, entry in zip(starts, entries, strict=True)
    )


def choose(rows: int, base: Base, *, full: bool = False, method: str = "sft") -> Recipe:
    """The guide's recipe for ``rows`` training rows, adapted to what the base declares of itself.

    Args:
        rows: Training rows that teach the task.
        base: The base model.
        full: Whether every weight is trained; such updates need another learning-rate factor than an adapter's.
        method: ``training.method``.

    Source: the guide, sections 基本配置, 根據資料量調整 and 資料量與效能.
    """
    table = _table()
    entry = _bracket(table["rows"], rows)
    values = {
        **table["base"], **entry["values"], **table["methods"].get(method, {}), **base.declared.get("recipe", {}),
        "training.method": method,
    }  # fmt: skip
    rate = values["training.learning_rate"]
    named = {"rows": rows, "bracket": entry["name"], "epochs": values["training.num_epochs"], "rate": rate}
    if method in table["methods"]:
        reason = say(
            "{method} of a task with {rows} training rows: {epochs} epochs, rate {rate:g}", method=method, **named
        )
    else:
        reason = say("{rows} training rows: bracket {bracket}, {epochs} epochs, rate {rate:g}", **named)
    factor = base.learning_rate_factor(full=full)
    if factor != 1:
        # Rounded to 4 digits: the product is shown to people, and 0.0024999999 helps nobody.
        values["training.learning_rate"] = float(f"{rate * factor:.4g}")
        reason = say(
            "{reason}; {base} declares a learning-rate factor of {factor:g}, so the rate is {rate:g}",
            reason=reason,
            base=base.name,
            factor=factor,
            rate=values["training.learning_rate"],
        )
    expected = [band for band in bands() if band.rows <= rows]
    return Recipe(rows, entry["name"], Patch(values, "recipe", reason), expected[-1] if expected else None)
