"""Forgetting: against a loop over single tokens, before and after, and again by ``eval``."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

import exactune
from exactune.errors import ModelError, RunError
from exactune.evaluate.forgetting import compared, in_words, losses
from exactune.evaluate.general import bits_per_byte, paired_change
from exactune.render.template import Template
from exactune.render.windows import text_windows
from exactune.rundir import Run, read_json
from exactune.tasks import TextTask

import tiny
from made import write_jsonl, write_task

PROSE = "The quick brown fox jumps over the lazy dog.\n臺北今天下雨，風很大。🙂\n" * 5
ASKED = [
    {"instruction": "Name a fox.", "output": "The quick brown fox 🙂"},
    {"instruction": "Say it in Chinese.", "input": "rain", "output": "臺北今天下雨"},
    {"instruction": "Count.", "output": "0123456789 0123456789"},
]
GENERAL = (
    "evaluate: {general: [prose.txt, asked.jsonl]}\n"
    "training: {num_epochs: 4, learning_rate: 5e-2, max_seq_length: 200}\n"
)


def written(folder: Path, base: Path, more: str = "") -> Path:
    (folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    write_jsonl(folder / "asked.jsonl", ASKED)
    return write_task(folder, base, GENERAL + more, (12, 6, 6))


def naive_bits(model: PreTrainedModel, prompt: list[int], answer: list[int]) -> float:
    """One forward pass over all before each token."""
    total = 0.0
    for place, token in enumerate(answer):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + answer[:place]])).logits[0, -1].double()
        total -= float(logits.log_softmax(-1)[token]) / math.log(2)
    return total


def naive_text(model: PreTrainedModel, template: Template, text: str, length: int) -> float:
    ids = template.tokenizer(text, add_special_tokens=False)["input_ids"]
    stream, total = [template.tokenizer.eos_token_id, *ids], 0.0
    for start in range(0, len(ids), length - 1):
        total += naive_bits(model, stream[start : start + 1], stream[start + 1 : start + length])
    return total / len(text.encode("utf-8"))


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("general")
    return exactune.train(written(folder, base), output=str(folder / "run"))


@pytest.mark.parametrize("length", [16, 33, 400])
def test_bits_of_a_text_are_those_of_its_single_tokens(length: int) -> None:
    template, model = Template(tiny.byte_bpe()), tiny.model(len(tiny.byte_bpe()))
    text = PROSE[:150]
    windows = [*text_windows(template, text, length)]
    assert sum(len(window.answer_ids) for window in windows) == len(template.text_ids(text))
    assert max(map(len, windows)) <= length
    found = bits_per_byte(model, windows, len(text.encode()))
    assert found == pytest.approx(naive_text(model, template, text, length), abs=1e-5)


def test_a_begin_of_text_token_stands_before_a_text() -> None:
    template = Template(tiny.byte_bpe(tiny.NO_SYSTEM, bos=True))
    first, second = text_windows(template, "XQZJWVKH", 5)
    assert first.prompt_ids == [template.tokenizer.bos_token_id]
    assert second.prompt_ids == first.answer_ids[-1:]
    assert [*text_windows(template, "", 5)] == []


def test_before_is_the_base_and_after_is_the_artifact(tuned: Run, base: Path) -> None:
    general = read_json(tuned.metrics)["general"]
    template = exactune.load(tuned.path).template
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    length = 200  # training.max_seq_length
    assert general["before"]["prose.txt"]["bits_per_byte"] == pytest.approx(
        naive_text(model, template, PROSE, length), abs=1e-5
    )
    adapted = exactune.load(tuned.path).model.merge_and_unload()
    assert general["after"]["prose.txt"]["bits_per_byte"] == pytest.approx(
        naive_text(adapted, template, PROSE, length), abs=1e-4
    )
    assert abs(losses(general)["prose.txt"]) > 1e-3, "training at this rate changes what the model predicts"
    assert general["files"]["prose.txt"]["used"] == general["files"]["prose.txt"]["all"] == len(PROSE.encode())


def test_instruction_rows_are_scored_by_their_answers(tuned: Run, base: Path) -> None:
    artifact = exactune.load(tuned.path)
    template, task = artifact.template, TextTask()
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    bits, f1, exact, room = 0.0, 0.0, 0.0, 0
    rows = []
    for row in ASKED:
        user = "\n".join(row[key] for key in ("instruction", "input") if key in row)
        text = f"<|im_start|>system\n<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
        ids, answer = template.text_ids(text), [*template.text_ids(row["output"]), template.stop_id]
        rows.append((ids, answer, row["output"]))
        room = max(room, int(1.5 * len(answer)) + 8)
    for ids, answer, gold in rows:
        bits += naive_bits(model, ids, answer)
        out = model.generate(torch.tensor([ids]), max_new_tokens=room, do_sample=False, eos_token_id=template.stop_id)
        counts = task.score(task.parse(gold), task.parse(template.decode(out[0, len(ids) :].tolist()))).counts
        f1, exact = f1 + counts[("token_f1",)] / 3, exact + counts[("exact_match",)] / 3
    size = sum(len(row["output"].encode()) for row in ASKED)
    found = read_json(tuned.metrics)["general"]["before"]["asked.jsonl"]
    assert found["n"] == 3
    assert found["bits_per_byte"] == pytest.approx(bits / size, abs=1e-5)
    assert (found["token_f1"], found["exact_match"]) == (pytest.approx(f1), pytest.approx(exact))


def test_eval_repeats_the_block_and_refuses_a_changed_file(
    tuned: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = tuned.metrics.read_bytes()
    monkeypatch.chdir(tmp_path)
    exactune.evaluate(tuned.path)
    assert tuned.metrics.read_bytes() == before
    assert "general" not in exactune.evaluate(tuned.path, data=tuned.path.parent / "test.jsonl")
    file = tuned.path.parent / "prose.txt"
    file.write_text(PROSE + "more\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"prose\.txt changed since the run"):
        exactune.evaluate(tuned.path)
    file.write_text(PROSE, encoding="utf-8")
    assert {(entry["split"], entry["rows"]) for entry in read_json(tuned.data)["files"]} >= {
        ("general", 1),
        ("general", 3),
    }


def test_full_fine_tuning_is_measured_against_the_base_on_disk(tuned: Run, base: Path, tmp_path: Path) -> None:
    own = tiny.save_base(tmp_path / "own")
    config = written(tmp_path, own, "lora: none\ncheck: {on_error: ignore}\n")
    run = exactune.train(config, output=str(tmp_path / "full"), assignments=["evaluate.general=[asked.jsonl]"])
    general = read_json(run.metrics)["general"]
    assert general["before"]["asked.jsonl"] == read_json(tuned.metrics)["general"]["before"]["asked.jsonl"]
    assert general["after"]["asked.jsonl"]["bits_per_byte"] != general["before"]["asked.jsonl"]["bits_per_byte"]
    (own / "model.safetensors").write_bytes((run.model / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="other weights"):
        exactune.evaluate(run)


def block(before: float, after: float, *, mixed: int = 0, **more: Any) -> dict[str, Any]:
    figures = ({"g": {"bits_per_byte": value, "n": 1}} for value in (before, after))
    files = {"g": {"sha256": "x", "unit": "bytes", "used": 10, "all": 10, **more}}
    return {"before": next(figures), "after": next(figures), "change": {}, "files": files, "mixed": mixed, "train": 100}


def test_words_say_what_was_lost_and_when_it_matters() -> None:
    assert [*in_words(block(1.93, 2.00))] == ["g: 1.93 -> 2.00 bits per byte (+4%)"]
    line, verdict = in_words(block(1.93, 2.10))
    assert line == "g: 1.93 -> 2.10 bits per byte (+9%)"
    assert "worse by 9%" in verdict
    assert "`data.mix: [{path: general.jsonl, ratio: 0.1}]`" in verdict
    assert "gave 10 beside 100" in [*in_words(block(1.93, 2.10, mixed=10))][-1]
    assert [*in_words(block(1.0, 1.0, all=20))][-1] == "g: measured on its first 10 of 20 bytes"


def test_two_runs_are_compared_where_they_measured_the_same() -> None:
    plain, mixed = block(2.0, 2.4), block(2.0, 2.1, mixed=10)
    first, second = compared(mixed, plain, "runs/plain")
    assert first == "g: bits per byte +5.0% with 10 general rows mixed in, +20.0% in runs/plain with 0"
    assert second == "g: mixing saved 75% of the loss"
    assert [*compared(plain, mixed, "runs/mixed")][1] == "g: mixing saved 75% of the loss"
    assert len([*compared(plain, copy.deepcopy(plain), "runs/again")]) == 1, "neither mixed anything in"
    assert len([*compared(block(2.0, 2.4, mixed=10), plain, "other")]) == 1, "nothing was saved"
    (refused,) = compared(mixed, block(2.0, 2.4, sha256="y"), "other")
    assert "measured otherwise in other" in refused


def test_the_interval_of_a_paired_change() -> None:
    same = paired_change([0.0, 1.0] * 20, [0.0, 1.0] * 20)
    assert same == {"value": 0.0, "low": 0.0, "high": 0.0}
    noise = paired_change([0.0, 1.0] * 20, [1.0, 0.0] * 20)
    assert noise["value"] == 0
    assert noise["low"] < -0.2 < 0.2 < noise["high"], "standard error 1 / sqrt(40) = 0.16"
    loss = paired_change([1.0] * 30 + [0.0] * 10, [0.0] * 40)
    assert loss["value"] == -0.75
    assert -0.9 < loss["low"] < loss["high"] < -0.6


def test_rows_that_do_not_fit_are_left_out_and_counted(task: Callable[..., Path], tmp_path: Path) -> None:
    long = {"instruction": "x" * 400, "output": "y"}
    write_jsonl(tmp_path / "asked.jsonl", [*ASKED, long])
    config = task("evaluate: {general: [asked.jsonl]}\n")
    run = exactune.train(config, assignments=["training.max_seq_length=200", "training.num_epochs=1"])
    general = read_json(run.metrics)["general"]
    assert (general["files"]["asked.jsonl"]["used"], general["files"]["asked.jsonl"]["all"]) == (3, 4)
    assert "asked.jsonl: measured on 3 of 4 rows" in [*in_words(general)]
