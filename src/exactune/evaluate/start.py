"""A run beside the one that it goes on from: whether it answers better, and whether its answers have grown longer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from exactune.errors import RunError
from exactune.evaluate.against import compare_runs
from exactune.rundir import Run, read_jsonl
from exactune.types import Example

__all__ = ["against_start", "find_length"]


def against_start(run: Run, start: Run, name: str) -> dict[str, Any]:
    """The block ``start`` of ``eval/metrics.json``.

    Args:
        run: Has answered its scored rows.
        start: The run that it goes on from.
        name: Of that one, as the run's config has it.

    Returns:
        ``{"run", "rows", "only_run", "only_start", "primary", "metrics"}``, the metrics as
        :func:`~exactune.evaluate.compare.compare` has them; ``{"run", "left_out"}`` where the two cannot be compared.
    """
    try:
        found = compare_runs(run, start)
    except RunError as error:
        return {"run": name, "left_out": str(error)}
    kept = {key: found[key] for key in ("rows", "only_run", "primary", "metrics")}
    return {"run": name, **kept, "only_start": found["only_against"]}


def find_length(run: Run, start: Run | None, rows: Sequence[Example]) -> dict[str, Any] | None:
    """The block ``length``: characters of the answers to the scored rows, beside the start's answers to the same rows;
    beside the right answers where there is no start.

    Args:
        run: Has answered ``rows``.
        start: The run that it goes on from; None if it began with a base model, or that run is gone.
        rows: Its scored rows.

    Returns:
        ``{"rows", "answers", "others", "beside", "difference": {"value", "low", "high"}}``: means, and the mean
        difference of one row with its 95 % interval (normal); None for fewer than two rows.
    """
    if start is not None and start.predictions.is_file():
        beside, known = "start", {line["id"]: len(line["answer"]) for line in read_jsonl(start.predictions)}
    else:
        beside, known = "gold", {row.id: len(row.answer) for row in rows}
    both = [
        (len(line["answer"]), known[line["id"]]) for line in read_jsonl(run.predictions) if line["id"] in known
    ]  # fmt: skip
    if len(both) < 2:
        return None
    differences = [answer - other for answer, other in both]
    mean, reach = fmean(differences), 1.96 * stdev(differences) / math.sqrt(len(differences))
    return {
        "rows": len(both), "answers": fmean(own for own, _ in both), "others": fmean(other for _, other in both),
        "beside": beside, "difference": {"value": mean, "low": mean - reach, "high": mean + reach},
    }  # fmt: skip
