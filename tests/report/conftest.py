"""Runs of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_runs import (
    CALIBRATION,
    GENERAL,
    SENTIMENT,
    add_baselines,
    add_classification,
    add_entities,
    add_errors,
    add_training,
    base_run,
    figure,
    finish,
)

from exactune.rundir import Run, read_json, write_json, write_jsonl
from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask


@pytest.fixture
def sentiment(tmp_path: Path) -> Run:
    """Three Chinese labels, complete."""
    run = base_run(tmp_path / "sentiment", {"type": "classification", "labels": list(SENTIMENT)}, 412)
    add_training(run, "macro_f1")
    finish(run, "macro_f1")
    add_classification(run, list(SENTIMENT), SENTIMENT)
    return run


@pytest.fixture
def judged(sentiment: Run) -> Run:
    """The same with everything that an evaluation can say: errors, calibration, baselines, general ability."""
    add_baselines(
        sentiment, {"majority": 0.17, "linear": 0.71, "zero_shot": 0.43, "few_shot": 0.55}, "better", 0.07, None
    )
    write_json(sentiment.metrics, read_json(sentiment.metrics) | {"calibration": CALIBRATION, "general": GENERAL})
    add_errors(sentiment, ClassificationTask(tuple(SENTIMENT)))
    return sentiment


@pytest.fixture
def intents(tmp_path: Path) -> Run:
    """77 labels, complete."""
    words = ("card", "payment", "transfer", "top_up", "exchange", "cash", "refund", "pin", "identity", "fee", "limit")
    kinds = (
        "pending",
        "declined",
        "not_recognised",
        "charged_twice",
        "wrong_amount",
        "how_to_change",
        "lost_or_stolen",
    )
    labels = [f"{word}_{kind}" for word in words for kind in kinds]
    run = base_run(tmp_path / "banking-intents", {"type": "classification", "labels": labels, "field": "intent"}, 9003)
    add_training(run, "macro_f1")
    finish(run, "macro_f1")
    add_classification(run, labels, {}, 3080)
    document = read_json(run.metrics)
    document["baselines"]["linear"] = {"accuracy": figure(0.79), "macro_f1": figure(0.78)}
    write_json(run.metrics, document)
    add_errors(run, ClassificationTask(tuple(labels)))
    return run


@pytest.fixture
def spans(tmp_path: Path) -> Run:
    """Entities of Chinese news: missed, invented and of the wrong type."""
    run = base_run(tmp_path / "news-entities", {"type": "entities", "entity_types": ["人名", "地名", "機構"]}, 900)
    add_training(run, "entity_f1")
    finish(run, "entity_f1")
    add_entities(run, 120)
    add_baselines(run, {"majority": 0.0, "gazetteer": 0.61, "few_shot": 0.66}, "level", 0.012, 4100)
    add_errors(run, EntitiesTask(("人名", "地名", "機構")))
    return run


@pytest.fixture
def extraction(tmp_path: Path) -> Run:
    """JSON answers: no confusion, no labels, several statuses; level with its baseline."""
    run = base_run(tmp_path / "contacts", {"type": "json", "schema": {"type": "object"}}, 240)
    add_training(run, "field_f1")
    finish(run, "field_f1")
    gold = {
        "name": "陳怡君",
        "phone": "02-2345-6789",
        "tags": ["vip", "taipei"],
        "address": {"city": "臺北市", "zip": "110"},
    }
    text = "請聯絡陳怡君（02-2345-6789），臺北市信義區 110，VIP。"
    wrong = gold | {"phone": "02-2345-6798", "tags": ["vip"], "address": {"city": "台北市"}}
    row = {"id": "test.jsonl:1", "gold": gold, "input": text, "status": "ok", "correct": False}
    write_jsonl(
        run.predictions,
        [
            row | {"answer": str(wrong), "prediction": wrong, "confidence": 0.93},
            row
            | {
                "id": "test.jsonl:2",
                "answer": '{"name": "陳怡',
                "prediction": None,
                "status": "invalid_json",
                "confidence": 0.4,
            },
            row
            | {"id": "test.jsonl:3", "answer": str(gold), "prediction": gold, "status": "no_stop", "confidence": None},
            row | {"id": "test.jsonl:4", "answer": str(gold), "prediction": gold, "confidence": 0.99, "correct": True},
        ],
    )
    write_json(
        run.metrics,
        {
            "split": "test",
            "n": 4,
            "primary": "field_f1",
            "metrics": {"exact_match": figure(0.25, 0.2), "field_f1": figure(0.61, 0.2), "valid_json": {"value": 0.75}},
            "per_label": {},
            "statuses": {"ok": 2, "invalid_json": 1, "no_stop": 1},
            "baselines": {"majority": {"field_f1": figure(0.5), "exact_match": figure(0.0)}},
        },
    )
    add_errors(run, JsonTask({"type": "object"}))
    return run


@pytest.fixture
def interrupted(tmp_path: Path) -> Run:
    """Killed in its third epoch while writing a line; never scored."""
    run = base_run(tmp_path / "interrupted", {"type": "classification", "labels": list(SENTIMENT)}, 412)
    add_training(run, "macro_f1", until=2.4)
    (run.checkpoints / "step-000026").mkdir(parents=True)
    (run.checkpoints / "step-000052").mkdir()
    run.adapter.mkdir()
    with run.train_metrics.open("a", encoding="utf-8") as file:
        file.write('{"step": 64, "epo')
    return run
