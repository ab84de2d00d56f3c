"""What is done with a finished run: load its artifact, evaluate it, predict with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from exactune.config import PREFERENCE, Config
from exactune.data.general import GeneralFile, load_general
from exactune.data.inputs import read_inputs
from exactune.data.load import load as load_rows
from exactune.errors import ConfigError, DataError, RunError
from exactune.evaluate.calibration import Confidences
from exactune.evaluate.contest import enter
from exactune.evaluate.evaluation import Evaluation
from exactune.evaluate.evidence import answer_blocks, gather_evidence
from exactune.evaluate.gate import judge_gates
from exactune.evaluate.general import measure_forgetting
from exactune.evaluate.start import against_start, find_length
from exactune.infer.answers import Answer
from exactune.infer.artifact import Artifact, load_artifact
from exactune.language import say, stored
from exactune.layers import read_patch, resolve
from exactune.rundir import Run, read_json, write_json, write_jsonl
from exactune.types import Example
from exactune.used import IN_MEMORY, run_of, used_rows

__all__ = ["calibrate", "evaluate", "load", "predict"]


def load(path: str | Path) -> Artifact:
    """The artifact of a run folder, or an artifact folder itself, ready to ``predict``.

    Raises:
        ExactuneError: There is none, its base is missing or changed, or its tokenizer behaves differently now.
    """
    folder = Path(path)
    Run(folder).refuse_several()
    return load_artifact(Run(folder).artifact if Run(folder).config.is_file() else folder)


def evaluate(
    run: Run | str | Path,
    *,
    data: str | Path | None = None,
    artifact: Artifact | None = None,
    rows: tuple[str, Sequence[Example]] | None = None,
    train: Sequence[Example] | None = None,
    general: Sequence[GeneralFile] | None = None,
    answers: Sequence[Answer] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Answer and score the run's test rows (eval rows if it has none), or the rows of another file.

    The run's own rows are the very ones of training time, by id; their figures are written to ``eval/``, with what
    tells why they are as they are (:mod:`exactune.evaluate.evidence`).

    Args:
        run: A run or its folder.
        data: Another data file; its figures are returned, not stored.
        artifact: The run's artifact, where it is loaded already.
        rows: Name and rows of the run's split, where they are loaded already.
        train: The rows that taught the run its task, where they are; what baselines are made of.
        general: What forgetting is measured on, where it is loaded already.
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
    if rows is None and data is None:
        used = used_rows(run, config)
        rows, train = used.splits.scored, used.known
    elif rows is None:
        rows, train = (str(data), _other_rows(str(data), config, artifact.card["columns"])), _train_rows(run, config)
    split, examples = rows
    contest = enter(artifact, config, examples, train, advance)
    evaluation, confidences = Evaluation(artifact.task, split, contest.baselines), Confidences()
    size = config.evaluate.batch_size
    answered = answer_blocks(artifact, examples, size, advance) if answers is None else [(examples, answers)]
    lines = _lines(answered, evaluation, confidences)
    if data is None:
        write_jsonl(run.predictions, lines)
    else:
        # Nobody asked for these lines, only for what they add up to.
        deque(lines, maxlen=0)
    document = evaluation.document()
    if block := confidences.block(artifact.calibration, fitted_on_these=data is None and split == "eval"):
        document["calibration"] = block
    if contest.left_out:
        document["baselines_left_out"] = contest.left_out
    if data is None:
        if config.evaluate.general:
            files = load_general(config, run.path) if general is None else general
            counts = {name: part["rows"] for name, part in read_json(run.data)["splits"].items()}
            document["general"] = measure_forgetting(
                artifact, files, config, mixed=counts["mix"], train=counts["train"]
            )
        document |= gather_evidence(run, config, artifact, evaluation, examples, train or (), advance)
        document |= _beside_start(run, config, examples)
        document["gates"] = judge_gates(config.gate, config.gate_on, document["metrics"])
    if contest.left_out or "left_out" in document.get("start", {}):
        document = stored(document, *(key for key in ("baselines_left_out", "start") if key in document))
    if data is None:
        write_json(run.metrics, document)
    return document


def _beside_start(run: Run, config: Config, rows: Sequence[Example]) -> dict[str, Any]:
    """What has changed since the run that it goes on from: ``start`` and, of preference methods, ``length``."""
    start = run_of(run.path / config.start_from) if config.start_from else None
    found = {
        "start": against_start(run, start, config.start_from) if start and config.start_from else None,
        "length": find_length(run, start, rows) if config.training.method in PREFERENCE else None,
    }
    return {name: block for name, block in found.items() if block is not None}


def _lines(
    answered: Iterable[tuple[Sequence[Example], Sequence[Answer]]], evaluation: Evaluation, confidences: Confidences
) -> Iterator[dict[str, Any]]:
    """The lines of ``eval/predictions.jsonl``, scored as they come."""
    for part, answers in answered:
        lines = evaluation.add(part, answers)
        confidences.add(answers, [line["correct"] for line in lines])
        yield from lines


def calibrate(run: Run, artifact: Artifact, config: Config, rows: Sequence[Example]) -> tuple[Artifact, list[Answer]]:
    """Scale the artifact's confidences by its answers to the eval rows, on disk too; those answers, scaled."""
    confidences, task, answers = Confidences(), artifact.task, []
    for part, found in answer_blocks(artifact, rows, config.evaluate.batch_size):
        scores = [
            task.score(task.parse(row.answer), one.parsed, row.input) for row, one in zip(part, found, strict=True)
        ]
        confidences.add(found, [score.correct for score in scores])
        answers += found
    artifact = artifact.with_calibration(run.artifact, confidences.fit())
    return artifact, artifact.calibrated(answers)


def _train_rows(run: Run, config: Config) -> Sequence[Example] | None:
    """The rows that a run was trained on; None where its files are gone or have changed."""
    try:
        return used_rows(run, config).known
    except (RunError, DataError):
        return None


def _other_rows(path: str, config: Config, columns: Mapping[str, str]) -> Sequence[Example]:
    """The rows of another file, read as the run's own were: same columns, same instruction."""
    only = {"train": [path], "eval": [], "test": [], "mix": []}
    alone = {
        "data": config.data.model_copy(update=only), "evaluate": config.evaluate.model_copy(update={"general": []})
    }  # fmt: skip
    loaded = load_rows(config.model_copy(update=alone), Path(), columns, in_memory=IN_MEMORY)
    if loaded.rejected:
        raise DataError(say("{path}: rows cannot be read, so nothing was scored.", path=path), loaded.rejected)
    return loaded.splits.train


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
