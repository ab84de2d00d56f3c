"""Pairs of a tiny run's own mistakes: whose they are, what they say, and that the next training can read them."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_bad_inputs import run as command

import exactune
from exactune.bases import find_base
from exactune.checking import check
from exactune.config import MineConfig
from exactune.data.load import load_paths
from exactune.errors import ConfigError, Interrupted, RunError
from exactune.plan import Plan, config_source, make_plan
from exactune.render.template import Template
from exactune.rundir import Run, read_json, read_jsonl
from exactune.studies import folds
from exactune.studies.mine import Mined, mine

from made import write_task

SETTINGS = "training: {num_epochs: 2, learning_rate: 1e-3}\nevaluate: {baselines: majority, train_rows: 0}\n"
RIGHT = {0: "正面", 1: "負面", 2: "中立"}


@dataclass(frozen=True)
class Done:
    run: Run
    mined: Mined
    plans: list[Plan]
    lines: list[str]

    @property
    def pairs(self) -> list[dict[str, Any]]:
        return [*read_jsonl(self.mined.file)]


@pytest.fixture(scope="module")
def done(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A run of 24 rows, mined in two folds; the plans that the folds were trained by."""
    folder = tmp_path_factory.mktemp("mine")
    run = exactune.train(write_task(folder, base, SETTINGS), output=str(folder / "run"))
    plans, lines = [], list[str]()
    train = folds.train_planned

    def noting(planned: Any, **options: Any) -> Run:
        plans.append(planned())
        return train(planned, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(folds, "train_planned", noting)
        mined = mine(run, settings=MineConfig(folds=2, all=True), say=lines.append)
    return Done(run, mined, plans, lines)


def source(line: Mapping[str, Any]) -> int:
    """Number of the training row."""
    name, _, number = line["source"].partition(":")
    assert name == "train.jsonl", "never an eval or test row"
    return int(number)


def test_each_row_is_answered_by_a_model_that_has_not_seen_it(done: Done) -> None:
    assert len(done.plans) == 2
    taught = [{row.id for row in plan.splits.train} for plan in done.plans]
    assert [{row.id for row in plan.encoded} for plan in done.plans] == taught
    ids = read_json(done.run.data)["splits"]["train"]["ids"]
    answered = [{line["id"] for line in read_jsonl(done.run.mine / f"fold-{n}-of-2.jsonl")} for n in (1, 2)]
    assert [len(one) for one in answered] == [12, 12]
    for seen, asked in zip(taught, answered, strict=True):
        assert seen | asked == set(ids)
        assert not seen & asked
    assert done.lines[0] == "fold    1 of 2: 12 rows train for 2 epochs, 12 are answered"


def test_pairs_are_the_wrong_answers_and_the_other_rows_stand_alone(done: Done) -> None:
    told = [line for n in (1, 2) for line in read_jsonl(done.run.mine / f"fold-{n}-of-2.jsonl")]
    wrong = {line["id"] for line in told if not line["correct"]}
    assert wrong, "a model of 30,000 parameters after two epochs"
    pairs = [line for line in done.pairs if line["rejected"] is not None]
    plain = [line for line in done.pairs if line["rejected"] is None]
    mistakes = [line for line in pairs if line["kinds"] == ["label"]]
    against = [line for line in pairs if line["kinds"] == ["counterweight"]]
    assert len(mistakes) + len(against) == len(pairs)
    assert {line["source"] for line in mistakes} == wrong
    assert {line["source"] for line in plain} == {line["id"] for line in told} - {line["source"] for line in pairs}
    for line in pairs:
        right = RIGHT[(source(line) - 1) % 3]
        assert json.loads(line["chosen"][0]["content"]) == {"sentiment": right}
        rejected = json.loads(line["rejected"][0]["content"])["sentiment"]
        assert rejected in {*RIGHT.values()} - {right}
        assert (line["probability"] >= line["gold_probability"]) == (line in mistakes)
    hardness = [line["probability"] - line["gold_probability"] for line in pairs]
    assert hardness == sorted(hardness, reverse=True)
    document = done.mined.document
    assert document["answered"] == document["rows"] == 24
    assert document["wrong"] == len(mistakes)
    assert document["pairs"] == len(pairs) == sum(document["labels"].values()) == sum(document["kinds"].values())
    assert document["plain"] == len(plain)
    assert sum(one["count"] for one in document["errors"]["confused"]) == len(mistakes)


def test_the_pairs_have_the_ids_that_the_rows_had(done: Done, base: Path) -> None:
    template = Template.load(find_base(str(base)))
    rows = {row.id: row for row in make_plan(config_source(done.run.config)).splits.train}
    loaded = load_paths([str(done.mined.file)])
    assert not loaded.rejected
    for line, pair in zip(done.pairs, loaded.splits.train, strict=True):
        trained, again = template.encode(rows[line["source"]]), template.encode(pair)
        assert (again.prompt_ids, again.answer_ids) == (trained.prompt_ids, trained.answer_ids)
        assert pair.rejected == (line["rejected"] and line["rejected"][0]["content"])


def test_the_checks_find_no_fault_in_them(done: Done) -> None:
    found = check([str(done.mined.file)])
    assert not [finding for finding in found.findings if finding.severity == "error" or finding.code.startswith("D6")]


def test_folds_that_are_answered_are_not_trained_again(done: Done, tmp_path: Path) -> None:
    lines: list[str] = []
    again = mine(done.run, settings=MineConfig(folds=2, max_pairs=2), output=tmp_path / "few.jsonl", say=lines.append)
    assert lines == ["fold    1 of 2: already answered", "fold    2 of 2: already answered"]
    assert again.pairs == len([*read_jsonl(again.file)]) == 2
    assert sorted(path.name for path in done.run.mine.iterdir() if path.name != ".lock") == [
        "fold-1-of-2.jsonl", "fold-2-of-2.jsonl", "mined.json", "pairs.jsonl",
    ]  # fmt: skip


def test_stopped_in_a_fold_it_goes_on_to_the_same_pairs(done: Done, tmp_path: Path) -> None:
    copied = Run(tmp_path / "run")
    for name in ("train", "eval", "test"):
        shutil.copy(done.run.path.parent / f"{name}.jsonl", tmp_path)
    shutil.copytree(done.run.path, copied.path)
    (copied.mine / "fold-2-of-2.jsonl").unlink()

    class Stopping:
        def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
            pass

    settings = MineConfig(folds=2, all=True)
    with pytest.raises(Interrupted, match="The same command goes on where it was") as stopped:
        mine(copied, settings=settings, display=Stopping())
    assert stopped.value.signal_number == signal.SIGTERM
    assert list((copied.mine / "fold-2-of-2" / "checkpoints").glob("step-*"))
    mine(copied, settings=settings)
    assert (copied.mine / "pairs.jsonl").read_bytes() == done.mined.file.read_bytes()
    assert not (copied.mine / "fold-2-of-2").exists()


def test_the_second_label_of_rows_answered_right(done: Done, tmp_path: Path) -> None:
    mined = mine(done.run, settings=MineConfig(folds=2, runner_up=True), output=tmp_path / "all.jsonl")
    lines = [*read_jsonl(mined.file)]
    assert len(lines) == 24
    right = [line for line in lines if line["gold_probability"] > line["probability"]]
    assert len(right) == 24 - mined.document["wrong"]
    assert all(line["chosen"] != line["rejected"] for line in lines)


def test_the_command_shows_what_it_made_and_how_to_use_it(
    done: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pairs.jsonl"
    assert command("mine", str(done.run.path), "--folds", "2", "-o", str(file), "--max-pairs", "3") == 0
    printed = capsys.readouterr().out
    wrong = done.mined.document["wrong"]
    assert f"rows    24 of 24 training rows answered, {wrong} wrongly" in printed
    assert f"without {wrong - 3}: more than 3 pairs in all" in printed
    assert f"  start_from: {done.run.path}\n  training: {{method: dpo}}\n  data: {{train: {file}}}" in printed
    assert len([*read_jsonl(file)]) == 3


def test_its_own_model_answers_without_folds_and_free_answers_have_no_second(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Untrained, it writes on until it is cut off: such answers are counted and make no pair."""
    text = f"{SETTINGS}task: text\noutput_dir: {tmp_path / 'run'}\n"
    run = exactune.train(write_task(tmp_path, base, text, (6, 3, 3)))
    with pytest.raises(ConfigError, match="only a classification"):
        mine(run, settings=MineConfig(folds=0, runner_up=True))
    assert command("mine", str(run.path), "--folds", "0") == 1
    printed = capsys.readouterr()
    assert "rows    6 of 6 training rows answered, 6 wrongly" in printed.out
    assert "without 6: cut off at the token limit, so it never ended" in printed.out
    assert "by the model that has learned them" in printed.out
    assert "nothing to learn from" in printed.err
    assert not (run.mine / "pairs.jsonl").exists()


def test_what_cannot_be_mined_is_refused(done: Done, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`mine\.folds` is 1"):
        mine(done.run, settings=MineConfig(folds=1))
    with pytest.raises(ConfigError, match="is a folder. Name the file"):
        mine(done.run, settings=MineConfig(folds=5), output=tmp_path)
    copied = Run(tmp_path / "run")
    for name in ("train", "eval", "test"):
        shutil.copy(done.run.path.parent / f"{name}.jsonl", tmp_path)
    shutil.copytree(done.run.path, copied.path)
    rows = tmp_path / "train.jsonl"
    rows.write_text(rows.read_text(encoding="utf-8").replace("第0號", "第零號"), encoding="utf-8")
    with pytest.raises(RunError, match=r"trained with another .*train\.jsonl"):
        mine(copied, settings=MineConfig(folds=2))
    (copied.path / "train" / "best.json").unlink()
    with pytest.raises(RunError, match="training is not over"):
        mine(copied)
