"""Rules and findings: the one mechanism for data checks and run diagnosis.

A rule is a pure function that yields findings. Its docstring has the sections *What it does*, *Why it matters*,
*Example* and *Fix*; ``exactune explain CODE`` and the docs are made from them.
"""

from __future__ import annotations

import enum
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from exactune.language import Text, say
from exactune.types import Location

__all__ = ["Finding", "Rule", "Severity", "run_rules", "worst_first"]

Subject = TypeVar("Subject")


class Severity(enum.StrEnum):
    """How bad a finding is; only errors stop a run."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def word(self) -> Text:
        """For people."""
        return _WORDS[self]


_WORDS = {Severity.ERROR: say("error"), Severity.WARNING: say("warning"), Severity.INFO: say("info")}
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    Attributes:
        code: For example ``D205``.
        name: The rule's short name, for example ``eval-row-in-train``.
        severity: See :class:`Severity`.
        message: What was found, with figures.
        fix: What to do about it.
        evidence: The figures or texts behind the message.
        patch: Dotted config keys that would mend it, or ``None``.
        locations: The rows to act on.
        related: Their twins (the other side of a duplicate, for example).
    """

    code: str
    name: str
    severity: Severity
    message: str
    fix: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    patch: Mapping[str, Any] | None = None
    locations: tuple[Location, ...] = ()
    related: tuple[Location, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The finding as the JSON object that ``check --json`` and ``findings.json`` hold."""
        return {
            "code": self.code,
            "name": self.name,
            "severity": str(self.severity),
            "message": self.message,
            "fix": self.fix,
            "evidence": dict(self.evidence),
            "patch": None if self.patch is None else dict(self.patch),
            "locations": [{"file": place.file, "line": place.line} for place in self.locations],
            "related": [{"file": place.file, "line": place.line} for place in self.related],
        }


@dataclass(frozen=True, slots=True)
class Rule(Generic[Subject]):
    """A coded check.

    Attributes:
        code: Unique; ``D`` for data, ``R`` for runs.
        name: Short, hyphenated, unique.
        severity: Of what it finds.
        find: A pure function from the subject to findings; it calls :meth:`finding` to make them.
    """

    code: str
    name: str
    severity: Severity
    find: Callable[[Subject, Rule[Subject]], Iterable[Finding]]

    @property
    def doc(self) -> str:
        """The docstring with its sections, dedented."""
        return inspect.getdoc(self.find) or ""

    @property
    def sections(self) -> tuple[tuple[str, str], ...]:
        """Heading and text of each section, the summary first under no heading; only examples keep their lines."""
        summary, *rest = re.split(r"\n\n(?=\S)", self.doc)
        parts = [part.partition(":\n") for part in rest]
        texts = {heading: textwrap.dedent(body).strip("\n") for heading, _, body in parts}
        flat = {heading: text if heading == "Example" else " ".join(text.split()) for heading, text in texts.items()}
        return (("", summary), *flat.items())

    @property
    def fix(self) -> Text:
        """The text of the docstring's *Fix* section as one line."""
        return Text(dict(self.sections).get("Fix", ""))

    def finding(
        self,
        message: str,
        *,
        locations: Sequence[Location] = (),
        related: Sequence[Location] = (),
        evidence: Mapping[str, Any] | None = None,
        patch: Mapping[str, Any] | None = None,
        fix: str | None = None,
    ) -> Finding:
        """A finding of this rule; ``fix`` is the docstring's unless a more exact one is given."""
        return Finding(
            self.code,
            self.name,
            self.severity,
            message,
            fix or self.fix,
            evidence or {},
            patch,
            tuple(locations),
            tuple(related),
        )


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by severity, then code."""
    return sorted(findings, key=lambda finding: (_ORDER[finding.severity], finding.code))


def run_rules(rules: Iterable[Rule[Subject]], subject: Subject) -> Iterator[Finding]:
    """What every rule finds in the subject, in the rules' order."""
    for rule in rules:
        yield from rule.find(subject, rule)
