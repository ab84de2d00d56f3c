"""What a comparison says in words."""

from __future__ import annotations

from typing import Any

import pytest

from exactune.studies.recommend import recommend


def figure(value: float, verdict: str) -> dict[str, Any]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02, "verdict": verdict}


def one(method: str, verdict: str | None = None, value: float = 0.0, **more: Any) -> dict[str, Any]:
    """A method as in ``compare.json``; without a verdict, nothing it was held against."""
    difference = {"field_f1": figure(value, verdict)} if verdict else None
    trained = {"minutes": 2.0, "before": 3.0, "seeds": 3, "same": 0, "unmoved": 0, "general": {}, "note": ""}
    return {"method": method, "difference": difference, **trained, **more}


def verdict(*methods: dict[str, Any], task: str = "json", seeds: int = 3) -> tuple[str, list[str]]:
    keep, lines = recommend([one("sft", before=0.0), *methods], task=task, primary="field_f1", seeds=seeds)
    return keep, list(lines)


def test_what_is_simplest_is_kept_unless_chance_is_excluded() -> None:
    keep, lines = verdict(one("sft+dpo", "level", 0.01), one("orpo", "worse", -0.1))
    assert keep == "sft"
    assert lines == [
        "Keep SFT: of SFT + DPO, ORPO, none is better than it beyond chance.",
        "SFT + DPO cannot be told from SFT: field_f1 +0.010 (-0.010 to +0.030).",
        "ORPO is worse than SFT: field_f1 -0.100 (-0.120 to -0.080).",
    ]
    assert verdict(one("orpo", "level", 0.01))[1][0] == "Keep SFT: ORPO is not better beyond chance."
    assert verdict() == ("sft", ["SFT is the only method that was trained."])


def test_of_two_that_are_better_the_best_is_taken_with_its_price() -> None:
    keep, lines = verdict(one("sft+dpo", "better", 0.05), one("orpo", "better", 0.08))
    assert keep == "orpo"
    assert lines == [
        "Take ORPO: field_f1 +0.080 (+0.060 to +0.100) against SFT, for 2.5 times its minutes.",
        "SFT + DPO is better than SFT, too: field_f1 +0.050 (+0.030 to +0.070).",
    ]


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (one("base", "worse", -0.5), "Fine-tuning pays: the base model is behind SFT by field_f1 -0.500"),
        (one("kshot", "level", 0.0), "Fine-tuning does not pay on these rows: the base model with examples"),
        (one("orpo", None, note="it failed"), "ORPO came to no figure: it failed"),
        (one("sft+dpo", "level", 0.0, same=3), "SFT + DPO is SFT here: under no seed did a mistake"),
        (one("sft+dpo", "level", 0.0, unmoved=3), "SFT + DPO is SFT here: under every seed the model it began with"),
        (one("sft+dpo", "level", 0.0, same=1, unmoved=1), "Under 2 of 3 seeds SFT + DPO left SFT as it was"),
        (one("sft+dpo", "level", 0.0, same=1, unmoved=2), "Under 3 of 3 seeds SFT + DPO left SFT as it was"),
        (one("orpo", "level", general={"news.txt": 0.31}), "ORPO forgets: it predicts news.txt worse by 31%"),
    ],
)  # fmt: skip
def test_each_method_has_its_line(method: dict[str, Any], said: str) -> None:
    assert sum(line.startswith(said) for line in verdict(method)[1]) == 1


def test_less_valid_json_is_a_cost_of_the_best() -> None:
    best = one("orpo", "better", 0.08)
    best["difference"]["valid_json"] = figure(-0.04, "worse")
    keep, lines = verdict(best, seeds=1)
    assert keep == "orpo"
    assert "ORPO writes less valid JSON than SFT: -0.040 (-0.060 to -0.020)." in lines
    assert lines[-1].startswith("With fewer than 3 seeds")


def test_seeds_without_a_figure_are_not_hidden() -> None:
    """A difference under the one seed that did not fail is no difference under three."""
    keep, lines = verdict(one("orpo", "better", 0.08, seeds=1))
    assert keep == "orpo"
    assert lines[-2].startswith("ORPO came to a figure under 1 of 3 seeds alone")
    assert lines[-1].startswith("With fewer than 3 seeds")
    assert not any("alone" in line for line in verdict(one("orpo", "better", 0.08), one("sft+dpo", seeds=0))[1])


@pytest.mark.parametrize(("word", "found"), [("better", "better than SFT all the same"), ("level", "no better than")])
def test_a_classification_is_no_task_for_orpo(word: str, found: str) -> None:
    lines = verdict(one("orpo", word, 0.05), task="classification")[1]
    assert any("ORPO is not meant for a classification" in line and f"Here it is {found}" in line for line in lines)
