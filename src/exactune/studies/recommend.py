"""Which method to take, and why, in words. The answer may be to keep what is simplest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exactune.evaluate.forgetting import MATTERS
from exactune.language import Text, join, say
from exactune.studies.comparison import PAIRED, REFERENCE
from exactune.tasks import METRICS
from exactune.verdicts import method_name

__all__ = ["recommend"]

FEW = 3
"""Seeds below which the luck of a training is hardly told from a method."""

Summary = Mapping[str, Any]
"""One of ``methods`` of ``compare.json``."""


def recommend(methods: Sequence[Summary], *, task: str, primary: str, seeds: int) -> tuple[str, list[Text]]:
    """The method to take, and what speaks for it, the most telling first.

    Args:
        methods: What each came to; ``sft`` is among them.
        task: Type of the task.
        primary: The metric that decides.
        seeds: Under how many each was trained.
    """
    known = {one["method"]: one for one in methods}
    trained = [known[name] for name in PAIRED if name in known]
    better = [one for one in trained if _word(one, primary) == "better"]
    sign = 1 if METRICS[primary] == "max" else -1
    best = max(better, key=lambda one: sign * one["difference"][primary]["value"], default=None)
    lines = [
        _keep(trained) if best is None else _take(best, known[REFERENCE], primary),
        *(_held(one, primary) for one in trained if one is not best),
        *(line for one in trained for line in _partly(one)),
        *(_base(one, primary) for one in methods if one["method"] in ("base", "kshot")),
        *_classification(known, task, primary),
        *(line for one in (known[REFERENCE], *trained) for line in _costs(one)),
    ]
    partial = [one for one in (known[REFERENCE], *trained) if 0 < one["seeds"] < seeds]
    lines += [
        say(
            "{method} came to a figure under {some} of {all} seeds alone; the list of runs says why.",
            method=method_name(one["method"]),
            some=one["seeds"],
            all=seeds,
        )
        for one in partial
    ]
    if min([seeds, *(one["seeds"] for one in partial)]) < FEW:
        lines.append(
            say(
                "With fewer than {few} seeds the luck of one training is hardly told from a method: compare.seeds.",
                few=FEW,
            )
        )
    return (REFERENCE if best is None else best["method"]), lines


def _word(one: Summary, primary: str) -> str | None:
    return one["difference"][primary]["verdict"] if one["difference"] else None


def _told(one: Summary, primary: str) -> dict[str, Any]:
    difference = one["difference"][primary]
    return {
        "method": method_name(one["method"]), "metric": primary,
        **{name: difference[name] for name in ("value", "low", "high")},
    }  # fmt: skip


def _keep(trained: Sequence[Summary]) -> Text:
    if not trained:
        return say("SFT is the only method that was trained.")
    if len(trained) == 1:
        return say("Keep SFT: {method} is not better beyond chance.", method=method_name(trained[0]["method"]))
    names = join(", ", (method_name(one["method"]) for one in trained))
    return say("Keep SFT: of {methods}, none is better than it beyond chance.", methods=names)


def _take(best: Summary, reference: Summary, primary: str) -> Text:
    times = (best["before"] + best["minutes"]) / reference["minutes"] if reference["minutes"] else None
    if times is None:
        return say(
            "Take {method}: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}) against SFT.", **_told(best, primary)
        )
    return say(
        "Take {method}: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}) against SFT, for {times:.1f} times its "
        "minutes.",
        **_told(best, primary),
        times=times,
    )


def _held(one: Summary, primary: str) -> Text:
    """What became of a method that is not taken."""
    name = method_name(one["method"])
    if not one["difference"]:
        return say("{method} came to no figure: {note}", method=name, note=one["note"])
    if one["same"] == one["seeds"]:
        return say("{method} is SFT here: under no seed did a mistake make a pair to learn from.", method=name)
    if one["unmoved"] == one["seeds"]:
        return say(
            "{method} is SFT here: under every seed the model it began with scored best on the eval rows, and was "
            "kept.",
            method=name,
        )
    words = {
        "better": say("{method} is better than SFT, too: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}).",
                      **_told(one, primary)),
        "worse": say("{method} is worse than SFT: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}).",
                     **_told(one, primary)),
        "level": say("{method} cannot be told from SFT: {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}).",
                     **_told(one, primary)),
    }  # fmt: skip
    return words[str(_word(one, primary))]


def _partly(one: Summary) -> Iterator[Text]:
    """Under how many of the seeds a method changed nothing."""
    kept = one["same"] + one["unmoved"]
    if one["difference"] and kept and one["seeds"] not in (one["same"], one["unmoved"]):
        yield say(
            "Under {kept} of {seeds} seeds {method} left SFT as it was: there was no pair, or no evaluation was "
            "better.",
            kept=kept,
            seeds=one["seeds"],
            method=method_name(one["method"]),
        )


def _base(one: Summary, primary: str) -> Text:
    if not one["difference"]:
        return say("{method} came to no figure: {note}", method=method_name(one["method"]), note=one["note"])
    if _word(one, primary) == "worse":
        return say(
            "Fine-tuning pays: {method} is behind SFT by {metric} {value:+.3f} ({low:+.3f} to {high:+.3f}).",
            **_told(one, primary),
        )
    return say(
        "Fine-tuning does not pay on these rows: {method} is not behind SFT, {metric} {value:+.3f} ({low:+.3f} to "
        "{high:+.3f}).",
        **_told(one, primary),
    )


def _classification(known: Mapping[str, Summary], task: str, primary: str) -> Iterator[Text]:
    """The guide's warning (適用場景, 與其他方法比較), and whether it held."""
    if task != "classification" or not (one := known.get("orpo")):
        return
    words = {
        "better": say("better than SFT all the same"), "worse": say("worse than SFT"),
        "level": say("no better than SFT"), None: say("without a figure"),
    }  # fmt: skip
    yield say(
        "ORPO is not meant for a classification: the guide lists that among the tasks of SFT, and points to "
        "preferences for generation that has to be aligned. Here it is {found}.",
        found=words[_word(one, primary)],
    )


def _costs(one: Summary) -> Iterator[Text]:
    """What the primary metric does not say: answers that cannot be read, and what was forgotten."""
    name = method_name(one["method"])
    valid = one["difference"].get("valid_json") if one["difference"] else None
    if valid and valid["verdict"] == "worse":
        yield say(
            "{method} writes less valid JSON than SFT: {value:+.3f} ({low:+.3f} to {high:+.3f}).",
            method=name,
            **{key: valid[key] for key in ("value", "low", "high")},
        )
    for file, change in one["general"].items():
        if change > MATTERS:
            yield say(
                "{method} forgets: it predicts {file} worse by {loss:.0%} than the base model does.",
                method=name,
                file=file,
                loss=change,
            )
