"""The base model as a baseline, and evaluations of finished runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import exactune
from exactune import apply
from exactune.bases import find_base
from exactune.errors import ConfigError, RunError
from exactune.evaluate.prompting import choose_shots, prompted
from exactune.infer.artifact import Artifact
from exactune.infer.model import load_base
from exactune.rundir import Run, read_json, read_jsonl
from exactune.types import Example, Location, Message

from made import rows, write_jsonl, write_task

SETTINGS = "training: {num_epochs: 1, learning_rate: 1e-2, max_seq_length: 400}\nevaluate: {rows: 6, shots: 3}\n"


@pytest.fixture(scope="module")
def finished(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("finished")
    return exactune.train(write_task(folder, base, SETTINGS), output=str(folder / "run"))


@pytest.fixture(scope="module")
def artifact(finished: Run) -> Artifact:
    return exactune.load(finished.path)


def examples(count: int, start: int = 0) -> list[Example]:
    return [
        Example(
            f"t:{line}", tuple(Message(turn["role"], turn["content"]) for turn in row["messages"][:-1]),
            row["messages"][-1]["content"], Location("t", line), "chat",
        )
        for line, row in enumerate(rows(count, start), 1)
    ]  # fmt: skip


def test_the_base_model_is_the_one_before_training(artifact: Artifact, base: Path) -> None:
    ids = torch.tensor([artifact.template.prompt_ids(examples(1)[0].prompt)])
    plain, _ = load_base(find_base(str(base)))
    with torch.no_grad():
        wanted, trained = plain(ids).logits, artifact.model(ids).logits
        with artifact.base_model() as model:
            found = model(ids).logits
        assert torch.equal(found, wanted)
        assert not torch.equal(found, trained)
        assert torch.equal(artifact.model(ids).logits, trained)


def test_shots_stand_before_the_question(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    shots, (row,) = examples(2), examples(1, 50)
    monkeypatch.setattr(
        type(artifact.template), "prompt_ids", lambda self, prompt: seen.append(list(prompt)) or [1, 2, 3]
    )  # fmt: skip
    prompted(artifact, artifact.model, [row], shots, batch_size=1)
    (turns,) = seen
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [turn.content for turn in turns[2::2]] == [shot.answer for shot in shots]
    assert turns[-1] == row.prompt[-1]


def test_shots_fit_and_have_every_label(artifact: Artifact) -> None:
    train, asked = examples(24), examples(4, 60)
    chosen = choose_shots(artifact, train, asked, shots=3, limit=500, seed=1)
    assert len({shot.answer for shot in chosen}) == 3
    assert chosen == choose_shots(artifact, train, asked, shots=3, limit=500, seed=1)
    longest = max(len(artifact.template.prompt_ids(row.prompt)) for row in asked) + artifact.answering.max_new_tokens
    few = choose_shots(artifact, train, asked, shots=3, limit=longest + 80, seed=1)
    assert 0 < len(few) < 3
    assert choose_shots(artifact, train, asked, shots=3, limit=longest, seed=1) == []


def test_an_evaluation_has_all_baselines(finished: Run) -> None:
    document = read_json(finished.metrics)
    assert document["baseline_rows"] == {"majority": 12, "linear": 12, "zero_shot": 6, "few_shot": 6}
    assert document["comparison"]["baseline"] == "linear"
    assert "baselines_left_out" not in document
    assert document["gates"] == {}


def test_figures_are_the_same_from_rows_in_a_file(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = finished.metrics.read_bytes(), finished.predictions.read_bytes()
    monkeypatch.setattr(apply, "IN_MEMORY", 3)
    exactune.evaluate(finished)
    assert (finished.metrics.read_bytes(), finished.predictions.read_bytes()) == before


def test_a_stopped_evaluation_leaves_the_old_one(finished: Run) -> None:
    before = finished.metrics.read_bytes(), finished.predictions.read_bytes()

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exactune.evaluate(finished, advance=stop)
    assert (finished.metrics.read_bytes(), finished.predictions.read_bytes()) == before
    assert sorted(path.name for path in finished.metrics.parent.iterdir()) == ["metrics.json", "predictions.jsonl"]


def test_without_the_training_rows_some_baselines_are_left_out_and_said(finished: Run, tmp_path: Path) -> None:
    other = write_jsonl(tmp_path / "other.jsonl", rows(5, 300))
    train = finished.path.parent / "train.jsonl"
    whole = exactune.evaluate(finished, data=other)
    assert list(whole["baselines"]) == ["majority", "linear", "zero_shot", "few_shot"]
    train.rename(tmp_path / "train.jsonl")
    found = exactune.evaluate(finished, data=other)
    (tmp_path / "train.jsonl").rename(train)
    assert list(found["baselines"]) == ["majority", "zero_shot"]
    assert found["baselines_left_out"] == dict.fromkeys(
        ("linear", "few_shot"), "the training rows are gone or have changed"
    )
    assert found["baselines"]["zero_shot"] == whole["baselines"]["zero_shot"]


def test_an_evaluation_in_training_tells_its_interval(finished: Run) -> None:
    (line,) = [line for line in read_jsonl(finished.train_metrics) if "eval" in line]
    assert line["interval"]["low"] <= line["eval"]["macro_f1"] <= line["interval"]["high"]
    assert "low" not in line["eval"]


def test_full_fine_tuning_asks_the_base_again(base: Path, tmp_path: Path) -> None:
    settings = f"lora: none\n{SETTINGS.replace('rows: 6', 'baselines: [zero_shot]')}gate: {{accuracy: 2}}\n"
    run = exactune.train(write_task(tmp_path, base, settings), output=str(tmp_path / "run"))
    document = read_json(run.metrics)
    artifact, plain = exactune.load(run.path), load_base(find_base(str(base)))[0]
    given = prompted(artifact, plain, examples(12, 200), [], batch_size=32)
    right = sum(given[row.id].value == artifact.task.parse(row.answer).value for row in examples(12, 200))
    assert document["baselines"]["zero_shot"]["accuracy"]["value"] == pytest.approx(right / 12)
    assert document["gates"]["accuracy"]["passed"] is False


@pytest.mark.parametrize("name", ["gazetteer", "linaer"])
def test_a_baseline_that_does_not_fit_is_refused_before_training(base: Path, tmp_path: Path, name: str) -> None:
    task = write_task(tmp_path, base, f"evaluate: {{baselines: {name}}}\n")
    with pytest.raises(ConfigError, match=f"`{name}` is no baseline of a classification task"):
        exactune.train(task, output=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_eval_against(finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from exactune.cli.eval import eval_

    eval_(finished.path, against=finished.path, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["metrics"]["macro_f1"]["verdict"]) == (12, "level")
    eval_(finished.path, against=finished.path)
    printed = capsys.readouterr().out
    assert "noise" in printed
    assert "macro_f1 is the same on 12 rows" in printed
    with pytest.raises(ConfigError, match="leave --data out"):
        eval_(finished.path, data=tmp_path, against=finished.path)
    with pytest.raises(RunError, match="no run here"):
        eval_(finished.path, against=tmp_path)
