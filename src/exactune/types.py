"""The nouns that travel between the layers: messages, examples, patches, predictions, what templates do."""

from __future__ import annotations

import enum
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Behaviour",
    "Example",
    "Generation",
    "JsonValue",
    "Location",
    "Message",
    "Patch",
    "Role",
    "Splits",
    "Status",
    "input_of",
]

JsonValue = Any
"""A value that ``json.loads`` can return."""

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a data file.

    Attributes:
        file: The path as the user wrote it.
        line: Counted from 1, lines split on ``\\n`` only; in Parquet and hub data sets the row's number;
            ``None`` for the whole file.
    """

    file: str
    line: int | None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn."""

    role: Role
    content: str


def input_of(prompt: Sequence[Message]) -> str:
    """The turns before an answer without the system message, joined by newlines."""
    return "\n".join(message.content for message in prompt if message.role != "system")


@dataclass(frozen=True, slots=True)
class Example:
    """The one canonical record: a prompt, its answer, and where both came from.

    Attributes:
        id: Unique within a run: ``file:line``.
        prompt: The turns before the answer; the first is always a system message, empty if the row brings none.
        answer: The text to be learned, byte for byte.
        location: The row.
        format: Name of the format the row was written in.
        rejected: The answer that a preference pair calls worse.
    """

    id: str
    prompt: tuple[Message, ...]
    answer: str
    location: Location
    format: str
    rejected: str | None = None

    @property
    def input(self) -> str:
        """The turns before the answer without the system message, joined by newlines."""
        return input_of(self.prompt)


@dataclass(frozen=True, slots=True)
class Splits:
    """The examples of a run by use; mixed-in general rows are part of training and of nothing else.

    Few rows are a tuple. Many are read from a file whenever they are gone through: take them in order, and keep what
    is said of a row instead of the row.
    """

    train: Sequence[Example]
    eval: Sequence[Example] = ()
    test: Sequence[Example] = ()
    mix: Sequence[Example] = ()

    @property
    def scored(self) -> tuple[str, Sequence[Example]]:
        """Name and rows of the split that final figures are taken on: test if there is one, else eval."""
        return ("test", self.test) if self.test else ("eval", self.eval)


@dataclass(frozen=True, slots=True)
class Patch:
    """Dotted config keys with values, and why.

    Attributes:
        values: For example ``{"training.num_epochs": "5-8"}``.
        source: Where it came from: ``recipe``, ``file task.yaml``, ``--set`` …
        reason: One sentence for people.
    """

    values: Mapping[str, Any]
    source: str
    reason: str = ""


class Status(enum.StrEnum):
    """What became of one generated answer. A bad answer is data, never an exception."""

    OK = "ok"
    NO_STOP = "no_stop"
    EMPTY = "empty"
    INVALID_JSON = "invalid_json"
    INVALID_SCHEMA = "invalid_schema"
    UNKNOWN_LABEL = "unknown_label"


@dataclass(frozen=True, slots=True)
class Generation:
    """What a model said to one prompt.

    Attributes:
        text: The decoded answer without stop tokens.
        stopped: Whether it ended by a stop token rather than by the limit.
        logprob: Sum of the log-probabilities of the generated tokens, the stop token included (nats). Under a grammar,
            of those it leaves a choice for, among the tokens that it allows.
        tokens: How many tokens were generated.
        forced: How many of them a grammar left no choice for.
        ids: The tokens, four bytes each.
        logprobs: Of each of them, NaN where there was no choice (nats, float32).
        closed: Whether it had no more room, and went on only to end as its grammar wants it.
    """

    text: str
    stopped: bool
    logprob: float
    tokens: int = field(default=0)
    forced: int = field(default=0)
    ids: array[int] = field(default_factory=lambda: array("I"), repr=False)
    logprobs: array[float] = field(default_factory=lambda: array("f"), repr=False)
    closed: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a tokenizer and its chat template do whatever the row is.

    Attributes:
        dated: A line of every prompt with the date in it, on one day and on another; empty if there is none.
        injected: What stands in a prompt in place of an empty system message; empty if nothing does.
        rewrites: Whether an answer is written otherwise once other turns follow.
        drops_thought: Whether an answer with a thinking block is.
        doubles_start: Whether a rendered prompt gets a second begin-of-sequence token where it is tokenized as text.
        stop: The token that ends a trained answer.
        known_stops: The tokens that the model's generation config ends an answer at; empty where it names none.
    """

    dated: tuple[str, ...] = ()
    injected: str = ""
    rewrites: bool = False
    drops_thought: bool = False
    doubles_start: bool = False
    stop: str = ""
    known_stops: tuple[str, ...] = ()
