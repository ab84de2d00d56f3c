"""Two runs on the same rows, from what their folders say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exactune.errors import RunError
from exactune.evaluate.compare import compare
from exactune.evaluate.counted import ABSENT, Counted
from exactune.evaluate.evaluation import Strata
from exactune.language import say
from exactune.layers import read_patch, resolve
from exactune.rundir import Run, read_jsonl
from exactune.tasks import Parsed, Score, Task, task_from_config
from exactune.types import Status

__all__ = ["Scored", "compare_runs", "read_scored"]


def compare_runs(run: Run, other: Run) -> dict[str, Any]:
    """Whether one run answers better than another, on the rows that both have scored.

    Rows are paired by id, and only where right answer and input are the same: the rows of two files of one name are
    not. Nothing is answered anew.

    Returns:
        ``{"run", "against", "rows", "only_run", "only_against", "primary", "metrics": {name: ...}}``, each metric as
        :func:`~exactune.evaluate.compare.compare` has it.

    Raises:
        RunError: One of them has no answers, they are for different tasks, or they share no rows.
    """
    task, theirs = _task(run), _task(other)
    if _kind(task) != _kind(theirs):
        raise RunError(
            say(
                "{run} is a {type} task and {other} a {type_of_other} task, so their figures are not of one kind.",
                run=run.path, type=_kind(task), other=other.path, type_of_other=_kind(theirs),
            )
        )  # fmt: skip
    known: dict[str, tuple[int, bytes]] = {}
    their_counts = Counted()
    for number, line in enumerate(_lines(other)):
        known[line["id"]] = number, _digest(line)
        their_counts.add(_score(task, line))
    our_counts, strata, places = Counted(), Strata(task), []
    for line in _lines(run):
        gold = _gold(line)
        strata.add(gold)
        our_counts.add(_score(task, line))
        number, digest = known.get(line["id"], (ABSENT, b""))
        places.append(number if digest == _digest(line) else ABSENT)
    shared = sum(place != ABSENT for place in places)
    if not shared:
        raise RunError(_no_common_rows(run, other, same_names=any(line["id"] in known for line in _lines(run))))
    return {
        "run": str(run.path),
        "against": str(other.path),
        "rows": shared,
        "only_run": len(places) - shared,
        "only_against": len(known) - shared,
        "primary": task.primary,
        "metrics": compare(task, our_counts, their_counts.taken(places), strata.numbers),
    }


@dataclass(frozen=True, slots=True)
class Scored:
    """The answers of one run, scored.

    Attributes:
        rows: What was asked, in order: id, and a digest of input and right answer.
        counted: What the answers were worth.
        strata: Which rows are drawn from together.
    """

    rows: Sequence[tuple[str, bytes]]
    counted: Counted
    strata: Sequence[int]


def read_scored(run: Run, task: Task | None = None) -> Scored:
    """What a run answered, from its folder.

    Args:
        run: The run.
        task: Scores; without it, the run's own.

    Raises:
        RunError: It has no answers.
    """
    task = task or _task(run)
    rows, counted, strata = [], Counted(), Strata(task)
    for line in _lines(run):
        rows.append((line["id"], _digest(line)))
        counted.add(_score(task, line))
        strata.add(_gold(line))
    return Scored(rows, counted, strata.numbers)


def _no_common_rows(run: Run, other: Run, *, same_names: bool) -> str:
    if same_names:
        return say(
            "{run} and {other} have rows of the same names with different contents, so they were not scored on the "
            "same rows. Train both with the same `data.test`.",
            run=run.path,
            other=other.path,
        )
    return say(
        "{run} and {other} were not scored on the same rows, so they cannot be compared row by row. Train both with "
        "the same `data.test`.",
        run=run.path,
        other=other.path,
    )


def _task(run: Run) -> Task:
    config = resolve([read_patch(run.config)]).config
    return task_from_config(config.task.model_dump(by_alias=True, exclude_none=True))


def _kind(task: Task) -> str:
    """Its type, and whether its answers have several labels: those are scored otherwise."""
    return f"{task.type} (`multi_label: true`)" if task.config().get("multi_label") else task.type


def _lines(run: Run) -> Iterator[dict[str, Any]]:
    if not run.predictions.is_file():
        raise RunError(
            say(
                "{path} is missing: score that run first, with `exactune eval {run}`.",
                path=run.predictions,
                run=run.path,
            )
        )
    return read_jsonl(run.predictions)


def _gold(line: Mapping[str, Any]) -> Parsed:
    return Parsed(line["gold"], Status(line.get("gold_status", Status.OK)))


def _score(task: Task, line: Mapping[str, Any]) -> Score:
    return task.score(_gold(line), Parsed(line["prediction"], Status(line["status"])), line["input"])


def _digest(line: Mapping[str, Any]) -> bytes:
    text = json.dumps([line["gold"], line["input"]], ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
