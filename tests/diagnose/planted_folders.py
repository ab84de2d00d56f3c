"""For each rule, what makes a healthy run folder sick of it, and the patch it then gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from run_folders import Folder, finding, preferring

__all__ = ["PLANTED", "Planted"]


@dataclass(frozen=True, slots=True)
class Planted:
    """One sickness.

    Attributes:
        plant: Changes a healthy folder.
        patch: What the finding says to change.
        severity: Of the finding.
        explains: Codes that it hides.
    """

    plant: Callable[[Folder], Any]
    patch: dict[str, Any] | None = None
    severity: str = "warning"
    explains: tuple[str, ...] = field(default=())


def figure(folder: Folder, value: float, width: float = 0.04) -> None:
    folder["metrics"]["metrics"]["macro_f1"] = {"value": value, "low": value - width, "high": value + width}


def trained(folder: Folder, value: float) -> None:
    folder["metrics"]["train"]["metrics"]["macro_f1"] = {"value": value, "low": value - 0.02, "high": value + 0.02}


def losses(folder: Folder, train: list[float], evaluated: list[float] | None = None) -> None:
    """Mean training losses of the epochs, and the losses at their ends."""
    logged = [line for line in folder["lines"] if "eval" not in line]
    for number, line in enumerate(logged):
        line["loss"] = train[number // 2]
    for line, loss in zip((line for line in folder["lines"] if "eval" in line), evaluated or train, strict=True):
        line["eval"]["loss"] = loss


def overfit(folder: Folder) -> None:
    trained(folder, 0.99)
    figure(folder, 0.75)
    losses(folder, [1.2, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005], [0.9, 0.6, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9])


def underfit(folder: Folder) -> None:
    trained(folder, 0.55)
    figure(folder, 0.5)
    folder["config"]["training"]["learning_rate"] = 0.001


def hardly_moved(folder: Folder) -> None:
    for line in folder["lines"]:
        if "eval" in line:
            line["moved"] = 0.0002
    trained(folder, 0.2)
    figure(folder, 0.2)
    folder["config"]["training"]["learning_rate"] = 5e-5


def still_improving(folder: Folder) -> None:
    folder["config"]["training"]["num_epochs"] = 8
    folder["best"] = {"step": 160, "epoch": 8.0, "metric": "macro_f1", "value": 0.82}
    losses(folder, [2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.8, 0.6])


def malformed(folder: Folder) -> None:
    folder["config"]["task"] = {"type": "json"}
    folder["metrics"]["statuses"] = {"ok": 200, "invalid_json": 100}
    for line in folder["answers"][:100]:
        line["status"] = "invalid_json"


def outside(folder: Folder) -> None:
    folder["config"]["constrain"] = False
    folder["metrics"]["statuses"] = {"ok": 280, "unknown_label": 20}


def swallowed(folder: Folder) -> None:
    folder["metrics"]["confusion"]["matrix"] = [[100, 0, 0], [80, 20, 0], [90, 0, 10]]
    for label, recall in (("bad", 0.2), ("so-so", 0.1)):
        folder["metrics"]["per_label"][label]["recall"] = recall
    figure(folder, 0.3)
    folder["metrics"]["shift"]["labels"]["train"] = {"good": 0.95, "bad": 0.03, "so-so": 0.02}


def invented(folder: Folder) -> None:
    folder["config"]["task"] = {"type": "entities", "entity_types": ["dish"]}
    for number, line in enumerate(folder["answers"]):
        line["prediction"] = [{"text": "tea" if number % 2 else "coffee", "type": "dish"}]


def no_better(folder: Folder) -> None:
    folder["metrics"]["comparison"] |= {
        "verdict": "level", "difference": {"value": 0.01, "low": -0.03, "high": 0.05}, "rows_needed": 4000,
    }  # fmt: skip


def unlike(folder: Folder) -> None:
    folder["metrics"]["shift"] |= {
        "auc": {"value": 0.97, "low": 0.95, "high": 0.99}, "length": {"train": 41.0, "scored": 312.0},
        "unseen": {"scored": 0.38, "expected": 0.1},
    }  # fmt: skip
    figure(folder, 0.5)


def leaked(folder: Folder) -> None:
    folder["metrics"]["overlap"] = {
        "same": 60, "near": 20, "of": 300,
        "metric": {"overlapping": {"value": 0.99, "low": 0.97, "high": 1.0},
                   "others": {"value": 0.71, "low": 0.65, "high": 0.77}},
    }  # fmt: skip


def unsure(folder: Folder) -> None:
    folder["metrics"]["calibration"]["after"]["bins"][1] |= {"confidence": 0.98, "accuracy": 0.7}


def collapsed(folder: Folder) -> None:
    preferring(folder)
    for line, score in zip([line for line in folder["lines"] if "eval" in line], (0.81, 0.8, 0.78, 0.6), strict=True):
        line["eval"]["macro_f1"] = score
    folder["best"] = {"step": 0, "epoch": 0.0, "metric": "macro_f1", "value": 0.81}


def lengthened(folder: Folder) -> None:
    preferring(folder)
    folder["data"]["pairs"] |= {"chosen_longer": 48, "rejected_longer": 4, "chosen_mean": 9.0, "rejected_mean": 5.0}
    folder["metrics"]["length"] |= {"answers": 96.0, "others": 61.0, "difference": {"value": 35, "low": 30, "high": 40}}


def known(folder: Folder) -> None:
    preferring(folder)
    folder["reference"] = [{"chosen": -0.1, "rejected": -8.0} for _ in range(60)]
    for line in folder["lines"]:
        if "margin" in line:
            line["margin"] += 4


def start_better(folder: Folder) -> None:
    preferring(folder)
    folder["metrics"]["start"]["metrics"]["macro_f1"] |= {
        "verdict": "worse", "difference": {"value": -0.052, "low": -0.091, "high": -0.014},
    }  # fmt: skip


PLANTED = {
    "R101": Planted(
        overfit, {"lora.lora_dropout": 0.1, "training.weight_decay": 0.05, "training.num_epochs": 3}
    ),
    "R102": Planted(
        underfit,
        {"training.learning_rate": 0.005},
        explains=("R302",),
    ),
    "R103": Planted(
        lambda folder: losses(folder, [1.0, 0.5, 0.4, 5.0, 6.0, 6.0, 6.0, 6.0]),
        {"training.learning_rate": 0.00125},
        severity="error",
    ),
    "R104": Planted(
        lambda folder: losses(folder, [1.0] * 4 + [0.9] * 4, [0.9, 0.5, 0.8, 0.5, 0.9, 0.5, 0.5, 0.5]),
        {"training.learning_rate": 0.0025, "training.warmup_ratio": 0.2},
    ),
    "R105": Planted(
        hardly_moved, {"training.learning_rate": 0.005}, severity="error", explains=("R102", "R302")
    ),
    "R106": Planted(still_improving, {"training.num_epochs": 12}),
    "R201": Planted(malformed, {"constrain": True}),
    "R202": Planted(lambda folder: folder["metrics"].update(statuses={"ok": 280, "no_stop": 20})),
    "R203": Planted(outside, {"constrain": "auto"}),
    "R204": Planted(swallowed, explains=("R101", "R302")),
    "R205": Planted(invented, {"task.copy_spans": True}),
    "R206": Planted(lambda folder: folder["answers"][7].update(answer="<think>hm</think>good") or
                    folder["findings"].append(finding("D409", 4, 9))),
    "R301": Planted(no_better),
    "R302": Planted(lambda folder: folder["recipe"].update(expected={"low": 0.92, "high": 1.0}), severity="info"),
    "R303": Planted(lambda folder: folder["metrics"]["general"]["after"]["notes.txt"].update(bits_per_byte=3.9)),
    "R304": Planted(lambda folder: figure(folder, 0.8, 0.15)),
    "R305": Planted(leaked, severity="error"),
    "R306": Planted(unsure),
    "R307": Planted(lambda folder: folder["metrics"]["doubts"].update(share=0.29)),
    "R308": Planted(unlike, explains=("R101", "R302")),
    "R401": Planted(
        collapsed, {"training.learning_rate": 0.00025, "dpo.sft_weight": 0.2}, explains=("R404",)
    ),
    "R402": Planted(lengthened),
    "R403": Planted(known),
    "R404": Planted(
        start_better, {"training.num_epochs": 1, "training.learning_rate": 0.00025, "dpo.sft_weight": 0.2}
    ),
}  # fmt: skip
"""Code -> what is planted and what has to be found."""
