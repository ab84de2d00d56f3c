from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import exactune
from exactune.errors import ConfigError, DataError, ModelError, RunError, TemplateError, TrainingError
from exactune.rundir import Run, read_json, read_jsonl

import tiny


@pytest.fixture(scope="module")
def finished(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    from made import rows, write_jsonl

    folder = tmp_path_factory.mktemp("finished")
    for name, count, start in (("train", 24, 0), ("eval", 9, 100), ("test", 12, 200)):
        write_jsonl(folder / f"{name}.jsonl", rows(count, start))
    (folder / "task.yaml").write_text(
        f"model: {base}\ndata: {{train: train.jsonl, eval: eval.jsonl, test: test.jsonl}}\n"
        "training: {num_epochs: 2, logging_steps: 2, learning_rate: 1e-3}\n",
        encoding="utf-8",
    )
    return exactune.train(folder / "task.yaml", output=str(folder / "run"))


def test_the_run_folder_is_complete(finished: Run) -> None:
    for path in (
        finished.config, finished.recipe, finished.env, finished.data, finished.findings, finished.train_metrics,
        finished.adapter / "adapter_model.safetensors", finished.adapter / "adapter_config.json",
        finished.adapter / "tokenizer.json", finished.adapter / "exactune.json", finished.predictions,
        finished.metrics, finished.report,
    ):  # fmt: skip
        assert path.is_file(), path
    assert not list(finished.adapter.glob("*.bin")), "no pickle leaves a run"
    assert [path.name for path in sorted(finished.checkpoints.iterdir())] == ["step-000002", "step-000004"]


def test_the_metrics_file_has_a_line_per_step_and_evaluation(finished: Run) -> None:
    lines = list(read_jsonl(finished.train_metrics))
    steps, evals = [line for line in lines if "loss" in line], [line for line in lines if "eval" in line]
    assert [(line["step"], line["rows"]) for line in steps] == [(2, 24), (4, 48)]
    assert all({"epoch", "time", "learning_rate", "grad_norm"} <= line.keys() for line in steps)
    assert [line["epoch"] for line in evals] == [1, 2]
    assert all({"loss", "macro_f1", "accuracy"} <= line["eval"].keys() for line in evals)


def test_every_test_row_is_answered_once(finished: Run) -> None:
    lines = list(read_jsonl(finished.predictions))
    assert [line["id"] for line in lines] == [f"test.jsonl:{n}" for n in range(1, 13)]
    assert read_json(finished.metrics)["n"] == 12
    assert {"gold", "answer", "prediction", "status", "confidence", "correct"} <= lines[0].keys()


def test_eval_repeats_the_figures_exactly_from_any_folder(finished: Run, monkeypatch, tmp_path: Path) -> None:
    before = finished.metrics.read_bytes(), finished.predictions.read_bytes()
    monkeypatch.chdir(tmp_path)
    exactune.evaluate(finished.path)
    assert (finished.metrics.read_bytes(), finished.predictions.read_bytes()) == before


def test_the_run_trains_again_from_its_own_config(finished: Run, tmp_path: Path) -> None:
    again = exactune.train(finished.config, output=str(tmp_path / "again"))
    assert (again.adapter / "adapter_model.safetensors").read_bytes() == (
        finished.adapter / "adapter_model.safetensors"
    ).read_bytes()
    assert read_json(again.metrics)["metrics"] == read_json(finished.metrics)["metrics"]


def test_changed_rows_are_not_scored_as_the_old_ones(finished: Run) -> None:
    file = finished.path.parent / "test.jsonl"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("股價", "股票價格"), encoding="utf-8")
    with pytest.raises(RunError, match="changed since the run"):
        exactune.evaluate(finished)
    other = exactune.evaluate(finished, data=file)
    assert other["n"] == 12
    file.write_text(text, encoding="utf-8")
    assert read_json(finished.metrics)["split"] == "test"


def test_predict_takes_texts_messages_and_files(finished: Run, tmp_path: Path) -> None:
    artifact = exactune.load(finished.path)
    text = "第200號公司股價持平"
    system = {"role": "system", "content": "判斷情感。"}
    bare, full = artifact.predict([text, [system, {"role": "user", "content": text}]])
    assert bare == full
    file = tmp_path / "in.jsonl"
    items = [{"text": text}, {"messages": [{"role": "user", "content": text}]}, {"input": text}]
    file.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    found = list(exactune.predict(finished.path, file))
    assert [row["id"] for row in found] == [f"{file}:{n}" for n in (1, 2, 3)]
    assert {row["answer"] for row in found} == {bare["answer"]}


def test_full_fine_tuning_writes_a_model(task: Callable[..., Path]) -> None:
    run = exactune.train(task("lora: none\n"))
    assert (run.model / "model.safetensors").is_file()
    assert not run.adapter.exists()
    assert read_json(run.env)["model"]["trainable_parameters"] == read_json(run.env)["model"]["parameters"]
    assert read_json(run.metrics)["n"] == 12


def test_rows_are_held_out_where_there_is_no_eval_file(task: Callable[..., Path], tmp_path: Path) -> None:
    config = task()
    config.write_text(config.read_text().replace(", eval: eval.jsonl, test: test.jsonl", ""), encoding="utf-8")
    run = exactune.train(config)
    splits = read_json(run.data)["splits"]
    assert (splits["train"]["rows"], splits["eval"]["rows"]) == (22, 2)
    assert read_json(run.metrics)["split"] == "eval"
    before = run.metrics.read_bytes()
    exactune.evaluate(run)
    assert run.metrics.read_bytes() == before


def test_mixed_rows_join_training_and_are_never_scored(task: Callable[..., Path], tmp_path: Path) -> None:
    general = [{"prompt": f"2+{n}?", "completion": f"{n + 2}"} for n in range(30)]
    (tmp_path / "general.jsonl").write_text("".join(json.dumps(row) + "\n" for row in general), encoding="utf-8")
    config = task()
    text = config.read_text().replace("test: test.jsonl", "test: test.jsonl, mix: [{path: general.jsonl, ratio: 0.5}]")
    config.write_text(text, encoding="utf-8")
    run = exactune.train(config)
    assert read_json(run.data)["splits"]["mix"]["rows"] == 12
    steps = [line["rows"] for line in read_jsonl(run.train_metrics) if "loss" in line]
    assert steps[-1] == 2 * (24 + 12)
    assert read_json(run.metrics)["n"] == 12


def test_a_row_too_long_stops_or_is_rejected_and_listed(task: Callable[..., Path], tmp_path: Path) -> None:
    config = task()
    train = tmp_path / "train.jsonl"
    long = {"text": "長" * 400, "label": '{"sentiment": "正面"}'}
    train.write_text(train.read_text(encoding="utf-8") + json.dumps(long) + "\n", encoding="utf-8")
    limit = ["training.max_seq_length=300"]
    with pytest.raises(DataError) as caught:
        exactune.train(config, assignments=limit)
    assert [(finding.code, str(finding.locations[0])) for finding in caught.value.findings] == [("D501", f"{train}:25")]
    run = exactune.train(config, assignments=[*limit, "check.on_error=skip"])
    assert read_json(run.data)["rejected"] == [{"file": str(train), "line": 25, "reason": "D501 row-too-long"}]
    assert read_json(run.data)["splits"]["train"]["rows"] == 24


def test_an_adapter_whose_base_is_missing_or_changed_is_refused(task: Callable[..., Path], tmp_path: Path) -> None:
    own = tiny.save_base(tmp_path / "own")
    config = task()
    run = exactune.train(config, assignments=[f"model={own}"])
    tiny.model(len(tiny.byte_bpe()), seed=5).save_pretrained(own)
    with pytest.raises(ModelError, match="other weights"):
        exactune.evaluate(run)
    own.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match="that base is missing"):
        exactune.load(run.path)


def test_an_artifact_with_another_template_is_refused(task: Callable[..., Path]) -> None:
    run = exactune.train(task())
    template = run.adapter / "chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8").replace("assistant\n", "assistant"), encoding="utf-8")
    with pytest.raises(TemplateError, match="no longer gives the ids"):
        exactune.load(run.path)


def test_gates_and_metrics_must_exist(task: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="gate.bleu"):
        exactune.train(task(), assignments=["gate={bleu: 0.5}"])
    with pytest.raises(ConfigError, match="metric_for_best"):
        exactune.train(task(), assignments=["training.metric_for_best=bleu"])


def test_tensorboard_receives_the_run(task: Callable[..., Path], tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "tb"))
    exactune.train(task(), assignments=["training.report_to=tensorboard"])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    assert len(events.Scalars("train/loss")) == 4


def test_a_limit_takes_a_slice_with_every_label(task: Callable[..., Path]) -> None:
    run = exactune.train(task(), assignments=["data.limit={train: 12, test: 6}"])
    splits = read_json(run.data)["splits"]
    assert [splits[name]["rows"] for name in ("train", "eval", "test")] == [12, 9, 6]
    assert read_json(run.metrics)["n"] == 6
    assert all(values["support"] == 2 for values in read_json(run.metrics)["per_label"].values())


def test_an_artifact_that_scores_otherwise_than_its_checkpoint_is_refused(
    task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the base's files are replaced while a run is under way."""
    import exactune.infer.artifact as artifacts

    load_base = artifacts.load_base

    def other_weights(base):  # type: ignore[no-untyped-def]
        model, template = load_base(base)
        model.model.embed_tokens.weight.data.normal_(0, 5)
        return model, template

    monkeypatch.setattr(artifacts, "load_base", other_weights)
    with pytest.raises(TrainingError, match="scores loss"):
        exactune.train(task(), assignments=["training.metric_for_best=loss"])
