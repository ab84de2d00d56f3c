"""What a loop has tried: ``auto.json`` and the folder that holds its runs.

::

    auto.json       what was tried, why, what it brought, which run was kept
    run-1/ run-2/   one run folder for each try, the first as the config says
    report.html     the same for people
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exactune.errors import RunError
from exactune.language import restored, say, stored
from exactune.rundir import LOOP, Run, read_json, unwritable, write_json

__all__ = ["Record", "Try", "TryFolder"]

REPORT = "report.html"
RUN = re.compile(r"run-[1-9]\d*")


@dataclass(frozen=True, slots=True)
class Try:
    """One run of the loop.

    Attributes:
        run: Name of its folder.
        source: The run that it was patched from; None for the first.
        code: Of the finding that the patch is for; empty for the first, as are name and reason.
        name: Of that finding.
        reason: What was found.
        patch: Dotted config keys with values, besides those of ``source``.
        eval: The primary metric on the eval rows, ``{"value", "low", "high"}``; None where the run failed.
        difference: The same of the difference to the run kept until then, with the ``rows`` that it was taken on.
        verdict: ``first``, ``better``, ``worse``, ``level`` or ``failed``; None while it runs.
        kept: Whether it took the place of the run kept until then.
        minutes: That training took.
        error: Why it failed.
    """

    run: str
    source: str | None = None
    code: str = ""
    name: str = ""
    reason: str = ""
    patch: Mapping[str, Any] = field(default_factory=dict)
    eval: Mapping[str, float] | None = None
    difference: Mapping[str, float] | None = None
    verdict: str | None = None
    kept: bool = False
    minutes: float = 0.0
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """As ``auto.json`` has it."""
        return stored({
            "run": self.run, "from": self.source, "code": self.code, "name": self.name, "reason": self.reason,
            "patch": dict(self.patch), "eval": self.eval, "difference": self.difference, "verdict": self.verdict,
            "kept": self.kept, "minutes": self.minutes, "error": self.error,
        }, "reason", "error")  # fmt: skip

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Try:
        """The reverse of :meth:`to_json`."""
        values = dict(restored(document))
        return cls(source=values.pop("from"), **values)


@dataclass(frozen=True, slots=True)
class Record:
    """What ``auto.json`` says.

    Attributes:
        primary: The metric that decides; empty until it is known.
        tries: In the order in which they were made.
        stopped: Why no further run was made; empty while the loop goes on.
        final: Of the kept run, ``{"split", "n", "metrics"}``; None until it is scored.
    """

    primary: str = ""
    tries: Sequence[Try] = ()
    stopped: str = ""
    final: Mapping[str, Any] | None = None

    @property
    def kept(self) -> Try | None:
        """The best run so far; None if none has come to its end."""
        return next((one for one in reversed(self.tries) if one.kept), None)

    @property
    def unfinished(self) -> Try | None:
        """The try that is under way, or was when the loop was killed."""
        return self.tries[-1] if self.tries and self.tries[-1].verdict is None else None

    def named(self, run: str) -> Try:
        """The try of a run."""
        return next(one for one in self.tries if one.run == run)

    def with_newest(self, newest: Try) -> Record:
        """With a try added, or with what is known of it now."""
        before = [one for one in self.tries if one.run != newest.run]
        return replace(self, tries=(*before, newest))

    def to_json(self) -> dict[str, Any]:
        """The document of ``auto.json``."""
        return stored({
            "kept": self.kept and self.kept.run,
            "primary": self.primary,
            "tries": [one.to_json() for one in self.tries],
            "stopped": self.stopped,
            "final": self.final,
        }, "stopped")  # fmt: skip

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Record:
        """The reverse of :meth:`to_json`."""
        known = restored(document)
        tries = tuple(map(Try.from_json, document["tries"]))
        return cls(known["primary"], tries, known["stopped"], known["final"])


@dataclass(frozen=True, slots=True)
class TryFolder:
    """The folder of one loop."""

    path: Path

    @property
    def file(self) -> Path:
        """What the loop says of itself."""
        return self.path / LOOP

    @property
    def report(self) -> Path:
        """The same for people."""
        return self.path / REPORT

    def run(self, name: str) -> Run:
        """The folder of one try."""
        return Run(self.path / name)

    def read(self) -> Record:
        """What was written; nothing before the loop began.

        Raises:
            RunError: It is broken.
        """
        return Record.from_json(read_json(self.file)) if self.file.is_file() else Record()

    def write(self, record: Record) -> None:
        """Write what is known by now."""
        write_json(self.file, record.to_json())

    def start(self, *, resume: bool) -> Record:
        """What there is to go on with, in a folder that is else empty now."""
        record = self.read() if resume else Record()
        if not record.tries and self.file.is_file():
            # Known for empty before it is: a wipe that was killed is begun again.
            self.write(Record())
            self.wipe()
        return record

    def ensure_free(self, *, resume: bool, overwrite: bool) -> None:
        """Say early, before anything is written, whether the loop may begin, or go on, here.

        Raises:
            RunError: The folder holds something else, or another loop (without ``resume`` or ``overwrite``).
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(say("{path} is a file. Name a folder with --output DIR or `output_dir:`.", path=self.path))
        entries = {entry.name for entry in Run(self.path).entries()} - {f".{name}.tmp" for name in (LOOP, REPORT)}
        foreign = sorted(name for name in entries - {LOOP, REPORT} if not RUN.fullmatch(name))
        if foreign or (entries and LOOP not in entries):
            found = f" ({', '.join(foreign[:3])})" if foreign else ""
            raise RunError(
                say(
                    "{path} holds other files than those of `exactune train --auto`{found}, so it is left alone. Move "
                    "them away, or choose another folder with --output DIR.",
                    path=self.path,
                    found=found,
                )
            )
        if entries and not (resume or overwrite):
            raise RunError(
                say(
                    "{path} already holds the runs of `exactune train --auto`. Go on with --resume, replace them with "
                    "--overwrite, or choose another folder with --output DIR.",
                    path=self.path,
                )
            )
        if not resume:
            for run in self.runs():
                run.ensure_free(overwrite=True)

    def wipe(self) -> None:
        """Take away what :meth:`ensure_free` has found to be a loop's; its record last, or it would be foreign.

        Raises:
            RunError: The folder cannot be written.
        """
        try:
            for run in self.runs():
                shutil.rmtree(run.path)
            for file in (self.report, self.file):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def runs(self) -> list[Run]:
        """The folders of the tries."""
        return [Run(entry) for entry in Run(self.path).entries() if RUN.fullmatch(entry.name)]
