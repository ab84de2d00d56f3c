"""Rules about what the figures are worth (R301 to R308)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exactune.diagnose.knowledge import limit
from exactune.diagnose.symptoms import Symptoms, figure_of
from exactune.language import Text, join, say
from exactune.rules import Finding, Rule, Severity

__all__ = [
    "below_expected", "confidence_off", "forgetting", "label_noise", "no_better", "too_few_scored", "too_good",
    "unlike_train",
]  # fmt: skip


def no_better(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """A simpler method does as well.

    What it does:
        Fires when the model is not better, beyond chance, than the best baseline on the same rows; an error where that
        is the most frequent answer or the base model without fine-tuning, and the rows tell so to 20 points.

    Why it matters:
        Training, hardware and upkeep have then bought nothing that a model made in a second does not give.

    Example:
        not better than a linear model: macro_f1 -0.021 (-0.060 to +0.018) on 300 rows

    Fix:
        Use the simpler method, or give the model what that one cannot learn from: more rows, a larger base.
    """
    found = seen.scored.get("comparison")
    if not found or found["verdict"] == "better":
        return
    difference, name = found["difference"], found["baseline"]
    told = {
        "metric": found["metric"], "baseline": NAMES.get(name, Text(name)), "rows": found["rows"],
        "value": difference["value"], "low": difference["low"], "high": difference["high"],
    }  # fmt: skip
    finding = rule.finding(
        say(
            "worse than {baseline}: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}) on {rows} rows", **told
        )
        if found["verdict"] == "worse"
        else say(
            "not better than {baseline}: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}) on {rows} rows", **told
        ),
        evidence={"baseline": name, "difference": difference["value"], "low": difference["low"],
                  "high": difference["high"], "rows_needed": found["rows_needed"]},
    )  # fmt: skip
    # On a few rows anything is level with anything.
    told_apart = found["verdict"] == "worse" or difference["high"] - difference["low"] < limit("small_width")
    yield replace(finding, severity=Severity.ERROR) if name in NOTHING_LEARNED and told_apart else finding


NOTHING_LEARNED = ("majority", "zero_shot")
"""Baselines that have learned nothing from the rows' inputs."""

NAMES = {
    "majority": say("always giving the most frequent answer"),
    "linear": say("a linear model"),
    "fields": say("a rule for each field"),
    "gazetteer": say("looking up what the training rows have"),
    "zero_shot": say("the base model without fine-tuning"),
    "few_shot": say("the base model with examples in its prompt"),
}


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


def too_good(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Too good to be true.

    What it does:
        Fires when 2 % or more of the scored rows, or by the data checks of all eval and test rows, are training rows,
        too, or nearly; otherwise, as a warning, when both the model and a simple baseline reach 0.99.

    Why it matters:
        A row that was trained says nothing about new ones. An answer that stands in its input, as an id or a file name
        may, will not stand there in production.

    Example:
        80 of 200 scored rows are training rows, too, or nearly; on them macro_f1 is 0.990, on the others 0.710

    Fix:
        Take the training rows out of the scored ones (`exactune check` names them); take out of the inputs what gives
        the answer away.
    """
    yield from _overlapping(seen, rule) or _known_to_the_checks(seen, rule) or _given_away(seen, rule)


def _overlapping(seen: Symptoms, rule: Rule[Symptoms]) -> list[Finding]:
    """Scored rows that were trained."""
    block = seen.scored.get("overlap", {})
    count, of = block.get("same", 0) + block.get("near", 0), block.get("of", 0)
    if not of or count < limit("leaked") * of:
        return []
    parts = [say("{count} of {of} scored rows are training rows, too, or nearly", count=count, of=of)]
    both = [figure_of(block.get("metric", {}).get(part)) for part in ("overlapping", "others")]
    evidence = {"share": count / of, "same": block.get("same", 0), "near": block.get("near", 0), "of": of}
    if both[0] and both[1]:
        evidence |= {"overlapping": both[0].value, "others": both[1].value}
        parts.append(
            say(
                "on them {metric} is {overlapping:.3f}, on the others {others:.3f}",
                metric=seen.metric, overlapping=both[0].value, others=both[1].value,
            )
        )  # fmt: skip
    return [rule.finding(join("; ", parts), evidence=evidence)]


def _known_to_the_checks(seen: Symptoms, rule: Rule[Symptoms]) -> list[Finding]:
    """Eval rows that were trained, where others are scored."""
    found = seen.check_findings("D205", "D206", "D207")
    # Their locations are the training rows.
    places = {(place["file"], place["line"]) for one in found for place in one["related"]}
    count = sum(file not in seen.withheld for file, _ in places)
    if not count or count < limit("leaked") * seen.held_out:
        return []
    codes = ", ".join(one["code"] for one in found)
    message = say(
        "{count} of {of} eval and test rows are training rows, too, or nearly ({codes}); eval rows choose the weights "
        "and scale the confidences",
        count=count, of=seen.held_out, codes=codes,
    )  # fmt: skip
    return [rule.finding(message, evidence={"share": count / seen.held_out, "of": seen.held_out})]


def _given_away(seen: Symptoms, rule: Rule[Symptoms]) -> list[Finding]:
    """Scores that even a simple baseline should not reach."""
    simple = {
        name: metrics.get(seen.metric, {}).get("value", 0.0)
        for name, metrics in seen.scored.get("baselines", {}).items() if name in ("linear", "fields", "gazetteer")
    }  # fmt: skip
    best = max(simple, key=lambda name: simple[name], default=None)
    if seen.figure is None or best is None or min(seen.figure.value, simple[best]) < limit("given_away"):
        return []
    finding = rule.finding(
        say(
            "{metric} is {value:.3f}, and {simple:.3f} for {baseline}: what gives the answer away may stand in the "
            "input",
            metric=seen.metric, value=seen.figure.value, simple=simple[best], baseline=NAMES[best],
        ),
        evidence={"value": seen.figure.value, "baseline": best, "baseline_value": simple[best]},
    )  # fmt: skip
    return [replace(finding, severity=Severity.WARNING)]


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


def label_noise(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Many training labels are probably wrong.

    What it does:
        A linear model that has not seen a row, and the fine-tuned one, are asked for its label (confident learning,
        Northcutt et al. 2021); fires when a tenth of the labels or more is estimated to be wrong, and at least half as
        many by the estimate's interval.

    Why it matters:
        No setting makes up for wrong labels: the model learns to make the same mistakes, and the scored rows, labelled
        by the same hands, punish right answers.

    Example:
        about 29% of 1,000 training labels are probably wrong, first train.jsonl:17: `negative`, rather `positive`

    Fix:
        Look at the rows named in `eval/metrics.json` under `doubts`, the surest first, and correct what is wrong; agree
        on a rule for what is unclear.
    """
    block = seen.scored.get("doubts", {})
    if block.get("share", 0.0) < limit("noise") or block.get("low", 1.0) < limit("noise") / 2:
        return
    message = say(
        "about {share:.0%} of {rows:,} training labels are probably wrong", share=block["share"], rows=block["rows"]
    )
    if examples := block.get("examples"):
        first = examples[0]
        message = say(
            "{message}, first {row}: `{gold}`, rather `{suggested}`",
            message=message, row=first["id"], gold=first["gold"], suggested=first["suggested"],
        )  # fmt: skip
    yield rule.finding(message, evidence={"share": block["share"], "rows": block["rows"], "examples": examples or []})


def unlike_train(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """The scored rows are not like the training rows.

    What it does:
        Asks a linear model to tell scored rows from training rows, neither of which it has seen (a classifier
        two-sample test, Lopez-Paz and Oquab 2017). Fires when the area under its curve (AUC; 0.5 is a guess) is 0.80 or
        more: its whole 95 % interval is.

    Why it matters:
        The figures then say how the model does on rows of another kind than it was taught, and settings chosen on the
        eval rows need not suit them.

    Example:
        scored rows can be told from training rows (AUC 0.97); they have 312 characters instead of 41; 38% of their
        words are new instead of 10%

    Fix:
        Find out which rows are to come. Where they are like the scored ones, add some hundred of their kind to the
        training rows; where they are like the training rows, score others.
    """
    block = seen.scored.get("shift", {})
    auc = figure_of(block.get("auc"))
    if auc is None or auc.low < limit("shift_auc"):
        return
    length, unseen, labels = block.get("length", {}), block.get("unseen", {}), block.get("labels", {})
    parts = [say("scored rows can be told from training rows (AUC {auc:.2f})", auc=auc.value)]
    if length and max(length.values()) > 1.5 * min(length.values()):
        parts.append(say("they have {scored:.0f} characters instead of {train:.0f}", **length))
    if unseen and unseen["scored"] > 1.5 * unseen["expected"]:
        parts.append(say("{scored:.0%} of their words are new instead of {expected:.0%}", **unseen))
    if labels.get("distance", 0.0) > max(limit("swallowed"), labels.get("chance", 0.0)):
        parts.append(
            say("their labels are distributed otherwise (distance {distance:.2f})", distance=labels["distance"])
        )
    evidence = {"auc": auc.value, "length": length, "script": block.get("script", {}), "unseen": unseen,
                "labels": labels}  # fmt: skip
    chosen = seen.chosen
    if seen.figure and chosen and seen.metric in chosen.scores and seen.scored["split"] == "test":
        drop = chosen.scores[seen.metric] - seen.figure.value
        evidence["drop"] = drop
        if drop > limit("shift_drop"):
            parts.append(
                say(
                    "{metric} is {value:.3f} on them and was {before:.3f} on the eval rows",
                    metric=seen.metric, value=seen.figure.value, before=chosen.scores[seen.metric],
                )
            )  # fmt: skip
    yield rule.finding(join("; ", parts), evidence=evidence)
