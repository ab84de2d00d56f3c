"""Rules about the rows behind the figures (R305, R307, R308)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exactune.diagnose.knowledge import limit
from exactune.diagnose.symptoms import Symptoms, figure_of
from exactune.language import join, say
from exactune.rules import Finding, Rule, Severity
from exactune.verdicts import baseline_name

__all__ = ["label_noise", "too_good", "unlike_train"]


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
            metric=seen.metric, value=seen.figure.value, simple=simple[best], baseline=baseline_name(best),
        ),
        evidence={"value": seen.figure.value, "baseline": best, "baseline_value": simple[best]},
    )  # fmt: skip
    return [replace(finding, severity=Severity.WARNING)]


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
