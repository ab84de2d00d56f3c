"""Rules about what the figures are worth (R301 to R304, R306)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exactune.diagnose.knowledge import limit
from exactune.diagnose.symptoms import Symptoms
from exactune.language import say
from exactune.rules import Finding, Rule, Severity
from exactune.verdicts import against_baseline

__all__ = ["below_expected", "confidence_off", "forgetting", "no_better", "too_few_scored"]


def no_better(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """A simpler method does as well.

    What it does:
        Fires when the model is not better, beyond chance, than the best baseline on the same rows; an error where that
        is the most frequent answer or the base model without fine-tuning, and the rows tell so to 20 points.

    Why it matters:
        Training, hardware and upkeep have then bought nothing that a model made in a second does not give.

    Example:
        worse than a linear model: macro_f1 -0.071 (-0.110 to -0.032) on 300 rows

    Fix:
        Use the simpler method, or give the model what that one cannot learn from: more rows, a larger base.
    """
    found = seen.scored.get("comparison")
    if not found or found["verdict"] == "better":
        return
    difference, name = found["difference"], found["baseline"]
    finding = rule.finding(
        against_baseline(found),
        evidence={"baseline": name, "difference": difference["value"], "low": difference["low"],
                  "high": difference["high"], "rows_needed": found["rows_needed"]},
    )  # fmt: skip
    # On a few rows anything is level with anything.
    told_apart = found["verdict"] == "worse" or difference["high"] - difference["low"] < limit("small_width")
    yield replace(finding, severity=Severity.ERROR) if name in NOTHING_LEARNED and told_apart else finding


NOTHING_LEARNED = ("majority", "zero_shot")
"""Baselines that have learned nothing from the rows' inputs."""


def below_expected(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Below what the guide expects of so many rows.

    What it does:
        Compares the primary metric with the guide's band (section 資料量與效能) and fires when its whole interval lies
        below the band.

    Why it matters:
        The band is of bases with billions of parameters and of tasks that people find easy; it says what is usual, not
        what is possible here.

    Example:
        macro_f1 is 0.610 (0.550 to 0.670); the guide expects 80% to 88% from 900 training rows

    Fix:
        Look at the most frequent errors in the report; correct or add rows of that kind; try a larger base.
    """
    figure = seen.figure
    if figure is None or not seen.expected or figure.high >= seen.expected["low"]:
        return
    yield rule.finding(
        say(
            "{metric} is {value:.3f} ({low:.3f} to {high:.3f}); the guide expects {least:.0%} to {most:.0%} from "
            "{rows:,} training rows",
            metric=seen.metric, value=figure.value, low=figure.low, high=figure.high,
            least=seen.expected["low"], most=seen.expected["high"], rows=seen.rows,
        ),
        evidence={"value": figure.value, "low": seen.expected["low"], "high": seen.expected["high"], "rows": seen.rows},
    )  # fmt: skip


def forgetting(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """General ability was lost.

    What it does:
        Compares what `evaluate.general` measured before and after fine-tuning: fires when a text takes over 5 % more
        bits, or instruction rows lose over 5 points of token F1.

    Why it matters:
        A model that only does this one task is no worse at it; one that also chats or serves other prompts is.

    Example:
        notes.txt takes 3.910 bits per byte after fine-tuning and took 2.530 before

    Fix:
        Mix a tenth of general rows into training (`data.mix: [{path: general.jsonl, ratio: 0.1}]`), or lower the
        learning rate.
    """
    block = seen.scored.get("general", {})
    before, after = block.get("before", {}), block.get("after", {})
    lost = []
    for file, figures in after.items():
        for name, worse in (("bits_per_byte", limit("forgotten_bits")), ("token_f1", limit("forgotten_f1"))):
            then, now = before.get(file, {}).get(name), figures.get(name)
            if then is None or now is None:
                continue
            if now > worse * then if name == "bits_per_byte" else then - now > worse:
                lost.append((file, name, then, now))
    if not lost:
        return
    file, name, then, now = lost[0]
    told = {"file": file, "before": then, "after": now}
    yield rule.finding(
        say("{file} takes {after:.3f} bits per byte after fine-tuning and took {before:.3f} before", **told)
        if name == "bits_per_byte"
        else say("token F1 on {file} is {after:.3f} after fine-tuning and was {before:.3f} before", **told),
        evidence={"file": file, "before": then, "after": now, "files": sorted({one[0] for one in lost})},
    )


def too_few_scored(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Too few rows to say how good the model is.

    What it does:
        Fires when the 95 % interval of the primary metric is 20 points wide or wider.

    Why it matters:
        The true figure may lie anywhere in it, and it spans two bands of the guide's table. A better setting cannot be
        told from a worse one.

    Example:
        macro_f1 is between 0.550 and 0.910 on 20 rows; about 259 would narrow this to 10 points

    Fix:
        Label more test rows: four times as many halve the interval.
    """
    figure, n = seen.figure, seen.scored.get("n", 0)
    width = figure.high - figure.low if figure else 0.0
    if figure is None or width < limit("small_width"):
        return
    # The width goes with one over the root of the rows.
    wanted = limit("small_width") / 2
    needed = round(n * (width / wanted) ** 2)
    yield rule.finding(
        say(
            "{metric} is between {low:.3f} and {high:.3f} on {rows} rows; about {needed:,} would narrow this to "
            "{points:.0f} points",
            metric=seen.metric, low=figure.low, high=figure.high, rows=n, needed=needed, points=100 * wanted,
        ),
        evidence={"rows": n, "low": figure.low, "high": figure.high, "rows_needed": needed},
    )  # fmt: skip


def confidence_off(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Confidences are not what they say.

    What it does:
        Compares the mean confidence with the share of right answers; fires when they are 10 points apart and the
        former lies outside the latter's 95 % interval (Wilson's).

    Why it matters:
        A threshold for what a person has to look at (`predict --abstain-below`) then lets through more wrong answers
        than it promises, or holds back more right ones.

    Example:
        answers are 0.93 sure on average, and 0.71 of 300 are right (expected calibration error 0.220)

    Fix:
        Use eval rows that are like those to come, and more of them: confidences are scaled on them.
    """
    after = seen.scored.get("calibration", {}).get("after", {})
    bins = [one for one in after.get("bins", ()) if one["n"]]
    n = sum(one["n"] for one in bins)
    if not n:
        return
    sure = sum(one["n"] * one["confidence"] for one in bins) / n
    right = sum(one["n"] * one["accuracy"] for one in bins) / n
    # Wilson's interval holds what is nearer than this: the spread is that of the confidence, not of the share.
    if abs(sure - right) < max(limit("confidence_gap"), 1.96 * (sure * (1 - sure) / n) ** 0.5):
        return
    yield rule.finding(
        say(
            "answers are {sure:.2f} sure on average, and {right:.2f} of {n} are right (expected calibration error "
            "{ece:.3f})",
            sure=sure, right=right, n=n, ece=after["ece"],
        ),
        evidence={"confidence": sure, "accuracy": right, "ece": after["ece"], "rows": n},
    )  # fmt: skip
