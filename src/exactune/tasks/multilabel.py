"""Classification with any number of labels: the answer is a JSON list of them, bare or under one key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from exactune.language import Text, count, join, say
from exactune.tasks.base import Counts, Parsed, Score, rate
from exactune.tasks.classification import SHOWN, distinct_labels
from exactune.tasks.f1 import Tally, macro_f1, tallies
from exactune.tasks.jsontext import READABLE, parse_answer
from exactune.types import Status

__all__ = ["MultiLabelTask", "read_labels"]


@dataclass(frozen=True)
class MultiLabelTask:
    """Labels of a closed set, in any order; one that an answer has twice counts once.

    Attributes:
        labels: Every label allowed.
        field: The key that holds the list in an object; ``None`` where the answer is the list.
    """

    type: ClassVar[str] = "classification"
    primary: ClassVar[str] = "macro_f1"
    metrics: ClassVar[tuple[str, ...]] = ("macro_f1", "micro_f1", "exact_match", "valid_json")
    multi_label: ClassVar[bool] = True

    labels: tuple[str, ...]
    field: str | None = None

    def __post_init__(self) -> None:
        """Refuse label sets that no answer could be told apart by.

        Raises:
            ConfigError: A label is blank or stands twice, or there is none.
        """
        object.__setattr__(self, "labels", distinct_labels(self.labels))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> MultiLabelTask:
        """The task of a complete ``task`` block.

        Raises:
            ConfigError: ``labels`` is missing or unusable.
        """
        return cls(tuple(config.get("labels") or ()), config.get("field"))

    def config(self) -> dict[str, Any]:
        """``type``, ``labels``, ``multi_label: true`` and, for objects, ``field``."""
        block: dict[str, Any] = {"type": self.type, "labels": list(self.labels), "multi_label": True}
        return block if self.field is None else {**block, "field": self.field}

    def describe(self) -> Text:
        """For example "classification, any of 3 labels under `tags`: food, service, price"."""
        labels, field = self.labels, self.field
        return say(
            "{task}, any of {labels}{under}: {listed}",
            task=say("classification"),
            labels=count(len(labels), "label"),
            under="" if field is None else say(" under `{field}`", field=field),
            listed=join(", ", [*labels[:SHOWN], *["…"] * (len(labels) > SHOWN)]),
        )

    def parse(self, text: str) -> Parsed:
        """The different labels in the order of the answer, also where one is unknown (``UNKNOWN_LABEL``)."""
        parsed = read_labels(text, self.field)
        if parsed.status is Status.OK and not set(parsed.value) <= set(self.labels):
            return Parsed(parsed.value, Status.UNKNOWN_LABEL)
        return parsed

    def score(self, gold: Parsed, predicted: Parsed, source: str | None = None) -> Score:
        """Counts by label; what the answer says beside an unknown label counts."""
        right, given = _labels(gold), _labels(predicted)
        known = given.intersection(self.labels)
        counts: Counter[tuple[str, ...]] = Counter()
        for label in gold.value if right else ():
            counts["gold", label] = 1
        for label in predicted.value if known else ():
            if label in known:
                counts["predicted", label] = 1
                counts["both", label] = int(label in right)
        correct = gold.status is predicted.status is Status.OK and right == given
        counts["unknown",] = len(given - known)
        counts["n",] = 1
        counts["exact_match",] = int(correct)
        counts["valid_json",] = int(predicted.status in READABLE)
        return Score(correct, counts)

    def aggregate(self, totals: Counts) -> dict[str, float]:
        """F1 of the labels, and the share of answers with exactly the right ones ("subset accuracy").

        ``macro_f1`` is the mean over labels that occur on either side, as in scikit-learn with these ``labels``. An
        unknown label is no label's false positive, but one of the pooled ``micro_f1``.
        """
        n, found = totals.get(("n",), 0), tallies(totals)
        pooled = Tally(
            sum(tally.gold for tally in found.values()),
            sum(tally.predicted for tally in found.values()) + totals.get(("unknown",), 0),
            sum(tally.both for tally in found.values()),
        )
        shares = {name: rate(totals.get((name,), 0), n) for name in ("exact_match", "valid_json")}
        return {"macro_f1": macro_f1(found), "micro_f1": pooled.f1, **shares}

    def per_label(self, totals: Counts) -> dict[str, dict[str, float]]:
        """Labels that occurred, in the order of the label set."""
        found = tallies(totals)
        order = dict.fromkeys([*(label for label in self.labels if label in found), *found])
        return {label: found[label].to_row() for label in order}

    def confusion(self, totals: Counts) -> None:
        """Meaningless here: no label stands in place of another."""


def read_labels(text: str, field: str | None) -> Parsed:
    """The different labels an answer gives, whatever the label set is.

    Returns:
        ``OK`` with a list; else ``EMPTY``, ``INVALID_JSON``, or ``INVALID_SCHEMA`` where the answer is JSON but no list
        of texts, or not ``{field: [texts]}``.
    """
    parsed = parse_answer(text)
    if parsed.status is not Status.OK:
        return parsed
    value = parsed.value
    if field is not None:
        value = value[field] if isinstance(value, dict) and list(value) == [field] else None
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        return Parsed(None, Status.INVALID_SCHEMA)
    return Parsed(list(dict.fromkeys(value)), Status.OK)


def _labels(answer: Parsed) -> set[str]:
    return set(answer.value) if answer.status in READABLE and answer.value is not None else set()
