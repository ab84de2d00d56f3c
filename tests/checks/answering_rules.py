"""What the rules on answers find in rows, for their tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases_answers import replaced

from exactune.checks import Dataset, check_dataset
from exactune.config import TaskConfig
from exactune.rules import Finding, Severity

from cases import Pairs, dataset

ANSWERS = {f"D40{number}" for number in range(1, 10)}


def declared(rows: Pairs, **task: Any) -> Dataset:
    return replace(dataset(rows), declared=TaskConfig.model_validate(task))


def found(subject: Dataset) -> dict[str, Finding]:
    return {finding.code: finding for finding in check_dataset(subject) if finding.code in ANSWERS}


def found_in(rows: Pairs, line: int, answer: Any) -> dict[str, Finding]:
    """What the rules find when one answer is another; each finding is about that line alone."""
    findings = found(dataset(replaced(rows, line, answer)))
    assert all([place.line for place in one.locations] == [line] for one in findings.values())
    assert all(one.severity is Severity.WARNING for one in findings.values())
    return findings


def only(code: str, rows: Pairs, line: int, answer: Any) -> Finding:
    findings = found_in(rows, line, answer)
    assert list(findings) == [code]
    return findings[code]
