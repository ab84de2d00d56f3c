"""Rules about the labels of a classification, and the closed values of JSON answers (D30x)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from exactune.checks.dataset import Dataset
from exactune.checks.names import LABEL, strings
from exactune.checks.variants import joined
from exactune.data.split import answers_recur
from exactune.data.words import count, excerpt, unique
from exactune.language import Text, join, say
from exactune.rules import Finding, Rule, Severity
from exactune.tasks import ClassificationTask, MultiLabelTask
from exactune.tasks.classification import read_label
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.multilabel import read_labels
from exactune.types import Example, JsonValue, Location

__all__ = ["label_imbalance", "label_only_in_eval", "label_outside_set"]

SHOWN = 5
"""Labels named in a message."""

RATIO = 9
"""Above this ratio of two classes the KEEL repository calls data highly imbalanced (Alcalá-Fdez et al., 2011,
https://sci2s.ugr.es/keel/imbalanced.php)."""
DOMINANT = 0.5
"""And the largest label has at least this share of all rows: with many labels none need dominate."""
ENOUGH = 100
"""Rows from which shares mean something; the guide's minimum. One label for all rows is an error with fewer, too."""


def label_imbalance(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Training rows of which most, or all, have the same label.

    What it does:
        From 100 training rows on, finds a label with at least half of the rows and more than nine times as many as the
        typical other label (the median). Where all rows have the same answer, whatever their number, it is an error;
        where they are preference pairs for DPO or ORPO, which learn what is rejected, too, a warning.

    Why it matters:
        Always giving that label is then right most of the time: a model can learn just that, and accuracy looks good
        while the rare labels are never found. With one answer only there is nothing else to learn; usually a filter or
        a wrong column is the cause.

    Example:
        950 rows 正面, 30 負面, 20 中立

    Fix:
        Add rows with the other labels, or take fewer of the frequent one, and judge by `macro_f1`, in which every label
        counts the same. Where all answers are the same, check that they are read from the right column
        (`data.columns`).
    """
    train = dataset.splits.train
    files = unique(Location(example.location.file, None) for example in train)
    if len(train) > 1 and (answer := _only_answer(dataset)):
        message = say("all {rows:,} training rows have the answer {answer!r}", rows=len(train), answer=excerpt(answer))
        found = rule.finding(message, locations=files, evidence={"answer": answer, "rows": len(train)})
        pairs = dataset.learns_rejected and any(example.rejected is not None for example in train)
        yield found if pairs else replace(found, severity=Severity.ERROR)
        return
    # A label that is written in several ways is still one (D303).
    names = joined(dataset.names.get(LABEL, {}).get("train", {}))
    (label, most), *others = Counter({name: len(rows) for name, rows in names.items()}).most_common() or [("", 0)]
    if len(train) >= ENOUGH and others:
        share, ratio = most / len(train), most / median(number for _, number in others)
        if share >= DOMINANT and ratio > RATIO:
            yield rule.finding(
                say(
                    "{share:.0%} of {rows} have the label {label!r}, {ratio:.0f} times as many as the typical other "
                    "label: {others}",
                    share=share,
                    rows=count(len(train), "training row"),
                    label=excerpt(label),
                    ratio=ratio,
                    others=_listed(others),
                ),
                locations=files,
                evidence={
                    "share": round(share, 4),
                    "ratio": round(ratio, 1),
                    "labels": {label: most, **dict(others)},
                },
            )


def _only_answer(dataset: Dataset) -> str:
    """The label that all training rows have, or where the task is another, the answer; empty if they differ."""
    if isinstance(dataset.task, ClassificationTask):
        labels = dataset.names[LABEL]["train"]
        return next(iter(labels)) if len(labels) == 1 else ""
    answers = (example.answer.strip() for example in dataset.splits.train)
    first = next(answers, "")
    return first if all(answer == first for answer in answers) else ""


def _listed(labels: Sequence[tuple[str, int]]) -> Text:
    named = join(", ", (f"{excerpt(label)!r} ({number:,})" for label, number in labels[:SHOWN]))
    return say("{named}, …", named=named) if len(labels) > SHOWN else named


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
        yield rule.finding(
            say(
                "{rows} with an answer that no training row has: {named}",
                rows=count(len(unseen), "eval or test row"),
                named=_listed(labels.most_common()),
            ),
            locations=unique(example.location for example in unseen),
            evidence={"labels": dict(labels.most_common())},
        )


def label_outside_set(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A label that the config does not list.

    What it does:
        Where the config lists the labels (`task.labels`) or the values of a JSON field (an `enum` in `task.schema`),
        finds rows of every split that have another. Without such a list it finds nothing.

    Why it matters:
        The task refuses such an answer: in evaluation it counts as wrong, whatever the model says, and in training it
        teaches an answer that is not allowed.

    Example:
        task: {labels: [正面, 負面]}
        train.jsonl:12 {"text": "還好", "label": "中立"}

    Fix:
        Correct the label of the row, or add it to `task.labels` (or to the `enum`).
    """
    outside = list(_outside(dataset))
    if outside:
        values = Counter(value for _, value in outside)
        yield rule.finding(
            say(
                "{rows} with a label that the config does not list: {named}",
                rows=count(len({example.id for example, _ in outside}), "row"),
                named=_listed(values.most_common()),
            ),
            locations=unique(example.location for example, _ in outside),
            evidence={"labels": dict(values.most_common())},
        )


def _outside(dataset: Dataset) -> Iterator[tuple[Example, str]]:
    """Each row with a label or value that the config rules out, and that."""
    examples = [example for _, rows in dataset.named_splits for example in rows]
    declared = dataset.declared
    if declared.labels is not None:
        task, allowed = dataset.task, set(declared.labels)
        several = isinstance(task, MultiLabelTask)
        field = task.field if isinstance(task, (ClassificationTask, MultiLabelTask)) else declared.field
        # A bare answer is stripped when it is read, so the list is too.
        allowed = allowed if field or several else {label.strip() for label in allowed}
        for example in examples:
            found = (read_labels if several else read_label)(example.answer, field).value
            for label in () if found is None else found if several else (found,):
                if label not in allowed:
                    yield example, label
    elif enums := dict(_enumerations(declared.json_schema)):
        for example in examples:
            for path, value in strings(parse_answer(example.answer).value):
                if path in enums and value not in enums[path]:
                    yield example, value


def _enumerations(schema: Any, path: str = "") -> Iterator[tuple[str, Sequence[JsonValue]]]:
    """Path and values of every enumeration of texts; of plain nesting only, not behind references or choices."""
    if not isinstance(schema, Mapping):
        return
    values = schema.get("enum")
    if isinstance(values, list) and any(isinstance(value, str) for value in values):
        yield path, values
    yield from _enumerations(schema.get("items"), path)
    properties = schema.get("properties")
    for key, child in properties.items() if isinstance(properties, Mapping) else ():
        yield from _enumerations(child, f"{path}.{key}" if path else key)
