"""The plan: everything that is decided before a run folder is touched.

Config layers, rows, task, recipe, findings and token ids. A plan that cannot work raises here, with nothing written.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exactune.bases import Base, find_base
from exactune.checks import Dataset, check_dataset, drop_located
from exactune.config import PREFERENCE, Config, TaskConfig
from exactune.data.expand import expand, turn_note
from exactune.data.general import trained_too
from exactune.data.hub import dataset_name
from exactune.data.load import Loaded, load
from exactune.data.split import hold_out, stratified_slice
from exactune.data.words import count
from exactune.errors import ConfigError, DataError
from exactune.evaluate.contest import wanted_baselines
from exactune.infer.model import context_length, generation_stops, pin
from exactune.infer.quantize import refuse_missing_extra
from exactune.language import say
from exactune.layers import Resolved, parse_assignment, parse_mapping, read_patch, resolve
from exactune.parent import Parent, find_parent
from exactune.probing import encode_rejected, encode_rows, token_probe
from exactune.recipes import Recipe, choose
from exactune.render.template import Encoded, Template
from exactune.rules import Finding, Severity
from exactune.rundir import Run
from exactune.tasks import Task, infer_task
from exactune.tasks.constraint import choose_constraint
from exactune.types import Example, Patch, Splits
from exactune.used import Used, parent_rows, scored_as_parent

__all__ = ["Plan", "Source", "check_rows", "config_source", "make_plan"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a config's values came from, before recipe and rows are known.

    Attributes:
        patches: The user's layers, weakest first.
        folder: What data paths are relative to.
    """

    patches: tuple[Patch, ...]
    folder: Path

    @property
    def resolved(self) -> Resolved:
        """The user's values over the defaults."""
        return resolve(self.patches)


def config_source(
    config: Config | str | Path, *, patch_files: Sequence[str | Path] = (), assignments: Sequence[str] = ()
) -> Source:
    """The layers of a config file or object, ``--patch`` files and ``--set`` assignments.

    Raises:
        ConfigError: A file cannot be read, or a key is unknown.
    """
    if isinstance(config, Config):
        first, folder = parse_mapping(config.model_dump(exclude_unset=True, by_alias=True), "Config"), Path()
    else:
        first, folder = read_patch(config), Path(config).parent
    patches = [first, *map(read_patch, patch_files), *map(parse_assignment, assignments)]
    return Source(tuple(patches), folder)


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that can start.

    Attributes:
        resolved: The config, with the recipe merged in and data paths relative to the run folder.
        run: Its folder, not created yet.
        base: The base model.
        template: Its template.
        loaded: The files as read.
        notes: What was decided about the rows, one sentence each.
        splits: The rows that are used.
        task: Inferred or declared.
        constraint: What answers are held to.
        recipe: See :class:`~exactune.recipes.Recipe`.
        findings: Of all checks, worst first.
        encoded: Ids of the training rows, one entry for each assistant turn of a chat, mixed-in rows last.
        encoded_eval: Ids of the eval rows.
        rejected: Ids of the worse answer to each of ``encoded``, where it has one; empty where none is learned.
        parent: What training starts from.
        known: The rows that teach the task: of the parent those that it was trained on, else the training rows.
    """

    resolved: Resolved
    run: Run
    base: Base
    template: Template
    loaded: Loaded
    notes: tuple[str, ...]
    splits: Splits
    task: Task
    constraint: Mapping[str, Any] | None
    recipe: Recipe
    findings: tuple[Finding, ...]
    encoded: tuple[Encoded, ...]
    encoded_eval: tuple[Encoded, ...]
    rejected: tuple[Encoded | None, ...]
    parent: Parent | None
    known: Sequence[Example]

    @property
    def config(self) -> Config:
        """The validated tree."""
        return self.resolved.config

    @property
    def computed(self) -> list[Encoded]:
        """All that training reads: ``encoded``, and the worse answers."""
        return [*self.encoded, *(row for row in self.rejected if row)]

    @property
    def errors(self) -> list[Finding]:
        """The findings that name rows which cannot be used, most telling last."""
        return [finding for finding in reversed(self.findings) if finding.severity is Severity.ERROR]

    @property
    def metric(self) -> str:
        """The metric that decides about the best checkpoint."""
        wanted = self.config.training.metric_for_best
        return self.task.primary if wanted == "auto" else wanted

    @property
    def columns(self) -> Mapping[str, str]:
        """For inputs to come: the parent's, as mined pairs have none."""
        return (self.parent.card["columns"] if self.parent else {}) or self.config.data.columns or self.loaded.columns

    @property
    def max_new_tokens(self) -> int:
        """Room for half as much again as the longest known answer; a longer one is reported as ``no_stop``.

        The parent's answers are known, too: pairs of its mistakes may lack the longest. Mixed-in rows are no part of
        the task: their answers may be ten times as long.
        """
        own = len(self.encoded) - sum(len(expand(row)) for row in self.splits.mix)
        longest = max(len(row.answer_ids) for row in (*self.encoded[:own], *self.encoded_eval))
        room = max(int(1.5 * longest) + 8, self.parent.card["max_new_tokens"] if self.parent else 0)
        return min(room, self.config.training.max_seq_length)


def make_plan(source: Source, *, output: str | None = None) -> Plan:
    """Decide everything about a run.

    Args:
        source: See :func:`config_source`.
        output: Run folder; takes precedence over ``output_dir``.

    Raises:
        ExactuneError: Config, rows, model or template cannot be used; nothing has been written.
    """
    parent, layers = _layers(source)
    user = resolve(layers).config
    if parent:
        parent.refuse_other_shape(user)
    _refuse_unquantizable(user)
    if user.training.method == "sft+dpo":
        raise ConfigError(
            say("`training.method: sft+dpo` is two runs: plan the first one with `--set training.method=sft`.")
        )
    base = pin(parent.base if parent else find_base(user.model, user.model_revision))
    run = Run(Path(output or user.output_dir))
    loaded = load(user, source.folder)
    theirs = parent_rows(source.folder, user)
    splits, notes = _choose_rows(loaded, user, theirs)
    recipe = choose(
        len(theirs.known if theirs else splits.train), base, full=user.lora is None, method=user.training.method
    )
    resolved = resolve([recipe.patch, *layers])
    config = resolved.config
    template = Template.load(base)
    ids = encode_rows(template, splits)
    rejected = encode_rejected(template, splits.train) if config.training.method in PREFERENCE else {}
    findings = _findings(config, base, replace(loaded, splits=splits), template, ids, rejected)
    splits = _apply_policy(config, splits, findings)
    _refuse_missing_pairs(config, splits)
    known = theirs.known if theirs else splits.train
    # Of a pair's conversation its end alone is learned.
    turns = [
        (row, turn) for row in (*splits.train, *splits.mix)
        for turn in (ids[row.id][-1:] if row.id in rejected else ids[row.id])
    ]  # fmt: skip
    task = infer_task(config.task, known)
    _refuse_unknown_metric(config, task)
    wanted_baselines(task, config)
    return Plan(
        resolved=_pinned(resolved, source.folder, run, base, task),
        run=run,
        base=base,
        template=template,
        loaded=loaded,
        notes=(*notes, *filter(None, [turn_note(splits.train)]), *_trained_general(loaded, splits)),
        splits=splits,
        task=task,
        constraint=choose_constraint(
            task,
            [row.answer for row in known],
            config.constrain,
            copied_from=[row.input for row in known] if config.task.copy_spans else None,
        ),
        recipe=recipe,
        findings=tuple(findings),
        encoded=tuple(turn for _, turn in turns),
        encoded_eval=tuple(ids[row.id][-1] for row in splits.eval),
        rejected=tuple(rejected.get(row.id) for row, _ in turns) if rejected else (),
        parent=parent,
        known=known,
    )


def _layers(source: Source) -> tuple[Parent | None, list[Patch]]:
    """The run that ``start_from`` names, and the user's layers above what that one decides."""
    start = source.resolved.config.start_from
    parent = find_parent(start, source.folder) if start else None
    return parent, [*([parent.patch] if parent else []), *source.patches]


def _refuse_unquantizable(config: Config) -> None:
    refuse_missing_extra(config.quantization)
    if config.quantization == "4bit" and config.lora is None:
        raise ConfigError(
            say(
                "`quantization: 4bit` with `lora: none`: weights in 4 bits have no room for the small steps of "
                "training, so only an adapter beside them can learn. Remove one of the two lines."
            )
        )


def _choose_rows(loaded: Loaded, config: Config, theirs: Used | None) -> tuple[Splits, tuple[str, ...]]:
    """The rows that are used, within ``data.limit``; those without a file of their own are those of the run that this
    one starts from (``theirs``), or held out of the others."""
    if theirs and scored_as_parent(config):
        splits, notes = _scored_as_parent(loaded, theirs.splits)
    else:
        splits, notes = _held_out(loaded, config)
    limit, seed = config.data.limit, config.training.seed
    limited = {name: stratified_slice(getattr(splits, name), most, seed) for name, most in limit.items()}
    for name, rows in limited.items():
        note = say(
            "data.limit: {rows} of {all} {split} rows are used",
            rows=len(rows),
            all=len(getattr(splits, name)),
            split=name,
        )
        notes = (*notes, note)
    return replace(splits, **limited), notes


def _scored_as_parent(loaded: Loaded, theirs: Splits) -> tuple[Splits, tuple[str, ...]]:
    ours = loaded.splits
    if ours.test:
        theirs = replace(theirs, test=())
    own = {row.id for part in (ours.train, ours.mix, ours.test) for row in part}
    if same := [row.id for row in (*theirs.eval, *theirs.test) if row.id in own]:
        raise ConfigError(
            say(
                "`data` has a file named like one of the run in `start_from` (row {row} is in both). Rename it.",
                row=same[0],
            )
        )
    note = say(
        "scored on the rows of the run it starts from: {eval} eval, {test} test rows",
        eval=len(theirs.eval),
        test=len(theirs.test),
    )
    return replace(ours, eval=theirs.eval, test=ours.test or theirs.test), (*loaded.notes, note)


def _refuse_missing_pairs(config: Config, splits: Splits) -> None:
    """Preferences are between two answers.

    Raises:
        ConfigError: ``dpo`` got rows that are mixed in.
        DataError: ``dpo`` got rows without a worse answer, ``orpo`` only such.
    """
    method = config.training.method
    single = [row for row in splits.train if row.rejected is None]
    if method == "dpo" and config.data.mix:
        raise ConfigError(
            say("`data.mix`: `training.method: dpo` learns from preference pairs alone. Remove it, or take `orpo`.")
        )
    if (method == "dpo" and single) or (method == "orpo" and len(single) == len(splits.train)):
        raise DataError(
            say(
                "`training.method: {method}` learns from preference pairs, but {single} of {all} training rows have no "
                "`rejected` answer{first}. Make pairs of a run's mistakes with `exactune mine RUN`, or train with "
                "`sft`.",
                method=method,
                single=len(single),
                all=len(splits.train),
                first=say(", first {place}", place=single[0].location),
            )
        )


def _held_out(loaded: Loaded, config: Config) -> tuple[Splits, tuple[str, ...]]:
    data, splits, notes = config.data, loaded.splits, loaded.notes
    if not splits.train:
        return splits, notes
    # Test rows first, so that no choice of eval rows changes them.
    if data.test_fraction and not data.test:
        train, test = _taken_out(loaded, splits.train, data.test_fraction, config)
        splits = replace(splits, train=train, test=test)
        note = say(
            "no test file: {rows} training rows are held out (data.test_fraction {fraction:g})",
            rows=len(test),
            fraction=data.test_fraction,
        )
        notes = (*notes, note)
    if not data.eval:
        train, held_out = _taken_out(loaded, splits.train, data.eval_fraction, config)
        splits = replace(splits, train=train, eval=held_out)
        note = say(
            "no eval file: {rows} training rows are held out (data.eval_fraction {fraction:g})",
            rows=len(held_out),
            fraction=data.eval_fraction,
        )
        notes = (*notes, note)
    return splits, notes


def _taken_out(
    loaded: Loaded, rows: Sequence[Example], fraction: float, config: Config
) -> tuple[Sequence[Example], Sequence[Example]]:
    try:
        return hold_out(rows, fraction, config.training.seed)
    except DataError as error:
        raise DataError(str(error), loaded.rejected) from error


def _trained_general(loaded: Loaded, splits: Splits) -> Iterator[str]:
    """Rows on which forgetting is measured though they are learned."""
    for file in loaded.general:
        if rows := trained_too(file, (splits.train, splits.mix)):
            yield say(
                "{name}: {rows} of {all} rows are trained, too, so they do not show what is forgotten",
                name=file.name,
                rows=rows,
                all=len(file.rows),
            )


def check_rows(source: Source) -> tuple[Loaded, list[Finding]]:
    """The rows of a config and what the rules, token rules included, find in them.

    Raises:
        ExactuneError: Config, files or model cannot be read. Bad rows are findings.
    """
    parent, layers = _layers(source)
    config = resolve(layers).config
    base = parent.base if parent else find_base(config.model, config.model_revision)
    template = Template.load(base)
    loaded = load(config, source.folder)
    if scored_as_parent(config) and (theirs := parent_rows(source.folder, config)):
        loaded = replace(loaded, splits=_scored_as_parent(loaded, theirs.splits)[0])
    rejected = encode_rejected(template, loaded.splits.train) if config.training.method in PREFERENCE else {}
    return loaded, _findings(config, base, loaded, template, encode_rows(template, loaded.splits), rejected)


def _findings(
    config: Config,
    base: Base,
    loaded: Loaded,
    template: Template,
    ids: Mapping[str, tuple[Encoded, ...]],
    rejected: Mapping[str, Encoded] | None = None,
) -> list[Finding]:
    limit = min(config.training.max_seq_length, context_length(base) or config.training.max_seq_length)
    # Rows that do not fit can never be used, so they are found whatever is ignored.
    ignored = [code for code in config.check.ignore if code.upper() != "D501"]
    probe = token_probe(template, ids, limit, generation_stops(base), rejected or {})
    learns_rejected = config.training.method in PREFERENCE
    return check_dataset(Dataset(loaded.splits, loaded.findings, probe, config.task, learns_rejected), ignored)


def _apply_policy(config: Config, splits: Splits, findings: Sequence[Finding]) -> Splits:
    """Stop at errors, or go on without the rows they name.

    Raises:
        DataError: There are errors and ``check.on_error`` is ``stop``, or no rows are left.
    """
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors and config.check.on_error == "stop":
        raise DataError(
            say(
                "the data checks found errors of {kinds}; nothing was trained.\n"
                "Correct the rows, or leave them out with --set check.on_error=skip.",
                kinds=count(len(errors), "kind"),
            ),
            errors,
        )
    if errors and config.check.on_error == "skip":
        splits = drop_located(splits, errors)
    # Rows too long for the model can never be used, whatever the policy.
    splits = drop_located(splits, [finding for finding in errors if finding.code == "D501"])
    for name, rows in ((say("training"), splits.train), (say("eval"), splits.eval)):
        if not rows:
            raise DataError(say("no {name} rows are left after the checks.", name=name), errors)
    return splits


def _refuse_unknown_metric(config: Config, task: Task) -> None:
    known = {"auto", "loss", *task.metrics}
    if config.training.metric_for_best not in known:
        raise ConfigError(
            say(
                "`training.metric_for_best`: {metric_for_best!r} is no metric of a {type} task. Choose from {names}.",
                metric_for_best=config.training.metric_for_best,
                type=task.type,
                names=", ".join(sorted(known)),
            )
        )
    for name in config.gate:
        if name not in task.metrics:
            raise ConfigError(
                say(
                    "`gate.{name}`: no metric of a {type} task. Choose from {names}.",
                    name=name,
                    type=task.type,
                    names=", ".join(task.metrics),
                )
            )


def _pinned(resolved: Resolved, folder: Path, run: Run, base: Base, task: Task) -> Resolved:
    """The config as the run folder keeps it: exact base, decided task, data paths relative to the run folder."""

    def move(path: str, use: str) -> str:
        # Real paths: `..` out of a linked folder leads elsewhere than it reads.
        here, there = os.path.realpath(folder), os.path.realpath(run.path)
        if dataset := dataset_name(path, folder, use):
            return dataset.written(there)
        path = os.path.expanduser(path)
        if (folder / path).exists():
            return os.path.relpath(os.path.realpath(folder / path), there)
        # A glob; the folder before it is no part of the pattern, whatever characters its name has.
        return os.path.join(glob.escape(os.path.relpath(here, there)), path)

    config = resolved.config
    start = config.start_from and os.path.relpath(
        os.path.realpath(folder / os.path.expanduser(config.start_from)), os.path.realpath(run.path)
    )
    data: dict[str, Any] = {
        **{use: [move(path, use) for path in getattr(config.data, use)] for use in ("train", "eval", "test")},
        "mix": [source.model_copy(update={"path": move(source.path, "mix")}) for source in config.data.mix],
    }
    decided = {
        "start_from": start,
        "model": base.name,
        "model_revision": base.revision,
        "data": config.data.model_copy(update=data),
        "task": TaskConfig.model_validate({**task.config(), "copy_spans": config.task.copy_spans}),
        "output_dir": str(run.path),
        "evaluate": config.evaluate.model_copy(
            update={"general": [move(path, "general") for path in config.evaluate.general]}
        ),
    }
    sources = dict(resolved.sources)
    if config.task.type == "auto":
        sources["task"] = say("inferred from the training rows")
    return replace(resolved, config=config.model_copy(update=decided), sources=sources)
