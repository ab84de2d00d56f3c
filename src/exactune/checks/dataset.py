"""What the data rules look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from exactune.config import TaskConfig
from exactune.data.expand import expand
from exactune.data.normalise import normalise
from exactune.errors import ConfigError, DataError
from exactune.language import say
from exactune.rules import Finding, Severity
from exactune.tasks import Task
from exactune.tasks.infer import infer_task
from exactune.types import Example, Location, Splits

__all__ = ["Dataset", "Probe", "drop_located"]


@dataclass(frozen=True, slots=True)
class Probe:
    """What a tokenizer makes of one row.

    Attributes:
        tokens: Of the whole row: prompt, answer and stop token; of the longest turn that is trained.
        limit: How many a row may have.
        decoded: The answer's ids turned back into text.
        control: Control tokens of the chat template that stand in the row's own text.
        turns: Earlier answers of a chat that are trained too, each with what its ids give back.
    """

    tokens: int
    limit: int
    decoded: str
    control: tuple[str, ...] = ()
    turns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Dataset:
    """The subject of the data rules.

    Attributes:
        splits: The usable examples.
        rejected: What loading found: why other rows are not among them, and files that are not UTF-8.
        tokens: Looks at a row with the run's tokenizer; without it token rules find nothing.
        declared: What the config says of the task.
    """

    splits: Splits
    rejected: tuple[Finding, ...] = ()
    tokens: Callable[[Example], Probe] | None = None
    declared: TaskConfig = field(default_factory=TaskConfig)

    @cached_property
    def task(self) -> Task | None:
        """The task as ``train`` would infer it; ``None`` without training rows, or where they contradict the config."""
        try:
            return infer_task(self.declared, self.splits.train)
        except ConfigError:
            return None

    @cached_property
    def named_splits(self) -> tuple[tuple[str, Sequence[Example]], ...]:
        """The task's splits by name; mixed-in rows are not part of the task."""
        return (("train", self.splits.train), ("eval", self.splits.eval), ("test", self.splits.test))

    @cached_property
    def keys(self) -> dict[str, tuple[str, str]]:
        """Example id -> normalised system message and input: equal keys are the same question."""
        systems: dict[str, str] = {}
        keys = {}
        for _, examples in self.named_splits:
            for example in examples:
                system = example.prompt[0].content
                if system not in systems:
                    systems[system] = normalise(system)
                keys[example.id] = (systems[system], normalise(example.input))
        return keys

    def trained_keys(self, example: Example) -> list[tuple[str, str]]:
        """The keys of all that a training row teaches to answer: its own, and those of a chat's earlier turns."""
        system, own = self.keys[example.id]
        return [*((system, normalise(turn.input)) for turn in expand(example)[:-1]), (system, own)]

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
