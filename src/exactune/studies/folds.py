"""What a run's training rows are answered with by models that have not seen them: the run, trained fold by fold."""

from __future__ import annotations

import gc
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from exactune.apply import load
from exactune.config import Epochs
from exactune.data.expand import expand
from exactune.data.split import deal
from exactune.evaluate.evidence import answer_blocks
from exactune.infer.answers import Answer
from exactune.infer.artifact import Artifact
from exactune.language import say
from exactune.pipeline import Say, train_planned
from exactune.plan import Plan
from exactune.resume import best_file
from exactune.rundir import Run, read_json, read_jsonl, write_jsonl
from exactune.tasks import ClassificationTask, Task
from exactune.train.fit import Display
from exactune.types import Example, Status

__all__ = ["Told", "answer_rows", "answer_unseen"]

JUDGES = 100
"""Eval rows that choose a fold's checkpoint, as the run's was chosen; more would cost more than they tell."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a model said to a training row.

    Attributes:
        id: Of the row.
        correct: Whether it was right.
        status: Of the answer.
        closed: Whether it ran into the token limit, and only its grammar ended it.
        wrong: The answer, where it is wrong; where it is right and one of several labels, the most probable other one.
        probability: Of ``wrong``; of written answers that of the whole sequence.
        gold: Probability of the right label; None where answers are written.
    """

    id: str
    correct: bool
    status: str = str(Status.OK)
    closed: bool = False
    wrong: str | None = None
    probability: float | None = None
    gold: float | None = None


def answer_unseen(run: Run, plan: Plan, folds: int, tell: Say, display: Display | None) -> list[Told]:
    """Train the run again without each fold's rows, and let that model answer them.

    What a fold's model said is kept in ``mine/fold-1-of-3.jsonl``; a fold that has it is not trained again, and one
    that was under way goes on.

    Args:
        run: The run, trained.
        plan: Its plan.
        folds: How many.
        tell: Told a line for each fold.
        display: Told how each training advances.

    Returns:
        One for each training row whose label stands in another fold, too.

    Raises:
        DataError: There are fewer different inputs than folds.
    """
    epochs = read_json(best_file(run))["epoch"]
    found: list[Told] = []
    for number, held in enumerate(deal(plan.splits.train, folds, plan.config.training.seed), 1):
        name = f"fold-{number}-of-{folds}"
        answers, work = run.mine / f"{name}.jsonl", run.mine / name
        if answers.is_file():
            tell(say("fold    {number} of {folds}: already answered", number=number, folds=folds))
        else:
            rows, fold = _fold(plan, work, set(held), epochs)
            tell(
                say(
                    "fold    {number} of {folds}: {rest} rows train for {epochs:g} epochs, {rows} are answered",
                    number=number, folds=folds, rest=len(fold.splits.train), epochs=epochs, rows=len(rows),
                )
            )  # fmt: skip
            _train(fold, rows, plan.max_new_tokens, answers, display)
        shutil.rmtree(work, ignore_errors=True)
        found += (Told(**line) for line in read_jsonl(answers))
    return found


def _fold(plan: Plan, work: Path, held: set[int], epochs: float) -> tuple[list[Example], Plan]:
    """The rows to be answered, and the plan of the run without them; its baselines and evidence are left out."""
    train = plan.splits.train
    rest = [row for number, row in enumerate(train) if number not in held]
    ids = iter(plan.encoded)
    turns = {row.id: tuple(islice(ids, len(expand(row)))) for row in (*train, *plan.splits.mix)}
    config = plan.config.model_copy(
        update={
            "training": plan.config.training.model_copy(
                update={"num_epochs": Epochs(epochs, epochs), "report_to": []}
            ),
            "evaluate": plan.config.evaluate.model_copy(update={"rows": min(JUDGES, plan.config.evaluate.rows)}),
            "output_dir": str(work),
        }
    )  # fmt: skip
    fold = replace(
        plan,
        resolved=replace(plan.resolved, config=config),
        run=Run(work),
        splits=replace(plan.splits, train=tuple(rest), test=()),
        encoded=tuple(turn for row in (*rest, *plan.splits.mix) for turn in turns[row.id]),
    )
    asked = [row for number, row in enumerate(train) if number in held]
    return [*_taught(plan.task, asked, rest)], fold


def _taught(task: Task, asked: Sequence[Example], rest: Sequence[Example]) -> Iterator[Example]:
    """The rows whose label others teach: nobody is wrong about what nobody was told."""
    is_label = isinstance(task, ClassificationTask)
    taught = {task.parse(row.answer).value for row in rest} if is_label else frozenset()
    yield from (row for row in asked if not is_label or task.parse(row.answer).value in taught)


def _train(fold: Plan, rows: Sequence[Example], max_new_tokens: int, answers: Path, display: Display | None) -> None:
    def answer(trained: Plan) -> None:
        artifact = load(trained.run.path)
        # As much room as in the run: the longest answers may be among the rows held out.
        roomy = replace(artifact, answering=replace(artifact.answering, max_new_tokens=max_new_tokens))
        told = answer_rows(roomy, rows, trained.config.evaluate.batch_size)
        write_jsonl(answers, (asdict(one) for one in told))

    train_planned(lambda: fold, resume_anyway=True, display=display, last=answer)
    # A trainer holds itself, and with it the weights of a fold that is over.
    gc.collect()


def answer_rows(artifact: Artifact, rows: Sequence[Example], batch_size: int) -> Iterator[Told]:
    """What an artifact says to each row, in order."""
    for part, answers in answer_blocks(artifact, rows, batch_size):
        yield from (_told(artifact, row, answer) for row, answer in zip(part, answers, strict=True))


def _told(artifact: Artifact, row: Example, answer: Answer) -> Told:
    task = artifact.task
    gold = task.parse(row.answer)
    correct = task.score(gold, answer.parsed, row.input).correct
    told = Told(row.id, correct, str(answer.parsed.status), answer.closed)
    if not answer.label_logprobs:
        return told if correct else replace(told, wrong=answer.text, probability=round(math.exp(answer.logprob), 6))
    shares = _shares(answer.label_logprobs)
    texts = artifact.answering.labels
    right = next((text for text in texts if task.parse(text).value == gold.value), None)
    probable = {text: share for text, share in zip(texts, shares, strict=True) if text != right}
    # The answer given comes first, though a label that was not read may be estimated as high.
    wrong = answer.text if not correct else max(probable, key=lambda text: probable[text], default=None)
    given: Mapping[str, Any] = {} if wrong is None else {"wrong": wrong, "probability": round(probable[wrong], 6)}
    share = 0.0 if right is None else shares[texts.index(right)]
    return replace(told, gold=round(share, 6), **given)


def _shares(logprobs: Sequence[float]) -> list[float]:
    """Probability of each label, given that it is one of them."""
    top = max(logprobs)
    parts = [math.exp(one - top) for one in logprobs]
    return [part / sum(parts) for part in parts]
