"""What a run will need of memory and time, from a few steps on its own rows; nothing is written.

Weights, gradients, optimizer states and logits are counted; the rest is measured, of a few steps and a few answers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from exactune import ranks
from exactune.config import Epochs, LoraSettings
from exactune.evaluate.baselines import PROMPTED
from exactune.evaluate.contest import wanted_baselines
from exactune.infer.answering import Answering
from exactune.infer.engine import answer_loss
from exactune.infer.model import default_device, default_dtype, load_base
from exactune.language import Text, join, say
from exactune.objective import make_cutter, trainable
from exactune.plan import Plan
from exactune.render.hub import hub_options
from exactune.render.template import Encoded
from exactune.train.adapter import make_trainable
from exactune.train.disk import MOMENTS, readable
from exactune.train.engine import choose_engine
from exactune.train.memory import forget_peak, peak, there_is
from exactune.train.rehearsal import Rehearsal, Size, largest_size, rehearse

__all__ = ["Estimate", "Memory", "Times", "estimate"]

LOGITS = 3
"""How often those of a pass are held at a time: themselves, their softmax and its gradient, in float32."""
NF4_BITS = 4.127
"""Of a weight in 4 bits with double quantization (QLoRA, https://arxiv.org/abs/2305.14314, section 3)."""
LONG = 10.0
"""Seconds. Where a batch of the longest eval rows takes more, it has to do for the others."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at the moment that needs most, by what they are for.

    Attributes:
        process: Interpreter, libraries and rows; nothing of a GPU.
        weights: Of the base and the adapter.
        gradients: Of what is trained.
        optimizer: Its state.
        activations: What the largest forward pass keeps for its backward pass, and what both compute with.
        logits: Of that pass.
        evaluation: What an evaluation takes, when there are no gradients and no activations: its caches first of all.
    """

    process: int = 0
    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    logits: int = 0
    evaluation: int = 0

    @property
    def training(self) -> int:
        """At the peak of training."""
        return self.process + self.weights + self.gradients + self.optimizer + self.activations + self.logits

    @property
    def evaluating(self) -> int:
        """At the peak of an evaluation."""
        return self.process + self.weights + self.optimizer + self.evaluation

    @property
    def total(self) -> int:
        """At the peak of the run."""
        return max(self.training, self.evaluating)


@dataclass(frozen=True, slots=True)
class Times:
    """What takes how long.

    Attributes:
        epochs: As the config has them.
        rows: Training rows of an epoch.
        rows_per_second: Of training, over all ranks.
        judged: Eval rows of each evaluation during training.
        answered: Rows that are answered after training.
        answer: Seconds for an answer.
        loss: Seconds for the loss of an eval row.
        more: Evaluations besides the one after each epoch: of the published weights, and before the first step.
    """

    epochs: Epochs
    rows: int
    rows_per_second: float
    judged: int
    answered: int
    answer: float
    loss: float
    more: int = 1

    def training(self, epochs: float) -> float:
        """Seconds of training."""
        return epochs * self.rows / self.rows_per_second

    def evaluating(self, epochs: float) -> float:
        """Seconds of all evaluations, those after training included."""
        return (math.ceil(epochs) + self.more) * self.judged * (self.answer + self.loss) + self.answered * self.answer


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will need.

    Attributes:
        memory: See :class:`Memory`.
        there_is: Bytes that there are at all.
        largest: The largest forward pass; None where nothing was computed with, because the weights alone are too much.
        is_measured: Whether there was room for it.
        times: None where nothing was computed with.
        ways: What would take less, with the bytes that it would take, where they can be told.
    """

    memory: Memory
    there_is: int
    largest: Size | None = None
    is_measured: bool = False
    times: Times | None = None
    ways: tuple[tuple[str, int], ...] = ()

    def lines(self) -> Iterator[Text]:
        """For people."""
        memory = self.memory
        yield self._peak()
        yield say("memory  {parts}", parts=join(", ", _parts(memory)))
        if memory.evaluation:
            yield say(
                "memory  an evaluation takes {size} in place of gradients, activations and logits",
                size=readable(memory.evaluation),
            )
        if self.times is not None:
            yield _in_words(self.times)
        if memory.total > self.there_is:
            yield say(
                "warning this machine has {there_is} of memory, less than the {needed} that this needs. {advice}",
                there_is=readable(self.there_is),
                needed=readable(memory.total),
                advice=_advice(self.ways),
            )

    def _peak(self) -> Text:
        total = readable(self.memory.total)
        if self.largest is None:
            return say("memory  {total} before the first row, computed from the shape; nothing was loaded", total=total)
        when = say("in training") if self.memory.training >= self.memory.evaluating else say("in an evaluation")
        if self.is_measured:
            return say(
                "memory  {total} at the peak, {when}; measured, with the largest forward pass of {tokens:,} tokens",
                total=total,
                when=when,
                tokens=self.largest.tokens,
            )
        return say(
            "memory  {total} at the peak, {when}; the largest forward pass of {tokens:,} tokens is computed from a "
            "smaller one that was measured",
            total=total,
            when=when,
            tokens=self.largest.tokens,
        )


def _parts(memory: Memory) -> Iterator[Text]:
    named = (
        (memory.process, say("process")), (memory.weights, say("weights")), (memory.gradients, say("gradients")),
        (memory.optimizer, say("optimizer")), (memory.activations, say("activations")), (memory.logits, say("logits")),
    )  # fmt: skip
    yield from (say("{part} {size}", part=part, size=readable(size)) for size, part in named if size)


def _advice(ways: Sequence[tuple[str, int]]) -> Text:
    if not ways:
        return say("Take a smaller base or a larger machine.")
    return say(
        "About {ways}.",
        ways=join(", ", (say("{size} with `{way}`", size=readable(size), way=way) for way, size in ways)),
    )


def _in_words(times: Times) -> Text:
    ends = sorted({times.epochs.minimum, times.epochs.maximum})
    return say(
        "time    {rate} rows/s in training, {answers} answers/s in evaluations; {epochs} epochs take about {training} "
        "minutes of training and {evaluating} of evaluations",
        rate=_short(times.rows_per_second),
        answers=_short(1 / times.answer),
        epochs=times.epochs,
        training="-".join(_short(times.training(epochs) / 60) for epochs in ends),
        evaluating="-".join(_short(times.evaluating(epochs) / 60) for epochs in ends),
    )


def _short(number: float) -> str:
    """With a digit behind the point where there are few before it."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}" if number >= 1 else f"{number:.2g}"


def estimate(plan: Plan) -> Estimate:
    """What the run of a plan will need. Loads the model and computes a few steps and answers, in every rank.

    Where weights, gradients and optimizer alone are more than there is, nothing is loaded.

    Raises:
        ExactuneError: The model cannot be loaded or trained.
    """
    device, config = default_device(), plan.config
    room = there_is(device)
    least = _of_shape(_shape(plan, config.lora), config.quantization)
    if least.total > room:
        return Estimate(least, room, ways=tuple(_other_weights(plan, least)))
    model, template = load_base(plan.base, full=config.lora is None, quantization=config.quantization)
    trained = trainable(plan, model)
    cost, _ = choose_engine(trained, plan.computed, config.training)
    cutter = make_cutter(plan, cost, _no_reference(plan))
    found = rehearse(trained, template.tokenizer, plan.encoded, config.training, cutter, room)
    answering = Answering.of(plan.task, template, plan.constraint, plan.max_new_tokens)
    memory = _of_steps(trained, found)
    most, answer, loss = ranks.from_first(lambda: _evaluated(plan, trained, answering))
    memory = replace(memory, evaluation=max(0, most - memory.evaluating))
    ways: list[tuple[str, int]] = []
    if memory.total > room:
        ways += [*_smaller_passes(plan, trained, found, memory), *_other_weights(plan, memory)]
    return Estimate(
        memory, room, found.largest, found.is_measured, _times(plan, found, answer, loss),
        tuple(way for way in ways if way[1] < memory.total),
    )  # fmt: skip


def _no_reference(plan: Plan) -> torch.Tensor:
    """In place of a reference: what that says of the pairs changes no time and no memory."""
    return torch.zeros(len(plan.encoded), 2)


def _shape(plan: Plan, lora: LoraSettings | None) -> torch.nn.Module:
    """The model without its weights, from the base's config."""
    dtype = torch.float32 if lora is None else default_dtype(default_device())
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(plan.base.location, **hub_options(plan.base.location, plan.base.revision))
        return make_trainable(AutoModelForCausalLM.from_config(config, dtype=dtype), lora, plan.config.training.seed)


def _of_shape(model: torch.nn.Module, quantization: str) -> Memory:
    """What is known before any weight is loaded."""
    memory = _of_weights(model)
    if quantization == "none":
        return memory
    packed = sum(
        module.weight.nbytes - int(module.weight.numel() * NF4_BITS / 8)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and "lora_" not in name and not name.endswith("lm_head")
    )
    return replace(memory, weights=memory.weights - packed)


def _of_weights(model: torch.nn.Module) -> Memory:
    tensors = [*model.parameters(), *model.buffers()]
    gradients = sum(tensor.nbytes for tensor in model.parameters() if tensor.requires_grad)
    return Memory(
        weights=sum(tensor.nbytes for tensor in tensors), gradients=gradients, optimizer=MOMENTS * gradients
    )  # fmt: skip


def _of_steps(model: torch.nn.Module, found: Rehearsal) -> Memory:
    """The parts of what was measured; what is counted in none of the others is an activation, or of the process."""
    counted = replace(_of_weights(model), optimizer=sum(tensor.nbytes for tensor in found.optimizer))
    logits = LOGITS * 4 * found.largest.logits * model.config.get_text_config().vocab_size
    rest = max(0, found.peak - found.standing - counted.gradients)
    return replace(
        counted,
        process=max(0, found.standing - counted.weights - counted.optimizer),
        logits=min(logits, rest),
        activations=rest - min(logits, rest),
    )


def _evaluated(plan: Plan, model: torch.nn.Module, answering: Answering) -> tuple[int, float, float]:
    """Bytes held at most in an evaluation, and seconds for an answer and for the loss of a row.

    An untrained model does not know where to end: for time, no answer is longer than the longest right one.
    """
    device, size = next(model.parameters()).device, plan.config.evaluate.batch_size
    inputs = [row.input for row in plan.splits.eval]
    rows = [*zip(plan.encoded_eval, inputs, strict=True)]
    longest = sorted(rows, key=lambda row: -len(row[0].prompt_ids))[:size]
    room = max(len(row.answer_ids) for row, _ in longest)
    brief = replace(answering, max_new_tokens=room)
    forget_peak(device)
    answer, loss = _clocked(model, brief, longest)
    most = peak(device)
    if answer + loss < LONG / len(longest):
        answer, loss = _clocked(model, brief, rows[:: max(1, len(rows) // size)][:size])
    if answering.trie is None:
        most += len(longest) * (plan.max_new_tokens - room) * _cached(model)
    return most, answer, loss


def _clocked(model: torch.nn.Module, answering: Answering, rows: Sequence[tuple[Encoded, str]]) -> tuple[float, float]:
    """Seconds for an answer and for the loss of a row."""
    started = time.perf_counter()
    answering(
        model, [row.prompt_ids for row, _ in rows], sources=[source for _, source in rows], batch_size=len(rows),
        tolerance=torch.inf,
    )  # fmt: skip
    answered = time.perf_counter()
    answer_loss(model, [row for row, _ in rows])
    return (answered - started) / len(rows), (time.perf_counter() - answered) / len(rows)


def _cached(model: torch.nn.Module) -> int:
    """Bytes that a generation keeps of each token."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * next(model.parameters()).element_size())


def _times(plan: Plan, found: Rehearsal, answer: float, loss: float) -> Times:
    config, splits = plan.config, plan.splits
    settings = config.evaluate
    asked = sum(name in PROMPTED for name in wanted_baselines(plan.task, config))
    scored = len(splits.test) or len(splits.eval)
    return Times(
        epochs=config.training.num_epochs,
        rows=len(plan.encoded),
        rows_per_second=found.rows_per_second,
        judged=min(settings.rows, len(splits.eval)),
        # Eval rows scale the confidences; training rows tell what is known by heart; the base model answers, too.
        answered=len(splits.eval) + len(splits.test) + min(settings.train_rows, len(plan.known))
        + asked * min(settings.rows, scored),
        answer=answer,
        loss=loss,
        # The published weights are scored as the best checkpoint was; what DPO starts from has to be beaten.
        more=2 if config.training.method == "dpo" else 1,
    )  # fmt: skip


def _smaller_passes(plan: Plan, model: torch.nn.Module, found: Rehearsal, memory: Memory) -> Iterator[tuple[str, int]]:
    """What the same weights would need with less at a time."""
    training, size = plan.config.training, found.largest
    if not training.gradient_checkpointing:
        config = model.config.get_text_config()
        # Kept are the inputs of each layer, and one layer at a time is computed again.
        layers, width = config.num_hidden_layers, config.hidden_size
        kept = size.tokens * layers * width * next(model.parameters()).element_size()
        fewer = replace(memory, activations=min(memory.activations, int(memory.activations / layers + kept)))
        yield "training.gradient_checkpointing: true", fewer.total
    if (rows := training.per_device_train_batch_size) > 1:
        steps = rows * training.gradient_accumulation_steps
        single = training.model_copy(update={"per_device_train_batch_size": 1, "gradient_accumulation_steps": steps})
        cutter = make_cutter(plan, choose_engine(model, plan.computed, single)[0], _no_reference(plan), single)
        share = min(1.0, largest_size(plan.encoded, single, cutter).times(size))
        smaller = replace(
            memory, activations=int(memory.activations * share), logits=int(memory.logits * share)
        )  # fmt: skip
        yield f"training: {{per_device_train_batch_size: 1, gradient_accumulation_steps: {steps}}}", smaller.total
    if memory.evaluating > memory.training and (rows := plan.config.evaluate.batch_size) > 1:
        halved = replace(memory, evaluation=memory.evaluation * (rows // 2) // rows)
        yield f"evaluate.batch_size: {rows // 2}", halved.total


def _other_weights(plan: Plan, memory: Memory) -> Iterator[tuple[str, int]]:
    """What other weights would need for the same rows."""
    config = plan.config
    lora = config.lora or LoraSettings()
    adapted = _shape(plan, lora)
    written = "" if config.lora else f"lora: {{r: {lora.r}}}"
    for quantization in ("none", "4bit") if config.quantization == "none" else ():
        less = _of_shape(adapted, quantization)
        fewer = replace(memory, weights=less.weights, gradients=less.gradients, optimizer=less.optimizer)
        way = ", ".join(filter(None, (written, "" if quantization == "none" else f"quantization: {quantization}")))
        if way:
            yield way, fewer.total
