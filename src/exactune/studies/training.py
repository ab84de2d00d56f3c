"""Training by any method: one run, or for ``sft+dpo`` two, with pairs mined from the first one's mistakes between."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exactune import ranks
from exactune.config import Config
from exactune.errors import ConfigError
from exactune.evaluate.against import compare_runs
from exactune.language import say
from exactune.pipeline import Say, train_planned
from exactune.plan import Source, config_source, make_plan
from exactune.rundir import Run, read_jsonl
from exactune.studies.mine import PAIRS, mine
from exactune.train.fit import Display
from exactune.types import Patch
from exactune.verdicts import against_run

__all__ = ["first_of_two", "second_of_two", "train"]

IN_TWO = "sft+dpo"
OF_THE_FIRST = ("training.num_epochs", "training.learning_rate", "training.method")
"""What a config says of supervised fine-tuning, and not of what comes after it."""


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

    Under ``torchrun`` every process calls it, and has the finished run when it returns.

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

    Returns:
        The run. Of ``sft+dpo`` the second one; the first one where it has made no mistake to learn from.

    Raises:
        ExactuneError: Something the user must change; before training nothing is written.
        Interrupted: Stopped by a signal; says what was saved and how to go on.
    """
    ranks.join()
    source = config_source(config, patch_files=patch_files, assignments=assignments)
    options: dict[str, Any] = {
        "resume": resume, "resume_anyway": resume_anyway, "overwrite": overwrite, "say": say, "display": display,
    }  # fmt: skip
    if source.resolved.config.training.method == IN_TWO:
        return _in_two(source, Path(output or source.resolved.config.output_dir), say, display, options)
    return train_planned(lambda: make_plan(source, output=output), **options)


def _in_two(source: Source, output: Path, tell: Say, display: Display | None, options: dict[str, Any]) -> Run:
    if ranks.count() > 1:
        raise ConfigError(
            say(
                "`training.method: sft+dpo` trains in one process, and this launch has {ranks}. Train with `sft`, then "
                "`exactune mine`, then train with `dpo`.",
                ranks=ranks.count(),
            )
        )
    first = Run(output.with_name(f"{output.name}-sft"))
    resumes = options["resume"] or options["resume_anyway"]
    if not resumes:
        for run in (first, Run(output)):
            run.ensure_free(overwrite=options["overwrite"])
    tell(say("step    1 of 3: sft in {run}", run=first.path))
    train_planned(lambda: make_plan(first_of_two(source), output=str(first.path)), **options)
    tell(say("step    2 of 3: pairs of its mistakes"))
    file = first.mine / PAIRS
    if resumes and Run(output).config.is_file() and file.is_file():
        # What a run has begun to learn from is not mined anew under it, whatever the settings are now.
        pairs = sum(1 for _ in read_jsonl(file))
    else:
        # By the settings as they are now: a first run that is resumed has those that it began with.
        pairs = mine(first, settings=source.resolved.config.mine, say=tell, display=display).pairs
    if not pairs:
        tell(
            say(
                "step    3 of 3: no mistake makes a pair, so there is nothing for dpo to learn: keep {run}",
                run=first.path,
            )
        )
        return first
    tell(say("step    3 of 3: dpo of {pairs} pairs in {run}", pairs=pairs, run=output))
    second = second_of_two(source, first, file)
    run = train_planned(lambda: make_plan(second, output=str(output)), **options)
    tell(say("verdict {verdict}", verdict=against_run(compare_runs(run, first))))
    return run


def first_of_two(source: Source) -> Source:
    """The supervised fine-tuning of ``sft+dpo``."""
    return replace(source, patches=(*source.patches, Patch({"training.method": "sft"}, IN_TWO)))


def second_of_two(source: Source, first: Run, pairs: Path) -> Source:
    """The preference training of ``sft+dpo``: from the first run, on its pairs, scored on its rows.

    Args:
        source: Of the whole.
        first: The finished first run.
        pairs: Mined from it.
    """
    settings = source.resolved.config.dpo
    here = os.path.realpath(source.folder)
    values: dict[str, Any] = {
        "training.method": "dpo",
        "start_from": os.path.relpath(os.path.realpath(first.path), here),
        "data": {"train": [os.path.relpath(os.path.realpath(pairs), here)]},
    }
    if settings.num_epochs is not None:
        values["training.num_epochs"] = settings.num_epochs
    if settings.learning_rate is not None:
        values["training.learning_rate"] = settings.learning_rate
    return replace(source, patches=(*map(_without_first, source.patches), Patch(values, IN_TWO)))


def _without_first(patch: Patch) -> Patch:
    """A layer without what it says of rows, of an adapter that there is by now, and of the first training."""
    return replace(
        patch,
        values={
            key: value for key, value in patch.values.items()
            if key not in OF_THE_FIRST and key.partition(".")[0] not in ("data", "task", "model", "model_revision")
            and key not in ("lora.r", "lora.lora_alpha", "lora.target_modules")
        },
    )  # fmt: skip
