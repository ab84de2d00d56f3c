"""The pipeline: check, recipe, train, evaluate, report. Each stage is a plain function over a run folder."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from exactune.apply import evaluate, load
from exactune.config import Config
from exactune.data.split import stratified_slice
from exactune.describe import describe
from exactune.durable import replaced_dir
from exactune.errors import ConfigError, Interrupted, TrainingError
from exactune.evaluate.baselines import majority
from exactune.evaluate.evaluation import point_metrics
from exactune.infer.answers import read_answer
from exactune.infer.artifact import Artifact, save_artifact
from exactune.infer.engine import answer_loss, generate
from exactune.infer.model import load_base, weights_digest
from exactune.language import say
from exactune.plan import Plan, config_source, make_plan
from exactune.record import add_minutes, write_plan
from exactune.render.template import Template
from exactune.report import write_report
from exactune.resume import (
    best_file,
    choose_checkpoint,
    find_changes,
    is_finished,
    is_trained,
    note_resumption,
    refuse_hard,
    refuse_harmless,
)
from exactune.rundir import Run, read_json, write_json
from exactune.stop import StopNow, StopRequest, listening
from exactune.train.adapter import make_trainable
from exactune.train.disk import naming_a_full_disk, needed_bytes, readable, refuse_a_small_disk
from exactune.train.engine import choose_engine
from exactune.train.fit import Display, Job, fit
from exactune.train.methods import refuse_unknown_trackers
from exactune.train.steps import Cutter

__all__ = ["train"]

Say = Callable[[str], None]


def train(
    config: Config | str | Path,
    *,
    patch_files: Sequence[str | Path] = (),
    assignments: Sequence[str] = (),
    output: str | None = None,
    resume: bool = False,
    resume_anyway: bool = False,
    overwrite: bool = False,
    say: Say = lambda _: None,
    display: Display | None = None,
) -> Run:
    """The main job: check, recipe, train, evaluate, report.

    Args:
        config: A config file or object.
        patch_files: Files whose values take precedence over the config's.
        assignments: ``key=value`` texts that take precedence over both.
        output: Run folder instead of ``output_dir``.
        resume: Go on with the run in that folder, from its newest checkpoint; without one, from the start.
        resume_anyway: The same where versions, device or values have changed that leave the checkpoint usable. The
            weights may then differ from those of an undisturbed run; ``env.json`` tells.
        overwrite: Replace the run in that folder.
        say: Told what was decided, one line at a time.
        display: Told how training advances.

    Raises:
        ExactuneError: Something the user must change; before training nothing is written.
        Interrupted: Stopped by a signal; says what was saved and how to go on.
    """
    plan: Plan | None = None
    with listening() as stop:
        try:
            plan = make_plan(config_source(config, patch_files=patch_files, assignments=assignments), output=output)
            return _carry_out(
                plan, say, display or _Silent(), stop, resume=resume or resume_anyway, anyway=resume_anyway,
                overwrite=overwrite,
            )  # fmt: skip
        except StopNow:
            raise Interrupted(_how_to_go_on(plan, stop), stop.signal_number or signal.SIGINT) from None


def _carry_out(
    plan: Plan, tell: Say, display: Display, stop: StopRequest, *, resume: bool, anyway: bool, overwrite: bool
) -> Run:
    run = plan.run
    if resume and not run.config.is_file():
        # Killed before it began, or while it was wiped, a run has nothing to lose.
        resume, overwrite = False, overwrite or not (run.checkpoints.is_dir() or run.artifact.is_dir())
    refuse_unknown_trackers(plan.config.training.report_to)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(say("several processes cannot train one run yet. Start a single one, without torchrun."))
    changes = find_changes(plan) if resume else []
    if resume:
        refuse_hard(run, changes)
        if is_finished(run):
            tell(say("resume  {path} is finished; there is nothing left to do", path=run.path))
            return run
        if not anyway:
            refuse_harmless(run, changes)
    else:
        run.ensure_free(overwrite=overwrite)
    stop.resumable = resume
    for line in describe(plan):
        tell(line)
    with run.locked(), naming_a_full_disk(run.path):
        checkpoint = choose_checkpoint(run, tell) if resume else None
        if resume:
            note_resumption(plan, checkpoint, changes)
        if not (resume and is_trained(run)):
            _train(plan, tell, display, stop, checkpoint, new=not resume, overwrite=overwrite)
        artifact = load(run.path)
        _refuse_unfaithful(plan, artifact)
        evaluate(run, artifact=artifact, rows=plan.splits.scored)
        write_report(run)
    return run


def _how_to_go_on(plan: Plan | None, stop: StopRequest) -> str:
    """For a run that was stopped where it had nothing to save."""
    if plan is None or not stop.resumable:
        return say("Stopped before training began. Start again with the same command.")
    if is_trained(plan.run):
        return say("Stopped after training. The same command with --resume evaluates and writes the report.")
    return say("Stopped. Go on from the last checkpoint with the same command and --resume.")


class _Silent:
    """A display for nobody."""

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        """Nothing to show."""

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        """Nothing to show."""


Evaluate = Callable[[torch.nn.Module, Callable[[int], None]], dict[str, float]]


def _evaluator(plan: Plan, template: Template) -> Evaluate:
    """Model -> loss and metrics on the eval rows, or on a slice of them when they are many."""
    settings = plan.config.evaluate
    rows = stratified_slice(plan.splits.eval, settings.rows, plan.config.training.seed)
    encoded = [template.encode(row) for row in rows]

    def evaluate_now(model: torch.nn.Module, advance: Callable[[int], None]) -> dict[str, float]:
        generations = generate(
            model, template, [row.prompt_ids for row in encoded],
            max_new_tokens=plan.max_new_tokens, batch_size=settings.batch_size, advance=advance,
        )  # fmt: skip
        answers = [read_answer(plan.task, generation) for generation in generations]
        return {"loss": answer_loss(model, encoded, advance=advance), **point_metrics(plan.task, rows, answers)}

    return evaluate_now


RESCORE_TOLERANCE = 0.01
"""For devices whose sums depend on the order of their threads; on a CPU the figures are equal."""


def _refuse_unfaithful(plan: Plan, artifact: Artifact) -> None:
    """Answer the eval rows with the published weights: they must score as the best checkpoint did.

    Raises:
        TrainingError: They do not, so what would be shipped is not what was measured.
    """
    best = read_json(best_file(plan.run))
    found = _evaluator(plan, artifact.template)(artifact.model, lambda _: None)[best["metric"]]
    if not math.isclose(found, best["value"], rel_tol=RESCORE_TOLERANCE, abs_tol=RESCORE_TOLERANCE):
        raise TrainingError(
            say(
                "the artifact in {artifact} scores {metric} {found:.4f} after loading, not the "
                "{value:.4f} of the best checkpoint. Train again, with the base model's files left alone.",
                artifact=plan.run.artifact,
                metric=best["metric"],
                found=found,
                value=best["value"],
            )
        )


def _train(
    plan: Plan,
    tell: Say,
    display: Display,
    stop: StopRequest,
    checkpoint: Path | None,
    *,
    new: bool,
    overwrite: bool,
) -> None:
    """Load the base, write what is known, fit."""
    run = plan.run
    started = time.time()
    model, template = load_base(plan.base, full=plan.config.lora is None)
    digest = weights_digest(plan.base)
    trained = make_trainable(model, plan.config.lora, plan.config.training.seed)
    cutter, note = choose_engine(trained, plan.encoded, plan.config.training)
    if note:
        tell(note)
    needed = needed_bytes(trained)
    refuse_a_small_disk(run.path, needed)
    tell(say("disk    up to {needed} in {path}", needed=readable(needed), path=run.path))
    if new:
        Run.create(run.path, overwrite=overwrite)
        write_plan(plan, trained, digest)
        stop.resumable = True
    try:
        _fit(plan, trained, template, digest, display, stop, checkpoint, cutter)
    finally:
        add_minutes(run, started)


def _fit(
    plan: Plan,
    trained: torch.nn.Module,
    template: Template,
    digest: Mapping[str, Any],
    display: Display,
    stop: StopRequest,
    checkpoint: Path | None,
    cutter: Cutter,
) -> None:
    def keep(current: torch.nn.Module) -> None:
        with replaced_dir(plan.run.model if plan.config.lora is None else plan.run.adapter) as folder:
            save_artifact(
                folder, current, template,
                base=plan.base, digest=digest, task=plan.task, examples=plan.splits.train,
                majority=majority([row.answer for row in plan.splits.train], 1)[0],
                columns=plan.config.data.columns or plan.loaded.columns, max_new_tokens=plan.max_new_tokens,
            )  # fmt: skip

    job = Job(
        run=plan.run,
        training=plan.config.training,
        metric=plan.metric,
        model=trained,
        tokenizer=template.tokenizer,
        rows=plan.encoded,
        names=[row.id for row in plan.encoded],
        evaluate=_evaluator(plan, template),
        keep=keep,
        display=display,
        stop=stop,
        cutter=cutter,
    )
    best = fit(job, checkpoint)
    write_json(
        best_file(plan.run),
        {"step": best.step, "epoch": best.epoch, "metric": plan.metric, "value": best.value},
    )
