"""What the diagnosis knows: thresholds, remedies and what explains what, from ``doctor.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

__all__ = ["brought", "explained_by", "limit", "place", "remedy", "thresholds"]


@cache
def _known() -> Mapping[str, Any]:
    text = files("exactune.diagnose").joinpath("doctor.yaml").read_text(encoding="utf-8")
    known: Mapping[str, Any] = yaml.safe_load(text)
    return known


def thresholds() -> Mapping[str, Mapping[str, Any]]:
    """Name -> ``{"value", "source"}``."""
    found: Mapping[str, Mapping[str, Any]] = _known()["thresholds"]
    return found


def limit(name: str) -> float:
    """The value of a threshold."""
    return float(thresholds()[name]["value"])


def remedy(code: str) -> Sequence[Mapping[str, Any]]:
    """What a finding changes; empty where no config value mends it."""
    found: Sequence[Mapping[str, Any]] = _known()["remedies"].get(code, ())
    return found


def brought(code: str) -> Mapping[str, Any] | None:
    """What a finding's remedy brought in the planted runs: ``{"runs", "better", "median"}``; None where none was tried.

    ``median`` is that of the differences of the primary metric, in points of 1.
    """
    found: Mapping[str, Any] | None = _known()["brought"].get(code)
    return found


def explained_by(code: str) -> Sequence[str]:
    """Codes of what a finding explains."""
    found: Sequence[str] = _known()["explains"].get(code, ())
    return found


def place(code: str) -> int:
    """Where a finding stands among equally bad ones."""
    order: Sequence[str] = _known()["order"]
    return order.index(code)
