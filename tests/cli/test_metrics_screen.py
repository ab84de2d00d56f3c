"""What an evaluation looks like on the screen."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from exactune.cli.screen import show_metrics
from exactune.cli.train import apply_gates
from exactune.language import say, speaking, stored


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def document(**changes: Any) -> dict[str, Any]:
    return {
        "split": "test", "n": 800, "primary": "macro_f1", "statuses": {"ok": 790, "no_stop": 10},
        "metrics": {"macro_f1": figure(0.7), "accuracy": figure(0.72)},
        "baselines": {
            "majority": {"macro_f1": figure(0.2), "accuracy": figure(0.4)},
            "linear": {"macro_f1": figure(0.69), "accuracy": figure(0.71)},
            "zero_shot": {"macro_f1": figure(0.3), "accuracy": figure(0.3)},
        },
        "baseline_rows": {"majority": 800, "linear": 800, "zero_shot": 500},
        "comparison": {
            "baseline": "linear", "metric": "macro_f1", "rows": 800, "verdict": "level", "rows_needed": 12345,
            "difference": {"value": 0.01, "low": -0.02, "high": 0.04},
        },
        **changes,
    }  # fmt: skip


def test_figures_the_best_baseline_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    show_metrics(document())
    assert capsys.readouterr().out.splitlines() == [
        "test: 800 rows",
        "metric      value   95% interval  best baseline",
        "macro_f1 *  0.700  0.650 - 0.750   0.690 linear",
        "accuracy    0.720  0.670 - 0.770   0.710 linear",
        "verdict not better than a linear model: macro_f1 +0.010 (-0.020 to +0.040) on 800 rows may be noise; "
        "about 12,345 rows would tell a difference of this size",
        "others  macro_f1 of majority 0.200, zero_shot 0.300 (of 500 rows)",
        "not usable: 10 no_stop",
    ]


def test_baselines_left_out_are_named_in_the_language_spoken(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = {"baselines_left_out": {"linear": say("the training rows are gone or have changed")}}
    with speaking("zh-TW"):
        show_metrics(stored(document(**left_out), "baselines_left_out"))
    shown = capsys.readouterr().out
    assert "缺少 linear：訓練資料已不在或已變更" in shown
    assert "沒有優於線性模型" in shown


def test_without_baselines_there_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    bare = {key: value for key, value in document(baselines={}, baseline_rows={}).items() if key != "comparison"}
    show_metrics(bare)
    shown = capsys.readouterr().out
    assert "0.700" in shown
    assert "verdict" not in shown


def test_a_missed_gate_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    gate = {"wanted": 0.8, "on": "lower", "found": 0.65, "passed": False}
    with pytest.raises(typer.Exit) as stop:
        apply_gates({"gates": {"macro_f1": gate}})
    assert stop.value.exit_code == 1
    assert "gate    failed: macro_f1 may be 0.650" in capsys.readouterr().err
    apply_gates({"gates": {"macro_f1": {**gate, "passed": True}}})
