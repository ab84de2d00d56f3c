"""Gates: values a run must reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from exactune.language import Text, say
from exactune.tasks import METRICS

__all__ = ["failed_gates", "judge_gates"]


def judge_gates(
    gate: Mapping[str, float], on: Literal["value", "lower"], metrics: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, Any]]:
    """Hold figures against what is wanted.

    Args:
        gate: Metric -> value wanted; at least it for metrics that should be high, at most it for the others.
        on: The value itself, or the end of its interval that is less favourable.
        metrics: Metric -> ``{"value", "low", "high"}``.

    Returns:
        For each gate ``{"wanted", "on", "found", "passed"}``.
    """
    judged: dict[str, dict[str, Any]] = {}
    for name, wanted in gate.items():
        high_is_good = METRICS[name] == "max"
        found = metrics[name]["value" if on == "value" else "low" if high_is_good else "high"]
        passed = found >= wanted if high_is_good else found <= wanted
        judged[name] = {"wanted": wanted, "on": on, "found": found, "passed": passed}
    return judged


def failed_gates(gates: Mapping[str, Mapping[str, Any]]) -> list[Text]:
    """One line per gate that the figures do not pass; of what :func:`judge_gates` returns."""
    return [_failure(name, one) for name, one in gates.items() if not one["passed"]]


def _failure(name: str, one: Mapping[str, Any]) -> Text:
    told = {"metric": name, "found": one["found"], "wanted": one["wanted"]}
    if one["on"] == "value":
        return say("failed: {metric} is {found:.3f}, wanted {wanted:g}", **told)
    return say("failed: {metric} may be {found:.3f} (95% interval), wanted {wanted:g}", **told)
