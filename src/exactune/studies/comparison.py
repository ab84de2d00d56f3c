"""What a comparison of methods has done: ``compare.json`` and the folder that holds its runs.

::

    compare.json          what was trained, what it reached, what to keep
    compare.html          the same for people
    rows/                 the rows that all runs read: train, eval, test; and for each seed those with pairs
    base/ kshot-1/        answers of the base model, without and with examples, one folder for each seed
    sft-1/ sft-dpo-1/ ... one run folder for each method and seed
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from exactune.errors import RunError
from exactune.language import restored, say, stored
from exactune.rundir import COMPARISON, Run, read_json, unwritable, write_json

__all__ = ["PAIRED", "REFERENCE", "Comparison", "ComparisonFolder", "Entry", "folder_name"]

REFERENCE = "sft"
"""What all others are held against."""
PAIRED = ("sft+dpo", "orpo")
"""Methods that learn from pairs."""
REPORT = "compare.html"
ROWS = "rows"
FOLDER = re.compile(r"base|(?:kshot|sft|sft-dpo|orpo)-\d+")


def folder_name(method: str, seed: int | None) -> str:
    """Of a method under a seed: ``sft-dpo-1``."""
    return method.replace("+", "-") + ("" if seed is None else f"-{seed}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One method under one seed; or, as method ``pairs``, the mining of pairs from the mistakes of ``sft``.

    Attributes:
        method: As in ``compare.methods``.
        seed: None for ``base``, which hangs on none.
        run: Name of the folder of its answers.
        state: ``done``; ``same``: it had nothing to learn beyond ``sft``, so that its answers are those; ``none``: it
            had nothing to learn at all; ``failed``; None while it is under way.
        rows: That it was trained on; of ``pairs``, that were answered.
        pairs: How many of them have a worse answer.
        metrics: Of its answers.
        usable: Share of its answers that can be read and scored.
        general: File -> relative change of its bits per byte.
        epoch: Of the weights that are kept.
        minutes: That its training took, or its mining.
        before: Minutes that were spent on what it starts from.
        peak_memory_mb: The most that its process has held.
        note: What was out of the ordinary.
    """

    method: str
    seed: int | None
    run: str
    state: str | None = None
    rows: int = 0
    pairs: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    usable: float | None = None
    general: Mapping[str, float] = field(default_factory=dict)
    epoch: float | None = None
    minutes: float = 0.0
    before: float = 0.0
    peak_memory_mb: float | None = None
    note: str = ""

    @property
    def answers(self) -> bool:
        """Whether it has any."""
        return self.state in ("done", "same") and self.method != "pairs"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ``compare.json`` says.

    Attributes:
        settings: The config's values; a comparison goes on only with the same.
        data: Split -> how many ``rows`` all runs read, and the file's ``sha256``.
        task: Its type.
        primary: The metric that decides.
        seeds: Under which the methods were trained.
        runs: One for each method and seed, in the order in which they were begun.
        methods: What they add up to, one for each method; empty until all have come to an end.
        keep: The method to take; empty until then.
        verdict: Why, in sentences.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    task: str = ""
    primary: str = ""
    seeds: Sequence[int] = ()
    runs: Sequence[Entry] = ()
    methods: Sequence[Mapping[str, Any]] = ()
    keep: str = ""
    verdict: Sequence[str] = ()

    def of(self, method: str, seed: int | None) -> Entry | None:
        """The entry of a method under a seed."""
        return next((one for one in self.runs if (one.method, one.seed) == (method, seed)), None)

    def done(self, method: str, seed: int | None) -> Entry:
        """The entry of what has come to its end."""
        entry = self.of(method, seed)
        assert entry is not None, "what others stand on is done first"
        assert entry.state is not None
        return entry

    def with_entry(self, entry: Entry) -> Comparison:
        """With a run added, or with what is known of it now."""
        known = self.of(entry.method, entry.seed)
        runs = [entry if one is known else one for one in self.runs] if known else [*self.runs, entry]
        return replace(self, runs=tuple(runs))

    def to_json(self) -> dict[str, Any]:
        """The document of ``compare.json``."""
        return stored({**asdict(self), "runs": [stored(asdict(one), "note") for one in self.runs]}, "verdict")

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Comparison:
        """The reverse of :meth:`to_json`."""
        known = dict(restored(document))
        return cls(**{**known, "runs": tuple(Entry(**restored(one)) for one in document["runs"])})


@dataclass(frozen=True, slots=True)
class ComparisonFolder:
    """The folder of one comparison."""

    path: Path

    @property
    def file(self) -> Path:
        """What the comparison says of itself."""
        return self.path / COMPARISON

    @property
    def report(self) -> Path:
        """The same for people."""
        return self.path / REPORT

    @property
    def rows(self) -> Path:
        """The rows that all runs read."""
        return self.path / ROWS

    def run(self, method: str, seed: int | None) -> Run:
        """The folder of a method under a seed."""
        return Run(self.path / folder_name(method, seed))

    def runs(self) -> list[Path]:
        """The folders of the runs."""
        return [entry for entry in Run(self.path).entries() if FOLDER.fullmatch(entry.name)]

    def read(self) -> Comparison:
        """What was written; nothing before the comparison began.

        Raises:
            RunError: It is broken.
        """
        return Comparison.from_json(read_json(self.file)) if self.file.is_file() else Comparison()

    def write(self, record: Comparison) -> None:
        """Write what is known by now."""
        write_json(self.file, record.to_json())

    def ensure_free(self, *, resume: bool, overwrite: bool) -> None:
        """Say early, before anything is written, whether the comparison may begin, or go on, here.

        Raises:
            RunError: The folder holds something else, or another comparison (without ``resume`` or ``overwrite``).
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(say("{path} is a file. Name a folder with --output DIR or `output_dir:`.", path=self.path))
        own = {COMPARISON, REPORT, ROWS}
        entries = {entry.name for entry in Run(self.path).entries()} - {f".{name}.tmp" for name in own}
        foreign = sorted(name for name in entries - own if not FOLDER.fullmatch(name))
        if foreign or (entries and COMPARISON not in entries):
            found = f" ({', '.join(foreign[:3])})" if foreign else ""
            raise RunError(
                say(
                    "{path} holds other files than those of `exactune compare`{found}, so it is left alone. Move them "
                    "away, or choose another folder with --output DIR.",
                    path=self.path,
                    found=found,
                )
            )
        if entries and not (resume or overwrite):
            raise RunError(
                say(
                    "{path} already holds a comparison. Go on with --resume, replace it with --overwrite, or choose "
                    "another folder with --output DIR.",
                    path=self.path,
                )
            )

    def wipe(self) -> None:
        """Take away what :meth:`ensure_free` has found to be a comparison's; its record last, or it would be foreign.

        Raises:
            RunError: The folder cannot be written.
        """
        try:
            for entry in Run(self.path).entries():
                if entry.is_dir():
                    shutil.rmtree(entry)
            for file in (self.report, self.file):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error
