"""Runs that go on from another one, and learn from pairs: what each stage writes, the next one reads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import exactune
from exactune.errors import ConfigError, DataError, Interrupted, RunError
from exactune.estimate import estimate
from exactune.parent import find_parent
from exactune.plan import config_source, make_plan
from exactune.render.batch import answer_logps, collate
from exactune.render.template import Template
from exactune.rundir import Run, read_json, read_jsonl
from test_resume import Stopping

from made import pairs, rows, write_jsonl, write_task

SETTINGS = "evaluate: {baselines: [majority], train_rows: 4}\n"
DPO = (
    "training: {method: dpo, num_epochs: 3, learning_rate: 1e-3, logging_steps: 5, per_device_train_batch_size: 2,\n"
    "  gradient_accumulation_steps: 1}\n"
)
WEIGHTS = "adapter_model.safetensors"
ONE_BY_ONE = ["training.per_device_train_batch_size=1"]
"""72 steps for 24 pairs."""


@pytest.fixture(scope="module")
def place(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run ``sft`` and ``pairs.jsonl``."""
    folder = tmp_path_factory.mktemp("preference")
    write_jsonl(folder / "pairs.jsonl", pairs(24))
    text = SETTINGS + "training: {num_epochs: 1, learning_rate: 1e-3}\nlora: {r: 4, lora_alpha: 8}\n"
    exactune.train(write_task(folder, base, text), output=str(folder / "sft"))
    return folder


def config(folder: Path, text: str, name: str = "next.yaml") -> Path:
    file = folder / name
    file.write_text("data: {train: pairs.jsonl}\n" + text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def tuned(place: Path) -> Run:
    """A ``dpo`` run from ``sft``."""
    file = config(place, f"start_from: sft\n{DPO}{SETTINGS}")
    return exactune.train(file, assignments=ONE_BY_ONE, output=str(place / "dpo"))


def test_it_starts_where_the_other_run_ended(place: Path, tuned: Run) -> None:
    start = next(line for line in read_jsonl(tuned.train_metrics) if "eval" in line)
    before = read_json(place / "sft" / "train" / "best.json")
    assert start["step"] == 0
    assert start["eval"][before["metric"]] == before["value"]
    assert start["moved"] == 0
    losses = [line["loss"] for line in read_jsonl(tuned.train_metrics) if "margin" in line]
    assert losses[-1] < losses[0] < 0.7


def test_a_dry_run_counts_the_evaluation_of_its_start(place: Path, tuned: Run) -> None:
    found = estimate(make_plan(config_source(config(place, f"start_from: sft\n{DPO}{SETTINGS}", "dry.yaml"))))
    assert found.times is not None
    at_start = sum("eval" in line and not line["step"] for line in read_jsonl(tuned.train_metrics))
    assert found.times.more == 1 + at_start == 2, "the published weights, and those it begins with"
    # Eval rows scale confidences, test rows are scored, and four rows that the first run was trained on asked again.
    assert found.times.answered == 9 + 12 + 4
    assert replace(found.times, more=1).evaluating(3) < found.times.evaluating(3)


def test_it_is_scored_on_the_rows_of_the_other_run(place: Path, tuned: Run) -> None:
    ids = [[line["id"] for line in read_jsonl(run.predictions)] for run in (Run(place / "sft"), tuned)]
    assert ids[0] == ids[1]
    before = tuned.metrics.read_bytes()
    exactune.evaluate(tuned.path)
    assert tuned.metrics.read_bytes() == before


def test_of_these_rows_it_is_scored_on_those_that_it_used(place: Path) -> None:
    file = config(place, f"start_from: sft\n{DPO}{SETTINGS}", "limited.yaml")
    limits = ["data.limit={eval: 6, test: 6}", "training.num_epochs=1"]
    run = exactune.train(file, assignments=limits, output=str(place / "limited"))
    before = run.predictions.read_bytes()
    assert before.count(b"\n") == 6
    exactune.evaluate(run.path)
    assert run.predictions.read_bytes() == before


def test_other_test_rows_leave_it_the_eval_rows_of_the_other_run(place: Path) -> None:
    """Its own pairs are of rows that the other run has learned, so they would choose the start."""
    write_jsonl(place / "later.jsonl", rows(6, 400))
    file = config(place, f"start_from: sft\n{DPO}{SETTINGS}", "later.yaml")
    later = ["data.test=later.jsonl", "training.num_epochs=1"]
    run = exactune.train(file, assignments=later, output=str(place / "later"))
    splits = read_json(run.data)["splits"]
    assert splits["eval"]["ids"] == [f"eval.jsonl:{number}" for number in range(1, 10)]
    assert (splits["train"]["rows"], splits["test"]["ids"][0]) == (24, "later.jsonl:1")
    before = run.predictions.read_bytes()
    exactune.evaluate(run.path)
    assert run.predictions.read_bytes() == before


def test_without_the_other_run_its_rows_are_gone(place: Path, tuned: Run) -> None:
    (place / "sft").rename(place / "moved")
    try:
        with pytest.raises(RunError, match=r"`start_from`: \.\./sft is no run any more, and the rows of that run"):
            exactune.evaluate(tuned)
    finally:
        (place / "moved").rename(place / "sft")


def test_the_reference_is_the_other_run_and_stays_it(place: Path, tuned: Run) -> None:
    """Asked again of the very artifact, after all steps, each answer alone."""
    assert [line["step"] for line in read_jsonl(tuned.train_metrics) if "eval" not in line][-1] >= 70
    artifact = exactune.load(place / "sft")
    lines = list(read_jsonl(tuned.path / "train" / "reference.jsonl"))
    assert [line["id"] for line in lines] == [f"pairs.jsonl:{number}" for number in range(1, 25)]
    for line, pair in zip(lines, pairs(24), strict=True):
        prompt = artifact.template.prompt_ids(artifact.prompt(pair["prompt"]))
        for side in ("chosen", "rejected"):
            answer = artifact.template.answer_ids(pair[side])
            batch = collate([prompt + answer], [[-100] * len(prompt) + answer])
            with torch.no_grad():
                (alone,) = answer_logps(artifact.model, batch).tolist()
            assert line[side] == pytest.approx(alone, abs=1e-4)
            assert line[f"{side}_tokens"] == len(answer)


def test_the_artifact_is_one_adapter_that_knows_where_it_comes_from(place: Path, tuned: Run) -> None:
    card = read_json(tuned.adapter / "exactune.json")
    (parent,) = card["parents"]
    assert (card["method"], parent["method"]) == ("dpo", "sft")
    assert not [path for path in tuned.adapter.rglob("*") if path.is_dir()]
    assert read_json(tuned.adapter / "adapter_config.json")["r"] == 4
    again = exactune.train(
        config(place, f"start_from: dpo\n{DPO}{SETTINGS}", "third.yaml"), output=str(place / "third")
    )
    assert [one["method"] for one in read_json(again.adapter / "exactune.json")["parents"]] == ["dpo", "sft"]
    assert parent["sha256"] in [one["sha256"] for one in read_json(again.adapter / "exactune.json")["parents"]]


def test_it_trains_again_from_its_own_config(place: Path, tuned: Run) -> None:
    again = exactune.train(tuned.config, output=str(place / "again"))
    assert (again.adapter / WEIGHTS).read_bytes() == (tuned.adapter / WEIGHTS).read_bytes()


def same(run: Run, other: Run) -> None:
    """Whether the weights and what was logged are equal, but for the times."""
    assert (run.adapter / WEIGHTS).read_bytes() == (other.adapter / WEIGHTS).read_bytes()
    logged = [[line | {"time": 0} for line in read_jsonl(one.train_metrics)] for one in (run, other)]
    assert logged[0] == logged[1]


def test_a_run_that_was_stopped_goes_on_with_its_reference(place: Path, tuned: Run) -> None:
    """SIGKILL at drawn moments: ``make soak``."""
    file, cut = config(place, f"start_from: sft\n{DPO}{SETTINGS}", "cut.yaml"), Run(place / "cut")
    with pytest.raises(Interrupted, match="Stopped at step 30 of 72"):
        exactune.train(file, assignments=ONE_BY_ONE, output=str(cut.path), display=Stopping(30))
    reference = cut.path / "train" / "reference.jsonl"
    before = reference.read_bytes()
    exactune.train(file, assignments=ONE_BY_ONE, output=str(cut.path), resume=True)
    assert reference.read_bytes() == before == (tuned.path / "train" / "reference.jsonl").read_bytes()
    same(cut, tuned)


def test_what_has_changed_since_the_start_is_measured(place: Path, tuned: Run) -> None:
    metrics = read_json(tuned.metrics)
    start, length = metrics["start"], metrics["length"]
    assert (start["run"], start["rows"], start["primary"]) == ("../sft", 12, "macro_f1")
    found, before = start["metrics"]["macro_f1"], read_json(place / "sft" / "eval" / "metrics.json")
    assert (found["ours"], found["theirs"]) == (
        metrics["metrics"]["macro_f1"]["value"], before["metrics"]["macro_f1"]["value"],
    )  # fmt: skip
    ours, theirs = (
        [len(line["answer"]) for line in read_jsonl(Run(place / name).predictions)] for name in ("dpo", "sft")
    )
    assert (length["beside"], length["rows"]) == ("start", 12)
    assert (length["answers"], length["others"]) == (sum(ours) / 12, sum(theirs) / 12)
    sides = read_json(tuned.data)["pairs"]
    assert sides["rows"] == 24
    reference = list(read_jsonl(tuned.path / "train" / "reference.jsonl"))
    assert sides["chosen_mean"] == sum(line["chosen_tokens"] for line in reference) / 24
    assert {"start", "length", "pairs"}.isdisjoint({**before, **read_json(place / "sft" / "data.json")})


def test_a_start_that_is_gone_is_no_error(place: Path, tuned: Run, tmp_path: Path) -> None:
    """Its artifact alone is enough to go on from; there is nothing to compare with then."""
    shutil.copytree(place / "sft" / "adapter", tmp_path / "adapter")
    for name in ("pairs", "eval"):
        shutil.copy(place / f"{name}.jsonl", tmp_path)
    text = f"start_from: adapter\n{DPO}{SETTINGS}".replace("num_epochs: 3", "num_epochs: 1")
    file = config(tmp_path, text)
    run = exactune.train(file, assignments=["data.eval=eval.jsonl"], output=str(tmp_path / "run"))
    metrics = read_json(run.metrics)
    assert "start" not in metrics
    assert metrics["length"]["beside"] == "gold"


def test_pairs_are_checked_alike_before_training_and_by_check(place: Path) -> None:
    odd = pairs(24)
    odd[3]["rejected"], odd[4]["rejected"], odd[5]["rejected"] = odd[3]["chosen"], " ", "{}" * 200
    write_jsonl(place / "odd.jsonl", odd)
    settings = DPO.replace("method: dpo", "method: dpo, max_seq_length: 120") + "check: {on_error: skip}\n"
    file = config(place, f"start_from: sft\n{settings}", "odd.yaml")
    file.write_text(file.read_text(encoding="utf-8").replace("pairs.jsonl", "odd.jsonl"), encoding="utf-8")
    planned = make_plan(config_source(file), output=str(place / "odd")).findings
    checked = exactune.check(file).findings
    assert {"D501", "D601", "D604"} <= {finding.code for finding in planned}
    assert {finding.code for finding in planned} == {finding.code for finding in checked}
    with_test = [*pairs(12), *pairs(2, 200)]
    write_jsonl(place / "odd.jsonl", with_test)
    assert "D205" in {finding.code for finding in exactune.check(file).findings}, "test rows of the run it starts from"


def test_supervised_training_goes_on_too(place: Path) -> None:
    text = f"start_from: sft\ntraining: {{num_epochs: 1, learning_rate: 1e-3}}\n{SETTINGS}"
    file = config(place, text, "more.yaml")
    file.write_text(file.read_text().replace("pairs.jsonl", "more.jsonl"), encoding="utf-8")
    write_jsonl(place / "more.jsonl", rows(12, 300))
    run = exactune.train(file, output=str(place / "more"))
    card = read_json(run.adapter / "exactune.json")
    assert (card["method"], len(card["parents"])) == ("sft", 1)
    assert read_json(run.data)["splits"]["train"]["rows"] == 12


def test_a_fully_trained_model_is_gone_on_with(base: Path, tmp_path: Path) -> None:
    """Of its own base it needs nothing any more."""
    text = f"training: {{num_epochs: 1, learning_rate: 1e-4}}\nlora: none\n{SETTINGS}"
    own = shutil.copytree(base, tmp_path / "own")
    exactune.train(write_task(tmp_path, own, text), output=str(tmp_path / "sft"))
    shutil.rmtree(own)
    write_jsonl(tmp_path / "pairs.jsonl", pairs(24))
    short = DPO.replace("num_epochs: 3", "num_epochs: 1").replace("1e-3", "1e-4")
    run = exactune.train(config(tmp_path, f"start_from: sft\n{short}{SETTINGS}"), output=str(tmp_path / "dpo"))
    first = next(line for line in read_jsonl(run.train_metrics) if "margin" in line)
    assert abs(first["margin"]) < 0.05
    assert run.model.is_dir()
    assert exactune.load(run.path).predict(["第3號公司股價大漲"])


def spans(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows whose answer is one span of their input; that of the fourth is long."""
    made = [(number, f"公司{number}" * (9 if number == 3 else 1)) for number in range(start, start + count)]
    return [
        {
            "messages": [
                {"role": "user", "content": f"{name}股價{'大漲' if number % 2 else '重挫'}"},
                {"role": "assistant", "content": json.dumps([{"text": name, "type": "ORG"}], ensure_ascii=False)},
            ]
        }
        for number, name in made
    ]


def test_it_answers_as_the_other_run_does(base: Path, tmp_path: Path) -> None:
    """Within the same room, and held to the same, though its pairs say less of the task."""
    text = f"training: {{num_epochs: 1, learning_rate: 1e-3}}\ntask: {{copy_spans: true}}\n{SETTINGS}"
    exactune.train(write_task(tmp_path, base, text, make=spans), output=str(tmp_path / "sft"))
    wrong = [
        {"prompt": row["messages"][:1], "chosen": row["messages"][1]["content"], "rejected": "[]"}
        for row in spans(12, 6)
    ]
    write_jsonl(tmp_path / "pairs.jsonl", wrong)
    plan = make_plan(config_source(config(tmp_path, f"start_from: sft\n{DPO}")), output=str(tmp_path / "dpo"))
    card = read_json(tmp_path / "sft" / "adapter" / "exactune.json")
    assert plan.max_new_tokens == card["max_new_tokens"]
    assert plan.config.task.copy_spans
    assert plan.constraint == card["constraint"]


@pytest.mark.parametrize(
    ("task", "held", "constrain"),
    [
        ({"type": "json"}, {"grammar": "start: /.*/"}, True),
        ({"type": "json"}, None, None),
        ({"type": "classification", "labels": ["a", "b"]}, {"labels": ["a", "b"]}, None),
        ({"type": "classification", "labels": ["a", "b"]}, None, False),
    ],
)
def test_its_answers_are_held_as_those_of_the_other_run(
    place: Path, tmp_path: Path, task: dict[str, Any], held: dict[str, Any] | None, constrain: bool | None
) -> None:
    shutil.copytree(place / "sft" / "adapter", tmp_path / "adapter")
    card = read_json(place / "sft" / "adapter" / "exactune.json") | {"task": task, "constraint": held}
    (tmp_path / "adapter" / "exactune.json").write_text(json.dumps(card), encoding="utf-8")
    assert find_parent("adapter", tmp_path).patch.values.get("constrain") == constrain


def test_orpo_takes_pairs_and_single_answers(base: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [*pairs(12), *rows(12, 12)])
    method = "training: {method: orpo, num_epochs: 2, learning_rate: 1e-3, logging_steps: 2}\norpo: {beta: 0.5}\n"
    file = write_task(tmp_path, base, method + SETTINGS)
    run = exactune.train(file, output=str(tmp_path / "run"))
    figures = [line for line in read_jsonl(run.train_metrics) if "margin" in line]
    assert figures[-1]["loss"] < figures[0]["loss"]
    assert read_json(run.metrics)["n"] == 12
    assert not (run.path / "train" / "reference.jsonl").exists()
    assert read_json(run.metrics)["length"]["beside"] == "gold"
    assert read_json(run.data)["pairs"]["rows"] == 12
    with pytest.raises(Interrupted, match="Stopped at step 3 of 4"):
        exactune.train(file, output=str(tmp_path / "cut"), display=Stopping(3))
    same(exactune.train(file, output=str(tmp_path / "cut"), resume=True), run)


def test_both_engines_have_the_same_losses(place: Path, tuned: Run) -> None:
    file = config(place, f"start_from: sft\n{DPO}{SETTINGS}", "plain.yaml")
    run = exactune.train(file, assignments=[*ONE_BY_ONE, "training.engine=plain"], output=str(place / "plain"))
    losses = [[line["loss"] for line in read_jsonl(one.train_metrics) if "margin" in line] for one in (run, tuned)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_what_cannot_be_is_refused(place: Path) -> None:
    def refused(text: str, error: type[Exception], *words: str) -> None:
        with pytest.raises(error) as caught:
            make_plan(config_source(config(place, text, "refused.yaml")), output=str(place / "none"))
        assert all(word in str(caught.value) for word in words), caught.value

    refused(f"start_from: sft\n{DPO}lora: {{r: 8}}\n", ConfigError, "`lora.r`: 8", "has 4")
    refused(f"start_from: sft\n{DPO}lora: none\n", ConfigError, "`lora.r`")
    refused(f"start_from: sft\nmodel: mini\n{DPO}", ConfigError, "`model`: mini")
    refused(f"start_from: sft\nquantization: 4bit\n{DPO}", ConfigError, "`quantization`: 4bit", "has none")
    refused(f"start_from: nowhere\n{DPO}", ConfigError, "`start_from`: there is no folder", "nowhere")
    (place / "empty").mkdir(exist_ok=True)
    refused(f"start_from: empty\n{DPO}", RunError, "no artifact here")
    write_jsonl(place / "general.jsonl", rows(12, 500))
    mix = f"start_from: sft\n{DPO}mix: [{{path: general.jsonl, ratio: 0.2}}]\n"
    refused(mix, ConfigError, "`data.mix`: `training.method: dpo`")
    write_jsonl(place / "mixed.jsonl", [*pairs(12), *rows(12, 12)])
    mixed = ["data.train=mixed.jsonl"]
    with pytest.raises(DataError, match="12 of 24 training rows have no `rejected`"):
        make_plan(config_source(config(place, f"start_from: sft\n{DPO}"), assignments=mixed))
    plan = make_plan(config_source(config(place, f"start_from: sft\n{DPO}".replace("dpo", "orpo")), assignments=mixed))
    assert sum(row is not None for row in plan.rejected) == 12
    write_jsonl(place / "other" / "test.jsonl", pairs(24))
    source = config_source(config(place, f"start_from: sft\n{DPO}"), assignments=["data.train=other/test.jsonl"])
    with pytest.raises(ConfigError, match="named like one"):
        make_plan(source)


def test_no_side_of_a_pair_is_cut(place: Path) -> None:
    long = [{**pair, "rejected": "{}" * 200} if number == 3 else pair for number, pair in enumerate(pairs(24))]
    write_jsonl(place / "long.jsonl", long)
    file = config(place, f"start_from: sft\n{DPO}".replace("method: dpo", "method: dpo, max_seq_length: 120"))
    with pytest.raises(DataError) as caught:
        make_plan(config_source(file, assignments=["data.train=long.jsonl"]))
    (finding,) = [found for found in caught.value.findings if found.code == "D501"]
    assert [place.line for place in finding.locations] == [4]
    kept = make_plan(config_source(file, assignments=["data.train=long.jsonl", "check.on_error=skip"]))
    template = Template.load(kept.base)
    assert len(kept.encoded) == len(kept.rejected) == 23
    for row, worse in zip(kept.encoded, kept.rejected, strict=True):
        assert worse is not None
        assert row.prompt_ids == worse.prompt_ids
        assert row.answer_ids[-1] == worse.answer_ids[-1] == template.stop_id
        assert min(len(row.answer_ids), len(worse.answer_ids)) > 1
