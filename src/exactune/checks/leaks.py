"""Rules about eval and test rows that the model was trained on (D205, D207).

Two rows ask the same when their system messages and inputs agree without case, width, blanks and punctuation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exactune.checks.dataset import Dataset
from exactune.checks.pairs import SHOWN, pair
from exactune.data.digests import Keys, earliest
from exactune.data.words import count, places, unique
from exactune.language import say
from exactune.rules import Finding, Rule
from exactune.types import Example, Location

__all__ = ["eval_row_in_train", "leak_with_other_answer"]

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class _Leak:
    """Training rows, mixed-in ones among them, whose like is scored.

    Attributes:
        rows: Their numbers, one for each turn that leaks, rising; mixed-in rows are counted on from the others.
        twins: For each the first eval or test row that it is like; test rows are counted on from the eval rows.
        alike: For every eval and test row the first one that it is like, often itself.
    """

    rows: Numbers
    twins: Numbers
    alike: Numbers

    @property
    def scored(self) -> Numbers:
        """Every eval and test row that one of the training rows is like, rising."""
        return np.flatnonzero(np.isin(self.alike, self.twins))


def _leak(dataset: Dataset, *, answers_too: bool) -> _Leak:
    own = _met(dataset.keys, "train", answers_too=answers_too)
    if not dataset.splits.mix:
        return own
    mixed = _met(dataset.bare_keys, "mix", answers_too=answers_too)
    rows = np.concatenate([own.rows, len(dataset.splits.train) + mixed.rows])
    # A row that only the mixed-in ones are like stands for those that differ from it in the system message.
    return _Leak(rows, np.concatenate([own.twins, mixed.twins]), own.alike)


def _met(keys: Mapping[str, Keys], trained: str, *, answers_too: bool) -> _Leak:
    """The leaks of the rows of one split."""
    own, *others = (keys[name] for name in (trained, "eval", "test"))
    held = np.vstack([one.pairs if answers_too else one.inputs for one in others])
    turns = np.hstack([own.turn_inputs, own.turn_answers]) if answers_too else own.turn_inputs
    asked = own.pairs if answers_too else own.inputs
    rows = np.concatenate([np.arange(len(asked)), own.turns])
    first = earliest(np.vstack([held, asked, turns]))
    scored, found = first[: len(held)], first[len(held) :]
    met = np.flatnonzero(found < len(held))
    met = met[np.argsort(rows[met], kind="stable")]
    return _Leak(rows[met], found[met], scored)


def _trained_row(dataset: Dataset, number: int) -> Example:
    own = len(dataset.splits.train)
    return dataset.splits.train[number] if number < own else dataset.splits.mix[number - own]


def _trained_places(dataset: Dataset, leak: _Leak) -> tuple[Location, ...]:
    return unique(_trained_row(dataset, number).location for number in np.unique(leak.rows).tolist())


def _scored_row(dataset: Dataset, number: int) -> Example:
    own = len(dataset.splits.eval)
    return dataset.splits.eval[number] if number < own else dataset.splits.test[number - own]


def _scored_places(dataset: Dataset, leak: _Leak) -> tuple[Location, ...]:
    return unique(_scored_row(dataset, number).location for number in leak.scored.tolist())


def _evidence(dataset: Dataset, leak: _Leak) -> dict[str, Any]:
    shown = islice(zip(leak.rows.tolist(), leak.twins.tolist(), strict=True), SHOWN)
    return {
        "eval_rows": len(leak.scored),
        "train_rows": len(np.unique(leak.rows)),
        "pairs": [pair(_trained_row(dataset, row), _scored_row(dataset, twin)) for row, twin in shown],
    }


def eval_row_in_train(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An eval or test row that the model was trained on.

    What it does:
        Finds eval and test rows whose system message, input and answer also stand in the training rows (without case,
        blanks and punctuation of the input), or are how a chat among them begins: each of its turns is trained. Rows
        that `data.mix` adds are training rows. The training rows are the ones to drop.

    Why it matters:
        Such rows measure memory. The score looks better than the model is, and early stopping picks a checkpoint that
        has overfitted.

    Example:
        train.jsonl:412 {"text": "台積電股價大漲", "label": "正面"}
        eval.jsonl:9    {"text": "台積電股價大漲。", "label": "正面"}

    Fix:
        Remove the training rows named (`check: {on_error: skip}` leaves them out), or the eval rows beside them.
    """
    leak = _leak(dataset, answers_too=True)
    if len(leak.rows):
        scored = _scored_places(dataset, leak)
        rows = _trained_places(dataset, leak)
        yield rule.finding(
            say(
                "{rows} also in training: {places} (in training at {twins})",
                rows=count(len(scored), "eval or test row"),
                places=places(scored),
                twins=places(rows),
            ),
            locations=rows,
            related=scored,
            evidence=_evidence(dataset, leak),
        )


def leak_with_other_answer(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An eval or test row that stands in training with another answer.

    What it does:
        Finds training rows that ask the same as an eval or test row (without case, blanks and punctuation) and have
        another answer than all of these.

    Why it matters:
        The model has learned an answer that is scored as wrong. One of the two answers is a label error, or the input
        does not say enough to decide.

    Example:
        train.jsonl:57 {"text": "还可以", "label": "正面"}
        test.jsonl:8   {"text": "还可以。", "label": "负面"}

    Fix:
        Decide which answer is right, correct the other, and keep the row on one side only.
    """
    asked, leaked = _leak(dataset, answers_too=False), _leak(dataset, answers_too=True)
    other = ~np.isin(asked.rows, leaked.rows)
    leak = _Leak(asked.rows[other], asked.twins[other], asked.alike)
    if len(leak.rows):
        scored = _scored_places(dataset, leak)
        rows = _trained_places(dataset, leak)
        yield rule.finding(
            say(
                "{rows} in training with another answer: {places} (in training at {twins})",
                rows=count(len(scored), "eval or test row"),
                places=places(scored),
                twins=places(rows),
            ),
            locations=rows,
            related=scored,
            evidence=_evidence(dataset, leak),
        )
