"""Folders that leave a run: written complete or not at all, loaded again, and scored."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from exactune.durable import replaced_dir
from exactune.errors import ExactuneError, ModelError, RunError
from exactune.evaluate.evaluation import point_metrics
from exactune.export.merge import merge
from exactune.infer.artifact import CARD, Artifact, load_artifact, read_card, save_whole
from exactune.language import say
from exactune.render.batch import dtype_of
from exactune.rundir import read_json, unwritable, write_json
from exactune.types import Example

__all__ = ["TOLERANCE", "Merged", "export_copy", "export_merged"]

TOLERANCE = 0.005
"""Of the task's metric, either way: half a point, what a reader of two figures takes for the same. Merging rounds each
weight once, which moves an answer only where two were about as probable; a wrong base or a lost tensor moves many."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What is known of a merged model.

    Attributes:
        to: ``merged``.
        quantization: Of the base that the adapter was trained beside.
        dtype: Of the weights.
        metric: The task's primary metric.
        adapter: What the adapter scores.
        merged: What the merged model scores, loaded again.
        split: Of the rows that both answered.
        rows: How many.
        differ: To how many of them the two answer otherwise.
        golden: How many golden prompts gave the ids of training again.
    """

    to: str
    quantization: str
    dtype: str
    metric: str
    adapter: float
    merged: float
    split: str
    rows: int
    differ: int
    golden: int


def export_copy(source: Path, target: Path) -> None:
    """An artifact as it is, but for its card, which says so.

    Raises:
        RunError: There is no artifact, ``target`` holds something else or cannot be written, or the copy reads back
            otherwise.
        ExactuneError: The copy cannot be loaded.
    """
    card = read_card(source)
    with _own(target, card) as folder:
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            copy = folder / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            if _digest(file) != _digest(copy):
                raise RunError(say("{path} was copied, but reads back otherwise. Look after the disk.", path=file))
        write_json(folder / CARD, {**card, "export": {"to": "adapter"}})
        load_artifact(folder)


def export_merged(
    source: Path,
    target: Path,
    split: str,
    rows: Sequence[Example],
    *,
    batch_size: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Merged:
    """One model of an adapter and its base, that scores as they do.

    Args:
        source: The adapter's folder.
        target: Where to.
        split: Name of the rows.
        rows: What both answer.
        batch_size: Rows answered together.
        advance: Called with the number of rows just answered.

    Raises:
        RunError: There is no artifact, or ``target`` holds something else or cannot be written.
        ModelError: The merged model scores otherwise; nothing is left of it.
    """
    artifact = load_artifact(source)
    card = dict(artifact.card)
    with _own(target, card) as folder:
        answers, before = _score(artifact, rows, batch_size, advance)
        dtype = _stored_in(artifact)
        save_whole(folder, merge(artifact.model, dtype), artifact.template)
        own = {"adapter": False, "quantization": "none", "dtype": _name(dtype), "export": {"to": "merged"}}
        write_json(folder / CARD, {**card, **own})
        del artifact
        others, after = _score(load_artifact(folder), rows, batch_size, advance)
        found = Merged(
            to="merged", quantization=card.get("quantization", "none"), dtype=_name(dtype),
            metric=before[0], adapter=before[1], merged=after[1], split=split, rows=len(rows),
            differ=sum(one != other for one, other in zip(answers, others, strict=True)), golden=len(card["golden"]),
        )  # fmt: skip
        _refuse_other_scores(found)
        write_json(folder / CARD, {**card, **own, "export": asdict(found)})
    return found


def _score(
    artifact: Artifact, rows: Sequence[Example], batch_size: int, advance: Callable[[int], None]
) -> tuple[list[str], tuple[str, float]]:
    """Answers to the rows, and the primary metric of them by name."""
    answers = artifact.answer([row.prompt for row in rows], batch_size=batch_size, advance=advance)
    metric = artifact.task.primary
    return [answer.text for answer in answers], (metric, point_metrics(artifact.task, rows, answers, metric)[metric])


def _stored_in(artifact: Artifact) -> torch.dtype:
    """What the run computed in; what the base is loaded in here, if that is less."""
    here = dtype_of(artifact.model)
    then: torch.dtype = getattr(torch, artifact.card.get("dtype", _name(here)))
    return min(here, then, key=lambda dtype: dtype.itemsize)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _refuse_other_scores(found: Merged) -> None:
    # Not `>`: a difference that is no number is too large, too.
    if not abs(found.merged - found.adapter) <= TOLERANCE:
        raise ModelError(
            say(
                "the merged model scores {metric} {merged:.4f} on {rows} {split} rows, its adapter {adapter:.4f}: more "
                "than {tolerance} apart, with {differ} other answers. Nothing was written. Ship the adapter instead: "
                "`--to adapter`.",
                metric=found.metric,
                merged=found.merged,
                rows=found.rows,
                split=found.split,
                adapter=found.adapter,
                tolerance=TOLERANCE,
                differ=found.differ,
            )
        )


@contextmanager
def _own(target: Path, card: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to fill; it takes the place of nothing but an earlier export.

    Args:
        target: Where to.
        card: Of what is exported.

    Raises:
        RunError: Something else is there, or it cannot be written.
    """
    if target.exists() and not (target.is_dir() and _is_export(target)):
        raise RunError(
            say(
                "{path} holds something else than an earlier export, so it is left alone. Choose another folder with "
                "-o DIR.",
                path=target,
            )
        )
    base = Path(card["base"]["name"])
    if base.is_absolute() and target.resolve() == base.resolve():
        raise RunError(
            say(
                "{path} is the base that the run was trained over: without it, the run could not be loaded any more. "
                "Choose another folder with -o DIR.",
                path=target,
            )
        )
    try:
        with replaced_dir(target.resolve()) as folder:
            yield folder
            written = read_json(folder / CARD)
            written["export"]["files"] = sorted(file.name for file in folder.iterdir())
            write_json(folder / CARD, written)
    except ExactuneError:
        raise
    except (OSError, SafetensorError) as error:
        raise unwritable(target, error) from error


def _is_export(folder: Path) -> bool:
    """Whether it holds nothing that an export has not put there; so does an empty one."""
    card = read_json(folder / CARD) if (folder / CARD).is_file() else {}
    return {file.name for file in folder.iterdir()} <= {*card.get("export", {}).get("files", ())}


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
