"""Which baselines an evaluation has, and why others are missing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from exactune.config import Config
from exactune.data.split import stratified_slice
from exactune.errors import ConfigError, ModelError, TemplateError
from exactune.evaluate.baselines import FITTING, LEARNT, PROMPTED, constant
from exactune.evaluate.evaluation import Baseline
from exactune.evaluate.prompting import choose_shots, prompted
from exactune.infer.artifact import Artifact
from exactune.language import say
from exactune.tasks import Parsed, Task
from exactune.types import Example

__all__ = ["Contest", "enter", "wanted_baselines"]

SURVEYED = 5000
"""Most rows among which those for the base model are chosen."""


@dataclass(frozen=True, slots=True)
class Contest:
    """The baselines of one evaluation.

    Attributes:
        baselines: By name, in the order of :data:`~exactune.evaluate.baselines.FITTING`.
        left_out: Name -> why it has no answers.
    """

    baselines: dict[str, Baseline] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def wanted_baselines(task: Task, config: Config) -> list[str]:
    """The names of the baselines that a config asks for.

    Raises:
        ConfigError: It names one that has nothing to say to this task.
    """
    fitting, asked = FITTING[task.type], config.evaluate.baselines
    for name in asked:
        if name not in (*fitting, "auto"):
            raise ConfigError(
                say(
                    "`evaluate.baselines`: `{name}` is no baseline of a {type} task. Choose from {names}.",
                    name=name,
                    type=task.type,
                    names=", ".join(fitting),
                )
            )
    return [name for name in fitting if "auto" in asked or name in asked]


def enter(
    artifact: Artifact,
    config: Config,
    rows: Sequence[Example],
    train: Sequence[Example] | None,
    advance: Callable[[int], None] = lambda _: None,
) -> Contest:
    """Fit, or ask beforehand, what the artifact is compared with.

    Args:
        artifact: Its card has the most frequent training answer.
        config: Of the run.
        rows: The rows to be scored; the base model answers a slice of them.
        train: The run's training rows; None if they are gone or have changed.
        advance: Called with the number of rows just answered.
    """
    contest = Contest()
    wanted = wanted_baselines(artifact.task, config)
    for name in wanted:
        if name == "majority":
            contest.baselines[name] = constant(artifact.task, artifact.card["majority"])
        elif train is None and name != "zero_shot":
            contest.left_out[name] = say("the training rows are gone or have changed")
        elif name in LEARNT and train is not None:
            contest.baselines[name] = LEARNT[name](artifact.task, train)
    asked = [name for name in wanted if name in PROMPTED and name not in contest.left_out]
    if asked:
        _ask(contest, asked, artifact, config, rows, train or (), advance)
    return contest


def _ask(
    contest: Contest,
    names: Sequence[str],
    artifact: Artifact,
    config: Config,
    rows: Sequence[Example],
    train: Sequence[Example],
    advance: Callable[[int], None],
) -> None:
    """Let the base model answer a slice of the rows."""
    settings, seed = config.evaluate, config.training.seed
    part = _slice(rows, settings.rows, seed)
    try:
        with artifact.base_model() as model:
            for name in names:
                shots: list[Example] = []
                if name == "few_shot":
                    limit = config.training.max_seq_length
                    shots = choose_shots(artifact, train, part, shots=settings.shots, limit=limit, seed=seed)
                    if not shots:
                        contest.left_out[name] = say(
                            "no training row fits before the longest question within training.max_seq_length ({limit})",
                            limit=limit,
                        )
                        continue
                try:
                    answers = prompted(
                        artifact, model, part, shots, batch_size=settings.batch_size, advance=advance
                    )  # fmt: skip
                except TemplateError as error:
                    contest.left_out[name] = str(error)
                    continue
                contest.baselines[name] = _looked_up(answers)
    except ModelError as error:
        contest.left_out.update({name: str(error) for name in names if name not in contest.baselines})


def _slice(rows: Sequence[Example], most: int, seed: int) -> tuple[Example, ...]:
    """A seeded, stratified slice; of many rows, of as many of them as are held in memory."""
    if len(rows) > max(SURVEYED, most):
        drawn = set(random.Random(seed).sample(range(len(rows)), max(SURVEYED, most)))
        rows = [row for number, row in enumerate(rows) if number in drawn]
    return stratified_slice(rows, most, seed)


def _looked_up(answers: Mapping[str, Parsed]) -> Baseline:
    return lambda rows: [answers.get(row.id) for row in rows]
