"""The base model as a baseline: without examples, and with some as earlier turns of the conversation.

It answers under the same constraint as the fine-tuned one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from exactune.data.split import stratified_slice
from exactune.infer.answers import Answer
from exactune.infer.artifact import Artifact
from exactune.tasks import Parsed
from exactune.types import Example, Message

__all__ = ["ask", "choose_shots", "prompted"]


def choose_shots(
    artifact: Artifact, train: Sequence[Example], rows: Sequence[Example], *, shots: int, limit: int, seed: int
) -> list[Example]:
    """Training rows to show before each question, a seeded, stratified slice; those that there is no room for are left
    out.

    Args:
        artifact: Whose template and limits hold.
        train: The training rows.
        rows: The questions.
        shots: How many are wanted.
        limit: Most tokens of a prompt and its answer.
        seed: Of the slice.
    """
    tokens = artifact.template.prompt_ids
    longest = max((len(tokens(row.prompt)) for row in rows), default=0)
    positions = getattr(artifact.model.config.get_text_config(), "max_position_embeddings", None)
    room = min(limit, positions or limit) - longest - artifact.answering.max_new_tokens
    chosen: list[Example] = []
    for shot in stratified_slice(train, shots, seed):
        cost = len(tokens(shot.prompt)) + len(artifact.template.answer_ids(shot.answer))
        if cost <= room:
            chosen.append(shot)
            room -= cost
    return chosen


def prompted(
    artifact: Artifact,
    model: torch.nn.Module,
    rows: Sequence[Example],
    shots: Sequence[Example],
    *,
    batch_size: int,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Parsed]:
    """The answers of a model to some rows, by their ids; arguments are those of :func:`ask`."""
    answers = ask(artifact, model, rows, shots, batch_size=batch_size, advance=advance)
    return {row.id: answer.parsed for row, answer in zip(rows, answers, strict=True)}


def ask(
    artifact: Artifact,
    model: torch.nn.Module,
    rows: Sequence[Example],
    shots: Sequence[Example],
    *,
    batch_size: int,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Answer]:
    """The answers of a model to some rows, in order.

    Args:
        artifact: How prompts are written and answers read.
        model: The base model.
        rows: What is asked.
        shots: Rows with their answers that stand before each question.
        batch_size: Rows answered together.
        advance: Called with the number of rows just answered.
    """
    prompts = [artifact.template.prompt_ids(_with_shots(row.prompt, shots)) for row in rows]
    return artifact.answering(
        model, prompts, sources=[row.input for row in rows],
        batch_size=batch_size, tolerance=torch.inf, advance=advance,
    )  # fmt: skip


def _with_shots(prompt: Sequence[Message], shots: Sequence[Example]) -> list[Message]:
    """The system message, the shots as turns that were answered, then the question."""
    system, *turns = prompt
    earlier = [turn for shot in shots for turn in (*shot.prompt[1:], Message("assistant", shot.answer))]
    return [system, *earlier, *turns]
