"""Room on the disk: what a run will need, and what to say when there is none left."""

from __future__ import annotations

import errno
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from exactune.errors import RunError
from exactune.language import say
from exactune.train.checkpoints import KEEP

__all__ = ["naming_a_full_disk", "needed_bytes", "readable", "refuse_a_small_disk"]

MOMENTS = 2
"""AdamW keeps two numbers for each weight."""
REST = 100_000_000
"""Tokenizer, predictions, metrics, report."""
FULL = (errno.ENOSPC, errno.EDQUOT)


def needed_bytes(model: torch.nn.Module) -> int:
    """Most that a run's folder holds at a time: the checkpoints kept and one being written, and the published weights
    beside the ones they replace."""
    weights: int = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters() if tensor.requires_grad)
    return (KEEP + 1) * (1 + MOMENTS) * weights + 2 * weights + REST


def readable(size: float) -> str:
    """``1.2 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5:  # what is rounded to three digits below 1000
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def refuse_a_small_disk(folder: Path, needed: int) -> None:
    """Say before training what would fail hours later.

    Args:
        folder: The run folder; need not exist. What it holds already counts as room.
        needed: Bytes.

    Raises:
        RunError: There is less room.
    """
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    free = _free(folder) + held
    if free < needed:
        raise RunError(
            say(
                "{folder}: training needs up to {needed} there (checkpoints and the published weights), and {free} "
                "are free. Free some, or choose another disk with --output DIR.",
                folder=folder,
                needed=readable(needed),
                free=readable(free),
            )
        )


def _free(folder: Path) -> int:
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


@contextmanager
def naming_a_full_disk(folder: Path) -> Iterator[None]:
    """Turn a write that found no room into a message that says what to free.

    Raises:
        RunError: Instead of the error of the system or of safetensors.
    """
    handled = sys.exception()
    try:
        yield
    except Exception as error:
        if not _is_full(error, handled):
            raise
        raise RunError(
            say(
                "{folder}: no room left on the disk ({free} free). What was complete before is untouched. Free some "
                "room, for example old runs or model caches, then go on with the same command and --resume.",
                folder=folder,
                free=readable(_free(folder)),
            )
        ) from error


def _is_full(error: BaseException | None, handled: BaseException | None = None) -> bool:
    """Whether it, or what it came from, says so; but not ``handled``, which a caller is dealing with.

    safetensors has an error class of its own, with the system's number in its text.
    """
    if error is None or error is handled:
        return False
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    named = any(f"(os error {number})" in str(error) for number in FULL)
    return named or _is_full(error.__cause__ or error.__context__, handled)
