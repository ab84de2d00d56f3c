"""Rehearsal: a few steps of a run on its own rows, to see what it will take. Weights change, and nothing is kept."""

from __future__ import annotations

import heapq
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, TrainerControl, TrainerState, TrainingArguments

from exactune import ranks
from exactune.config import Epochs, TrainingConfig
from exactune.render.packing import Tree
from exactune.render.template import IGNORED, Encoded
from exactune.train.memory import forget_peak, held, peak
from exactune.train.methods import answer_trainer
from exactune.train.pace import Pace
from exactune.train.steps import Cutter, Pass, StepSampler

__all__ = ["Part", "Rehearsal", "Size", "largest_size", "rehearse"]

TYPICAL = 5
"""Steps from the beginning of a run; rows come in random order, so they are like any."""
SECONDS = 20.0
"""After so long no further step is rehearsed, once the largest one was."""
LOOKED = 256
"""In so many steps the largest forward pass is looked for;"""
LIKELY = 32
"""where a run has more, in those of the most tokens, of the longest rows and of the longest answers."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a forward pass.

    Attributes:
        tokens: That it reads, padding included.
        logits: Positions that predict something.
    """

    tokens: int
    logits: int

    @classmethod
    def of(cls, part: Pass) -> Size:
        """What one computes."""
        if isinstance(part.inputs, Tree):
            return cls(len(part.inputs), len(part.inputs.source))
        labels = part.inputs["labels"]
        rows, width = labels.shape
        return cls(rows * (width - 1), rows * (width - int((labels != IGNORED).any(0).nonzero()[0])))

    def times(self, other: Size) -> float:
        """How often another one fits into it."""
        return max(self.tokens / other.tokens, self.logits / other.logits)


@dataclass(frozen=True, slots=True)
class Part:
    """One optimizer step of a rehearsal.

    Attributes:
        rows: Over all ranks.
        size: Of its largest forward pass.
        seconds: That it took.
        peak: Most bytes held in it.
    """

    rows: int
    size: Size
    seconds: float
    peak: int


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the steps took.

    Attributes:
        standing: Bytes held between two steps.
        peak: Most bytes held in a step. Where there was no room for the largest, what a smaller one says of it.
        is_measured: Whether there was.
        largest: The most that a forward pass of the run has.
        typical: Steps as they come, for time.
        optimizer: The optimizer's state, kept so that it takes its room in what is measured afterwards.
    """

    standing: int
    peak: int
    is_measured: bool
    largest: Size
    typical: tuple[Part, ...]
    optimizer: tuple[torch.Tensor, ...]

    @property
    def rows_per_second(self) -> float:
        """Over all ranks."""
        return sum(part.rows for part in self.typical) / sum(part.seconds for part in self.typical)


class _Given(StepSampler):
    """Steps that were chosen beforehand, instead of a draw."""

    def __init__(self, steps: Sequence[list[int]]) -> None:
        self.steps = steps

    def set_epoch(self, epoch: int) -> None:
        """There is only one."""

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.steps)


class _Observer(Pace):
    """Takes note of each step; stops where the next one would not fit, or when it has been long enough.

    Args:
        sizes: Of the largest forward pass of each step: one row to warm up, one as it comes, the largest ones, more as
            they come.
        rows: Of each step, over all ranks.
        needed: How many of them have to be seen, time or not.
        room: Bytes that there are.
        device: Where they are.
    """

    def __init__(
        self, sizes: Sequence[Size], rows: Sequence[int], needed: int, room: int, device: torch.device
    ) -> None:
        super().__init__(lambda step: sum(rows[:step]))
        self.sizes, self.needed, self.room, self.device = sizes, needed, room, device
        self.parts: list[Part] = []
        self.standing = 0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Read the clock and the memory."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        rows, seconds = self.rows, self.seconds
        super().on_step_end(args, state, control, **kwargs)
        size = self.sizes[len(self.parts)]
        self.parts.append(Part(self.rows - rows, size, self.seconds - seconds, peak(self.device)))
        done = len(self.parts)
        if done == 1:
            # By now the libraries are there, and the optimizer has its state. Nothing later is held as little as this.
            self.standing = held(self.device)
        forget_peak(self.device)
        too_much = done == 2 and self.projected() > self.room
        too_long = done >= self.needed and self.seconds > SECONDS
        if ranks.highest(too_much or too_long):
            control.should_training_stop = True

    @property
    def largest(self) -> Size:
        """The most of all steps."""
        return _most(self.sizes)

    def projected(self) -> int:
        """The peak of the largest step, as far as the second one tells."""
        known = self.parts[1]
        return self.standing + math.ceil((known.peak - self.standing) * self.largest.times(known.size))


def rehearse(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Encoded],
    training: TrainingConfig,
    cutter: Cutter,
    room: int,
) -> Rehearsal:
    """Train a few steps: one row to warm up, the largest forward passes of the whole run, and steps as they come.

    Args:
        model: With its trainable parameters; they are changed.
        tokenizer: For padding.
        rows: Training rows as ids.
        training: The resolved training block.
        cutter: Makes forward passes of a step's rows.
        room: Bytes that there are; the largest step is left out where it would take more.
    """
    first, *more = _first_steps(rows, training)
    largest = _largest_steps(rows, training, cutter)
    shortest = [min(range(len(rows)), key=lambda position: len(rows[position]))]
    steps = [shortest, first, *largest, *more]
    device = next(model.parameters()).device
    once = training.model_copy(update={"num_epochs": Epochs(1, 1), "report_to": []})
    observer = _Observer(
        [_size(rows, step, cutter) for step in steps], [len(step) * ranks.count() for step in steps],
        2 + len(largest), room, device,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        trainer = answer_trainer(model, tokenizer, rows, once, Path(folder), [observer], cutter)
        trainer.order, trainer.args.save_strategy = _Given(steps), "no"
        trainer.train()
    state = (value for values in trainer.optimizer.state.values() for value in values.values())
    # The warm-up is too small to count, and the step after it is the first of its size, and slower.
    seen = observer.parts[1:]
    measured = len(seen) > len(largest)
    return Rehearsal(
        observer.standing,
        max(part.peak for part in seen) if measured else observer.projected(),
        measured,
        observer.largest,
        tuple(seen[1 + len(largest) :] or seen[:1]),
        tuple(value for value in state if isinstance(value, torch.Tensor)),
    )


def largest_size(rows: Sequence[Encoded], training: TrainingConfig, cutter: Cutter) -> Size:
    """The most that a forward pass of a run has."""
    return _most(_size(rows, step, cutter) for step in _largest_steps(rows, training, cutter))


def _sampler(rows: Sequence[Encoded], training: TrainingConfig) -> StepSampler:
    """As the run will have it."""
    part = training.per_device_train_batch_size * training.gradient_accumulation_steps
    return StepSampler(len(rows), part * ranks.count(), training.seed, ranks.index(), ranks.count())


def _all_steps(rows: Sequence[Encoded], training: TrainingConfig) -> Iterator[list[int]]:
    sampler = _sampler(rows, training)
    for epoch in range(math.ceil(training.num_epochs.maximum)):
        sampler.set_epoch(epoch)
        # A rank may get no rows of a last step.
        yield from (step for step in sampler if step)


def _first_steps(rows: Sequence[Encoded], training: TrainingConfig) -> list[list[int]]:
    return [*islice(_all_steps(rows, training), TYPICAL)]


def _largest_steps(rows: Sequence[Encoded], training: TrainingConfig, cutter: Cutter) -> list[list[int]]:
    """The step with the forward pass of the most tokens, and that of the most logits, where it is another."""
    steps = [*_all_steps(rows, training)]

    if len(steps) > LOOKED:
        steps = [*chain(
            heapq.nlargest(LIKELY, steps, key=lambda step: sum(len(rows[position]) for position in step)),
            heapq.nlargest(LIKELY, steps, key=lambda step: max(len(rows[position]) for position in step)),
            heapq.nlargest(LIKELY, steps, key=lambda step: sum(len(rows[position].answer_ids) for position in step)),
        )]  # fmt: skip
    found = {tuple(step): _size(rows, step, cutter) for step in steps}
    most_tokens = max(found, key=lambda step: (found[step].tokens, found[step].logits))
    most_logits = max(found, key=lambda step: (found[step].logits, found[step].tokens))
    return [[*step] for step in dict.fromkeys((most_tokens, most_logits))]


def _size(rows: Sequence[Encoded], step: Sequence[int], cutter: Cutter) -> Size:
    """Of a step, as :func:`_most` has it."""
    return _most(Size.of(part) for part in cutter([(position, rows[position]) for position in step]))


def _most(sizes: Iterable[Size]) -> Size:
    """The most tokens and the most logits, which may be of two forward passes."""
    every = [*sizes]
    return Size(max(size.tokens for size in every), max(size.logits for size in every))
