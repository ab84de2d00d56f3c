"""The pipeline: check, recipe, train, evaluate, report. Each stage is a plain function over a run folder."""

from __future__ import annotations

import contextlib
import gc
import math
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from exactune import ranks
from exactune.apply import calibrate, evaluate, load
from exactune.data.split import stratified_slice
from exactune.describe import describe
from exactune.diagnose import diagnose
from exactune.durable import replaced_dir
from exactune.errors import ConfigError, Interrupted, TrainingError
from exactune.evaluate.baselines import majority
from exactune.evaluate.evaluation import point_metrics
from exactune.infer.answering import Answering
from exactune.infer.artifact import Artifact, save_artifact
from exactune.infer.engine import answer_loss
from exactune.infer.model import load_base, weights_digest
from exactune.infer.quantize import describe_quantized
from exactune.language import say
from exactune.objective import find_reference, make_cutter, trainable
from exactune.plan import Plan
from exactune.record import add_minutes, note_peak, write_plan
from exactune.report import write_report
from exactune.resume import (
    Change,
    best_file,
    choose_checkpoint,
    find_changes,
    ids_digest,
    is_finished,
    is_trained,
    note_resumption,
    refuse_hard,
    refuse_harmless,
)
from exactune.rundir import Run, read_json, write_json
from exactune.stop import StopNow, StopRequest, listening
from exactune.train.disk import naming_a_full_disk, needed_bytes, readable, refuse_a_small_disk
from exactune.train.engine import choose_engine
from exactune.train.fit import Display, Job, fit
from exactune.train.methods import refuse_unknown_trackers
from exactune.train.pace import Pace
from exactune.train.steps import Cutter, rows_by

__all__ = ["Say", "finish", "train_planned"]

Say = Callable[[str], None]


def train_planned(
    planned: Callable[[], Plan],
    *,
    resume: bool = False,
    resume_anyway: bool = False,
    overwrite: bool = False,
    say: Say = lambda _: None,
    display: Display | None = None,
    last: Callable[[Plan], None] | None = None,
) -> Run:
    """Train a run, evaluate it, report.

    Args:
        planned: Makes its plan when the processes have met; the rows that it scores are scored.
        resume: See :func:`exactune.train`.
        resume_anyway: The same.
        overwrite: The same.
        say: The same.
        display: The same.
        last: Done with what was trained instead of :func:`finish`.
    """
    plan: Plan | None = None
    with listening() as stop:
        try:
            ranks.join()
            stop.patient = ranks.count() > 1
            with ranks.naming_a_lost_rank():
                plan = planned()
                return _carry_out(
                    plan, say if ranks.is_first() else lambda _: None,
                    display if display and ranks.is_first() else _Silent(), stop,
                    resume=resume or resume_anyway, anyway=resume_anyway, overwrite=overwrite, last=last or finish,
                )  # fmt: skip
        except StopNow:
            raise Interrupted(_how_to_go_on(plan, stop), stop.signal_number or signal.SIGINT) from None


@dataclass(frozen=True, slots=True)
class _Start:
    """How a run begins.

    Attributes:
        resume: It goes on with what lies in its folder.
        overwrite: It replaces what lies there.
        changes: What has changed since it began first.
    """

    resume: bool
    overwrite: bool
    changes: list[Change]


def _carry_out(
    plan: Plan,
    tell: Say,
    display: Display,
    stop: StopRequest,
    *,
    resume: bool,
    anyway: bool,
    overwrite: bool,
    last: Callable[[Plan], None],
) -> Run:
    run = plan.run
    refuse_unknown_trackers(plan.config.training.report_to)
    ranks.refuse_sharding(plan.config.training.engine)
    _refuse_differing(plan)
    start = ranks.from_first(lambda: _start(plan, tell, resume=resume, anyway=anyway, overwrite=overwrite))
    if start is None:
        return run
    stop.resumable = start.resume
    for line in describe(plan):
        tell(line)
    with run.locked() if ranks.is_first() else contextlib.nullcontext(), naming_a_full_disk(run.path):
        checkpoint = ranks.from_first(lambda: choose_checkpoint(run, tell) if start.resume else None)
        if start.resume:
            note_resumption(plan, checkpoint, start.changes)
        if not ranks.from_first(lambda: start.resume and is_trained(run)):
            _train(plan, tell, display, stop, checkpoint, start)
        ranks.from_first(lambda: last(plan))
    return run


def _refuse_differing(plan: Plan) -> None:
    """Processes that train one run must have planned the same one.

    Raises:
        ConfigError: They have not.
    """
    if ranks.count() > 1 and len(set(ranks.gathered((plan.config.model_dump_json(), ids_digest(plan.encoded))))) > 1:
        raise ConfigError(
            say(
                "The processes of this run read different configs or rows. Give all of them the same arguments and the "
                "same files."
            )
        )


def _start(plan: Plan, tell: Say, *, resume: bool, anyway: bool, overwrite: bool) -> _Start | None:
    """Whether the run may begin, or go on, in its folder; None if it is finished.

    Raises:
        RunError: It may not.
    """
    run = plan.run
    if resume and not run.config.is_file():
        # Killed before it began, or while it was wiped, a run has nothing to lose.
        resume, overwrite = False, overwrite or not (run.checkpoints.is_dir() or run.artifact.is_dir())
    changes = find_changes(plan) if resume else []
    if resume:
        refuse_hard(run, changes)
        if is_finished(run):
            tell(say("resume  {path} is finished; there is nothing left to do", path=run.path))
            return None
        if not anyway:
            refuse_harmless(run, changes)
    else:
        run.ensure_free(overwrite=overwrite)
    return _Start(resume, overwrite, changes)


def finish(plan: Plan) -> None:
    """Load what was published, score it, report."""
    # A trainer and its parts refer to each other: without this, all that was trained would stay beside what is loaded.
    gc.collect()
    artifact = load(plan.run.path)
    _refuse_unfaithful(plan, artifact)
    artifact, answers = calibrate(plan.run, artifact, plan.config, plan.splits.eval)
    evaluate(
        plan.run, artifact=artifact, rows=plan.splits.scored, train=plan.known, general=plan.loaded.general,
        answers=None if plan.splits.test else answers,
    )  # fmt: skip
    diagnose(plan.run)
    note_peak(plan.run)
    write_report(plan.run)


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


def _evaluator(plan: Plan, answering: Answering) -> Evaluate:
    """Model -> loss and metrics on the eval rows, or on a slice of them when they are many.

    ``low`` and ``high`` among them are the interval of the metric that decides.
    """
    settings = plan.config.evaluate
    rows = stratified_slice(plan.splits.eval, settings.rows, plan.config.training.seed)
    encoded = [answering.template.encode(row) for row in rows]

    def evaluate_now(model: torch.nn.Module, advance: Callable[[int], None]) -> dict[str, float]:
        prompts, sources = [row.prompt_ids for row in encoded], [row.input for row in rows]
        # Which label is best is asked here, not how probable it is.
        answers = answering(
            model, prompts, sources=sources, batch_size=settings.batch_size, tolerance=math.inf, advance=advance
        )  # fmt: skip
        return {
            "loss": answer_loss(model, encoded, advance=advance),
            **point_metrics(plan.task, rows, answers, plan.metric),
        }

    return evaluate_now


RESCORE_TOLERANCE = 0.01
"""For devices whose sums depend on the order of their threads; on a CPU the figures are equal."""


def _refuse_unfaithful(plan: Plan, artifact: Artifact) -> None:
    """Answer the eval rows with the published weights: they must score as the best checkpoint did.

    Raises:
        TrainingError: They do not, so what would be shipped is not what was measured.
    """
    best = read_json(best_file(plan.run))
    found = _evaluator(plan, artifact.answering)(artifact.model, lambda _: None)[best["metric"]]
    # A share of rows may differ by one row of a hundred; of a loss, which may itself be so small, that would be any.
    margin = 0.0 if best["metric"] == "loss" else RESCORE_TOLERANCE
    if not math.isclose(found, best["value"], rel_tol=RESCORE_TOLERANCE, abs_tol=margin):
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
    start: _Start,
) -> None:
    """Load the base, write what is known, fit."""
    run = plan.run
    started = time.time()
    model, template = load_base(plan.base, full=plan.config.lora is None, quantization=plan.config.quantization)
    if plan.config.quantization == "4bit":
        tell(describe_quantized(model))
    digest = ranks.from_first(lambda: weights_digest(plan.base))
    trained = trainable(plan, model)
    cost, note = choose_engine(trained, plan.computed, plan.config.training)
    if note:
        tell(note)
    answering = Answering.of(plan.task, template, plan.constraint, plan.max_new_tokens)
    if obstacle := answering.obstacle(trained, max(map(len, plan.encoded)) + plan.max_new_tokens):
        tell(say("answers are decoded freely: {obstacle}", obstacle=obstacle))
    odd = [
        row for row in plan.splits.train if answering.grammar and not answering.grammar.accepts(row.answer, row.input)
    ]
    if odd:
        tell(
            say(
                "warning {rows} of {all} training answers cannot be written by the grammar, first {place}",
                rows=len(odd),
                all=len(plan.splits.train),
                place=odd[0].location,
            )
        )
    needed = needed_bytes(trained)
    ranks.from_first(lambda: refuse_a_small_disk(run.path, needed))
    tell(say("disk    up to {needed} in {path}", needed=readable(needed), path=run.path))
    if not start.resume:
        ranks.from_first(lambda: _lay_out(plan, trained, digest, overwrite=start.overwrite))
        stop.resumable = True
    training = plan.config.training
    part = training.per_device_train_batch_size * training.gradient_accumulation_steps
    pace = Pace(partial(rows_by, rows=len(plan.encoded), rows_per_step=part * ranks.count()))
    cutter = make_cutter(plan, cost, find_reference(plan, trained, cost))
    try:
        _fit(plan, trained, answering, digest, display, stop, checkpoint, cutter, pace)
    finally:
        if ranks.is_first():
            add_minutes(run, started, pace)


def _lay_out(plan: Plan, trained: torch.nn.Module, digest: Mapping[str, Any], *, overwrite: bool) -> None:
    Run.create(plan.run.path, overwrite=overwrite)
    write_plan(plan, trained, digest)


def _fit(
    plan: Plan,
    trained: torch.nn.Module,
    answering: Answering,
    digest: Mapping[str, Any],
    display: Display,
    stop: StopRequest,
    checkpoint: Path | None,
    cutter: Cutter,
    pace: Pace,
) -> None:
    def keep(current: torch.nn.Module) -> None:
        with replaced_dir(plan.run.model if plan.config.lora is None else plan.run.adapter) as folder:
            save_artifact(
                folder, current, answering.template,
                base=plan.base, digest=digest, task=plan.task, examples=plan.known,
                majority=majority([row.answer for row in plan.known], 1)[0], constraint=plan.constraint,
                columns=plan.columns, max_new_tokens=plan.max_new_tokens,
                method=plan.config.training.method, parents=plan.parent.lineage() if plan.parent else [],
                quantization=plan.config.quantization,
            )  # fmt: skip

    job = Job(
        run=plan.run,
        training=plan.config.training,
        metric=plan.metric,
        model=trained,
        tokenizer=answering.template.tokenizer,
        rows=plan.encoded,
        names=[row.id for row in plan.encoded],
        evaluate=_evaluator(plan, answering),
        keep=keep,
        display=display,
        stop=stop,
        cutter=cutter,
        compares_with_start=plan.config.training.method == "dpo",
        pace=pace,
    )
    best = fit(job, checkpoint)
    if ranks.is_first():
        write_json(
            best_file(plan.run),
            {"step": best.step, "epoch": best.epoch, "metric": plan.metric, "value": best.value},
        )
