"""Preference pairs from a run's own mistakes: the right answer chosen, what the model answered instead rejected."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exactune import ranks
from exactune.apply import load
from exactune.config import MineConfig
from exactune.errors import ConfigError, Interrupted, RunError
from exactune.evaluate.doubts import find_doubts
from exactune.evaluate.errors import Errors
from exactune.infer.answers import Answer
from exactune.language import join, say, stored
from exactune.pipeline import Say
from exactune.plan import Plan, config_source, make_plan
from exactune.resume import find_changes, is_trained
from exactune.rundir import Run, write_json, write_jsonl
from exactune.stop import StopNow, listening
from exactune.studies.folds import Told, answer_rows, answer_unseen
from exactune.studies.mistakes import Choice, Mistake, choose
from exactune.tasks import Parsed, Task
from exactune.train.fit import Display
from exactune.types import Example, Status

__all__ = ["PAIRS", "Mined", "as_preference", "mine"]

PAIRS = "pairs.jsonl"
RECORD = "mined.json"


@dataclass(frozen=True, slots=True)
class Mined:
    """What came of it.

    Attributes:
        run: The run.
        file: The pairs; not there if there is none.
        pairs: How many.
        document: ``mine/mined.json``: ``rows`` of training, ``answered`` and ``wrong`` ones, ``pairs``, ``plain`` rows
            (``mine.all``), ``folds`` (0: by the run's own model), ``labels`` and ``kinds`` of the pairs, ``left_out``
            (``reason`` and ``rows``), ``doubtful`` rows as :func:`~exactune.evaluate.doubts.find_doubts` has them,
            ``errors`` (what was confused, missed and invented), ``minutes``.
    """

    run: Run
    file: Path
    pairs: int
    document: Mapping[str, Any]


def mine(
    run: Run | str | Path,
    *,
    settings: MineConfig | None = None,
    output: str | Path | None = None,
    say: Say = lambda _: None,
    display: Display | None = None,
) -> Mined:
    """Write preference pairs from what a run gets wrong on training rows that its model has not seen.

    No eval or test row is asked for. What was answered is kept under ``mine/`` in the run, so the same call goes on
    where an earlier one was stopped.

    Args:
        run: A trained run or its folder.
        settings: Instead of the run's own ``mine`` block.
        output: Where the pairs go, instead of ``mine/pairs.jsonl`` in the run.
        say: Told what is done, one line at a time.
        display: Told how the training of each fold advances.

    Raises:
        ConfigError: There is one fold, or runner-ups are asked for where there are no labels.
        RunError: The run is not trained, or its rows or its base have changed.
        ExactuneError: The rows are too few, or a fold cannot be trained.
        Interrupted: Stopped by a signal.
    """
    with listening() as stop:
        try:
            return _mine(run if isinstance(run, Run) else Run.open(run), settings, output, say, display)
        except Interrupted as error:
            number = error.signal_number
        except StopNow:
            number = stop.signal_number or 2
    raise Interrupted(_going_on(), number)


def _going_on() -> str:
    return say("Stopped. The same command goes on where it was.")


def _mine(
    run: Run, settings: MineConfig | None, output: str | Path | None, tell: Say, display: Display | None
) -> Mined:
    started = time.monotonic()
    ranks.join()
    plan = _plan(run)
    settings = settings or plan.config.mine
    _refuse(plan, settings)
    if output is not None and Path(output).is_dir():
        raise ConfigError(say("{path} is a folder. Name the file that the pairs are to be written to.", path=output))
    with Run(run.mine).locked():
        told = (
            answer_unseen(run, plan, settings.folds, tell, display)
            if settings.folds
            else [*answer_rows(load(run.path), plan.splits.train, plan.config.evaluate.batch_size)]
        )
        doubtful = _doubtful(plan, told)
        distrusted = () if settings.keep_doubtful else [one["id"] for one in doubtful]
        choice = choose(plan.task, plan.splits.train, told, distrusted, settings)
        file = run.mine / PAIRS if output is None else Path(output)
        plain = _plain(plan.splits.train, choice) if settings.all else []
        document = {
            **_document(plan, told, choice, settings),
            "plain": len(plain),
            "doubtful": doubtful,
            "minutes": round((time.monotonic() - started) / 60, 2),
        }
        if choice.kept:
            write_jsonl(file, (*map(_pair, choice.kept), *map(as_preference, plain)))
        elif output is None:
            file.unlink(missing_ok=True)
        write_json(run.mine / RECORD, document)
    return Mined(run, file, len(choice.kept), document)


def _plan(run: Run) -> Plan:
    """The run's plan, made again from its own config.

    Raises:
        RunError: It was not trained to its end, or is not what it was.
    """
    if not is_trained(run):
        raise RunError(
            say(
                "{run}: training is not over, so there are no mistakes to learn from. Go on with --resume.",
                run=run.path,
            )
        )
    plan = make_plan(config_source(run.config), output=str(run.path))
    if changed := [change for change in find_changes(plan) if not change.harmless]:
        raise RunError(
            say(
                "{run} was trained with another {names}, so these would not be its mistakes. Put back what it was, or "
                "train again.",
                run=run.path,
                names=join(", ", (change.text for change in changed)),
            )
        )
    return plan


def _refuse(plan: Plan, settings: MineConfig) -> None:
    if ranks.count() > 1:
        raise ConfigError(say("pairs are mined by one process, and this launch has {ranks}.", ranks=ranks.count()))
    if plan.config.training.method != "sft":
        raise ConfigError(
            say(
                "pairs are mined from a run that was trained by `sft`, and this one was by `{method}`.",
                method=plan.config.training.method,
            )
        )
    if settings.folds == 1:
        raise ConfigError(
            say("`mine.folds` is 1: no rows would be left to train on. Take 2 or more, or 0 for the run's own model.")
        )
    if settings.runner_up and not (plan.constraint and "labels" in plan.constraint):
        raise ConfigError(
            say("`mine.runner_up`: only a classification held to its labels has a second one. Remove it.")
        )


def _doubtful(plan: Plan, told: Iterable[Told]) -> list[dict[str, Any]]:
    """Rows whose label is probably wrong: as many of the surest as there are at least, by the lower end."""
    rows = {row.id: row for row in plan.splits.train}
    answers = {one.id: Answer("", _given(plan.task, rows[one.id], one), 0.0) for one in told}
    found = find_doubts(plan.task, plan.splits.train, answers, plan.config.training.seed, most=len(rows))
    return found["examples"][: round(found["low"] * found["rows"])] if found else []


def _given(task: Task, row: Example, told: Told) -> Parsed:
    """What the model answered, as the task reads it."""
    if told.status == Status.NO_STOP:
        return Parsed(None, Status.NO_STOP)
    return task.parse(row.answer if told.correct else told.wrong or "")


def _document(plan: Plan, told: Sequence[Told], choice: Choice, settings: MineConfig) -> dict[str, Any]:
    train = plan.splits.train
    left_out = [{"reason": why, "rows": rows} for why, rows in choice.left_out.items()]
    if unasked := len(train) - len(told):
        left_out.insert(0, {"reason": say("its label stands in no other fold, so nobody was asked"), "rows": unasked})
    return stored({
        "rows": len(train),
        "answered": len(told),
        "wrong": sum(not one.correct for one in told),
        "folds": settings.folds,
        "pairs": len(choice.kept),
        "labels": dict(Counter(mistake.label for mistake in choice.kept if mistake.label)),
        "kinds": dict(Counter(kind for mistake in choice.kept for kind in mistake.kinds)),
        "left_out": left_out,
        "errors": _errors(plan.task, train, told),
    }, "left_out")  # fmt: skip


def _errors(task: Task, train: Sequence[Example], told: Sequence[Told]) -> dict[str, Any]:
    """What was confused, missed and invented most."""
    rows, errors = {row.id: row for row in train}, Errors(task)
    for one in told:
        row = rows[one.id]
        gold, given = task.parse(row.answer), _given(task, row, one)
        errors.add(row, gold, given, task.score(gold, given, row.input))
    return {name: found for name, found in errors.document().items() if name in ("confused", "missed", "invented")}


def _plain(train: Sequence[Example], choice: Choice) -> list[Example]:
    """The rows that are no pair, and that nothing speaks against."""
    others = choice.distrusted.union(mistake.row.id for mistake in choice.kept)
    return [row for row in train if row.id not in others]


def _pair(mistake: Mistake) -> dict[str, Any]:
    told = mistake.told
    return {
        **as_preference(mistake.row, told.wrong),
        "kinds": list(mistake.kinds),
        "probability": told.probability,
        **({} if told.gold is None else {"gold_probability": told.gold}),
    }


def as_preference(row: Example, rejected: str | None = None) -> dict[str, Any]:
    """A row in the preference format; loaded again, it has the very ids that it was trained on."""
    turns = [turn for turn in row.prompt if turn.role != "system" or turn.content]
    return {
        "prompt": [{"role": turn.role, "content": turn.content} for turn in turns],
        "chosen": _answer(row.answer),
        "rejected": None if rejected is None else _answer(rejected),
        "source": row.id,
    }


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
