"""Writing files so that a reader, or a rerun after a kill, never sees half of one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch


def write_array(path: Path, array: np.ndarray) -> None:
    """Saves an `.npy` file beside its place, then renames it."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as stream:
        np.save(stream, array)
    os.replace(beside, path)


def write_json(path: Path, value: object) -> None:
    """Saves a JSON file beside its place, then renames it."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(beside, path)


def write_state(path: Path, state: dict[str, object]) -> None:
    """Saves a torch file beside its place, then renames it."""
    beside = path.with_name(path.name + ".part")
    torch.save(state, beside)
    os.replace(beside, path)


def replace_files(source: Path, target: Path) -> None:
    """Moves every file of `source` over those of `target`, each in one rename, and removes `source`.

    A folder cannot be renamed over a folder that has files. File by file, a reader sees old or new, each one whole.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        beside = target / f".{path.name}.part"
        shutil.copyfile(path, beside)
        os.replace(beside, target / path.name)
    shutil.rmtree(source)
