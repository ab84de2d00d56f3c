"""Check: the data rules over a config's rows or over bare files. Torch-free unless a config names a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exactune.checks import RULES, Dataset, check_dataset
from exactune.data.load import FileInfo, Loaded, load_paths
from exactune.errors import ConfigError
from exactune.language import Text, count, say
from exactune.rules import Finding, Severity
from exactune.types import Splits

__all__ = ["CheckResult", "check", "check_copies"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the rules found.

    Attributes:
        files: The files read.
        findings: Worst first.
        notes: What was decided on the way, one sentence each.
        dataset: The rows that the rules looked at.
    """

    files: tuple[FileInfo, ...]
    findings: tuple[Finding, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    dataset: Dataset = field(default_factory=lambda: Dataset(Splits(())), repr=False, compare=False)

    def _count(self, severity: Severity) -> int:
        return sum(max(1, len(finding.locations)) for finding in self.findings if finding.severity is severity)

    @property
    def errors(self) -> int:
        """Places with an error."""
        return self._count(Severity.ERROR)

    @property
    def warnings(self) -> int:
        """Places with a warning."""
        return self._count(Severity.WARNING)

    @property
    def rejected(self) -> int:
        """Rows that cannot be used."""
        return len(
            {
                place
                for finding in self.findings
                if finding.severity is Severity.ERROR
                for place in finding.locations
                if place.line is not None
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The document of ``check --json``."""
        return {
            "files": [{"path": file.path, "rows": file.rows, "sha256": file.sha256} for file in self.files],
            "summary": {
                "rows": sum(file.rows for file in self.files),
                "rejected": self.rejected,
                "errors": self.errors,
                "warnings": self.warnings,
            },
            "findings": [finding.to_json() for finding in self.findings],
        }

    def summary_line(self) -> Text:
        """One line for people."""
        return say(
            "{rows} in {files}: {errors}, {warnings}",
            rows=count(sum(file.rows for file in self.files), "row"),
            files=count(len(self.files), "file"),
            errors=count(self.errors, "error"),
            warnings=count(self.warnings, "warning"),
        )


def check(
    targets: str | Path | Sequence[str | Path], *, select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> CheckResult:
    """Run the data rules.

    Args:
        targets: One config (``.yaml``), whose model's tokenizer then takes part, or data files.
        select: Only these codes.
        ignore: Not these codes.

    Raises:
        ExactuneError: A code is unknown, or config, files or model cannot be read. Bad rows are findings.
    """
    paths = [str(path) for path in ([targets] if isinstance(targets, (str, Path)) else targets)]
    wanted = _wanted(select, ignore)
    if any(path.endswith((".yaml", ".yml")) for path in paths):
        return _check_config(paths, wanted, {})
    loaded = load_paths(paths)
    dataset = Dataset(loaded.splits, loaded.findings)
    # A rule that is not asked for costs nothing.
    findings = check_dataset(dataset, {rule.code for rule in RULES} - wanted)
    return _result(loaded, dataset, findings, wanted)


def _wanted(select: Sequence[str], ignore: Sequence[str]) -> set[str]:
    """The codes to report.

    Raises:
        ConfigError: One is no rule's.
    """
    known = {rule.code for rule in RULES}
    unknown = [code for code in (*select, *ignore) if code.upper() not in known]
    if unknown:
        raise ConfigError(
            say("no rule has the code {unknown}. Known: {names}.", unknown=unknown[0], names=", ".join(sorted(known)))
        )
    return ({code.upper() for code in select} or known) - {code.upper() for code in ignore}


def check_copies(
    targets: Sequence[str], copies: Mapping[str, Path], *, select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> CheckResult:
    """:func:`check` of the same targets with the copies of their files in the files' places.

    Args:
        targets: As for :func:`check`.
        copies: File as it is shown in places -> its copy.
        select: Only these codes.
        ignore: Not these codes.

    Raises:
        ExactuneError: As :func:`check`.
    """
    if any(target.endswith((".yaml", ".yml")) for target in targets):
        return _check_config(targets, _wanted(select, ignore), copies)
    return check([str(copies.get(target, target)) for target in targets], select=select, ignore=ignore)


def _check_config(paths: Sequence[str], wanted: set[str], copies: Mapping[str, Path]) -> CheckResult:
    if len(paths) != 1:
        raise ConfigError(say("give one config, or data files, not both."))
    # Tokenizers bring torch with them; checks of bare files must not pay for it.
    from exactune.plan import check_rows, config_source

    source = config_source(paths[0])
    if copies:
        source = config_source(paths[0], assignments=list(_moved(check_rows(source)[0].files, copies)))
    loaded, findings = check_rows(source)
    dataset = Dataset(loaded.splits, loaded.findings, declared=source.resolved.config.task)
    return _result(loaded, dataset, findings, wanted)


def _moved(files: Sequence[FileInfo], copies: Mapping[str, Path]) -> Iterator[str]:
    """``--set`` texts that put the copies of files in the files' places."""
    for split in ("train", "eval", "test"):
        own = [file.path for file in files if file.split == split]
        if any(path in copies for path in own):
            paths = [str(copies[path].absolute()) if path in copies else path for path in own]
            yield f"data.{split}={json.dumps(paths)}"


def _result(loaded: Loaded, dataset: Dataset, findings: Sequence[Finding], wanted: set[str]) -> CheckResult:
    kept = tuple(finding for finding in findings if finding.code in wanted)
    return CheckResult(loaded.files, kept, loaded.notes, dataset)
