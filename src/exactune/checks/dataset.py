"""What the data rules look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from exactune.checks.names import Rows, find_names
from exactune.config import TaskConfig
from exactune.data.digests import Keys, keys_of, written_as_asked
from exactune.data.near import Near, near_pairs
from exactune.errors import ConfigError, DataError
from exactune.language import say
from exactune.rules import Finding, Severity
from exactune.tasks import Task
from exactune.tasks.infer import infer_task
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.shape import Shape
from exactune.types import Behaviour, Example, Location, Splits

__all__ = ["MOSTLY", "Dataset", "Probe", "drop_located"]

MOSTLY = 0.8
"""Share of the training answers that are JSON from which the others count as broken."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a tokenizer makes of one row.

    Attributes:
        tokens: Of the whole row: prompt, answer and stop token; of the longest turn that is trained.
        limit: How many a row may have.
        decoded: The answer's ids turned back into text.
        control: Control tokens of the chat template that stand in the row's own text.
        turns: Earlier answers of a chat that are trained too, each with what its ids give back.
        answer_ids: Ids of the answer, the stop token last.
        own: Tokens of the row's own texts, without what the template writes around them.
        unknown: How many of them stand for text that the tokenizer does not know.
        pieces: How many of them stand for a part of a character only.
        behaviour: The same for all rows.
    """

    tokens: int
    limit: int
    decoded: str
    control: tuple[str, ...] = ()
    turns: tuple[tuple[str, str], ...] = ()
    answer_ids: Sequence[int] = ()
    own: int = 0
    unknown: int = 0
    pieces: int = 0
    behaviour: Behaviour = field(default_factory=Behaviour)


@dataclass(frozen=True)
class Dataset:
    """The subject of the data rules.

    Attributes:
        splits: The usable examples.
        rejected: What loading found: why other rows are not among them, and files that are not UTF-8.
        tokens: Looks at a row with the run's tokenizer; without it token rules find nothing.
        declared: What the config says of the task.
        learns_rejected: Whether training learns of the worse answers of preference pairs, too.
    """

    splits: Splits
    rejected: tuple[Finding, ...] = ()
    tokens: Callable[[Example], Probe] | None = None
    declared: TaskConfig = field(default_factory=TaskConfig)
    learns_rejected: bool = True

    @cached_property
    def task(self) -> Task | None:
        """The task as ``train`` would infer it; ``None`` without training rows, or where they contradict the config."""
        try:
            return infer_task(self.declared, self.splits.train)
        except ConfigError:
            return None

    @cached_property
    def shape(self) -> Shape | None:
        """What the training answers have in common as JSON; ``None`` if fewer than 80 % are an object or a list."""
        shape = Shape()
        for example in self.splits.train:
            value = parse_answer(example.answer).value
            if isinstance(value, (dict, list)):
                shape.add(value, example.input)
        return shape if shape.count and shape.count >= MOSTLY * len(self.splits.train) else None

    @cached_property
    def names(self) -> Mapping[str, Mapping[str, Rows]]:
        """What is named (labels, entity types, values of a JSON field) -> split -> name -> rows."""
        return find_names(self.task, self.named_splits)

    @cached_property
    def named_splits(self) -> tuple[tuple[str, Sequence[Example]], ...]:
        """The task's splits by name; mixed-in rows are not part of the task."""
        return (("train", self.splits.train), ("eval", self.splits.eval), ("test", self.splits.test))

    @cached_property
    def keys(self) -> dict[str, Keys]:
        """Split -> what its rows ask and answer; earlier turns of training chats where another split may hold them."""
        held = bool(self.splits.eval or self.splits.test)
        keys = {name: keys_of(rows, turns_too=held and name == "train") for name, rows in self.named_splits}
        return written_as_asked(keys, dict(self.named_splits))

    @cached_property
    def bare_keys(self) -> dict[str, Keys]:
        """The same of eval, test and mixed-in rows whatever their system messages: general rows bring none."""
        parts = {"eval": self.splits.eval, "test": self.splits.test, "mix": self.splits.mix}
        keys = {name: keys_of(rows, turns_too=name == "mix", system="") for name, rows in parts.items()}
        return written_as_asked(keys, parts)

    @cached_property
    def near(self) -> Near:
        """Rows that are nearly the same as another one."""
        return near_pairs(self.named_splits, self.keys)

    @cached_property
    def probes(self) -> tuple[tuple[Example, Probe], ...]:
        """Every row that the model will see, with what the tokenizer makes of it."""
        if self.tokens is None:
            return ()
        splits = self.splits
        rows = (*splits.train, *splits.eval, *splits.test, *splits.mix)
        return tuple((example, self.tokens(example)) for example in rows)


def drop_located(splits: Splits, findings: Iterable[Finding]) -> Splits:
    """The splits without the rows that error findings name (``check.on_error: skip``).

    Warnings and findings about whole files drop nothing.

    Raises:
        DataError: A named place holds several rows, as in an array written on one line.
    """
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    dropped = {place for finding in errors for place in finding.locations if place.line is not None}
    parts = (splits.train, splits.eval, splits.test, splits.mix)
    shared = Counter(example.location for part in parts for example in part if example.location in dropped)
    crowded = [(place, number) for place, number in shared.items() if number > 1]
    if crowded:
        place, number = crowded[0]
        raise DataError(
            say(
                "{place} holds {number:,} rows, so the bad ones cannot be left out. Write one row per line.",
                place=place,
                number=number,
            )
        )
    return Splits(*(_without(part, dropped) for part in parts))


def _without(examples: Sequence[Example], dropped: set[Location]) -> tuple[Example, ...]:
    return tuple(example for example in examples if example.location not in dropped)
