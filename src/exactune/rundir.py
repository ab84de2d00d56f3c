"""The run folder: the interface between stages.

::

    config.yaml             the resolved config, with the source of each value
    recipe.json             the recipe, why it was chosen, what to expect
    env.json                versions, device, model, time
    data.json               files, sha256, row counts, split ids, rejected rows
    findings.json           what the checks found
    train/metrics.jsonl     one line per logged step and per evaluation
    train/predictions.jsonl one line per training row that the finished model answered
    checkpoints/step-NNNNNN resumable states: complete or absent
    adapter/ or model/      the best checkpoint, ready to load
    eval/predictions.jsonl  one line per scored row
    eval/metrics.json       what the scored rows add up to
    diagnosis.json          what is wrong with the run, and what to change
    mine/                   preference pairs made of its mistakes
    report.html
    export/                 what `exactune export` made of it
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exactune.durable import replaced_file, write_text
from exactune.errors import RunError
from exactune.language import Text, say

__all__ = [
    "COMPARISON",
    "LOOP",
    "Run",
    "append_jsonl",
    "read_json",
    "read_jsonl",
    "unwritable",
    "write_json",
    "write_jsonl",
]

MARKER = "config.yaml"
FIRST = "recipe.json"
"""Written first; a folder that has it and nothing foreign is a run, even one that was killed early."""
LOCK = ".lock"
LOOP = "auto.json"
"""What ``train --auto`` says of the runs in a folder; it stands in place of a run's files."""
COMPARISON = "compare.json"
"""What ``exactune compare`` says of the runs in a folder; likewise."""
OWN = {MARKER, FIRST, "env.json", "data.json", "findings.json", "train", "checkpoints", "adapter", "model", "eval",
       "export", "diagnosis.json", "report.html", "mine", LOCK}  # fmt: skip
HALF_WRITTEN = {f".{name}{end}" for name in OWN for end in (".tmp", ".old")}
"""What a killed run was about to put in place."""


@dataclass(frozen=True, slots=True)
class Run:
    """Paths of one run folder."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / MARKER

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.json"

    @property
    def env(self) -> Path:
        return self.path / "env.json"

    @property
    def data(self) -> Path:
        return self.path / "data.json"

    @property
    def findings(self) -> Path:
        return self.path / "findings.json"

    @property
    def train_metrics(self) -> Path:
        return self.path / "train" / "metrics.jsonl"

    @property
    def train_predictions(self) -> Path:
        return self.path / "train" / "predictions.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def artifact(self) -> Path:
        """``model/`` after full fine-tuning, else ``adapter/``."""
        return self.model if self.model.is_dir() else self.adapter

    @property
    def predictions(self) -> Path:
        return self.path / "eval" / "predictions.jsonl"

    @property
    def metrics(self) -> Path:
        return self.path / "eval" / "metrics.json"

    @property
    def diagnosis(self) -> Path:
        return self.path / "diagnosis.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def mine(self) -> Path:
        return self.path / "mine"

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """An existing run.

        Raises:
            RunError: There is no run at ``path``, or several.
        """
        run = cls(Path(path))
        run.refuse_several()
        if not run.config.is_file():
            raise RunError(
                say(
                    "{path}: no run here (it has no {marker}). Name a folder that `exactune train` wrote.",
                    path=path,
                    marker=MARKER,
                )
            )
        return run

    def refuse_several(self) -> None:
        """A folder of ``train --auto`` or ``compare`` is no run, but holds some.

        Raises:
            RunError: This is one; names the run that was kept.
        """
        if (self.path / COMPARISON).is_file():
            raise RunError(
                say(
                    "{path} holds the runs of `exactune compare`, a folder each. Name one of them, for example {run}.",
                    path=self.path,
                    run=self.path / next((one["run"] for one in read_json(self.path / COMPARISON)["runs"]), "sft-1"),
                )
            )
        if not (self.path / LOOP).is_file():
            return
        if kept := read_json(self.path / LOOP)["kept"]:
            raise RunError(
                say(
                    "{path} holds the runs of `exactune train --auto`, of which {name} was kept. Name {run}.",
                    path=self.path,
                    name=kept,
                    run=self.path / kept,
                )
            )
        raise RunError(
            say(
                "{path} holds the runs of `exactune train --auto`, of which none has come to its end. Go on with "
                "--auto --resume.",
                path=self.path,
            )
        )

    def entries(self) -> list[Path]:
        """What the folder holds, but for the lock."""
        return [entry for entry in self.path.iterdir() if entry.name != LOCK] if self.path.is_dir() else []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this folder; the system lets go when a process dies.

        Raises:
            RunError: Another process does, or the folder cannot be written.
        """
        # It brings asyncio along, which nobody needs who only reads a run.
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise RunError(
                say(
                    "{path}: another process is training there. Wait for it, stop it, or choose another folder with "
                    "--output DIR.",
                    path=self.path,
                )
            ) from error
        except OSError as error:
            raise unwritable(self.path, error) from error
        try:
            yield
        finally:
            lock.release()
            if not self.entries():
                (self.path / LOCK).unlink(missing_ok=True)
                self.path.rmdir()

    @classmethod
    def create(cls, path: str | Path, *, overwrite: bool = False) -> Run:
        """A new, empty run folder.

        Raises:
            RunError: The folder holds something else, another run (without ``overwrite``), or cannot be written.
        """
        run = cls(Path(path))
        run.ensure_free(overwrite=overwrite)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            # Its memory of training first, its names last: killed in between, it can be resumed or wiped again.
            turn = {run.train_metrics.parent.name: 0, MARKER: 2, FIRST: 3}
            for entry in sorted(run.entries(), key=lambda entry: turn.get(entry.name, 1)):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        except OSError as error:
            raise unwritable(run.path, error) from error
        return run

    def ensure_free(self, *, overwrite: bool = False) -> None:
        """Say early, before anything is written, whether :meth:`create` would succeed.

        Raises:
            RunError: As for :meth:`create`.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(say("{path} is a file. Name a folder with --output DIR or `output_dir:`.", path=self.path))
        entries = {entry.name for entry in self.entries()}
        entries -= HALF_WRITTEN
        foreign = sorted(entries - OWN)
        if foreign or (entries and FIRST not in entries):
            found = f" ({', '.join(foreign[:3])})" if foreign else ""
            raise RunError(
                say(
                    "{path} holds other files than a run's{found}, so it is left alone. Move them away, or "
                    "choose another folder with --output DIR.",
                    path=self.path,
                    found=found,
                )
            )
        if entries and not overwrite:
            raise RunError(
                say(
                    "{path} already holds a run. Continue it with --resume, replace it with --overwrite, or "
                    "choose another folder with --output DIR.",
                    path=self.path,
                )
            )
        existing = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        # A real attempt: permission bits say nothing for root or on read-only mounts.
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            raise unwritable(self.path, error) from error


def unwritable(path: Path, error: Exception) -> RunError:
    """What to say of a folder that the system refuses to write to.

    Args:
        path: The folder.
        error: Of the system, or of a library that has an error class of its own for it.
    """
    return RunError(
        say(
            "{path} cannot be written: {reason}. Choose another folder with --output DIR.",
            path=path,
            reason=Text(getattr(error, "strerror", None) or str(error)),
        )
    )


def write_json(path: Path, value: Any) -> None:
    """Write one JSON document, readable by people."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line; rows are asked for as they are written."""
    with replaced_file(path) as file:
        file.writelines(_line(row) for row in rows)


def append_jsonl(path: Path, row: Mapping[str, Any]) -> None:
    """Add one line and flush it; on a full disk no half of it stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(row))
    except OSError:
        if path.exists():
            os.truncate(path, before)
        raise


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Read one JSON document of a run.

    Raises:
        RunError: It is missing or broken.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(say("{path} is missing: this stage has not run yet.", path=path)) from error
    except ValueError as error:
        raise RunError(say("{path} is not readable JSON: {error}", path=path, error=error)) from error


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Read a JSONL file of a run, line by line; a missing file is empty.

    Raises:
        RunError: A line is broken.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise RunError(
                    say("{path} is not readable JSON: {error}", path=f"{path}:{number}", error=error)
                ) from error
