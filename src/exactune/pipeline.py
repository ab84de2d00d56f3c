"""The pipeline: check, recipe, train, evaluate, report. Each stage is a plain function over a run folder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from exactune.apply import changed_files, evaluate, load
from exactune.config import Config
from exactune.data.split import stratified_slice
from exactune.environment import versions
from exactune.errors import RunError, TrainingError
from exactune.evaluate.baselines import majority
from exactune.evaluate.evaluation import point_metrics
from exactune.infer.answers import read_answer
from exactune.infer.artifact import Artifact, save_artifact
from exactune.infer.engine import answer_loss, generate
from exactune.infer.model import default_device, describe_device, load_base, weights_digest
from exactune.language import Text, say, stored
from exactune.layers import read_patch, resolve, to_yaml
from exactune.plan import Plan, config_source, make_plan
from exactune.render.template import Template
from exactune.report import write_report
from exactune.rundir import Run, read_json, replace_dir, write_json, write_text
from exactune.train.adapter import make_trainable, parameter_counts
from exactune.train.fit import Display, Job, fit
from exactune.train.methods import refuse_unknown_trackers

__all__ = ["describe", "train"]

Say = Callable[[str], None]


def train(
    config: Config | str | Path,
    *,
    patch_files: Sequence[str | Path] = (),
    assignments: Sequence[str] = (),
    output: str | None = None,
    resume: bool = False,
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
        resume: Go on with the run in that folder.
        overwrite: Replace the run in that folder.
        say: Told what was decided, one line at a time.
        display: Told how training advances.

    Raises:
        ExactuneError: Something the user must change; before training nothing is written.
        Interrupted: Stopped by a signal after saving a checkpoint.
    """
    plan = make_plan(config_source(config, patch_files=patch_files, assignments=assignments), output=output)
    resume = resume and plan.run.config.is_file()
    if resume:
        _refuse_changes(plan)
    else:
        plan.run.ensure_free(overwrite=overwrite)
    refuse_unknown_trackers(plan.config.training.report_to)
    for line in describe(plan):
        say(line)
    if not (resume and _best_file(plan.run).is_file()):
        _train(plan, display or _Silent(), resume=resume, overwrite=overwrite)
    artifact = load(plan.run.path)
    _refuse_unfaithful(plan, artifact)
    evaluate(plan.run, artifact=artifact, rows=plan.splits.scored)
    write_report(plan.run)
    return plan.run


def describe(plan: Plan) -> Iterator[Text]:
    """What was decided, for people."""
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
    method = say("all weights") if config.lora is None else f"LoRA r={config.lora.r}"
    yield say(
        "train   {base}, {method}, {epochs} epochs, rate {rate:g}, batch {rows} x {steps}",
        base=plan.base.name,
        method=method,
        epochs=training.num_epochs,
        rate=training.learning_rate,
        rows=training.per_device_train_batch_size,
        steps=training.gradient_accumulation_steps,
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


class _Silent:
    """A display for nobody."""

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        """Nothing to show."""

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        """Nothing to show."""


def _best_file(run: Run) -> Path:
    """Written when training is over: the best evaluation, ``{"step", "epoch", "metric", "value"}``."""
    return run.train_metrics.with_name("best.json")


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
    best = read_json(_best_file(plan.run))
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


def _train(plan: Plan, display: Display, *, resume: bool, overwrite: bool) -> None:
    """Load the base, write what is known, fit."""
    started = time.time()
    model, template = load_base(plan.base, full=plan.config.lora is None)
    digest = weights_digest(plan.base)
    trained = make_trainable(model, plan.config.lora, plan.config.training.seed)
    if not resume:
        Run.create(plan.run.path, overwrite=overwrite)
        _write_plan(plan, trained, digest)
    try:
        _fit(plan, trained, template, digest, display, resume=resume)
    finally:
        _add_minutes(plan.run, started)


def _fit(
    plan: Plan,
    trained: torch.nn.Module,
    template: Template,
    digest: Mapping[str, Any],
    display: Display,
    *,
    resume: bool,
) -> None:
    def keep(current: torch.nn.Module) -> None:
        with replace_dir(plan.run.model if plan.config.lora is None else plan.run.adapter) as folder:
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
        evaluate=_evaluator(plan, template),
        keep=keep,
        display=display,
    )
    best = fit(job, resume=resume)
    write_json(
        _best_file(plan.run),
        {"step": best.step, "epoch": best.epoch, "metric": plan.metric, "value": best.value},
    )


def _write_plan(plan: Plan, trained: torch.nn.Module, digest: Mapping[str, Any]) -> None:
    """The files of a run folder that are known before training."""
    run, recipe, resolved = plan.run, plan.recipe, plan.resolved
    write_json(run.recipe, stored({
        "rows": recipe.rows,
        "bracket": recipe.bracket,
        "reason": recipe.patch.reason,
        "values": dict(recipe.patch.values),
        "expected": None if recipe.expected is None else {
            "low": recipe.expected.low, "high": recipe.expected.high, "note": recipe.expected.note,
        },
        "sources": dict(resolved.sources),
        "renamed": list(resolved.renamed),
    }, "reason", "sources", "expected", "renamed"))  # fmt: skip
    write_json(run.env, {
        **versions(),
        "device": describe_device(default_device()),
        "model": {"name": plan.base.name, **digest, **parameter_counts(trained)},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "minutes": 0.0,
    })  # fmt: skip
    write_json(run.data, _data_document(plan))
    write_json(run.findings, [stored(finding.to_json(), "message", "fix") for finding in plan.findings])
    # The marker of a run folder, so it comes last.
    write_text(run.config, to_yaml(resolved, ["What this run was made of; it can be trained again as it is."]))


def _data_document(plan: Plan) -> dict[str, Any]:
    splits = {"train": plan.splits.train, "eval": plan.splits.eval, "test": plan.splits.test, "mix": plan.splits.mix}
    kept = {row.id for rows in splits.values() for row in rows}
    rows = plan.loaded.splits
    named = {place: f"{finding.code} {finding.name}" for finding in plan.errors for place in finding.locations}
    reasons = {place: why for place, why in named.items() if place.line is not None}
    dropped = [
        row for part in (rows.train, rows.eval, rows.test, rows.mix) for row in part
        if row.id not in kept and row.location in reasons
    ]  # fmt: skip
    return {
        "files": [
            {"path": file.path, "split": file.split, "rows": file.rows, "sha256": file.sha256, "format": file.format}
            for file in plan.loaded.files
        ],
        "splits": {name: {"rows": len(part), "ids": [row.id for row in part]} for name, part in splits.items()},
        "rejected": [
            *({"file": place.file, "line": place.line, "reason": f"{finding.code} {finding.name}"}
              for finding in plan.loaded.rejected for place in finding.locations),
            *({"file": row.location.file, "line": row.location.line, "reason": reasons[row.location]}
              for row in dropped),
        ],
        "tokens": {
            "prompt_mean": sum(len(row.prompt_ids) for row in plan.encoded) / len(plan.encoded),
            "answer_mean": sum(len(row.answer_ids) for row in plan.encoded) / len(plan.encoded),
            "longest": max(len(row) for row in plan.encoded),
        },
    }  # fmt: skip


def _refuse_changes(plan: Plan) -> None:
    """A resumed run must be the same run.

    Raises:
        RunError: Config or data differ from those in the run folder; says which.
    """
    stored, now = _leaves(resolve([read_patch(plan.run.config)]).config), _leaves(plan.config)
    changed = [key for key in {**now, **stored} if now.get(key) != stored.get(key)]
    changed += changed_files(plan.run, plan.loaded)
    if changed:
        raise RunError(
            say(
                "{path} was started with another {names}, so it cannot be resumed. Start again with "
                "--overwrite or another --output.",
                path=plan.run.path,
                names=", ".join(changed),
            )
        )


def _leaves(config: Config) -> dict[str, Any]:
    """Dotted path -> value, without the folder the run happens to lie in."""
    tree = config.model_dump(mode="json", exclude={"output_dir"})
    blocks = {key: value if isinstance(value, dict) else {"": value} for key, value in tree.items()}
    return {f"{key}.{name}".rstrip("."): leaf for key, block in blocks.items() for name, leaf in block.items()}


def _add_minutes(run: Run, started: float) -> None:
    env = read_json(run.env)
    env["minutes"] = round(env["minutes"] + (time.time() - started) / 60, 2)
    write_json(run.env, env)
