"""Run folders as the stages leave them, written small."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from exactune.evaluate.errors import Errors
from exactune.rundir import Run, append_jsonl, read_json, read_jsonl, write_json, write_jsonl, write_text
from exactune.tasks import Parsed, Task
from exactune.types import Example, Location, Message, Status

SENTIMENT = {
    "正面": ["房間乾淨，櫃檯人員很親切，下次還會再來。", "早餐選擇多，咖啡也好喝。", "出貨很快，包裝完整。"],
    "負面": ["等了四十分鐘才上菜，湯還是冷的。", "冷氣滴水，整晚沒睡好。", "客服電話打了三天都沒人接。"],
    "中性": ["飯店在車站旁邊，走路五分鐘。", "尺寸跟網頁上寫的一樣。", "餐廳週一公休。"],
}


def base_run(path: Path, task: dict[str, Any], rows: int) -> Run:
    """Everything that exists before the first step."""
    run = Run(path)
    config = {
        "model": "Qwen/Qwen3-4B",
        "data": {
            "train": ["train.jsonl"],
            "eval": ["eval.jsonl"],
            "test": ["test.jsonl"],
            "eval_fraction": 0.1,
            "mix": [],
        },
        "task": task,
        "check": {"on_error": "stop", "ignore": []},
        "training": {
            "method": "sft",
            "num_epochs": "5-8",
            "learning_rate": 2e-05,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 4,
            "warmup_ratio": 0.1,
            "weight_decay": 0.01,
            "max_seq_length": 1024,
            "early_stopping_patience": 2,
            "metric_for_best": "auto",
            "seed": 42,
        },
        "lora": {
            "r": 32,
            "lora_alpha": 64,
            "lora_dropout": 0.05,
            "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
        },
        "quantization": "none",
        "gate": {"macro_f1": 0.75} if task["type"] == "classification" else {},
        "output_dir": f"runs/{path.name}",
    }
    write_text(run.config, yaml.safe_dump(config, allow_unicode=True, sort_keys=False))
    write_json(
        run.recipe,
        {
            "rows": rows,
            "bracket": "< 500" if rows < 500 else "> 5000",
            "reason": "Few rows overfit quickly: more epochs, some dropout in the adapter, and early stopping decides.",
            "values": {"training.num_epochs": "5-8", "lora.lora_dropout": 0.05},
            "expected": {"low": 0.70, "high": 0.80, "note": "minimally usable"} if rows < 500 else EXPECTED_MANY,
            "sources": {
                "model": "file task.yaml",
                "task": "file task.yaml",
                "training.num_epochs": "recipe",
                "training.learning_rate": "--set",
                "training.max_seq_length": "file task.yaml",
                "lora.lora_dropout": "recipe",
            },
            "renamed": ["file task.yaml: cutoff_len -> training.max_seq_length"],
        },
    )
    write_json(
        run.env,
        {
            "exactune": "0.1.0",
            "python": "3.12.4",
            "platform": "Linux-6.8-x86_64",
            "device": "cuda: NVIDIA RTX 4090, 24 GiB",
            "packages": {"torch": "2.9.1", "transformers": "5.2.0", "trl": "1.16.0", "peft": "0.19.0"},
            "model": {"name": "Qwen/Qwen3-4B", "parameters": 4_022_468_096, "trainable_parameters": 11_796_480},
            "started": "2026-05-01T10:24:31+00:00",
            "minutes": 72.4,
        },
    )
    files = [("train.jsonl", "train", rows), ("eval.jsonl", "eval", rows // 4), ("test.jsonl", "test", rows // 2)]
    write_json(
        run.data,
        {
            "files": [
                {"path": name, "split": split, "rows": n, "sha256": f"{n:064x}", "format": "alpaca"}
                for name, split, n in files
            ],
            "splits": {
                **{split: {"rows": n, "ids": [f"{name}:{line + 1}" for line in range(n)]} for name, split, n in files},
                "mix": {"rows": 0, "ids": []},
            },
            "rejected": [
                {"file": "train.jsonl", "line": 17, "reason": "1,312 tokens, more than training.max_seq_length 1024"},
                {"file": "train.jsonl", "line": 203, "reason": "not readable JSON: Expecting ',' delimiter"},
            ],
            "tokens": {"prompt_mean": 86.4, "answer_mean": 3.1, "longest": 1009},
        },
    )
    write_json(run.findings, FINDINGS)
    return run


EXPECTED_MANY = {"low": 0.88, "high": 0.92, "note": "production quality"}

FINDINGS: list[dict[str, Any]] = [
    {
        "code": "D205",
        "name": "eval-row-in-train",
        "severity": "error",
        "message": "2 eval rows also stand in training, so their scores measure memory.",
        "fix": "Remove them from one side.",
        "evidence": {"rows": 2, "share": 0.019},
        "patch": None,
        "locations": [{"file": "eval.jsonl", "line": 4}, {"file": "eval.jsonl", "line": 31}],
        "related": [{"file": "train.jsonl", "line": 88}, {"file": "train.jsonl", "line": 312}],
    },
    {
        "code": "D301",
        "name": "few-rows",
        "severity": "warning",
        "message": "412 training rows; the guide calls 500 to 2,000 the amount to aim for.",
        "fix": "Add rows, first for the labels with the fewest.",
        "evidence": {},
        "patch": {"training.num_epochs": "5-8"},
        "locations": [{"file": "train.jsonl", "line": None}],
        "related": [],
    },
    {
        "code": "D107",
        "name": "full-width-punctuation",
        "severity": "info",
        "message": "全形與半形標點混用。",
        "fix": "Choose one.",
        "evidence": {"examples": ["，", ","]},
        "patch": None,
        "locations": [{"file": "train.jsonl", "line": line} for line in range(1, 60, 2)],
        "related": [],
    },
]


def add_training(run: Run, metric: str, *, epochs: int = 6, steps: int = 26, until: float = math.inf) -> None:
    """Logged steps and one evaluation per epoch; the fourth is best."""
    noise = random.Random(1)
    for step in range(1, epochs * steps + 1):
        epoch = round(step / steps, 4)
        if epoch > until:
            break
        if step % 2 == 0:
            loss = 2.4 * math.exp(-epoch / 0.9) + 0.05 + noise.random() * 0.12
            append_jsonl(
                run.train_metrics,
                {
                    "step": step,
                    "epoch": epoch,
                    "rows": step * 16,
                    "time": 1777631071.0 + step,
                    "loss": round(loss, 4),
                    "learning_rate": 2e-5,
                    "grad_norm": 1.1,
                },
            )
        if step % steps == 0:
            scores = {
                "loss": 0.55 - 0.1 * min(epoch, 4) + 0.06 * max(0, epoch - 4),
                metric: 0.82 - 0.05 * abs(epoch - 4),
            }
            append_jsonl(
                run.train_metrics,
                {"step": step, "epoch": epoch, "time": 1777631071.0 + step, "eval": scores | {"accuracy": 0.8}},
            )


def finish(run: Run, metric: str) -> None:
    """Training is over: the artifact is there, and which evaluation chose it."""
    run.adapter.mkdir()
    best = {"step": 104, "epoch": 4.0, "metric": metric, "value": 0.82}
    write_json(run.train_metrics.with_name("best.json"), best)


def figure(value: float, width: float = 0.04) -> dict[str, float]:
    return {"value": value, "low": max(value - width, 0.0), "high": min(value + width, 1.0)}


def add_classification(run: Run, labels: Sequence[str], inputs: dict[str, list[str]], n: int = 206) -> None:
    """Scores and predictions that agree with each other."""
    chance = random.Random(7)
    columns = [*labels, "(none)"]
    matrix = [[0] * len(columns) for _ in labels]
    rows = []
    for line in range(1, n + 1):
        gold = chance.choice(labels)
        at = labels.index(gold)
        drawn = chance.random()
        guess = (
            at if drawn < 0.79 else len(labels) if drawn < 0.81 else (at + chance.choice((1, 1, 1, 2))) % len(labels)
        )
        matrix[at][guess] += 1
        known = guess < len(labels)
        answer = columns[guess] if known else "不確定"
        rows.append(
            {
                "id": f"test.jsonl:{line}",
                "gold": gold,
                "answer": answer,
                "prediction": answer if known else None,
                "status": "ok" if known else "unknown_label",
                "confidence": round(0.4 + 0.6 * chance.random(), 4),
                "correct": guess == at,
                "input": chance.choice(inputs.get(gold, [f"Please tell me about {gold}."])),
            }
        )
    write_jsonl(run.predictions, rows)
    per_label = {}
    for at, label in enumerate(labels):
        gold_n, guessed = sum(matrix[at]), sum(row[at] for row in matrix)
        recall, precision = matrix[at][at] / max(gold_n, 1), matrix[at][at] / max(guessed, 1)
        f1 = 2 * recall * precision / max(recall + precision, 1e-9)
        per_label[label] = {"precision": precision, "recall": recall, "f1": f1, "support": gold_n}
        per_label[label] |= {"low": max(f1 - 0.08, 0.0), "high": min(f1 + 0.06, 1.0)}
    hits = sum(row["correct"] for row in rows) / n
    macro = sum(figures["f1"] for figures in per_label.values()) / len(labels)
    unknown = sum(row["status"] != "ok" for row in rows)
    write_json(
        run.metrics,
        {
            "split": "test",
            "n": n,
            "primary": "macro_f1",
            "metrics": {"accuracy": figure(hits), "macro_f1": figure(macro), "micro_f1": figure(hits + 0.01)},
            "per_label": per_label,
            "confusion": {"labels": columns, "matrix": matrix},
            "statuses": {"ok": n - unknown, "unknown_label": unknown},
            "baselines": {
                "majority": {"accuracy": figure(1 / len(labels)), "macro_f1": figure(0.5 / len(labels), 0.01)}
            },
        },
    )


def add_errors(run: Run, task: Task) -> None:
    """The errors of the run's predictions, as an evaluation finds them."""
    errors, document = Errors(task), read_json(run.metrics)
    for row in read_jsonl(run.predictions):
        gold, given = Parsed(row["gold"], Status.OK), Parsed(row["prediction"], Status(row["status"]))
        prompt = (Message("system", ""), Message("user", row["input"]))
        file, _, line = row["id"].rpartition(":")
        example = Example(row["id"], prompt, row["answer"], Location(file, int(line)), "chat")
        errors.add(example, gold, given, task.score(gold, given))
    write_json(run.metrics, document | {"errors": errors.document()})


def bins(shift: float) -> dict[str, Any]:
    """A reliability diagram whose confidence is ``shift`` too high."""
    found = []
    for tenth in range(3, 10):
        sure = tenth / 10 + 0.05
        accuracy = max(sure - shift, 0.0)
        found.append(
            {"low": tenth / 10, "high": tenth / 10 + 0.1, "n": 5 * tenth, "confidence": sure, "accuracy": accuracy}
        )
    return {"ece": shift, "bins": found}


CALIBRATION: dict[str, Any] = {
    "rows": 103, "method": "temperature", "temperature": 1.62, "before": bins(0.118), "after": bins(0.021),
    "coverage": [
        {"coverage": share / 20, "accuracy": 0.97 - 0.18 * (share / 20) ** 2, "threshold": 1 - share / 25}
        for share in range(1, 21)
    ],
}  # fmt: skip

GENERAL: dict[str, Any] = {
    "before": {"general/wiki.txt": {"bits_per_byte": 0.912, "n": 400},
               "general/chat.jsonl": {"bits_per_byte": 1.204, "exact_match": 0.31, "token_f1": 0.552, "n": 120}},
    "after": {"general/wiki.txt": {"bits_per_byte": 0.957, "n": 400},
              "general/chat.jsonl": {"bits_per_byte": 1.198, "exact_match": 0.27, "token_f1": 0.561, "n": 120}},
}  # fmt: skip


def add_baselines(run: Run, values: dict[str, float], verdict: str, difference: float, needed: int | None) -> None:
    """Baselines of the primary metric, and the comparison with the best of them."""
    document = read_json(run.metrics)
    primary = document["primary"]
    document["baselines"] = {name: {primary: figure(value), "exact_match": figure(value / 2)}
                             for name, value in values.items()}  # fmt: skip
    document["comparison"] = {
        "baseline": max(values, key=lambda name: values[name]), "metric": primary, "rows": document["n"],
        "difference": {"value": difference, "low": difference - 0.03, "high": difference + 0.03},
        "verdict": verdict, "rows_needed": needed,
    }  # fmt: skip
    write_json(run.metrics, document)


PLACES = {
    "人名": ["陳怡君", "林志明", "王美玲"],
    "地名": ["臺北市", "高雄港", "花蓮"],
    "機構": ["中央氣象署", "台積電", "立法院"],
}


def add_entities(run: Run, n: int) -> None:
    """Predictions that miss, invent and confuse entities, with figures of their own making."""
    chance, kinds = random.Random(5), list(PLACES)
    rows = []
    for line in range(1, n + 1):
        gold = [{"type": kind, "text": chance.choice(PLACES[kind])} for kind in kinds if chance.random() < 0.7]
        given = [one if chance.random() < 0.85 else one | {"type": chance.choice(kinds)} for one in gold]
        given = [one for one in given if chance.random() < 0.9]
        given += [{"type": "地名", "text": "台灣"}] * (chance.random() < 0.1)
        rows.append({
            "id": f"test.jsonl:{line}", "gold": gold, "answer": str(given), "prediction": given, "status": "ok",
            "confidence": round(chance.random(), 4), "correct": gold == given,
            "input": "，".join(one["text"] for one in gold) + "今天的新聞。",
        })  # fmt: skip
    write_jsonl(run.predictions, rows)
    per_label = {
        kind: {"precision": 0.8, "recall": 0.7, "f1": 0.75, "support": 80, "low": 0.66, "high": 0.82} for kind in kinds
    }
    metrics = {"entity_f1": figure(0.672, 0.05), "exact_match": figure(0.5)}
    document = {"split": "test", "n": n, "primary": "entity_f1", "statuses": {"ok": n}, "baselines": {}}
    write_json(run.metrics, document | {"metrics": metrics, "per_label": per_label})
