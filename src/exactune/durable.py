"""Files and folders that are complete or absent, whatever ends the process.

Everything is written beside its place, flushed to the disk, and renamed; a sealed folder also carries the digest of
each of its files, so that a damaged one is known for what it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

__all__ = ["MANIFEST", "damage", "replaced_dir", "replaced_file", "sealed_dir", "sync", "write_text"]

MANIFEST = "manifest.json"


def write_text(path: Path, text: str) -> None:
    """Write a file complete or not at all."""
    with replaced_file(path) as file:
        file.write(text)


@contextmanager
def replaced_file(path: Path) -> Iterator[TextIO]:
    """A text file to write; it takes the place of ``path`` when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.tmp")
    try:
        with staged.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        sync(staged)
        os.replace(staged, path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file, or the list of names that a folder is, to the disk."""
    if path.is_dir():
        # Windows and some network file systems flush no folders.
        with contextlib.suppress(OSError):
            _flush(path, os.O_RDONLY)
    else:
        # Windows flushes only what could be written.
        _flush(path, os.O_RDWR)


def _flush(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replaced_dir(path: Path) -> Iterator[Path]:
    """A folder to fill; it takes the place of ``path`` when the block ends without an exception.

    Killed between the two renames at the end, ``path`` is absent, never half written.
    """
    staged, old = path.with_name(f".{path.name}.tmp"), path.with_name(f".{path.name}.old")
    for leftover in (staged, old):
        shutil.rmtree(leftover, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        yield staged
        for file in sorted(staged.rglob("*")):
            sync(file)
        sync(staged)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    if path.exists():
        path.rename(old)
    staged.rename(path)
    sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def sealed_dir(path: Path) -> Iterator[Path]:
    """:func:`replaced_dir` for a flat folder, with a manifest of its files that :func:`damage` holds it to."""
    with replaced_dir(path) as staged:
        yield staged
        files = {file.name: _facts(file) for file in sorted(staged.iterdir())}
        (staged / MANIFEST).write_text(_manifest(files), encoding="utf-8", newline="\n")


def damage(path: Path) -> str | None:
    """What is wrong with a sealed folder, in technical words, or None: every byte of every file is as it was sealed."""
    try:
        text = (path / MANIFEST).read_bytes()
        files = json.loads(text)["files"]
        # Byte for byte, so that no change of the manifest itself goes unseen.
        if text != _manifest(files).encode():
            return f"{MANIFEST}: digest differs"
        if odd := sorted({file.name for file in path.iterdir()} ^ {*files, MANIFEST}):
            return f"{odd[0]}: missing or unexpected"
        return next((f"{name}: digest differs" for name in files if _facts(path / name) != files[name]), None)
    except FileNotFoundError as error:
        return f"{Path(error.filename).name}: missing"
    except OSError as error:  # a disk that gives back nothing at all
        return f"{Path(error.filename or path).name}: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST}: not readable"


def _facts(file: Path) -> dict[str, int | str]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def _manifest(files: object) -> str:
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return json.dumps({"files": files, "sha256": own}, indent=1, sort_keys=True) + "\n"
