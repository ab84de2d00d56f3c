"""Rules about what preference pairs did (R401 to R404); they are silent of other runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from statistics import median
from typing import Any

from exactune.collapse import fallen
from exactune.diagnose.knowledge import limit
from exactune.diagnose.remedies import patch_for
from exactune.diagnose.symptoms import Symptoms
from exactune.language import join, say
from exactune.rules import Finding, Rule, Severity
from exactune.tasks import better
from exactune.verdicts import against_start

__all__ = ["collapse", "length_bias", "sft_was_better", "too_easy"]


def collapse(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """The pairs are told apart ever better, and the task is done ever worse.

    What it does:
        Of preference runs. Fires when the metric that decides ended worse than it was before the first step (of
        `orpo`, than at its best), outside of that figure's 95 % interval, while the margins of the pairs grew. Training
        of `dpo` ends where that is so.

    Why it matters:
        A pair is content when its worse answer becomes less probable, and the better one may become so with it (Pal et
        al., 2024, https://arxiv.org/abs/2402.13228). The published weights are those of the best evaluation, so what is
        lost is time, and what later epochs could have given.

    Example:
        macro_f1 fell from 0.812 before the first step to 0.640 while the mean margin of the pairs grew from 0.02 to
        4.10; training was stopped for it after epoch 1

    Fix:
        Lower the learning rate, and keep the better answers probable with `dpo.sft_weight`. Look at the pairs: they
        should differ in what is right, and in nothing else.
    """
    metric = str(seen.kept.get("metric", seen.metric))
    scored = [line for line in seen.lines if "eval" in line]
    if not seen.prefers or not scored:
        return
    start = scored[0]
    if start["step"]:
        # Without a figure from before the first step, what was best is what was lost.
        start = next((line for line in scored if line["step"] == seen.kept.get("step")), start)
    if not fallen(seen.lines, metric, start):
        return
    margins = [line.margin for line in seen.steps if line.margin is not None]
    told = {
        "metric": metric, "before": start["eval"][metric], "after": scored[-1]["eval"][metric],
        "first": margins[0], "last": margins[-1],
    }  # fmt: skip
    parts = [
        say(
            "{metric} fell from {before:.3f} before the first step to {after:.3f} while the mean margin of the pairs "
            "grew from {first:.2f} to {last:.2f}",
            **told,
        )
        if not start["step"]
        else say(
            "{metric} fell from {before:.3f} after epoch {epoch:g} to {after:.3f} while the mean margin of the pairs "
            "grew from {first:.2f} to {last:.2f}",
            epoch=start["epoch"], **told,
        )
    ]  # fmt: skip
    stopped = seen.loss_of_pairs and bool(seen.kept) and not seen.at_the_limit
    if stopped:
        parts.append(say("training was stopped for it after epoch {epoch:g}", epoch=scored[-1]["epoch"]))
    yield rule.finding(
        join("; ", parts),
        evidence={
            "metric_before": told["before"], "low": start["interval"]["low"], "high": start["interval"]["high"],
            "metric_after": told["after"], "margin_first": told["first"], "margin_last": told["last"],
            "best_epoch": seen.kept.get("epoch"), "stopped": stopped,
            "learning_rate": seen.config.training.learning_rate,
        },
        patch=patch_for(rule.code, seen),
    )  # fmt: skip


def length_bias(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Answers grow longer or shorter as the better ones of the pairs are.

    What it does:
        Of preference runs. Fires when the better answer is the longer one, or the shorter one, in 75 % or more of 20
        pairs or more whose answers have unequal numbers of tokens, and the answers to the scored rows have changed
        their length that way by 10 % or more, beyond chance: against those of the run that this one goes on from, or
        against the right answers where there is none.

    Why it matters:
        A log-likelihood is a sum over tokens, so length alone tells such pairs apart, and is learned first. Answers
        that have grown are not better for it (Park et al., 2024, https://arxiv.org/abs/2403.19159).

    Example:
        the better answer is the longer one in 48 of 52 pairs, and the answers have 96 characters on average instead of
        61

    Fix:
        Add pairs whose better answer is of the other kind, or leave out those whose lengths differ most, until each
        side is the longer one about as often (`exactune check` counts them: D602).
    """
    block = seen.scored.get("length")
    if not seen.prefers or not block:
        return
    longer, shorter = seen.pairs.get("chosen_longer", 0), seen.pairs.get("rejected_longer", 0)
    more, unequal = max(longer, shorter), longer + shorter
    if unequal < limit("few_pairs") or more < limit("longer_pairs") * unequal:
        return
    # Which way the pairs lead: longer is up.
    way = 1 if longer > shorter else -1
    change, least = block["difference"], limit("longer_answers") * block["others"]
    if way * change["value"] < least or min(way * change["low"], way * change["high"]) <= 0:
        return
    told = {"more": more, "pairs": unequal, "answers": block["answers"], "others": block["others"]}
    yield rule.finding(
        say(
            "the better answer is the longer one in {more} of {pairs} pairs, and the answers have {answers:.0f} "
            "characters on average instead of {others:.0f}",
            **told,
        )
        if way > 0
        else say(
            "the better answer is the shorter one in {more} of {pairs} pairs, and the answers have {answers:.0f} "
            "characters on average instead of {others:.0f}",
            **told,
        ),
        evidence={
            "pair_share": more / unequal, "pairs": unequal, "chosen_mean": seen.pairs["chosen_mean"],
            "rejected_mean": seen.pairs["rejected_mean"], "answers": block["answers"], "others": block["others"],
            "difference": change["value"], "low": change["low"], "high": change["high"], "beside": block["beside"],
        },
        patch=patch_for(rule.code, seen),
    )  # fmt: skip


def too_easy(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """The pairs have little to teach.

    What it does:
        Of preference runs. Fires when the model prefers the better answer of 95 % of the pairs or more before the first
        step: by the log-likelihoods of the reference (`dpo`), or by the odds in the first logged line (`orpo`). As a
        warning when, of `dpo`, the mean margin reaches 3 within the first epoch: the loss is near 0 then.

    Why it matters:
        Preferences show a model what it gets wrong. Where it knows the better answer already, steps only make it surer
        of that, at the cost of everything that the pairs do not show.

    Example:
        before the first step the model prefers the better answer in 96% of 90 pairs, by a factor of e^5.4 (median)

    Fix:
        Take pairs of rows that the run it goes on from was not trained on and gets wrong, or go on from a run that was
        trained for fewer epochs and does not know its rows by heart. Else keep the model as it is.
    """
    found = _known(seen)
    margins = [(line, line.margin) for line in seen.steps if line.margin is not None]
    early = [(line, margin) for line, margin in margins if line.epoch <= 1 and margin >= limit("saturated")]
    saturated = seen.loss_of_pairs and bool(early)
    if not seen.prefers or not (found or saturated):
        return
    parts, evidence = [], dict(found)
    if found:
        parts.append(_preferred(seen, found))
    if saturated:
        line, margin = early[0]
        parts.append(
            say(
                "by step {step} the mean margin of the pairs was {margin:.1f}, and their loss {loss:.3f}",
                step=line.step, margin=margin, loss=line.loss,
            )
        )  # fmt: skip
        evidence |= {"margin_first_epoch": margin, "step": line.step}
    if margins:
        evidence |= {"margin_last": margins[-1][1]}
    finding = rule.finding(join("; ", parts), evidence=evidence, patch=patch_for(rule.code, seen))
    yield finding if saturated else replace(finding, severity=Severity.INFO)


def _known(seen: Symptoms) -> dict[str, Any]:
    """How many of the pairs the model knew before it learned any; empty where that is not so many, or not known."""
    if seen.loss_of_pairs:
        leads = [chosen - rejected for chosen, rejected in seen.reference] or [0.0]
        share = sum(lead > 0 for lead in leads) / len(leads)
        found = {"pair_share": share, "pairs": len(leads), "lead": median(leads)}
    else:
        share, step = next(
            ((line.pair_accuracy, line.step) for line in seen.steps if line.pair_accuracy is not None), (0.0, 0)
        )
        found = {"pair_share": share, "pairs": seen.pairs.get("rows", 0), "step": step}
    return found if share >= limit("known_pairs") else {}


def _preferred(seen: Symptoms, found: Mapping[str, Any]) -> str:
    if seen.loss_of_pairs:
        return say(
            "before the first step the model prefers the better answer in {share:.0%} of {pairs} pairs, by a factor of "
            "e^{lead:.1f} (median)",
            share=found["pair_share"], pairs=found["pairs"], lead=found["lead"],
        )  # fmt: skip
    return say(
        "up to step {step} the model prefers the better answer in {share:.0%} of the pairs",
        step=found["step"], share=found["pair_share"],
    )  # fmt: skip


def sft_was_better(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """The run that it goes on from answers better.

    What it does:
        Of preference runs that go on from another one. Fires when the answers are worse than that one's on the same
        rows, beyond chance (a paired bootstrap); otherwise, as good to know, when no evaluation was better than the one
        before the first step, so that what is published is what it began with.

    Why it matters:
        A second method is a second chance to spoil what the first one has taught. Where it brings nothing, the simpler
        model is the better one.

    Example:
        worse than the run it goes on from (../headlines): macro_f1 -0.052 (-0.091 to -0.014) on 300 rows

    Fix:
        Keep the run that it goes on from. To try again: one epoch, a lower learning rate, and `dpo.sft_weight`, which
        keeps right answers probable; or pairs of more of its mistakes (`exactune mine`).
    """
    block = seen.scored.get("start", {})
    found = block.get("metrics", {}).get(block.get("primary"))
    if not seen.prefers:
        return
    if found and found["verdict"] == "worse":
        difference = found["difference"]
        yield rule.finding(
            against_start(block),
            evidence={"difference": difference["value"], "low": difference["low"], "high": difference["high"],
                      "rows": found["rows"], "ours": found["ours"], "theirs": found["theirs"]},
            patch=patch_for(rule.code, seen),
        )  # fmt: skip
    elif seen.kept.get("step") == 0 and len(seen.evaluations) > 1:
        yield replace(_never_better(seen, rule), severity=Severity.INFO)


def _never_better(seen: Symptoms, rule: Rule[Symptoms]) -> Finding:
    metric = str(seen.kept["metric"])
    before, *later = (one.scores[metric] for one in seen.evaluations)
    after = later[0]
    for value in later:
        after = value if better(metric, value, after) else after
    return rule.finding(
        say(
            "no evaluation was better than the one before the first step ({metric} {before:.3f}, then {after:.3f} at "
            "best), so the published weights are those that it began with",
            metric=metric, before=before, after=after,
        ),
        evidence={"metric_before": before, "metric_after": after},
        patch=patch_for(rule.code, seen),
    )  # fmt: skip
