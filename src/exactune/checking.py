"""Check: the data rules over a config's rows or over bare files. Torch-free unless a config names a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exactune.checks import RULES, Dataset, check_dataset
from exactune.data.load import FileInfo, Loaded, load_paths
from exactune.errors import ConfigError
from exactune.language import Text, count, say
from exactune.rules import Finding, Severity

__all__ = ["CheckResult", "check"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the rules found.

    Attributes:
        files: The files read.
        findings: Worst first.
        notes: What was decided on the way, one sentence each.
    """

    files: tuple[FileInfo, ...]
    findings: tuple[Finding, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

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
    known = {rule.code for rule in RULES}
    unknown = [code for code in (*select, *ignore) if code.upper() not in known]
    if unknown:
        raise ConfigError(
            say("no rule has the code {unknown}. Known: {names}.", unknown=unknown[0], names=", ".join(sorted(known)))
        )
    wanted = {code.upper() for code in select} or known
    unwanted = {code.upper() for code in ignore}
    if any(path.endswith((".yaml", ".yml")) for path in paths):
        loaded, findings = _check_config(paths)
    else:
        loaded = load_paths(paths)
        findings = check_dataset(Dataset(loaded.splits, loaded.findings), (known - wanted) | unwanted)
    kept = (finding for finding in findings if finding.code in wanted and finding.code not in unwanted)
    return CheckResult(loaded.files, tuple(kept), loaded.notes)


def _check_config(paths: Sequence[str]) -> tuple[Loaded, list[Finding]]:
    if len(paths) != 1:
        raise ConfigError(say("give one config, or data files, not both."))
    # Tokenizers bring torch with them; checks of bare files must not pay for it.
    from exactune.plan import check_rows, config_source

    return check_rows(config_source(paths[0]))
