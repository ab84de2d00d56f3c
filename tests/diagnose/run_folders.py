"""Run folders as a healthy run leaves them, and with one thing wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from exactune.rundir import Run, write_json, write_jsonl, write_text

LABELS = ["good", "bad", "so-so"]
PATCHES = {
    "training.num_epochs": "8-10",
    "training.learning_rate": 0.005,
    "lora.r": 32,
    "lora.lora_alpha": 64,
    "lora.target_modules": "all-linear",
}
Folder = dict[str, Any]


def healthy() -> Folder:
    """300 rows, 8 of 10 epochs, test figures a little below those of the training rows."""
    losses = [1.2, 0.7, 0.5, 0.42, 0.38, 0.36, 0.35, 0.345]
    scores = [0.55, 0.7, 0.76, 0.79, 0.8, 0.81, 0.815, 0.812]
    lines: list[dict[str, Any]] = []
    for epoch, (loss, score) in enumerate(zip(losses, scores, strict=True), 1):
        lines += [
            {"step": 20 * epoch - 10, "epoch": epoch - 0.5, "rows": 0, "time": 0.0, "loss": loss, "grad_norm": 1.0},
            {"step": 20 * epoch, "epoch": float(epoch), "rows": 0, "time": 0.0, "loss": loss - 0.02, "grad_norm": 1.0},
            {"step": 20 * epoch, "epoch": float(epoch), "time": 0.0, "moved": 0.1 * epoch, "changed": 1.0,
             "eval": {"loss": loss - 0.1, "macro_f1": score, "accuracy": score}},
        ]  # fmt: skip
    matrix = [[82, 10, 8], [8, 84, 8], [10, 9, 81]]
    scores_of = {"precision": 0.82, "recall": 0.82, "f1": 0.82, "support": 100, "low": 0.78, "high": 0.86}
    return {
        "config": {
            "model": "mini-1",
            "task": {"type": "classification", "labels": LABELS},
            "training": {"num_epochs": "8-10", "learning_rate": 0.005},
            "lora": {"r": 32, "lora_alpha": 64, "target_modules": "all-linear"},
        },
        "recipe": {"rows": 300, "values": PATCHES, "expected": {"low": 0.7, "high": 0.8, "note": "minimally usable"}},
        "lines": lines,
        "best": {"step": 140, "epoch": 7.0, "metric": "macro_f1", "value": 0.815},
        "findings": [],
        "data": {
            "files": [{"path": f"{name}.jsonl", "split": name} for name in ("train", "eval", "test")],
            "splits": {"train": {"rows": 300}, "eval": {"rows": 100}, "test": {"rows": 300}},
        },
        "answers": [
            {"id": f"test.jsonl:{n}", "gold": "good", "answer": "good", "prediction": "good", "status": "ok",
             "confidence": 0.8, "correct": True, "input": "the tea was good"}
            for n in range(1, 301)
        ],
        "metrics": {
            "split": "test", "n": 300, "primary": "macro_f1", "statuses": {"ok": 300},
            "metrics": {"macro_f1": {"value": 0.82, "low": 0.78, "high": 0.86}},
            "per_label": {label: dict(scores_of) for label in LABELS},
            "confusion": {"labels": LABELS, "matrix": matrix},
            "baselines": {
                "majority": {"macro_f1": {"value": 0.17, "low": 0.15, "high": 0.19}},
                "linear": {"macro_f1": {"value": 0.74, "low": 0.7, "high": 0.78}},
            },
            "comparison": {
                "baseline": "linear", "metric": "macro_f1", "rows": 300, "verdict": "better", "rows_needed": 200,
                "difference": {"value": 0.08, "low": 0.04, "high": 0.12},
            },
            "train": {"n": 300, "metrics": {"macro_f1": {"value": 0.92, "low": 0.89, "high": 0.95}},
                      "statuses": {"ok": 300}},
            "calibration": {"rows": 100, "after": {"ece": 0.04, "bins": [
                {"low": 0.6, "high": 0.7, "n": 100, "confidence": 0.65, "accuracy": 0.64},
                {"low": 0.9, "high": 1.0, "n": 200, "confidence": 0.92, "accuracy": 0.91},
            ]}},
            "doubts": {"rows": 300, "share": 0.03, "examples": []},
            "shift": {
                "auc": {"value": 0.52, "low": 0.47, "high": 0.57}, "length": {"train": 40.0, "scored": 41.0},
                "script": {"train": {"latin": 1.0}, "scored": {"latin": 1.0}},
                "unseen": {"scored": 0.11, "expected": 0.1},
                "labels": {"distance": 0.02, "train": {"good": 0.34, "bad": 0.33, "so-so": 0.33},
                           "scored": {"good": 0.34, "bad": 0.33, "so-so": 0.33}},
            },
            "general": {
                "before": {"notes.txt": {"bits_per_byte": 2.5}}, "after": {"notes.txt": {"bits_per_byte": 2.6}},
            },
        },
    }  # fmt: skip


def preferring(folder: Folder, method: str = "dpo") -> None:
    """Make it a healthy preference run: 3 epochs from another run, on 60 pairs that one got wrong."""
    folder["config"] |= {"start_from": "../sft"} if method == "dpo" else {}
    folder["config"]["training"] = {"method": method, "num_epochs": 3, "learning_rate": 0.0005}
    folder["recipe"]["values"] = PATCHES | {"training.num_epochs": "1-3", "training.learning_rate": 0.0005}
    interval = {"low": 0.77, "high": 0.85}
    lines: list[dict[str, Any]] = [
        {"step": 0, "epoch": 0.0, "time": 0.0, "moved": 0.0, "interval": interval,
         "eval": {"loss": 0.4, "macro_f1": 0.81, "accuracy": 0.81}},
    ][: method == "dpo"]  # fmt: skip
    for epoch, (margin, score) in enumerate(zip((0.1, 0.4, 0.7), (0.815, 0.83, 0.82), strict=True), 1):
        lines += [
            {"step": 10 * epoch, "epoch": float(epoch), "loss": 0.69 - 0.1 * epoch, "grad_norm": 1.0,
             "margin": margin, "pair_accuracy": 0.5 + 0.1 * epoch, "logps_chosen": -4.0, "logps_rejected": -3.0},
            {"step": 10 * epoch, "epoch": float(epoch), "time": 0.0, "moved": 0.02 * epoch, "interval": interval,
             "eval": {"loss": 0.4, "macro_f1": score, "accuracy": score}},
        ]  # fmt: skip
    best = {"step": 20, "epoch": 2.0, "metric": "macro_f1", "value": 0.83}
    folder |= {
        "lines": lines,
        "best": best,
        "reference": [{"chosen": -4.0, "rejected": -3.0 - n % 3} for n in range(60)],
    }
    folder["data"]["pairs"] = {
        "rows": 60, "chosen_longer": 16, "rejected_longer": 14, "chosen_mean": 3.0, "rejected_mean": 3.0,
    }  # fmt: skip
    difference = {"value": 0.01, "low": -0.01, "high": 0.03}
    found = {"rows": 300, "ours": 0.82, "theirs": 0.81, "difference": difference, "verdict": "level",
             "rows_needed": 900}  # fmt: skip
    folder["metrics"] |= {
        "start": {"run": "../sft", "rows": 300, "primary": "macro_f1", "metrics": {"macro_f1": found}},
        "length": {"rows": 300, "answers": 4.1, "others": 4.0, "beside": "start",
                   "difference": {"value": 0.1, "low": -0.1, "high": 0.3}},
    }  # fmt: skip


def write_folder(path: Path, change: Callable[[Folder], Any] | None = None) -> Run:
    """A healthy run, changed."""
    folder = copy.deepcopy(healthy())
    if change:
        change(folder)
    run = Run(path)
    write_text(run.config, yaml.safe_dump(folder["config"]))
    write_json(run.recipe, folder["recipe"])
    write_json(run.data, folder["data"])
    write_json(run.findings, folder["findings"])
    write_jsonl(run.train_metrics, folder["lines"])
    if "reference" in folder:
        write_jsonl(run.train_metrics.with_name("reference.jsonl"), folder["reference"])
    if folder["best"]:
        write_json(run.train_metrics.with_name("best.json"), folder["best"])
    if folder["metrics"]:
        write_json(run.metrics, folder["metrics"])
        write_jsonl(run.predictions, folder["answers"])
    return run


def finding(code: str, *lines: int, twins: int = 0, severity: str = "warning") -> dict[str, Any]:
    """What the data checks found in these training rows, and in so many test rows beside them."""
    return {
        "code": code, "name": "a-name", "severity": severity, "message": f"what {code} found", "fix": "",
        "patch": None, "evidence": {},
        "related": [{"file": "test.jsonl", "line": line} for line in range(1, twins + 1)],
        "locations": [{"file": "train.jsonl", "line": line} for line in lines],
    }  # fmt: skip
