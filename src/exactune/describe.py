"""What a plan decided, for people."""

from __future__ import annotations

import os
from collections.abc import Iterator

from exactune import ranks
from exactune.language import Text, say
from exactune.plan import Plan

__all__ = ["describe"]

ADAPTERS = {"none": "LoRA", "4bit": "QLoRA"}


def describe(plan: Plan) -> Iterator[Text]:
    """A line for each decision, before training."""
    splits, config = plan.splits, plan.config
    yield say(
        "data    {train} train, {eval} eval, {test} test rows",
        train=len(splits.train),
        eval=len(splits.eval),
        test=len(splits.test),
    )
    if splits.mix:
        yield say("mix     {rows} general rows join training", rows=len(splits.mix))
    yield from (say("data    {note}", note=note) for note in plan.notes)
    yield say("task    {task}", task=plan.task.describe())
    yield say("recipe  {reason}", reason=plan.recipe.patch.reason)
    expected = plan.recipe.expected
    if expected is None:
        yield say("expect  under 100 rows: fewer than the guide calls minimally usable")
    else:
        yield say(
            "expect  {low:.0%}-{high:.0%} with this many rows ({note}), says the guide",
            low=expected.low,
            high=expected.high,
            note=expected.note,
        )
    yield from (say("config  {line}", line=line) for line in plan.resolved.renamed)
    training = config.training
    if plan.parent:
        yield say(
            "start   {folder}, trained by {method}",
            folder=os.path.relpath(plan.parent.folder.resolve()),
            method=plan.parent.card["method"],
        )
    if pairs := sum(worse is not None for worse in plan.rejected):
        beta = config.dpo.beta if training.method == "dpo" else config.orpo.beta
        yield say("pairs   {method} of {pairs} pairs, beta {beta:g}", method=training.method, pairs=pairs, beta=beta)
    method = say("all weights") if config.lora is None else f"{ADAPTERS[config.quantization]} r={config.lora.r}"
    yield say(
        "train   {base}, {method}, {epochs} epochs, rate {rate:g}, batch {rows} x {steps}",
        base=plan.base.name,
        method=method,
        epochs=training.num_epochs,
        rate=training.learning_rate,
        rows=training.per_device_train_batch_size,
        steps=training.gradient_accumulation_steps,
    )
    if ranks.count() > 1:
        yield say(
            "ranks   {ranks} processes: {rows} rows a step",
            ranks=ranks.count(),
            rows=training.per_device_train_batch_size * training.gradient_accumulation_steps * ranks.count(),
        )
    yield from (
        say(
            "{severity:7} {code} {message}",
            severity=finding.severity.word,
            code=finding.code,
            message=finding.message,
        )
        for finding in plan.findings
    )
