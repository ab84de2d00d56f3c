"""Answers held to labels or a grammar, or free, by the same model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

import exactune
from exactune.errors import ModelError
from exactune.infer.answering import Answering
from exactune.render.template import Template
from exactune.rundir import read_json, read_jsonl
from exactune.tasks import ClassificationTask
from exactune.types import Message, Status

import tiny

LABELS = ["正面", "負面", "中立"]


def test_a_classification_is_answered_by_a_label(task: Callable[..., Path], tmp_path: Path) -> None:
    """By weights that know nothing; left free, they write anything."""
    held = exactune.train(task(), assignments=["num_epochs=1"], output=str(tmp_path / "held"))
    free = exactune.train(task(), assignments=["num_epochs=1", "constrain=false"], output=str(tmp_path / "free"))
    assert (held.adapter / "adapter_model.safetensors").read_bytes() == (
        free.adapter / "adapter_model.safetensors"
    ).read_bytes(), "training knows nothing of it"
    assert read_json(held.metrics)["statuses"] == {"ok": 12}
    assert "ok" not in read_json(free.metrics)["statuses"]
    for line in read_jsonl(held.predictions):
        assert line["prediction"] in LABELS
        assert json.loads(line["answer"]) == {"sentiment": line["prediction"]}
        assert 1 / 3 <= line["confidence"] <= 1
        assert 0 <= line["mass"] < 0.5
    assert "mass" not in next(iter(read_jsonl(free.predictions)))
    # What is loaded answers as the run did.
    inputs = [line["input"] for line in read_jsonl(held.predictions)]
    answers = [answer["answer"] for answer in exactune.load(held.path).predict(inputs)]
    assert answers == [line["answer"] for line in read_jsonl(held.predictions)]


def test_json_answers_follow_the_grammar_on_request(task: Callable[..., Path], tmp_path: Path) -> None:
    from made import write_jsonl

    for name, count in (("train", 24), ("eval", 9), ("test", 12)):
        write_jsonl(
            tmp_path / f"{name}.jsonl",
            [{"instruction": "抽取", "input": f"第{n}號{name}",
              "output": json.dumps({"kind": "ABC"[n % 3], "up": n % 2 == 0})} for n in range(count)],
        )  # fmt: skip
    run = exactune.train(task("constrain: true\n"), assignments=["num_epochs=1"])
    assert read_json(run.metrics)["statuses"] == {"ok": 12}
    assert read_json(run.metrics)["metrics"]["valid_schema"]["value"] == 1


def template() -> Template:
    return Template(tiny.byte_bpe())


def test_labels_that_tokens_cannot_tell_apart_are_refused() -> None:
    folding = template()
    plain = folding.answer_ids
    folding.answer_ids = lambda answer: plain(answer.casefold())  # type: ignore[method-assign]
    task = ClassificationTask(("Yes", "yes"))
    with pytest.raises(ModelError, match="writes the labels 'Yes' and 'yes' alike"):
        Answering.of(task, folding, {"labels": ["Yes", "yes"]}, 9)


def test_a_model_that_cannot_share_answers_freely() -> None:
    model = tiny.model().eval()
    answering = Answering.of(ClassificationTask(("a", "b")), template(), {"labels": ["a", "b"]}, 3)
    prompts = [template().prompt_ids([Message("system", ""), Message("user", text)]) for text in ("x", "yy")]
    assert answering.obstacle(model, 99) is None
    assert {answer.parsed.status for answer in answering(model, prompts)} == {Status.OK}
    model.config.model_type = "unheard of"
    assert "unheard of" in str(answering.obstacle(model, 99))
    assert {answer.parsed.status for answer in answering(model, prompts)} != {Status.OK}


def test_a_prompt_is_answered_the_same_whoever_else_is_asked() -> None:
    """One that is longer than the model's window is decoded freely, and only that one."""
    config = MistralConfig(
        vocab_size=400, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, sliding_window=100,
    )  # fmt: skip
    torch.manual_seed(0)
    model = MistralForCausalLM(config).eval()
    answering = Answering.of(ClassificationTask(("a", "b")), template(), {"labels": ["a", "b"]}, 3)
    short, long = (
        template().prompt_ids([Message("system", ""), Message("user", text)]) for text in ("x", "a long one " * 20)
    )
    assert len(short) < 90 < 100 < len(long)
    (alone,) = answering(model, [short])
    first, second = answering(model, [long, short])
    assert alone.parsed.status is second.parsed.status is Status.OK
    assert second.text == alone.text
    assert (first.mass is None, second.mass is None) == (True, False)
