"""A run folder as facts: everything a report says, before it is put into words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from exactune.language import restored
from exactune.report.answers import Table
from exactune.report.curves import Curves, read_curves
from exactune.report.diagnosis import Diagnosis, read_diagnosis
from exactune.report.faults import Examples, Faults, read_faults
from exactune.report.files import RunFiles, integer, mapping, mappings, number, sequence, text
from exactune.report.findings import read_findings
from exactune.report.general import General, read_general
from exactune.report.mistakes import Mistakes, read_mistakes
from exactune.report.reliability import Calibration, read_calibration
from exactune.report.scores import Scores, read_scores
from exactune.report.start import Pairs, Start, read_pairs, read_start
from exactune.rules import Finding, worst_first
from exactune.rundir import Run
from exactune.types import Location

__all__ = ["DataFile", "Environment", "Recipe", "Rejected", "Setting", "View", "read_view"]

State = Literal["scored", "trained", "stopped", "prepared"]

TRAINING = ("training.", "lora", "quantization")
"""What a recipe may set: shown with the recipe; all other settings are listed apart."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of the resolved config."""

    path: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """Why the training values are what they are; ``renamed`` lists settings that were given by another tool's name."""

    rows: int | None
    bracket: str
    reason: str
    renamed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DataFile:
    """One data file as it was read."""

    path: str
    split: str
    rows: int | None
    format: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that could not be used."""

    place: Location
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """On what the run was made."""

    model: str
    parameters: int | None
    trainable: int | None
    device: str
    platform: str
    python: str
    exactune: str
    packages: Mapping[str, str]
    started: str
    minutes: float | None


@dataclass(frozen=True, slots=True)
class View:
    """Everything a report says.

    Attributes:
        name: The run folder's name.
        state: How far the run came: ``prepared`` only, ``stopped`` in training, ``trained``, or ``scored``.
        broken: Files that could not be read, or not to their end.
        task: ``task`` of the config.
        method: ``training.method``.
        began: The run or artifact that training went on from; empty if it began with the base model.
        settings: Training values, those set by someone first.
        others: All other settings.
        splits: Rows by split; empty splits are left out.
        tokens: Means and maximum of tokens per row.
        checkpoint: Name of the newest checkpoint; empty without one.
        examples: The rows that ``faults`` quotes.
        table: The scored rows.
        pairs: The preference pairs that were learned.
        start: The comparison with the run that this one goes on from.
    """

    name: str
    state: State
    broken: tuple[str, ...]
    model: str
    task: Mapping[str, Any]
    method: str
    began: str
    recipe: Recipe
    settings: tuple[Setting, ...]
    others: tuple[Setting, ...]
    splits: Mapping[str, int]
    tokens: Mapping[str, float]
    files: tuple[DataFile, ...]
    rejected: tuple[Rejected, ...]
    diagnosis: Diagnosis | None
    findings: tuple[Finding, ...]
    checkpoint: str
    curves: Curves | None
    scores: Scores | None
    calibration: Calibration | None
    faults: Faults | None
    examples: Examples
    mistakes: Mistakes
    table: Table
    general: tuple[General, ...]
    environment: Environment
    pairs: Pairs | None
    start: Start | None


def read_view(run: Run) -> View:
    """The facts of a run; stages that have not run are empty."""
    files = RunFiles(run)
    config = files.yaml(run.config)
    recipe = restored(mapping(files.json(run.recipe)))
    data = mapping(files.json(run.data))
    metrics = mapping(files.json(run.metrics))
    training = mapping(config.get("training"))
    settings = tuple(_settings(config, mapping(recipe.get("sources"))))
    wanted_figures = mapping(recipe.get("expected")), mapping(config.get("gate")), text(config.get("gate_on"))
    scores = read_scores(metrics, *wanted_figures) if metrics else None
    best = mapping(files.json(run.train_metrics.with_name("best.json")))
    wanted = (text(training.get("metric_for_best")), text(metrics.get("primary")))
    curves = read_curves(files.lines(run.train_metrics), best, wanted)
    environment = _environment(mapping(files.json(run.env)))
    splits = {name: integer(mapping(split).get("rows")) for name, split in mapping(data.get("splits")).items()}
    faults = read_faults(mapping(metrics.get("errors")))
    examples, table = Examples(faults.quoted if faults else frozenset()), Table()
    mistakes = read_mistakes(_seen(files.lines(run.predictions), examples, table))
    tokens = {name: number(value) for name, value in mapping(data.get("tokens")).items()}
    return View(
        name=run.path.resolve().name,
        state="scored" if scores else "trained" if best else "stopped" if curves else "prepared",
        model=environment.model or text(config.get("model")),
        task=mapping(config.get("task")),
        method=text(training.get("method")),
        began=text(config.get("start_from")),
        recipe=_recipe(recipe),
        settings=tuple(sorted((one for one in settings if _is_training(one)), key=lambda one: one.source == "default")),
        others=tuple(one for one in settings if not _is_training(one)),
        splits={name: rows for name, rows in splits.items() if rows},
        tokens={name: value for name, value in tokens.items() if value is not None},
        files=tuple(_data_files(data)),
        rejected=tuple(
            Rejected(
                Location(text(row.get("file")), integer(row.get("line"))),
                text(row.get("reason")),
                text(row.get("detail")),
            )
            for row in map(restored, mappings(data.get("rejected")))
        ),
        diagnosis=read_diagnosis(files.json(run.diagnosis), metrics),
        findings=tuple(worst_first(read_findings(files.json(run.findings)))),
        checkpoint=max((path.name for path in run.checkpoints.glob("step-*")), default=""),
        curves=curves,
        scores=scores,
        calibration=read_calibration(mapping(metrics.get("calibration"))),
        faults=faults,
        examples=examples,
        mistakes=mistakes,
        table=table,
        general=read_general(mapping(metrics.get("general"))),
        environment=environment,
        pairs=read_pairs(data),
        start=read_start(restored(metrics)),
        broken=tuple(files.broken),
    )


def _seen(lines: Iterable[Mapping[str, Any]], *others: Examples | Table) -> Iterator[Mapping[str, Any]]:
    """The lines, shown to others on their way: the file is gone through once."""
    for line in lines:
        for other in others:
            other.add(line)
        yield line


def _is_training(setting: Setting) -> bool:
    return setting.path.startswith(TRAINING)


def _settings(node: Mapping[str, Any], sources: Mapping[str, Any], prefix: str = "") -> Iterator[Setting]:
    """Every leaf of the config; what has no value says nothing and is left out."""
    for key, value in node.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and path != "task.schema" and path not in ("gate", "data.columns"):
            yield from _settings(value, sources, f"{path}.")
        elif value not in (None, "", [], {}) or path == "lora":
            yield Setting(path, value, _source(path, sources))


def _source(path: str, sources: Mapping[str, Any]) -> str:
    """Where a value came from; a parent's source holds for its children."""
    while path:
        if path in sources:
            return text(sources[path])
        path = path.rpartition(".")[0]
    return "default"


def _recipe(document: Mapping[str, Any]) -> Recipe:
    return Recipe(
        rows=integer(document.get("rows")),
        bracket=text(document.get("bracket")),
        reason=text(document.get("reason")),
        renamed=tuple(map(text, sequence(document.get("renamed")))),
    )


def _data_files(data: Mapping[str, Any]) -> Iterator[DataFile]:
    for file in mappings(data.get("files")):
        yield DataFile(
            text(file.get("path")),
            text(file.get("split")),
            integer(file.get("rows")),
            text(file.get("format")),
            text(file.get("sha256")),
        )


def _environment(document: Mapping[str, Any]) -> Environment:
    model = mapping(document.get("model"))
    device = document.get("device")
    return Environment(
        model=text(model.get("name")),
        parameters=integer(model.get("parameters")),
        trainable=integer(model.get("trainable_parameters")),
        device=", ".join(map(text, sequence(device))) if isinstance(device, list) else text(device),
        platform=text(document.get("platform")),
        python=text(document.get("python")),
        exactune=text(document.get("exactune")),
        packages={name: text(version) for name, version in mapping(document.get("packages")).items() if version},
        started=text(document.get("started")),
        minutes=number(document.get("minutes")),
    )
