"""What a comparison says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exactune.language import Text, say

__all__ = ["against_baseline", "against_run", "against_start", "baseline_name", "method_name"]


def baseline_name(name: str) -> Text:
    """A baseline as it stands in a sentence: "better than a linear model"."""
    names = {
        "majority": say("always giving the most frequent answer"),
        "linear": say("a linear model"),
        "fields": say("a rule for each field"),
        "gazetteer": say("looking up what the training rows have"),
        "zero_shot": say("the base model without fine-tuning"),
        "few_shot": say("the base model with examples in its prompt"),
    }
    return names.get(name) or Text(name)


def method_name(name: str) -> Text:
    """A method of ``compare`` as it stands in a sentence or a table."""
    names = {
        "base": say("the base model"), "kshot": say("the base model with examples"), "sft": Text("SFT"),
        "sft+dpo": Text("SFT + DPO"), "orpo": Text("ORPO"), "pairs": say("mining of pairs"),
    }  # fmt: skip
    return names.get(name) or Text(name)


def against_baseline(comparison: Mapping[str, Any]) -> Text:
    """The verdict of ``eval/metrics.json``'s ``comparison``."""
    return _verdict(comparison, comparison["metric"], baseline_name(comparison["baseline"]))


def against_run(document: Mapping[str, Any]) -> Text:
    """The verdict on two runs by their primary metric: of :func:`~exactune.evaluate.against.compare_runs`."""
    metric = document["primary"]
    return _verdict(document["metrics"][metric], metric, Text(document["against"]))


def against_start(block: Mapping[str, Any]) -> Text:
    """The verdict of ``eval/metrics.json``'s ``start``, by the primary metric."""
    metric = block["primary"]
    return _verdict(block["metrics"][metric], metric, say("the run it goes on from ({run})", run=block["run"]))


def _verdict(found: Mapping[str, Any], metric: str, other: Text) -> Text:
    difference = found["difference"]
    told = {
        "other": other, "metric": metric, "rows": found["rows"],
        "value": difference["value"], "low": difference["low"], "high": difference["high"],
    }  # fmt: skip
    if found["verdict"] == "better":
        return say("better than {other}: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}) on {rows} rows", **told)
    if found["verdict"] == "worse":
        return say("worse than {other}: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}) on {rows} rows", **told)
    if found["rows_needed"] is None:
        return say("not better than {other}: {metric} is the same on {rows} rows", **told)
    return say(
        "not better than {other}: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}) on {rows} rows may be noise; about "
        "{needed:,} rows would tell a difference of this size",
        **told,
        needed=found["rows_needed"],
    )
