"""Rules about rows that ask the same thing (D2xx).

Two rows ask the same when their system messages and inputs agree without case, width, blanks and punctuation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from exactune.checks.dataset import Dataset
from exactune.data.words import count, excerpt, places, unique
from exactune.language import join, say
from exactune.rules import Finding, Rule
from exactune.types import Example

__all__ = ["conflicting_answers", "eval_row_in_train", "exact_duplicate"]

EVIDENCE = 20
"""Groups shown in the evidence; the places are always complete."""


def _meaning(answer: str) -> str:
    """The answer without what JSON leaves open: spacing and the order of keys."""
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return answer.strip()
    return json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else answer.strip()


def _groups(dataset: Dataset, examples: Sequence[Example]) -> list[list[Example]]:
    """Rows that ask the same, two or more each, in file order."""
    groups: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        groups.setdefault(dataset.keys[example.id], []).append(example)
    return [group for group in groups.values() if len(group) > 1]


def exact_duplicate(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A training row that stands there more than once.

    What it does:
        Finds training rows that ask the same as an earlier one (without case, blanks and punctuation) and have the
        same answer.

    Why it matters:
        Repeated rows count several times in the loss, and make a small data set look larger than it is.

    Example:
        train.jsonl:12 {"text": "好吃!", "label": "正面"}
        train.jsonl:90 {"text": "好吃！", "label": "正面"}

    Fix:
        Keep one of each, unless the repetition is meant as a weight.
    """
    later: list[Example] = []
    pairs: list[tuple[Example, Example]] = []
    for group in _groups(dataset, dataset.splits.train):
        first: dict[str, Example] = {}
        for example in group:
            earlier = first.setdefault(_meaning(example.answer), example)
            if earlier is not example:
                later.append(example)
                pairs.append((example, earlier))
    if later:
        named = join(
            "; ", (say("{row} repeats {twin}", row=row.location, twin=twin.location) for row, twin in pairs[:3])
        )
        yield rule.finding(
            say(
                "{rows} of {all:,} with the input and the answer of an earlier one: {named}{more}",
                rows=count(len(later), "training row"),
                all=len(dataset.splits.train),
                named=named,
                more="; …" if len(pairs) > 3 else "",
            ),
            locations=unique(row.location for row in later),
            related=unique(twin.location for _, twin in pairs),
            evidence={
                "rows": len(later),
                "pairs": [{"row": str(row.location), "first": str(twin.location)} for row, twin in pairs[:EVIDENCE]],
            },
        )


def conflicting_answers(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """The same question with different answers.

    What it does:
        Finds rows of one split that ask the same (without case, blanks and punctuation) and have different answers.
        JSON answers that differ only in spacing or in the order of keys agree.

    Why it matters:
        The model can learn neither answer, and no score above their share is possible. Often one is a label error.

    Example:
        train.jsonl:7  {"text": "还可以", "label": "正面"}
        train.jsonl:31 {"text": "还可以。", "label": "负面"}

    Fix:
        Decide on one answer and remove or correct the other rows.
    """
    differing: list[Example] = []
    agreeing: list[Example] = []
    shown: list[dict[str, str]] = []
    for _, examples in dataset.named_splits:
        for group in _groups(dataset, examples):
            first = _meaning(group[0].answer)
            different = [example for example in group if _meaning(example.answer) != first]
            if different:
                differing += different
                agreeing += [example for example in group if _meaning(example.answer) == first]
                shown.append({str(example.location): excerpt(example.answer, 80) for example in group})
    if shown:
        yield rule.finding(
            say(
                "{inputs} with different answers, for example {answers}",
                inputs=count(len(shown), "input"),
                answers=_answers(shown[0]),
            ),
            locations=unique(example.location for example in differing),
            related=unique(example.location for example in agreeing),
            evidence={"inputs": len(shown), "groups": shown[:EVIDENCE]},
        )


def _answers(group: dict[str, str]) -> str:
    return join(", ", (f"{place} {answer!r}" for place, answer in list(group.items())[:3]))


def eval_row_in_train(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An eval or test row that the model was trained on.

    What it does:
        Finds eval and test rows whose system message and input (without case, blanks and punctuation) also stand in
        the training rows, or are how a chat among them begins: each of its turns is trained. The training rows are the
        ones to drop.

    Why it matters:
        Such rows measure memory. The score looks better than the model is, and early stopping picks a checkpoint that
        has overfitted.

    Example:
        train.jsonl:412 {"text": "台積電股價大漲", "label": "正面"}
        eval.jsonl:9    {"text": "台積電股價大漲。", "label": "正面"}

    Fix:
        Remove the training rows named (`check: {on_error: skip}` leaves them out), or the eval rows beside them.
    """
    held: dict[tuple[str, str], list[Example]] = {}
    for example in (*dataset.splits.eval, *dataset.splits.test):
        held.setdefault(dataset.keys[example.id], []).append(example)
    leaked = [
        (row, held[key])
        for row in (dataset.splits.train if held else ())
        for key in dataset.trained_keys(row)
        if key in held
    ]
    if leaked:
        seen = [example for _, twins in leaked for example in twins]
        scored = unique(example.location for example in seen)
        rows = unique(row.location for row, _ in leaked)
        yield rule.finding(
            say(
                "{rows} also in training: {places} (in training at {twins})",
                rows=count(len(scored), "eval or test row"),
                places=places(scored),
                twins=places(rows),
            ),
            locations=rows,
            related=scored,
            evidence={
                "eval_rows": len(scored),
                "train_rows": len(rows),
                "pairs": [
                    {"train": str(row.location), "eval": [str(twin.location) for twin in twins]}
                    for row, twins in leaked[:EVIDENCE]
                ],
            },
        )
