"""Classification: the answer is one label of a closed set, bare or under one key of a JSON object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from exactune.errors import ConfigError
from exactune.language import Text, count, join, say
from exactune.tasks.base import Counts, Parsed, Score, rate
from exactune.tasks.f1 import macro_f1, micro_f1, tallies
from exactune.tasks.jsontext import READABLE, parse_answer
from exactune.types import Status

__all__ = ["ClassificationTask", "distinct_labels", "read_label"]

NO_LABEL = "(none)"
"""Heading for answers outside the label set. Counts use the empty text, which no label can be."""

SHOWN = 8
"""How many labels :meth:`ClassificationTask.describe` lists."""


@dataclass(frozen=True)
class ClassificationTask:
    """One label of a closed set.

    A label that cannot be read, or is none of the set, is a miss for the right label and nothing else: it is no
    false positive of any label.

    Attributes:
        labels: Every label allowed.
        field: The key that holds the label in a JSON answer; ``None`` for a bare label.
    """

    type: ClassVar[str] = "classification"
    primary: ClassVar[str] = "macro_f1"

    labels: tuple[str, ...]
    field: str | None = None

    def __post_init__(self) -> None:
        """Refuse label sets that no answer could be told apart by.

        Raises:
            ConfigError: A label is blank or stands twice, or there is none.
        """
        object.__setattr__(self, "labels", distinct_labels(self.labels, bare=self.field is None))

    @property
    def metrics(self) -> tuple[str, ...]:
        """``valid_json`` is a question only where a label comes in an object."""
        names = ("macro_f1", "accuracy", "micro_f1")
        return names if self.field is None else (*names, "valid_json")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ClassificationTask:
        """The task of a complete ``task`` block.

        Raises:
            ConfigError: ``labels`` is missing or unusable.
        """
        return cls(tuple(config.get("labels") or ()), config.get("field"))

    def config(self) -> dict[str, Any]:
        """``type``, ``labels`` and, for JSON answers, ``field``."""
        block: dict[str, Any] = {"type": self.type, "labels": list(self.labels)}
        return block if self.field is None else {**block, "field": self.field}

    def describe(self) -> Text:
        """For example "classification, 3 labels under `sentiment`: 正面, 負面, 中立"."""
        labels, field = self.labels, self.field
        under = "" if field is None else say(" under `{field}`", field=field)
        listed = join(", ", [*labels[:SHOWN], *["…"] * (len(labels) > SHOWN)])
        return say(
            "{task}, {labels}{under}: {listed}",
            task=say("classification"),
            labels=count(len(labels), "label"),
            under=under,
            listed=listed,
        )

    def parse(self, text: str) -> Parsed:
        """The label, also where it is unknown (``UNKNOWN_LABEL``)."""
        parsed = read_label(text, self.field)
        if parsed.status is Status.OK and parsed.value not in self.labels:
            return Parsed(parsed.value, Status.UNKNOWN_LABEL)
        return parsed

    def score(self, gold: Parsed, predicted: Parsed, source: str | None = None) -> Score:
        """Counts by label, and the cell of the confusion matrix."""
        correct = gold.status is predicted.status is Status.OK and gold.value == predicted.value
        counts: Counter[tuple[str, ...]] = Counter({("n",): 1})
        # A right answer that is itself unreadable has no label; its row still counts as wrong.
        right = gold.value if isinstance(gold.value, str) else ""
        if right:
            counts["gold", right] = 1
        given = predicted.value if predicted.status is Status.OK else ""
        if given:
            counts["predicted", given] = 1
        counts["cell", right, given] = 1
        if correct:
            counts["both", right] = 1
        if self.field is not None and predicted.status in READABLE:
            counts["valid_json",] = 1
        return Score(correct, counts)

    def aggregate(self, totals: Counts) -> dict[str, float]:
        """Accuracy and F1.

        ``macro_f1`` is the mean over labels that occur as a right answer or as a valid prediction, as in scikit-learn
        with these ``labels``; ``micro_f1`` differs from accuracy exactly where predictions are invalid.
        """
        n, found = totals.get(("n",), 0), tallies(totals)
        values = {
            "macro_f1": macro_f1(found),
            "accuracy": rate(sum(tally.both for tally in found.values()), n),
            "micro_f1": micro_f1(found),
        }
        return values if self.field is None else {**values, "valid_json": rate(totals.get(("valid_json",), 0), n)}

    def per_label(self, totals: Counts) -> dict[str, dict[str, float]]:
        """Labels that occurred, in the order of the label set."""
        found = tallies(totals)
        order = dict.fromkeys([*(label for label in self.labels if label in found), *found])
        return {label: found[label].to_row() for label in order}

    def confusion(self, totals: Counts) -> dict[str, Any]:
        """Rows: right labels; columns: the same, then ``(none)`` if any answer was outside the set."""
        cells = {key[1:]: int(count) for key, count in totals.items() if key[0] == "cell" and count}
        names = list(dict.fromkeys([*self.labels, *(gold for gold, _ in cells if gold)]))
        rows = [*names, ""] if any(not gold for gold, _ in cells) else names
        columns = [*names, ""] if any(not (gold and given) for gold, given in cells) else names
        matrix = [[cells.get((gold, given), 0) for given in columns] for gold in rows]
        return {"labels": [name or NO_LABEL for name in columns], "matrix": matrix}


def distinct_labels(labels: Sequence[str], *, bare: bool = False) -> tuple[str, ...]:
    """The labels of a set; ``bare`` ones, which are whole answers, without blanks around them.

    Raises:
        ConfigError: A label is blank or stands twice, or there is none.
    """
    if not labels:
        raise ConfigError(say("`task.labels` is empty. List the labels, or leave it out to take those of the rows."))
    seen = Counter(label.strip() if bare else label for label in labels)
    for label, times in seen.items():
        if not label.strip():
            raise ConfigError(say("`task.labels` has a blank label. Remove it."))
        if times > 1:
            raise ConfigError(say("`task.labels` lists `{label}` {times} times. Keep one.", label=label, times=times))
    return tuple(seen)


def read_label(text: str, field: str | None) -> Parsed:
    """The label an answer gives, whatever the label set is.

    Returns:
        ``OK`` with the label; else ``EMPTY``, ``INVALID_JSON``, or ``INVALID_SCHEMA`` where the answer is JSON but not
        ``{field: "label"}``.
    """
    if field is None:
        label = text.strip()
        return Parsed(label, Status.OK) if label else Parsed(None, Status.EMPTY)
    parsed = parse_answer(text)
    if parsed.status is not Status.OK:
        return parsed
    if isinstance(parsed.value, dict) and list(parsed.value) == [field] and isinstance(parsed.value[field], str):
        return Parsed(parsed.value[field], Status.OK)
    return Parsed(None, Status.INVALID_SCHEMA)
