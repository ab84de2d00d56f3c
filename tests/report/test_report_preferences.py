"""What a report says of a preference run."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from report_html import Element, parse, sections
from sick_runs import add_margins

from exactune.language import say, stored
from exactune.report import write_report
from exactune.rundir import Run, append_jsonl, read_json, read_jsonl, write_json, write_jsonl, write_text


def report(run: Run, language: str = "en") -> Element:
    return parse(write_report(run, language).read_text(encoding="utf-8"))


def compared(verdict: str, value: float, needed: int | None = None) -> dict[str, Any]:
    difference = {"value": value, "low": value - 0.03, "high": value + 0.03}
    found = {"ours": 0.8 + value, "theirs": 0.8, "difference": difference, "verdict": verdict, "rows_needed": needed}
    return {"run": "../sft", "rows": 206, "primary": "macro_f1", "metrics": {"accuracy": found, "macro_f1": found}}


@pytest.fixture
def preferring(judged: Run) -> Run:
    """From another run, on pairs."""
    config = yaml.safe_load(judged.config.read_text(encoding="utf-8"))
    config["training"]["method"] = "dpo"
    write_text(judged.config, yaml.safe_dump(config | {"start_from": "../sft"}, allow_unicode=True))
    pairs = {"rows": 90, "chosen_longer": 3, "rejected_longer": 2, "chosen_mean": 10.2, "rejected_mean": 10.0}
    write_json(judged.data, read_json(judged.data) | {"pairs": pairs})
    add_margins(judged)
    return judged


def begin(run: Run, block: dict[str, Any]) -> None:
    write_json(run.metrics, read_json(run.metrics) | {"start": block})


def test_method_start_and_pairs_stand_in_the_setup(preferring: Run) -> None:
    setup = sections(report(preferring))["setup"]
    assert "DPO preference pairs, from a run that is fine-tuned already goes on from ../sft" in setup.replace(
        "../ sft", "../sft"
    )
    assert "Preference pairs 90 the better answer has 10.2 tokens on average, the worse one 10.0" in setup


def test_curves_of_the_pairs_stand_beside_the_loss(preferring: Run, sentiment: Run) -> None:
    document = report(preferring)
    drawn = [one.attributes.get("aria-labelledby", "") for one in document.find("svg")]
    for name in ("margin-chart", "pairs-chart", "logps-chart"):
        assert sum(name in text for text in drawn) == 1
    assert "training loss, of the pairs (it begins at ln 2 = 0.693)" in sections(document)["training"]


def test_a_run_without_pairs_has_no_such_curves(sentiment: Run) -> None:
    document = report(sentiment)
    assert "start" not in sections(document)
    assert "Margin" not in document.text
    assert "SFT supervised fine-tuning" in sections(document)["setup"]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (
            compared("better", 0.05),
            "Better than the run it goes on from (../sft): macro F1 +0.050 on the same 206 rows.",
        ),
        (compared("worse", -0.05), "macro F1 \N{MINUS SIGN}0.050 on the same 206 rows. Keep that one."),
        (
            compared("level", 0.01, 2000),
            "can be chance. To tell a difference of this size from chance, about 2,000 rows",
        ),
        (compared("level", 0.0), "As good as the run it goes on from (../sft): macro F1 is the same"),
    ],
)
def test_the_comparison_with_its_start_in_words(preferring: Run, block: dict[str, Any], words: str) -> None:
    begin(preferring, block)
    found = sections(report(preferring))["start"]
    assert words in found.replace("../ sft", "../sft")
    assert found.index("macro F1") < found.index("accuracy"), "the primary metric comes first"


def test_why_there_is_no_comparison_is_said_in_both_languages(preferring: Run) -> None:
    message = say("no user turn has any text")
    begin(preferring, {"run": "../sft", "left_out": message})
    write_json(
        preferring.metrics,
        stored({**read_json(preferring.metrics), "start": {"run": "../sft", "left_out": message}}, "start"),
    )
    assert "no user turn has any text" in sections(report(preferring))["start"]
    assert "no user turn has any text" not in sections(report(preferring, "zh-TW"))["start"]


@pytest.mark.parametrize(
    "odd", ["x", 3, [], {"metrics": {"macro_f1": 1}}, {"run": None, "metrics": {"a": {"ours": "x"}}}]
)
def test_odd_blocks_do_not_stop_a_report(preferring: Run, odd: Any) -> None:
    begin(preferring, odd)
    write_json(preferring.data, read_json(preferring.data) | {"pairs": odd})
    assert sections(report(preferring))["verdict"]


def test_a_start_that_was_best_is_no_epoch(preferring: Run) -> None:
    append_jsonl(preferring.train_metrics, {"step": 0, "epoch": 0.0, "eval": {"loss": 0.3, "macro_f1": 0.9}})
    lines = sorted(read_jsonl(preferring.train_metrics), key=lambda line: line["step"])
    write_jsonl(preferring.train_metrics, lines)
    write_json(
        preferring.train_metrics.with_name("best.json"), {"step": 0, "epoch": 0.0, "metric": "macro_f1", "value": 0.9}
    )
    found = sections(report(preferring))["training"]
    assert "What it began with, before the first step, was best by macro F1: 0.900." in found
