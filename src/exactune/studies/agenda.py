"""What a comparison is going to do: its rows, its runs and their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exactune import ranks
from exactune.config import Config
from exactune.errors import ConfigError
from exactune.language import Text, say
from exactune.plan import Plan, Source, config_source, make_plan
from exactune.studies.comparison import PAIRED, REFERENCE, ComparisonFolder, folder_name
from exactune.types import Patch

__all__ = ["Agenda", "describe", "doing", "make_agenda"]


@dataclass(frozen=True, slots=True)
class Agenda:
    """A comparison that can start.

    Attributes:
        source: The user's layers, as supervised fine-tuning.
        plan: What they lead to.
        folder: Where the runs go.
    """

    source: Source
    plan: Plan
    folder: ComparisonFolder

    def jobs(self) -> Iterator[tuple[str, int | None]]:
        """What is done, in order, with its seed; ``pairs`` are mined where a method needs them."""
        methods = self.plan.config.compare.methods
        for number, seed in enumerate(dict.fromkeys(self.plan.config.compare.seeds)):
            yield REFERENCE, seed
            if not number and "base" in methods:
                yield "base", None
            if "kshot" in methods:
                yield "kshot", seed
            if set(PAIRED) & set(methods):
                yield "pairs", seed
            yield from ((name, seed) for name in PAIRED if name in methods)


def make_agenda(
    config: Config | str | Path, patch_files: Sequence[str | Path], assignments: Sequence[str], output: str | None
) -> Agenda:
    """Decide everything about a comparison.

    Args:
        config: A config file or object.
        patch_files: As for :func:`exactune.train`.
        assignments: The same.
        output: Folder of all runs instead of ``output_dir``.

    Raises:
        ExactuneError: They cannot be compared.
    """
    ranks.join()
    source = config_source(config, patch_files=patch_files, assignments=assignments)
    settings = source.resolved.config
    if ranks.count() > 1:
        raise ConfigError(
            say(
                "`exactune compare` trains in one process at a time, and this launch has {ranks}. Start it without "
                "torchrun.",
                ranks=ranks.count(),
            )
        )
    if settings.start_from is not None:
        raise ConfigError(
            say("`start_from`: the methods are compared from the base model on, so that all start alike. Remove it.")
        )
    if REFERENCE not in settings.compare.methods:
        raise ConfigError(say("`compare.methods`: the others are held against `sft`. Add it."))
    values: dict[str, Any] = {"training.method": REFERENCE}
    if not (settings.data.test or settings.data.test_fraction):
        # The eval rows choose the weights, so their figures are too good.
        values["data.test_fraction"] = settings.data.eval_fraction
    source = replace(source, patches=(*source.patches, Patch(values, "compare")))
    folder = ComparisonFolder(Path(output or settings.output_dir))
    first = folder.path / folder_name(REFERENCE, settings.compare.seeds[0])
    return Agenda(source, make_plan(source, output=str(first)), folder)


def describe(agenda: Agenda) -> Iterator[Text]:
    """What would be done, a line each."""
    plan = agenda.plan
    yield say(
        "data    {train} train, {eval} eval, {test} test rows, the same for all",
        train=len(plan.splits.train),
        eval=len(plan.splits.eval),
        test=len(plan.splits.test),
    )
    yield say("task    {task}", task=plan.task.describe())
    yield say(
        "train   {base}, {epochs} epochs of sft and orpo, rate {rate:g} of sft; what is not set goes by method",
        base=plan.base.name,
        epochs=plan.config.training.num_epochs,
        rate=plan.config.training.learning_rate,
    )
    known = agenda.folder.read()
    for method, seed in agenda.jobs():
        entry = known.of(method, seed)
        done = say(" (done)") if entry and entry.state == "done" else ""
        yield say("run     {what}{done}", what=doing(method, seed, plan), done=done)


def doing(method: str, seed: int | None, plan: Plan) -> Text:
    """A run in words."""
    words = {
        "base": say("the base model answers"),
        "kshot": say("seed {seed}: the base model answers with {shots} examples", seed=seed,
                     shots=plan.config.evaluate.shots),
        "sft": say("seed {seed}: sft", seed=seed),
        "pairs": say("seed {seed}: pairs are mined from the mistakes of sft, in {folds} folds", seed=seed,
                     folds=plan.config.mine.folds),
        "sft+dpo": say("seed {seed}: dpo of these pairs, from sft on", seed=seed),
        "orpo": say("seed {seed}: orpo of the same rows with these pairs, from the base on", seed=seed),
    }  # fmt: skip
    return words[method]
