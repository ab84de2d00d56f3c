"""Diagnoses as they stand in a run folder, with the measurements that belong to them."""

from __future__ import annotations

from typing import Any

from report_runs import figure

from exactune.language import join, say, stored
from exactune.rules import Finding, Severity
from exactune.rundir import Run, read_json, read_jsonl, write_json, write_jsonl

EVIDENCE: dict[str, dict[str, Any]] = {
    "R101": {
        "eval_best": 0.15,
        "eval_last": 0.27,
        "best_epoch": 4.0,
        "last_epoch": 6.0,
        "train": 0.08,
        "train_metric": 0.99,
        "scored_metric": 0.72,
        "gap": 0.27,
    },
    "R102": {"train": 0.46, "scored": 0.44, "falling": 0.12, "learning_rate": 2e-5, "recipe_rate": 2e-5},
    "R103": {"first_loss": 2.3, "last_loss": 0.1, "step": 110, "loss_before": 0.31, "loss_after": 7.9},
    "R104": {"swings": 2, "swing": 0.18, "learning_rate": 2e-5},
    "R105": {"moved": 0.00004, "floor": 0.00025, "learning_rate": 1e-6, "recipe_rate": None},
    "R106": {"epochs": 6.0, "gain_last": 0.031},
    "R201": {"share": 0.05, "of": 206.0, "rows": ["test.jsonl:3", "test.jsonl:9"], "training_findings": "D401"},
    "R202": {"share": 0.02, "of": 206.0, "rows": ["test.jsonl:3"]},
    "R203": {"share": 0.05, "of": 206.0, "rows": ["absent.jsonl:3"]},
    "R204": {"label": "負面", "predicted_share": 0.61, "gold_share": 0.33, "recall_of_others": 0.2},
    "R205": {"share": 0.12, "of": 120.0, "rows": []},
    "R206": {"share": 0.31, "of": 206.0, "rows": ["test.jsonl:1"]},
    "R301": {"baseline": "linear", "difference": 0.007, "low": -0.023, "high": 0.037},
    "R302": {"value": 0.62, "low": 0.7, "high": 0.8, "rows": 412.0},
    "R303": {"file": "general/wiki.txt", "before": 0.912, "after": 0.957},
    "R304": {"rows": 206.0, "low": 0.7, "high": 0.82, "rows_needed": 1800.0},
    "R305": {"share": 0.38, "same": 70, "near": 8, "of": 206, "overlapping": 0.99, "others": 0.71},
    "R306": {"ece": 0.118, "confidence": 0.91, "accuracy": 0.79},
    "R307": {"share": 0.083, "rows": 412},
    "R308": {"auc": 0.93, "length": {"train": 24.0, "scored": 58.0}, "labels": {"distance": 0.22}, "drop": 0.06},
    "R401": {"metric_before": 0.81, "metric_after": 0.64, "margin_first": 0.02, "margin_last": 4.1, "stopped": True},
    "R402": {
        "pair_share": 0.92,
        "pairs": 52,
        "chosen_mean": 9.0,
        "rejected_mean": 5.0,
        "answers": 96.0,
        "others": 61.0,
        "difference": 35.0,
        "low": 30.0,
        "high": 40.0,
        "beside": "start",
    },
    "R403": {"pair_share": 0.96, "pairs": 90, "lead": 5.4, "margin_last": 0.47},
    "R404": {"difference": -0.052, "low": -0.091, "high": -0.014, "rows": 206, "ours": 0.76, "theirs": 0.81},
}
"""Code -> what its rule measured."""

NAMES = {
    "R101": "overfit", "R102": "underfit", "R103": "diverged", "R104": "oscillating", "R105": "adapter-hardly-moved",
    "R106": "stopped-early", "R201": "malformed-answers", "R202": "answers-do-not-stop", "R203": "labels-outside-set",
    "R204": "one-label-swallows", "R205": "spans-invented", "R206": "thinking-in-answers",
    "R301": "not-better-than-baseline", "R302": "below-expected-band", "R303": "general-ability-lost",
    "R304": "eval-set-too-small", "R305": "suspiciously-good", "R306": "badly-calibrated", "R307": "label-noise",
    "R308": "test-unlike-train", "R401": "preference-collapse", "R402": "length-bias", "R403": "pairs-too-easy",
    "R404": "sft-was-better",
}  # fmt: skip

PATCH = {"training.num_epochs": 3, "training.learning_rate": 1e-5, "lora.lora_dropout": 0.1, "gate.macro_f1": 0.8}

MEASURED: dict[str, Any] = {
    "train": {"n": 300, "metrics": {"macro_f1": figure(0.99, 0.005)}, "statuses": {"ok": 297, "unknown_label": 3}},
    "doubts": {"rows": 412, "share": 0.083, "examples": [
        {"id": f"train.jsonl:{line}", "gold": "正面", "suggested": "負面", "confidence": 0.99 - line / 1000}
        for line in range(7, 20)]},
    "shift": {"rows": {"train": 412, "scored": 206}, "auc": {"value": 0.93, "low": 0.9, "high": 0.96},
              "length": {"train": 24.0, "scored": 58.0},
              "script": {"train": {"Chinese, traditional": 0.97, "Latin": 0.03}, "scored": {"Latin": 1.0}},
              "unseen": {"scored": 0.61, "expected": 0.12},
              "labels": {"distance": 0.22, "train": {"正面": 0.5, "負面": 0.3, "中性": 0.2},
                         "scored": {"正面": 0.3, "負面": 0.52, "中性": 0.18}}},
    "overlap": {"same": 70, "near": 8, "of": 206,
                "metric": {"overlapping": figure(0.985, 0.01), "others": figure(0.71)}},
}  # fmt: skip


def finding(code: str, *, patch: dict[str, Any] | None = None, **evidence: Any) -> dict[str, Any]:
    """One finding as the diagnosis writes it."""
    made = Finding(
        code, NAMES[code], Severity.WARNING, say("no user turn has any text"), join("; ", [say("write null")]),
        EVIDENCE[code] | evidence, patch,
    )  # fmt: skip
    return stored(made.to_json(), "message", "fix", "evidence")


def diagnose(run: Run, *findings: dict[str, Any]) -> None:
    """Write the diagnosis, and what an evaluation measures for it."""
    write_json(run.path / "diagnosis.json", list(findings))
    if run.metrics.is_file():
        write_json(run.metrics, read_json(run.metrics) | MEASURED)


def add_margins(run: Run) -> None:
    """What a preference method logs at every step."""
    lines = [
        line | {"margin": 0.4 * line["epoch"], "pair_accuracy": 0.9, "logps_chosen": -0.1 * line["epoch"],
                "logps_rejected": -3 * line["epoch"]} if "eval" not in line else line
        for line in read_jsonl(run.train_metrics)
    ]  # fmt: skip
    write_jsonl(run.train_metrics, lines)


def add_moved(run: Run) -> None:
    """The distance of the weights at every evaluation."""
    lines = list(read_jsonl(run.train_metrics))
    moved = [line | {"moved": 6e-6 * line["epoch"]} if "eval" in line else line for line in lines]
    write_jsonl(run.train_metrics, moved)
