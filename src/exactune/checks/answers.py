"""Rules about the answers as a whole (D3xx) and their form (D4xx)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from exactune.checks.dataset import Dataset
from exactune.data.split import answers_recur
from exactune.data.words import count, excerpt, unique
from exactune.language import join, say
from exactune.rules import Finding, Rule
from exactune.types import Location

__all__ = ["label_only_in_eval", "not_json", "one_label"]


def one_label(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Training rows that all have the same answer.

    What it does:
        Fires when there are two or more training rows and only one answer among them.

    Why it matters:
        The model learns to give that answer to everything. Usually a filter or a wrong column is the cause.

    Example:
        5,000 rows, each with {"label": "正面"}

    Fix:
        Add rows with the other answers, or check that the answer is read from the right column (`data.columns`).
    """
    answers = {example.answer.strip() for example in dataset.splits.train}
    if len(dataset.splits.train) > 1 and len(answers) == 1:
        answer = answers.pop()
        yield rule.finding(
            say(
                "all {rows:,} training rows have the answer {answer!r}",
                rows=len(dataset.splits.train),
                answer=excerpt(answer),
            ),
            locations=unique(Location(example.location.file, None) for example in dataset.splits.train),
            evidence={"answer": answer, "rows": len(dataset.splits.train)},
        )


def label_only_in_eval(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A label of eval or test that training never shows.

    What it does:
        Where training answers come back like labels (on average each at least twice), finds eval and test rows whose
        answer is none of them.

    Why it matters:
        The model cannot know a label it has never seen: each of these rows counts as wrong. Often it is a misspelling.

    Example:
        train.jsonl has 正面, 負面, 中立; eval.jsonl:17 has 中性

    Fix:
        Correct the label, add training rows for it, or remove the rows from evaluation.
    """
    if not answers_recur(dataset.splits.train):
        return
    known = {example.answer.strip() for example in dataset.splits.train}
    scored = (*dataset.splits.eval, *dataset.splits.test)
    unseen = [example for example in scored if example.answer.strip() not in known]
    if unseen:
        labels = Counter(example.answer.strip() for example in unseen)
        named = join(", ", (f"{excerpt(label)!r} ({number:,})" for label, number in labels.most_common(5)))
        more = ", …" if len(labels) > 5 else ""
        yield rule.finding(
            say(
                "{rows} with an answer that no training row has: {named}{more}",
                rows=count(len(unseen), "eval or test row"),
                named=named,
                more=more,
            ),
            locations=unique(example.location for example in unseen),
            evidence={"labels": dict(labels.most_common())},
        )


MOSTLY = 0.8
"""Share of JSON answers in training from which the others count as broken."""


def _is_json(answer: str) -> bool:
    try:
        return isinstance(json.loads(answer), (dict, list))
    except (ValueError, RecursionError):
        return False


def not_json(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An answer that is not JSON where most are.

    What it does:
        Where at least 80% of the training answers are a JSON object or array, finds the answers that are not, in every
        split.

    Why it matters:
        The model learns to write broken JSON some of the time, and a right answer in evaluation counts as wrong.

    Example:
        train.jsonl:40 has the answer {"sentiment": "正面"
        all others look like {"sentiment": "正面"}

    Fix:
        Write the answer as one strict JSON value.
    """
    train = dataset.splits.train
    if sum(_is_json(example.answer) for example in train) < MOSTLY * len(train) or not train:
        return
    broken = [example for _, rows in dataset.named_splits for example in rows if not _is_json(example.answer)]
    if broken:
        first = broken[0]
        yield rule.finding(
            say(
                "{answers} not JSON where the others are: {place} {answer!r}",
                answers=count(len(broken), "answer"),
                place=first.location,
                answer=excerpt(first.answer),
            ),
            locations=unique(example.location for example in broken),
            evidence={"rows": len(broken)},
        )
