"""Gates: values a run must reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exactune.language import Text, say
from exactune.tasks import METRICS

__all__ = ["failed_gates"]


def failed_gates(gate: Mapping[str, float], document: Mapping[str, Any]) -> list[Text]:
    """One line per gate that the figures do not pass.

    Args:
        gate: Metric -> value wanted; at least it for metrics that should be high, at most it for the others.
        document: The content of ``eval/metrics.json``.
    """
    failures = []
    for name, wanted in gate.items():
        found = document["metrics"][name]["value"]
        passed = found >= wanted if METRICS[name] == "max" else found <= wanted
        if not passed:
            failures.append(
                say("failed: {metric} is {found:.3f}, wanted {wanted:g}", metric=name, found=found, wanted=wanted)
            )
    return failures
