"""Findings as ``findings.json`` and ``diagnosis.json`` hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exactune.language import restored
from exactune.report.files import integer, mapping, mappings, text
from exactune.rules import Finding, Severity
from exactune.types import Location

__all__ = ["read_findings"]


def read_findings(document: Any) -> Iterator[Finding]:
    """The findings of a list, in its order."""
    for item in map(restored, mappings(document)):
        severity = text(item.get("severity"))
        yield Finding(
            code=text(item.get("code")),
            name=text(item.get("name")),
            severity=Severity(severity) if severity in list(Severity) else Severity.INFO,
            message=text(item.get("message")),
            fix=text(item.get("fix")),
            evidence=mapping(item.get("evidence")),
            patch=mapping(item.get("patch")) or None,
            locations=_places(item.get("locations")),
            related=_places(item.get("related")),
        )


def _places(value: Any) -> tuple[Location, ...]:
    return tuple(Location(text(place.get("file")), integer(place.get("line"))) for place in mappings(value))
