"""What the runs of a comparison add up to: one line for each method, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from exactune.errors import RunError, TrainingError
from exactune.evaluate.against import Scored, read_scored
from exactune.evaluate.pooled import compare_seeds, summarize_seeds
from exactune.language import say
from exactune.rundir import Run
from exactune.studies.comparison import REFERENCE, Comparison, ComparisonFolder, Entry
from exactune.studies.recommend import recommend
from exactune.tasks import Task

__all__ = ["sum_up"]

BySeed = Mapping[int, Scored]


def sum_up(record: Comparison, folder: ComparisonFolder, task: Task, methods: Sequence[str]) -> Comparison:
    """The record with ``methods``, ``keep`` and ``verdict``.

    Args:
        record: All its runs have come to their end.
        folder: Where they are.
        task: Scores.
        methods: Which of them count.

    Raises:
        TrainingError: Every run of ``sft`` failed.
        RunError: They were not scored on the same rows.
    """
    scored = {name: _answers(record, folder, task, name) for name in dict.fromkeys(methods)}
    if not scored[REFERENCE]:
        raise TrainingError(record.done(REFERENCE, record.seeds[0]).note)
    if len({tuple(one.rows) for runs in scored.values() for one in runs.values()}) > 1:
        raise RunError(
            say("{path}: its runs were not scored on the same rows. Start again with --overwrite.", path=folder.path)
        )
    found = [_method(record, task, name, runs, scored[REFERENCE]) for name, runs in scored.items()]
    keep, verdict = recommend(found, task=record.task, primary=record.primary, seeds=len(record.seeds))
    return replace(record, methods=found, keep=keep, verdict=verdict)


def _entries(record: Comparison, method: str) -> list[Entry]:
    return [record.done(method, seed) for seed in ([None] if method == "base" else record.seeds)]


def _answers(record: Comparison, folder: ComparisonFolder, task: Task, method: str) -> BySeed:
    """Its answers by seed; those of the base model stand for every seed."""
    entries = [one for one in _entries(record, method) if one.answers]
    read = [read_scored(Run(folder.path / one.run), task) for one in entries]
    if method == "base":
        return dict.fromkeys(record.seeds, read[0]) if read else {}
    return {one.seed: scored for one, scored in zip(entries, read, strict=True) if one.seed is not None}


def _method(record: Comparison, task: Task, method: str, runs: BySeed, reference: BySeed) -> dict[str, Any]:
    """One of ``methods`` of ``compare.json``."""
    entries = _entries(record, method)
    answered = [one for one in entries if one.answers]
    ours, theirs = ({seed: one.counted for seed, one in side.items()} for side in (runs, reference))
    strata = next(iter(runs.values())).strata if runs else ()
    held = method != REFERENCE and ours.keys() & theirs.keys()
    return {
        "method": method,
        "seeds": len(answered),
        "same": sum(one.state == "same" for one in entries),
        "unmoved": sum(one.epoch == 0 for one in entries),
        "failed": sum(one.state == "failed" for one in entries),
        "metrics": summarize_seeds(task, ours, strata) if ours else {},
        "difference": compare_seeds(task, ours, theirs, strata) if held else None,
        "usable": _mean([one.usable for one in answered if one.usable is not None]),
        "general": _general(answered),
        "rows": _mean([one.rows for one in answered]),
        "pairs": _mean([one.pairs for one in answered]),
        "minutes": _mean([one.minutes for one in answered]) or 0.0,
        "before": _mean([one.before for one in answered]) or 0.0,
        "peak_memory_mb": max((one.peak_memory_mb for one in answered if one.peak_memory_mb is not None), default=None),
        "note": next((one.note for one in entries if one.note), ""),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _general(entries: Sequence[Entry]) -> dict[str, float]:
    """File -> mean relative change of its bits per byte."""
    files = dict.fromkeys(file for one in entries for file in one.general)
    return {file: sum(one.general[file] for one in entries) / len(entries) for file in files}
