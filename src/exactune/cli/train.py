"""``exactune train``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from exactune import ranks
from exactune.cli.loop import MOST, show_loop
from exactune.cli.screen import TrainingScreen, err, out, show_metrics
from exactune.errors import ConfigError
from exactune.language import restored, said, say, translate
from exactune.rundir import Run, read_json
from exactune.stop import held

__all__ = ["apply_gates", "train"]


def train(
    config: Annotated[Path, typer.Argument(help="The config file.", metavar="CONFIG")],
    assignments: Annotated[list[str], typer.Option("--set", help="key=value; wins over the file.")] = [],  # noqa: B006
    patch: Annotated[list[Path], typer.Option(help="A file with values that win over the config's.")] = [],  # noqa: B006
    output: Annotated[str | None, typer.Option(help="Run folder, instead of output_dir.", metavar="DIR")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    resume_anyway: Annotated[
        bool, typer.Option("--resume-anyway", help="Go on though versions or the device have changed.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, plan and estimate only.")] = False,
    auto: Annotated[
        bool, typer.Option("--auto", help="Train again with what the diagnosis would change; keep what is better.")
    ] = False,
    max_runs: Annotated[
        int | None, typer.Option(help="With --auto: at most so many runs; 4 if not given.", min=1, metavar="N")
    ] = None,
) -> None:
    """Check the rows, choose the recipe, train, evaluate, report."""
    if max_runs is not None and not auto:
        raise ConfigError(say("--max-runs is for --auto. Add --auto, or leave it out."))
    if dry_run:
        show_plan(config, patch_files=patch, assignments=assignments, output=output)
        return
    if auto:
        train_auto(
            config, patch_files=patch, assignments=assignments, output=output, max_runs=max_runs or MOST,
            resume=resume, resume_anyway=resume_anyway, overwrite=overwrite,
        )  # fmt: skip
        return
    with held():
        from exactune.studies.training import train as run_training

    with TrainingScreen() as screen:
        run = run_training(
            config, patch_files=patch, assignments=assignments, output=output, resume=resume,
            resume_anyway=resume_anyway, overwrite=overwrite,
            say=lambda line: out.print(translate(line), markup=False), display=screen,
        )  # fmt: skip
    if ranks.is_first():
        finish(run)


def show_plan(config: Path, *, output: str | None, **layers: Any) -> None:
    """What would be done, and what it would take."""
    from exactune.describe import describe
    from exactune.estimate import estimate
    from exactune.plan import config_source, make_plan
    from exactune.studies.training import first_of_two

    def tell(lines: Iterable[str]) -> None:
        for line in lines if ranks.is_first() else ():
            out.print(translate(line), markup=False)

    ranks.join()
    source = config_source(config, **layers)
    if source.resolved.config.training.method == "sft+dpo":
        tell([say("step    1 of 3: sft; what it will get wrong is not known yet")])
        source = first_of_two(source)
    plan = make_plan(source, output=output)
    # What is decided can be read while a few steps are tried.
    tell(describe(plan))
    tell(estimate(plan).lines())


def train_auto(config: Path, **options: Any) -> None:
    """The loop of ``--auto``; gates are those of the kept run."""
    with held():
        from exactune.studies.auto import auto

    def tell(line: str) -> None:
        screen.pause()
        out.print(translate(line), markup=False)

    with TrainingScreen() as screen:
        folder = auto(config, say=tell, display=screen, **options)
    document = read_json(folder.file)
    show_loop(document)
    finish(folder.run(document["kept"]), folder.report)


def finish(run: Run, report: Path | None = None) -> None:
    """Show the figures and where they are; a report that is not the run's own is named instead of it."""
    document = read_json(run.metrics)
    show_metrics(document)
    for line in diagnosis_lines(run):
        out.print(line, markup=False)
    out.print(said("run     {run}\nreport  {report}", run=run.path, report=report or run.report), markup=False)
    apply_gates(document)


def diagnosis_lines(run: Run) -> Iterator[str]:
    """The findings of the diagnosis, a line each; what to do about them is in the report."""
    # A run that was finished before there was a diagnosis has none.
    for finding in map(restored, read_json(run.diagnosis) if run.diagnosis.is_file() else ()):
        yield said("finding {code} {name}: {message}", code=finding["code"], name=finding["name"],
                   message=finding["message"])  # fmt: skip


def apply_gates(document: Mapping[str, Any]) -> None:
    """Name the gates that the figures fail; exit code 1 if there are any."""
    from exactune.evaluate.gate import failed_gates

    failures = failed_gates(document.get("gates", {}))
    for failure in failures:
        err.print(said("gate    {failure}", failure=failure), markup=False)
    if failures:
        raise typer.Exit(1)
