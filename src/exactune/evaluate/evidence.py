"""What a run's figures are explained by: answers to training rows, doubtful labels, shift and overlap of the splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from exactune.config import Config
from exactune.data.split import stratified_slice
from exactune.evaluate.doubts import find_doubts
from exactune.evaluate.evaluation import Evaluation, blocks
from exactune.evaluate.overlap import find_overlap
from exactune.evaluate.shift import find_shift
from exactune.infer.answers import Answer
from exactune.infer.artifact import Artifact
from exactune.rundir import Run, write_jsonl
from exactune.types import Example

__all__ = ["answer_blocks", "gather_evidence"]


def gather_evidence(
    run: Run,
    config: Config,
    artifact: Artifact,
    evaluation: Evaluation,
    rows: Sequence[Example],
    train: Sequence[Example],
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """The blocks ``train``, ``doubts``, ``shift`` and ``overlap`` of ``eval/metrics.json``, where there is anything.

    Writes ``train/predictions.jsonl``, the artifact's answers to a slice of the training rows.

    Args:
        run: The run.
        config: Its config.
        artifact: Its artifact.
        evaluation: Has scored ``rows``.
        rows: The run's scored rows.
        train: Its training rows.
        advance: Called with the number of rows just answered.
    """
    task, seed = artifact.task, config.training.seed
    asked = stratified_slice(train, config.evaluate.train_rows, seed)
    answers: dict[str, Answer] = {}
    known = Evaluation(task, "train", {})

    def lines() -> Iterator[dict[str, Any]]:
        for part, found in answer_blocks(artifact, asked, config.evaluate.batch_size, advance):
            answers.update(zip((row.id for row in part), found, strict=True))
            yield from known.add(part, found)

    if asked:
        write_jsonl(run.train_predictions, lines())
    found = {
        "train": known.plain() if asked else None,
        "doubts": find_doubts(task, train, answers, seed),
        "shift": find_shift(task, train, rows, seed),
        "overlap": find_overlap(evaluation, train, rows),
    }
    return {name: block for name, block in found.items() if block is not None}


def answer_blocks(
    artifact: Artifact, rows: Sequence[Example], batch_size: int, advance: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[Sequence[Example], list[Answer]]]:
    """The rows block by block, with the artifact's answers."""
    for part in blocks(rows, batch_size):
        yield part, artifact.answer([row.prompt for row in part], batch_size=batch_size, advance=advance)
