"""What is done with a finished run: load its artifact, evaluate it, predict with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from exactune.config import Config
from exactune.data.inputs import read_inputs
from exactune.data.load import Loaded
from exactune.data.load import load as load_rows
from exactune.errors import ConfigError, DataError, RunError
from exactune.evaluate.calibration import Confidences
from exactune.evaluate.evaluation import Evaluation, evaluate_answers
from exactune.infer.answers import Answer
from exactune.infer.artifact import Artifact, load_artifact
from exactune.language import say
from exactune.layers import read_patch, resolve
from exactune.rundir import Run, read_json, write_json, write_jsonl
from exactune.types import Example

__all__ = ["calibrate", "changed_files", "evaluate", "load", "predict"]


def load(path: str | Path) -> Artifact:
    """The artifact of a run folder, or an artifact folder itself, ready to ``predict``.

    Raises:
        ExactuneError: There is none, its base is missing or changed, or its tokenizer behaves differently now.
    """
    folder = Path(path)
    return load_artifact(Run(folder).artifact if Run(folder).config.is_file() else folder)


def evaluate(
    run: Run | str | Path,
    *,
    data: str | Path | None = None,
    artifact: Artifact | None = None,
    rows: tuple[str, Sequence[Example]] | None = None,
    answers: Sequence[Answer] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Answer and score the run's test rows (eval rows if it has none), or the rows of another file.

    The run's own rows are the very ones of training time, by id; their figures are written to ``eval/``.

    Args:
        run: A run or its folder.
        data: Another data file; its figures are returned, not stored.
        artifact: The run's artifact, where it is loaded already.
        rows: Name and rows of the run's split, where they are loaded already.
        answers: The artifact's answers to them, where they are known already.
        advance: Called with the number of rows just answered.

    Returns:
        The document of ``eval/metrics.json``.

    Raises:
        ExactuneError: The run has no artifact, or its data files are gone or have changed.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    config = resolve([read_patch(run.config)]).config
    artifact = artifact or load(run.path)
    if rows is None:
        rows = (
            _run_rows(run, config)
            if data is None
            else (str(data), _other_rows(str(data), config, artifact.card["columns"]))
        )
    split, examples = rows
    if answers is None:
        answers = _answers(artifact, config, examples, advance)
    baselines = {"majority": [artifact.card["majority"]] * len(examples)}
    result = evaluate_answers(artifact.task, split, examples, answers, baselines)
    confidences = Confidences()
    confidences.add(answers, [line["correct"] for line in result.predictions])
    if block := confidences.block(artifact.calibration, fitted_on_these=data is None and split == "eval"):
        result.metrics["calibration"] = block
    if data is None:
        _store(run, result)
    return result.metrics


def _answers(
    artifact: Artifact, config: Config, rows: Sequence[Example], advance: Callable[[int], None] = lambda _: None
) -> list[Answer]:
    return artifact.answer([row.prompt for row in rows], batch_size=config.evaluate.batch_size, advance=advance)


def calibrate(run: Run, artifact: Artifact, config: Config, rows: Sequence[Example]) -> tuple[Artifact, list[Answer]]:
    """Scale the artifact's confidences by its answers to the eval rows, on disk too; those answers, scaled."""
    answers, confidences, task = _answers(artifact, config, rows), Confidences(), artifact.task
    confidences.add(
        answers,
        [task.score(task.parse(row.answer), one.parsed).correct for row, one in zip(rows, answers, strict=True)],
    )
    artifact = artifact.with_calibration(run.artifact, confidences.fit())
    return artifact, artifact.calibrated(answers)


def _store(run: Run, result: Evaluation) -> None:
    write_jsonl(run.predictions, result.predictions)
    write_json(run.metrics, result.metrics)


def changed_files(run: Run, loaded: Loaded) -> list[str]:
    """Files that are not what they were when the run began, by name: changed, new, gone or used for another split."""
    then = {(file["split"], file["sha256"]): file["path"] for file in read_json(run.data)["files"]}
    now = {(file.split, file.sha256): file.path for file in loaded.files}
    return sorted({{**then, **now}[key] for key in then.keys() ^ now.keys()})


def _run_rows(run: Run, config: Config) -> tuple[str, list[Example]]:
    """Name and rows of the split that final figures are taken on.

    Raises:
        RunError: A data file is not what it was.
    """
    record = read_json(run.data)
    loaded = load_rows(config, run.path)
    changed = changed_files(run, loaded)
    if changed:
        raise RunError(
            say(
                "{names} changed since the run, so its figures cannot be repeated. Restore the file, or "
                "score the new rows with --data FILE.",
                names=", ".join(changed),
            )
        )
    by_id = {row.id: row for part in (loaded.splits.train, loaded.splits.eval, loaded.splits.test) for row in part}
    split = "test" if record["splits"]["test"]["rows"] else "eval"
    return split, [by_id[name] for name in record["splits"][split]["ids"]]


def _other_rows(path: str, config: Config, columns: Mapping[str, str]) -> list[Example]:
    """The rows of another file, read as the run's own were: same columns, same instruction."""
    only = {"train": [path], "eval": [], "test": [], "mix": []}
    loaded = load_rows(config.model_copy(update={"data": config.data.model_copy(update=only)}), Path(), columns)
    if loaded.rejected:
        raise DataError(say("{path}: rows cannot be read, so nothing was scored.", path=path), loaded.rejected)
    return list(loaded.splits.train)


def predict(
    run: str | Path | Artifact,
    rows: str | Path | Sequence[str | Sequence[Mapping[str, str]]],
    *,
    batch_size: int = 32,
    abstain_below: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Answer new inputs.

    Args:
        run: A run folder, an artifact folder, or a loaded artifact.
        rows: A data file (its answers, if any, are not looked at), or texts or message lists.
        batch_size: Rows answered together; results come sixteen times as many at a time.
        abstain_below: A confidence. Rows below it get no prediction: ``abstained`` is true and ``prediction`` null, and
            what the answer would have been stays in ``answer``, with its own status.

    Yields:
        ``{"id", "answer", "prediction", "status", "confidence"}`` per row, in order, and ``abstained`` where
        ``abstain_below`` is given.

    Raises:
        ConfigError: ``abstain_below`` is no probability.
        ExactuneError: The artifact or the rows cannot be read.
    """
    if abstain_below is not None and not 0 <= abstain_below <= 1:
        raise ConfigError(say("`abstain_below` is {value}; a confidence from 0 to 1 is needed.", value=abstain_below))
    artifact = run if isinstance(run, Artifact) else load(run)
    inputs: list[tuple[str, str | Sequence[Mapping[str, str]]]]
    if isinstance(rows, (str, Path)):
        inputs = [*read_inputs(Path(rows), artifact.card["columns"])]
    else:
        inputs = [(str(number), row) for number, row in enumerate(rows, 1)]
    # What all prompts begin with is read once for each part.
    for start in range(0, len(inputs), 16 * batch_size):
        part = inputs[start : start + 16 * batch_size]
        answers = artifact.predict([row for _, row in part], batch_size=batch_size)
        for (name, _), answer in zip(part, answers, strict=True):
            yield {"id": name, **(answer if abstain_below is None else _abstaining(answer, abstain_below))}


def _abstaining(answer: dict[str, Any], least: float) -> dict[str, Any]:
    """The same answer without its prediction if it is less sure than it has to be."""
    abstained = answer["confidence"] < least
    return {**answer, **({"prediction": None} if abstained else {}), "abstained": abstained}
