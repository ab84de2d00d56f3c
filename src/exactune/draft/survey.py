"""What a data set is, as training would see it: the plan of a run that leaves bad rows out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from exactune.bases import Base, find_base
from exactune.config import Config
from exactune.data.load import Loaded
from exactune.errors import ModelError
from exactune.layers import Resolved, resolve
from exactune.recipes import Recipe, choose
from exactune.rules import Finding, Severity
from exactune.tasks import MultiLabelTask, Task
from exactune.types import Patch, Splits

__all__ = ["LENGTH", "Survey", "Tokens", "look"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """How long training and eval rows are.

    Attributes:
        prompt: Tokens of the longest prompt.
        answer: Tokens of the longest answer, its stop token included.
        row: Tokens of the longest row.
        mean: Tokens of a row on average.
    """

    prompt: int
    answer: int
    row: int
    mean: float


@dataclass(frozen=True)
class Survey:
    """What was seen in the rows.

    Attributes:
        resolved: What the config is to say, over the defaults.
        base: The base model.
        loaded: The files as read.
        splits: The usable rows, eval rows held out if there is no eval file.
        task: Declared or inferred.
        recipe: For this many rows and this base.
        findings: Of all checks, worst first.
        tokens: ``None`` where the model's tokenizer could not be had,
        unseen: and why.
    """

    resolved: Resolved
    base: Base
    loaded: Loaded
    splits: Splits
    task: Task
    recipe: Recipe
    findings: tuple[Finding, ...]
    tokens: Tokens | None
    unseen: str = ""

    @property
    def config(self) -> Config:
        """The validated tree."""
        return self.resolved.config

    def says(self, path: str) -> bool:
        """Whether the person said this, or something below it."""
        return any(
            source != "init" and (known == path or known.startswith(f"{path}.") or path.startswith(f"{known}."))
            for known, source in self.resolved.sources.items()
        )

    @property
    def errors(self) -> list[Finding]:
        """The findings that stop training."""
        return [finding for finding in self.findings if finding.severity is Severity.ERROR]

    @property
    def stops(self) -> bool:
        """Whether training would stop at errors."""
        return bool(self.errors) and self.config.check.on_error == "stop"

    @cached_property
    def answers(self) -> Counter[str]:
        """How often each training answer occurs."""
        return Counter(example.answer.strip() for example in self.splits.train)

    @cached_property
    def counts(self) -> Counter[str]:
        """Training rows with each label, or spans or triples of each type; empty for other tasks."""
        values = [self.task.parse(example.answer).value for example in self.splits.train]
        if isinstance(self.task, MultiLabelTask):
            return _in_order(Counter(label for value in values if value is not None for label in value))
        if self.task.type == "classification":
            return _in_order(Counter(value for value in values if value is not None))
        if self.task.type == "entities":
            return Counter(item["type"] for value in values if value is not None for item in value)
        if self.task.type == "relations":
            return Counter(item["type"] for value in values if value is not None for item in value["relations"])
        return Counter()

    @property
    def majority(self) -> tuple[str, float]:
        """The most frequent label and its share of the training rows."""
        label, number = self.counts.most_common(1)[0]
        return label, number / len(self.splits.train)


def _in_order(counts: Counter[str]) -> Counter[str]:
    """Numbers by size; words as they came."""
    try:
        return Counter({label: counts[label] for label in sorted(counts, key=float)})
    except ValueError:
        return counts


LENGTH = "training.max_seq_length"

LONGEST = 4096
"""A limit on the length of rows is raised up to so many tokens, in steps of"""
STEP = 256


def look(patches: Sequence[Patch], folder: Path) -> Survey:
    """Read the rows as training would; where some are a little too long for it, it is to allow more tokens.

    Args:
        patches: What the config is to say, weakest first.
        folder: What its data paths are relative to.

    Raises:
        ExactuneError: No run could be made of these rows, even without those that have errors.
    """
    survey = _look(patches, folder)
    long = next((finding for finding in survey.findings if finding.code == "D501"), None)
    if long is None or LENGTH in survey.resolved.sources:
        return survey
    length = math.ceil(long.evidence["longest"] / STEP) * STEP
    longer = _look([*patches, Patch({LENGTH: length}, "init")], folder) if length <= LONGEST else survey
    # The model itself may have positions for fewer.
    return survey if any(finding.code == "D501" for finding in longer.findings) else longer


def _look(patches: Sequence[Patch], folder: Path) -> Survey:
    resolved = resolve(patches)
    base = find_base(resolved.config.model, resolved.config.model_revision)
    try:
        return _survey(resolved, patches, folder, base)
    except ModelError as error:
        if base.folder is not None:
            raise
        # Rows are the same for any model; only their tokens are not.
        survey = _survey(resolved, [*patches, Patch({"model": "mini", "model_revision": None}, "init")], folder, base)
        findings = tuple(finding for finding in survey.findings if not finding.code.startswith(("D306", "D5")))
        recipe = choose(survey.recipe.rows, base, full=resolved.config.lora is None)
        unseen = str(error).partition("\n")[0]
        return replace(survey, findings=findings, recipe=recipe, tokens=None, unseen=unseen)


def _survey(resolved: Resolved, patches: Sequence[Patch], folder: Path, base: Base) -> Survey:
    # Tokenizers bring torch with them.
    from exactune.plan import Source, make_plan

    lenient = {"check.on_error": "skip"} if resolved.config.check.on_error == "stop" else {}
    plan = make_plan(Source((*patches, Patch(lenient, "init")), folder))
    rows = (*plan.encoded, *plan.encoded_eval)
    return Survey(
        resolved=resolved,
        base=base,
        loaded=plan.loaded,
        splits=plan.splits,
        task=plan.task,
        recipe=plan.recipe,
        findings=plan.findings,
        tokens=Tokens(
            prompt=max(len(row.prompt_ids) for row in rows),
            answer=max(len(row.answer_ids) for row in rows),
            row=max(map(len, rows)),
            mean=sum(map(len, rows)) / len(rows),
        ),
    )
