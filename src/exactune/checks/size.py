"""Rules about how much data there is (D702, D703)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exactune.checks.dataset import Dataset
from exactune.checks.names import LABEL, TYPE, Rows
from exactune.checks.variants import joined, same_name
from exactune.data.words import count, excerpt, unique
from exactune.language import Text, join, say
from exactune.recipes import bands
from exactune.rules import Finding, Rule
from exactune.tasks import ClassificationTask, EntitiesTask, MultiLabelTask
from exactune.types import Location

__all__ = ["FEW", "few_rows_per_label", "too_few_rows"]

FEW = 10
"""Of fewer rows the default `data.eval_fraction` (0.1) can hold none out, so such a label could not even be measured;
and 10 examples are the least that OpenAI's fine-tuning accepts for a whole task
(https://platform.openai.com/docs/guides/supervised-fine-tuning)."""
SHOWN = 5
"""Labels named in the message; the evidence has all."""


def too_few_rows(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Fewer training rows than fine-tuning needs.

    What it does:
        Fires when fewer than 100 training rows can be used. Sets that hold preference pairs alone are left out: they
        correct a model that has learned the task from other rows.

    Why it matters:
        The guide calls 100 rows the minimum and expects 70-80 % of the answers to be right up to 500; with fewer, the
        result depends on chance more than on the settings.

    Example:
        train.jsonl holds 40 rows

    Fix:
        Collect at least 100 rows, better 500 and more.
    """
    train = dataset.splits.train
    rows = len(train)
    if rows and all(example.rejected is not None for example in train):
        return
    first, second, *_ = bands()
    if rows < first.rows:
        yield rule.finding(
            say(
                "{rows}; at least {minimum} are needed for a usable result (the guide expects {low:.0%} to {high:.0%} "
                "of the answers to be right from there on, {more_low:.0%} to {more_high:.0%} from {more:,} rows on)",
                rows=count(rows, "training row"),
                minimum=first.rows,
                low=first.low,
                high=first.high,
                more=second.rows,
                more_low=second.low,
                more_high=second.high,
            ),
            locations=unique(Location(example.location.file, None) for example in train),
            evidence={
                "rows": rows,
                "minimum": first.rows,
                "expected": [{"rows": band.rows, "low": band.low, "high": band.high} for band in bands()],
            },
        )


def few_rows_per_label(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A label with too few training rows to learn it from.

    What it does:
        From 100 training rows on, finds labels, entity types and recurring values of JSON fields (such as relation
        names) that fewer than 10 training rows have; labels and types that the config lists and no row has, too.

    Why it matters:
        The model hardly ever sees such a label and will hardly ever give it; in evaluation its score rests on one row
        or none. Macro F1 counts it as much as any other.

    Example:
        `refund` has 3 of 2,000 rows

    Fix:
        Collect at least 10 rows for each label, better 50; or join rare labels to one such as `other`.
    """
    if len(dataset.splits.train) < bands()[0].rows:
        return
    few = [
        (kind, name, rows)
        for kind, splits in dataset.names.items()
        for name, rows in _with_missing(dataset, kind, joined(splits["train"])).items()
        if len(rows) < FEW
    ]
    if few:
        few.sort(key=lambda one: len(one[2]))
        yield rule.finding(
            say(
                "{labels} with fewer than {few} training rows: {named}{more}",
                labels=count(len(few), "label"),
                few=FEW,
                named=join(", ", (_said(name, rows) for _, name, rows in few[:SHOWN])),
                more=", …" if len(few) > SHOWN else "",
            ),
            locations=unique(place for _, _, rows in few for place in rows),
            evidence={
                "labels": [
                    {"of": kind, "name": name, "rows": len(rows), "first": str(rows[0]) if rows else None}
                    for kind, name, rows in few
                ],
            },
        )


def _with_missing(dataset: Dataset, kind: str, names: Rows) -> Rows:
    """The names of training with their rows, and those that the config lists and training lacks."""
    declared: Sequence[str] = ()
    if kind == LABEL and isinstance(dataset.task, (ClassificationTask, MultiLabelTask)):
        declared = dataset.task.labels
    if kind == TYPE and isinstance(dataset.task, EntitiesTask):
        declared = dataset.task.entity_types
    known = {same_name(name) for name in names}
    return {**{name: () for name in declared if same_name(name) not in known}, **names}


def _said(name: str, rows: Sequence[Location]) -> Text:
    if not rows:
        return say("{name!r} (none)", name=excerpt(name))
    return say("{name!r} ({rows}, {place})", name=excerpt(name), rows=len(rows), place=rows[0])
