"""The diagnosis: a run folder to findings with evidence, and what to change. Torch-free.

To add a rule, write a function whose docstring has the sections *What it does*, *Why it matters*, *Example* and *Fix*,
list it in :data:`RULES`, and give it its place, its remedy and what it explains in ``doctor.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from exactune.diagnose.answers import invented_spans, malformed, no_stop, outside_labels, swallowed, thinking
from exactune.diagnose.knowledge import brought, explained_by, place
from exactune.diagnose.learning import diverged, hardly_moved, oscillating, overfit, still_improving, underfit
from exactune.diagnose.preferences import collapse, length_bias, sft_was_better, too_easy
from exactune.diagnose.rows import label_noise, too_good, unlike_train
from exactune.diagnose.symptoms import Symptoms, read_symptoms
from exactune.diagnose.worth import below_expected, confidence_off, forgetting, no_better, too_few_scored
from exactune.language import say, stored
from exactune.rules import Finding, Rule, Severity, run_rules
from exactune.rundir import Run, write_json

__all__ = ["RULES", "Symptoms", "diagnose", "find_causes"]

RULES: tuple[Rule[Symptoms], ...] = (
    Rule("R101", "overfit", Severity.WARNING, overfit),
    Rule("R102", "underfit", Severity.WARNING, underfit),
    Rule("R103", "diverged", Severity.ERROR, diverged),
    Rule("R104", "oscillating", Severity.WARNING, oscillating),
    Rule("R105", "hardly-moved", Severity.ERROR, hardly_moved),
    Rule("R106", "still-improving", Severity.WARNING, still_improving),
    Rule("R201", "malformed-answers", Severity.WARNING, malformed),
    Rule("R202", "answers-do-not-stop", Severity.WARNING, no_stop),
    Rule("R203", "labels-outside-set", Severity.WARNING, outside_labels),
    Rule("R204", "one-label-swallows", Severity.WARNING, swallowed),
    Rule("R205", "spans-invented", Severity.WARNING, invented_spans),
    Rule("R206", "thinking-in-answers", Severity.WARNING, thinking),
    Rule("R301", "not-better-than-baseline", Severity.WARNING, no_better),
    Rule("R302", "below-expected", Severity.INFO, below_expected),
    Rule("R303", "general-ability-lost", Severity.WARNING, forgetting),
    Rule("R304", "too-few-scored-rows", Severity.WARNING, too_few_scored),
    Rule("R305", "suspiciously-good", Severity.ERROR, too_good),
    Rule("R306", "badly-calibrated", Severity.WARNING, confidence_off),
    Rule("R307", "label-noise", Severity.WARNING, label_noise),
    Rule("R308", "test-unlike-train", Severity.WARNING, unlike_train),
    Rule("R401", "preference-collapse", Severity.WARNING, collapse),
    Rule("R402", "length-bias", Severity.WARNING, length_bias),
    Rule("R403", "pairs-too-easy", Severity.WARNING, too_easy),
    Rule("R404", "sft-was-better", Severity.WARNING, sft_was_better),
)

_BAD = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def diagnose(run: Run) -> list[Finding]:
    """What is wrong with a run and what to change, the likeliest cause first; written to ``diagnosis.json``.

    A finding that another one explains is not listed: it stands in that one's evidence, under ``explains``, as
    ``{"code", "name", "message"}``.

    Raises:
        RunError: Nothing was trained in the run yet.
    """
    findings = [_with_expectation(one) for one in find_causes(run_rules(RULES, read_symptoms(run)))]
    write_json(run.diagnosis, [stored(finding.to_json(), "message", "fix", "evidence") for finding in findings])
    return findings


def _with_expectation(finding: Finding) -> Finding:
    """What its remedy has brought elsewhere, in words."""
    known = brought(finding.code)
    if finding.patch is None or known is None:
        return finding
    words = say(
        "In runs made sick like this on purpose, such a change was better {better} of {runs} times; the metric changed "
        "by {median:+.2f} (median).",
        **known,
    )
    return replace(finding, evidence={**finding.evidence, "expected": words})


def find_causes(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that no other one explains, worst first, with what they explain."""
    # What comes first in the order explains first, and what is explained explains nothing itself.
    left = sorted(findings, key=_nearness)
    causes: list[Finding] = []
    while left:
        cause, *others = left
        explained = [one for one in others if one.code in explained_by(cause.code) and not _in_training_rows(one)]
        left = [one for one in others if one not in explained]
        if explained:
            named = [{"code": one.code, "name": one.name, "message": one.message} for one in explained]
            cause = replace(cause, evidence={**cause.evidence, "explains": named})
        causes.append(cause)
    return sorted(causes, key=lambda finding: (_BAD.index(finding.severity), *_nearness(finding)))


def _in_training_rows(finding: Finding) -> bool:
    """Whether the training rows show the same: then no setting is the cause."""
    return bool(finding.evidence.get("training_findings") or finding.evidence.get("training_share"))


def _nearness(finding: Finding) -> tuple[bool, int]:
    """To the cause: what the training rows show comes first."""
    return not _in_training_rows(finding), place(finding.code)
