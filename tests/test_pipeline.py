from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import exactune
from exactune.errors import ConfigError, DataError, ModelError, RunError, TemplateError, TrainingError
from exactune.report import write_report
from exactune.rundir import Run, read_json, read_jsonl

import tiny
from made import write_task


@pytest.fixture(scope="module")
def finished(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("finished")
    task = write_task(folder, base, "training: {num_epochs: 2, logging_steps: 2, learning_rate: 1e-3}\n")
    return exactune.train(task, output=str(folder / "run"))


def test_the_run_folder_is_complete(finished: Run) -> None:
    for path in (
        finished.config, finished.recipe, finished.env, finished.data, finished.findings, finished.train_metrics,
        finished.adapter / "adapter_model.safetensors", finished.adapter / "adapter_config.json",
        finished.adapter / "tokenizer.json", finished.adapter / "exactune.json", finished.predictions,
        finished.train_predictions,
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
    assert 0 < evals[0]["moved"] < evals[1]["moved"] < 1


def test_every_test_row_is_answered_once(finished: Run) -> None:
    lines = list(read_jsonl(finished.predictions))
    assert [line["id"] for line in lines] == [f"test.jsonl:{n}" for n in range(1, 13)]
    assert read_json(finished.metrics)["n"] == 12
    assert {"gold", "answer", "prediction", "status", "confidence", "correct"} <= lines[0].keys()


def test_eval_repeats_the_figures_exactly_from_any_folder(finished: Run, monkeypatch, tmp_path: Path) -> None:
    written = (finished.metrics, finished.predictions, finished.train_predictions)
    before = [file.read_bytes() for file in written]
    for file in written[1:]:
        file.unlink()
    monkeypatch.chdir(tmp_path)
    exactune.evaluate(finished.path)
    assert [file.read_bytes() for file in written] == before


def test_a_slice_of_the_training_rows_is_answered_too(finished: Run, task: Callable[..., Path]) -> None:
    known, lines = read_json(finished.metrics)["train"], list(read_jsonl(finished.train_predictions))
    assert [line["id"] for line in lines] == [f"train.jsonl:{n}" for n in range(1, 25)]
    assert known["n"] == sum(known["statuses"].values()) == 24
    assert known["metrics"]["accuracy"]["value"] == sum(line["correct"] for line in lines) / 24
    some = exactune.train(task("evaluate: {train_rows: 6}\n"))
    assert [line["gold"] for line in read_jsonl(some.train_predictions)].count("正面") == 2
    none = exactune.evaluate(exactune.train(task("evaluate: {train_rows: 0}\n"), overwrite=True))
    assert "train" not in none
    assert {"shift"} <= none.keys()
    assert not none.keys() & {"overlap", "doubts"}, "24 rows say too little of their labels"


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
    general = [{"prompt": f"2+{n}?", "completion": f"{n + 2}" + " long" * 20} for n in range(30)]
    (tmp_path / "general.jsonl").write_text("".join(json.dumps(row) + "\n" for row in general), encoding="utf-8")
    config = task()
    text = config.read_text().replace("test: test.jsonl", "test: test.jsonl, mix: [{path: general.jsonl, ratio: 0.5}]")
    config.write_text(text, encoding="utf-8")
    lines: list[str] = []
    run = exactune.train(config, say=lines.append)
    assert read_json(run.data)["splits"]["mix"]["rows"] == 12
    steps = [line["rows"] for line in read_jsonl(run.train_metrics) if "loss" in line]
    assert steps[-1] == 2 * (24 + 12)
    assert read_json(run.metrics)["n"] == 12
    known = read_json(run.data)["splits"]
    assert not {*known["mix"]["ids"]} & {*known["eval"]["ids"], *known["test"]["ids"]}
    # An answer of the task has 30 tokens at most; of a mixed-in row, over 100.
    assert read_json(run.adapter / "exactune.json")["max_new_tokens"] < 60
    assert "12 general rows join training" in "\n".join(lines)


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


def test_rows_left_out_are_listed_with_what_was_wrong_with_them(task: Callable[..., Path], tmp_path: Path) -> None:
    config = task()
    train = tmp_path / "train.jsonl"
    leaked = (tmp_path / "eval.jsonl").read_text(encoding="utf-8").splitlines()[0]
    train.write_text(train.read_text(encoding="utf-8") + "{oops\n" + leaked + "\n", encoding="utf-8")
    run = exactune.train(config, assignments=["check.on_error=skip"])
    broken, leak = read_json(run.data)["rejected"]
    assert (broken["line"], broken["reason"]) == (25, "D101 unreadable-row")
    assert broken["detail"].startswith("not JSON: Expecting property name")
    assert leak == {"file": str(train), "line": 26, "reason": "D205 eval-row-in-train"}
    report = run.report.read_text(encoding="utf-8")
    assert "not JSON: Expecting property name" in report
    assert "D205 eval-row-in-train" in report
    write_report(run, "zh-TW")
    assert "屬性名稱應以雙引號括住" in run.report.read_text(encoding="utf-8")


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

    def other_weights(base, **options):  # type: ignore[no-untyped-def]
        model, template = load_base(base, **options)
        model.model.embed_tokens.weight.data.normal_(0, 5)
        return model, template

    monkeypatch.setattr(artifacts, "load_base", other_weights)
    with pytest.raises(TrainingError, match="scores loss"):
        exactune.train(task(), assignments=["training.metric_for_best=loss"])


def table(folder: Path, name: str, count: int, start: int = 0) -> None:
    words = [("大漲", "正面"), ("重挫", "負面"), ("持平", "中立")]
    lines = [f"第{n}號公司股價{words[n % 3][0]},{words[n % 3][1]}" for n in range(start, start + count)]
    (folder / name).write_text("headline,mood\n" + "\n".join(lines) + "\n", encoding="utf-8")


def test_other_rows_are_read_as_the_runs_own(task: Callable[..., Path], tmp_path: Path) -> None:
    """With the run's columns and instruction, or they would be another question."""
    for name, count, start in (("train.csv", 24, 0), ("eval.csv", 9, 100), ("test.csv", 12, 200)):
        table(tmp_path, name, count, start)
    config = task()
    text = config.read_text(encoding="utf-8").replace(".jsonl", ".csv")
    data = "data: {columns: {input: headline, output: mood}, instruction: 判斷情感。,"
    config.write_text(text.replace("data: {", data), encoding="utf-8")
    run = exactune.train(config)
    own = read_json(run.metrics)
    again = exactune.evaluate(run, data=tmp_path / "test.csv")
    assert again["metrics"] == own["metrics"]
    answers = [row["answer"] for row in exactune.predict(run.path, tmp_path / "test.csv")]
    assert answers == [row["answer"] for row in read_jsonl(run.predictions)]


def test_an_instruction_is_put_before_bare_texts_once(task: Callable[..., Path], tmp_path: Path) -> None:
    for name, count, start in (("train", 24, 0), ("eval", 9, 100), ("test", 12, 200)):
        items = [
            {
                "instruction": "情感？",
                "input": f"第{n}號股價{'大漲' if n % 2 else '重挫'}",
                "output": "正面" if n % 2 else "負面",
            }
            for n in range(start, start + count)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    artifact = exactune.load(exactune.train(task()).path)
    bare, whole = artifact.prompt("第9號股價大漲"), artifact.prompt("情感？\n第9號股價大漲")
    assert bare == whole
    assert bare[1].content == "情感？\n第9號股價大漲"


def test_a_run_of_one_step_learns(task: Callable[..., Path]) -> None:
    from safetensors.torch import load_file

    run = exactune.train(task(train=6), assignments=["num_epochs=1"])
    tensors = load_file(run.adapter / "adapter_model.safetensors")
    assert all(bool(tensor.any()) for name, tensor in tensors.items() if "lora_B" in name)


def test_ties_go_to_the_lower_loss(task: Callable[..., Path]) -> None:
    run = exactune.train(task(), assignments=["num_epochs=3", "training.learning_rate=1e-5"])
    evals = [line["eval"] for line in read_jsonl(run.train_metrics) if "eval" in line]
    assert len({line["macro_f1"] for line in evals}) == 1, "too small a rate to change an answer"
    assert evals[2]["loss"] < evals[1]["loss"] < evals[0]["loss"]
    assert read_json(run.train_metrics.with_name("best.json"))["epoch"] == 3


def test_a_linked_run_folder_finds_its_rows(task: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "far" / "away")
    run = exactune.train(task(), output=str(tmp_path / "runs" / "one"))
    before = run.metrics.read_bytes()
    exactune.evaluate(run)
    assert run.metrics.read_bytes() == before


def test_files_that_are_gone_or_swapped_are_noticed(task: Callable[..., Path], tmp_path: Path) -> None:
    config = task()
    config.write_text(config.read_text().replace("train: train.jsonl", "train: tr*.jsonl"), encoding="utf-8")
    (tmp_path / "tr2.jsonl").write_text(
        '{"text": "另一則大漲", "label": "{\\"sentiment\\": \\"正面\\"}"}\n', encoding="utf-8"
    )
    run = exactune.train(config)
    (tmp_path / "tr2.jsonl").rename(tmp_path / "tr3.jsonl")
    with pytest.raises(RunError, match=r"tr2\.jsonl:1 of the run is not there any more"):
        exactune.evaluate(run)
    (tmp_path / "tr3.jsonl").unlink()
    with pytest.raises(RunError, match=r"tr2\.jsonl"):
        exactune.train(config, resume=True)
    (tmp_path / "eval.jsonl").rename(tmp_path / "keep")
    (tmp_path / "test.jsonl").rename(tmp_path / "eval.jsonl")
    (tmp_path / "keep").rename(tmp_path / "test.jsonl")
    with pytest.raises(RunError, match="changed since the run"):
        exactune.evaluate(run)


def test_an_adapter_with_missing_tensors_is_refused(task: Callable[..., Path]) -> None:
    from safetensors.torch import load_file, save_file

    run = exactune.train(task())
    file = run.adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file(dict(list(tensors.items())[::2]), file)
    whole = file.read_bytes()
    file.write_bytes(whole[:7])
    with pytest.raises(ModelError, match=r"the adapter is damaged .*Copy it again"):
        exactune.load(run.path)
    file.write_bytes(whole)
    with pytest.raises(ModelError, match="missing or unexpected"):
        exactune.load(run.path)


def test_a_resumed_run_judges_what_was_not_judged_and_trains_no_more(task: Callable[..., Path]) -> None:
    config, options = task(), ["num_epochs=1.5"]
    run = exactune.train(config, assignments=options)
    weights, metrics = run.adapter / "adapter_model.safetensors", list(read_jsonl(run.train_metrics))
    before = weights.read_bytes()
    assert len([line for line in metrics if "eval" in line]) == 2
    run.train_metrics.write_text("".join(json.dumps(line) + "\n" for line in metrics[:-1]), encoding="utf-8")
    run.train_metrics.with_name("best.json").unlink()
    exactune.train(config, assignments=options, resume=True)
    again = list(read_jsonl(run.train_metrics))
    assert [line["step"] for line in again] == [line["step"] for line in metrics]
    assert again[-1]["eval"] == metrics[-1]["eval"]
    assert weights.read_bytes() == before


def test_rows_beyond_the_models_positions_are_found_whatever_is_ignored(
    task: Callable[..., Path], tmp_path: Path
) -> None:
    config = task("check: {ignore: [D501], on_error: ignore}\n")
    train = tmp_path / "train.jsonl"
    long = {"text": "長" * 400, "label": '{"sentiment": "正面"}'}
    train.write_text(train.read_text(encoding="utf-8") + json.dumps(long) + "\n", encoding="utf-8")
    run = exactune.train(config)
    assert read_json(run.data)["rejected"] == [{"file": str(train), "line": 25, "reason": "D501 row-too-long"}]


def test_trackers_are_looked_for_before_anything_is_written(task: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no tracker is called 'foo'"):
        exactune.train(task(), assignments=["training.report_to=foo"])
    assert not (tmp_path / "run").exists()


def test_a_glob_below_a_folder_with_brackets_is_found_again(base: Path, tmp_path: Path) -> None:
    from made import rows, write_jsonl

    folder = tmp_path / "v[1]"
    for name, count, start in (("train-a", 12, 0), ("train-b", 12, 12), ("test", 12, 200)):
        write_jsonl(folder / f"{name}.jsonl", rows(count, start))
    (folder / "task.yaml").write_text(
        f"model: {base}\ndata: {{train: train-*.jsonl, test: test.jsonl}}\ntraining: {{num_epochs: 1}}\n",
        encoding="utf-8",
    )
    run = exactune.train(folder / "task.yaml", output=str(tmp_path / "run"))
    before = run.metrics.read_bytes()
    exactune.evaluate(run)
    assert run.metrics.read_bytes() == before
