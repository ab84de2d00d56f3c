"""What fine-tuning cost elsewhere: general texts and instruction rows, measured on the base and on the tuned model.

Bits per byte of a text are the bits of all its tokens, each predicted once, over its UTF-8 bytes: a unit that does not
depend on the tokenizer. Of instruction rows they are those of the answers and their stop tokens, given the prompts,
over the bytes of the answers; the rows are also answered greedily and freely, and compared by words and as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from exactune.config import Config
from exactune.data.general import GeneralFile
from exactune.evaluate.metrics import CONFIDENCE
from exactune.infer.artifact import Artifact
from exactune.infer.engine import answer_loss, generate
from exactune.render.template import Encoded, Template
from exactune.render.windows import text_windows
from exactune.tasks import TextTask

__all__ = ["bits_per_byte", "measure_forgetting"]

WINDOW = 1024
"""Most tokens of a window: the logits of one are that many times the vocabulary."""

TASK = TextTask()
FIGURES = ("exact_match", "token_f1")


@dataclass(frozen=True, slots=True)
class _Part:
    """One file as ids.

    Attributes:
        file: The file.
        encoded: Windows of its texts, or its instruction rows.
        golds: Answers of the instruction rows.
        bytes: UTF-8 bytes that the ids to predict stand for.
    """

    file: GeneralFile
    encoded: tuple[Encoded, ...]
    golds: tuple[str, ...]
    bytes: int

    @property
    def n(self) -> int:
        """Texts or rows."""
        return len(self.golds) if self.file.rows else len(self.file.texts)

    @property
    def room(self) -> int:
        """Tokens for an answer: half as much again as the longest known one, as the run itself gives."""
        return int(1.5 * max((len(row.answer_ids) for row in self.encoded), default=0)) + 8


def measure_forgetting(
    artifact: Artifact, files: Sequence[GeneralFile], config: Config, *, mixed: int, train: int
) -> dict[str, Any]:
    """The ``general`` block of ``eval/metrics.json``.

    Args:
        artifact: The tuned model.
        files: What to measure.
        config: Of the run: the length of a row, the batch size.
        mixed: How many general rows joined its training, for the record.
        train: How many rows of the task, likewise.

    Returns:
        ``before`` and ``after``: file -> ``bits_per_byte``, ``n`` and, of instruction rows, ``exact_match`` and
        ``token_f1``. ``change``: file -> figure -> its change with a 95 % interval. ``files``: how much of each file
        was measured.

    Raises:
        ModelError: The base is missing or has changed.
    """
    limit = _limit(artifact.model, config.training.max_seq_length)
    parts = [_part(artifact.template, file, limit) for file in files]
    batch_size = config.evaluate.batch_size
    after = [_measure(artifact.model, artifact.template, part, limit, batch_size) for part in parts]
    with artifact.base_model() as base:
        before = [_measure(base, artifact.template, part, limit, batch_size) for part in parts]
    names = [file.name for file in files]
    return {
        "before": {name: _figures(part, one) for name, part, one in zip(names, parts, before, strict=True)},
        "after": {name: _figures(part, one) for name, part, one in zip(names, parts, after, strict=True)},
        "change": {
            name: {figure: paired_change(first[figure], second[figure]) for figure in FIGURES}
            for name, part, first, second in zip(names, parts, before, after, strict=True)
            if part.golds
        },
        "files": {part.file.name: _measured(part) for part in parts},
        "mixed": mixed,
        "train": train,
    }


def _limit(model: torch.nn.Module, longest: int) -> int:
    config: Any = model.config
    return min(longest, getattr(config.get_text_config(), "max_position_embeddings", None) or longest)


def _part(template: Template, file: GeneralFile, limit: int) -> _Part:
    """A file as ids; instruction rows that do not fit are left out, as in training."""
    if not file.rows:
        windows = (window for text in file.texts for window in text_windows(template, text, min(limit, WINDOW)))
        return _Part(file, tuple(windows), (), sum(len(text.encode()) for text in file.texts))
    pairs = [(row.answer, encoded) for row in file.rows if len(encoded := template.encode(row)) <= limit]
    golds = tuple(answer for answer, _ in pairs)
    return _Part(file, tuple(encoded for _, encoded in pairs), golds, sum(len(answer.encode()) for answer in golds))


def _measured(part: _Part) -> dict[str, Any]:
    """How much of a file was measured."""
    plain = part.file.is_plain
    return {
        "sha256": part.file.sha256,
        "unit": "bytes" if plain else "rows",
        "used": part.bytes if plain else part.n,
        "all": part.file.all,
    }


def _measure(
    model: torch.nn.Module, template: Template, part: _Part, limit: int, batch_size: int
) -> dict[str, list[float]]:
    """Bits per byte as a list of one, and the figures of each instruction row."""
    if not part.bytes:
        return {"bits_per_byte": [], **{figure: [] for figure in FIGURES}}
    found: dict[str, list[float]] = {"bits_per_byte": [bits_per_byte(model, part.encoded, part.bytes)]}
    if part.golds:
        room = min(part.room, limit)
        prompts = [row.prompt_ids for row in part.encoded]
        answers = generate(model, template, prompts, max_new_tokens=room, batch_size=batch_size)
        # An answer that is cut at the limit is compared as far as it goes.
        scores = [
            TASK.score(TASK.parse(gold), TASK.parse(answer.text)).counts
            for gold, answer in zip(part.golds, answers, strict=True)
        ]
        found |= {figure: [float(counts[(figure,)]) for counts in scores] for figure in FIGURES}
    return found


def bits_per_byte(model: torch.nn.Module, rows: Sequence[Encoded], size: int) -> float:
    """The bits of all tokens that rows ask for, over the bytes they stand for.

    Args:
        model: A causal language model.
        rows: What to predict is their answers.
        size: In UTF-8 bytes.
    """
    batch_size = max(1, 2 * WINDOW // max(map(len, rows)))
    nats: float = answer_loss(model, rows, batch_size=batch_size) * sum(len(row.answer_ids) for row in rows)
    return nats / math.log(2) / size


def _figures(part: _Part, found: dict[str, list[float]]) -> dict[str, float]:
    means = {name: sum(values) / len(values) for name, values in found.items() if values}
    return {**means, "n": part.n}


def paired_change(
    before: Sequence[float], after: Sequence[float], *, resamples: int = 1000, seed: int = 0
) -> dict[str, float]:
    """The mean difference of two figures of the same rows with its 95 % interval (percentile bootstrap over rows)."""
    differences = np.subtract(after, before)
    drawn = np.random.default_rng(seed).integers(len(differences), size=(resamples, len(differences)))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(differences[drawn].mean(axis=1), [tail, 100 - tail])
    value = float(differences.mean())
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}
