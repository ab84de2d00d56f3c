"""The methods side by side on a tiny model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_bad_inputs import run as command

from exactune.errors import ConfigError, RunError
from exactune.report.compare_page import write_compare_page
from exactune.rundir import Run, read_json, read_jsonl
from exactune.studies.compare_methods import compare
from exactune.studies.comparison import ComparisonFolder

from made import rows, write_jsonl, write_task

SETTINGS = (
    "training: {num_epochs: 2, learning_rate: 1e-3}\nevaluate: {baselines: majority, train_rows: 0, shots: 2}\n"
    "mine: {folds: 2}\ncompare: {seeds: [1]}\n"
)


@dataclass(frozen=True)
class Done:
    config: Path
    folder: ComparisonFolder
    lines: list[str]

    @property
    def document(self) -> dict[str, Any]:
        return read_json(self.folder.file)

    def run(self, method: str) -> Mapping[str, Any]:
        return next(one for one in self.document["runs"] if one["method"] == method)


@pytest.fixture(scope="module")
def done(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder, lines = tmp_path_factory.mktemp("compare"), list[str]()
    config = write_task(folder, base, SETTINGS)
    made = compare(config, output=str(folder / "out"), say=lines.append, separate=False)
    return Done(config, made, lines)


def test_every_method_answers_the_same_rows(done: Done) -> None:
    names = ["base", "kshot-1", "sft-1", "sft-dpo-1", "orpo-1"]
    ids = [[line["id"] for line in read_jsonl(Run(done.folder.path / name).predictions)] for name in names]
    assert ids[0] == [f"test.jsonl:{number}" for number in range(1, 13)]
    assert all(one == ids[0] for one in ids)
    assert [one["method"] for one in done.document["methods"]] == ["base", "kshot", "sft", "sft+dpo", "orpo"]
    assert all(one["state"] == "done" for one in done.document["runs"])


def test_each_is_trained_on_what_the_table_says(done: Done) -> None:
    pairs = done.run("pairs")["pairs"]
    assert 0 < pairs <= 24
    assert [(done.run(name)["rows"], done.run(name)["pairs"]) for name in ("sft", "sft+dpo", "orpo")] == [
        (24, 0), (pairs, pairs), (24, pairs),
    ]  # fmt: skip
    rows = [*read_jsonl(done.folder.rows / "orpo-1.jsonl")]
    assert [row["source"] for row in rows] == [f"train.jsonl:{number}" for number in range(1, 25)]
    assert sum(row["rejected"] is not None for row in rows) == pairs
    seeds = [read_json(done.folder.path / name / "env.json")["model"]["name"] for name in ("sft-1", "orpo-1")]
    assert seeds[0] == seeds[1]


def test_a_method_is_held_against_sft(done: Done) -> None:
    methods = {one["method"]: one for one in done.document["methods"]}
    assert methods["sft"]["difference"] is None
    for name in ("base", "kshot", "sft+dpo", "orpo"):
        found = methods[name]["difference"]["macro_f1"]
        own, reference = (methods[one]["metrics"]["macro_f1"]["value"] for one in (name, "sft"))
        assert found["low"] <= found["value"] <= found["high"]
        assert found["value"] == pytest.approx(own - reference)
        assert methods[name]["peak_memory_mb"] > 0
    assert methods["orpo"]["before"] == methods["sft+dpo"]["before"] >= done.run("sft")["minutes"]
    assert done.document["keep"] in methods
    assert any("the guide lists that among the tasks of SFT" in line for line in done.document["verdict"])
    assert any("fewer than 3 seeds" in line for line in done.document["verdict"])


def test_the_page_has_every_method_in_both_languages(done: Done) -> None:
    page = write_compare_page(done.folder.path).read_text(encoding="utf-8")
    for text in ("SFT + DPO", "ORPO", "the base model with examples", "<svg", 'href="orpo-1/report.html"'):
        assert text in page
    assert "<script" not in page
    translated = write_compare_page(done.folder.path, "zh-TW").read_text(encoding="utf-8")
    assert "尖峰記憶體" in translated
    assert "Peak memory" not in translated


def test_what_is_finished_is_not_done_again(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    def weights() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in done.folder.path.glob("*/adapter/*.safetensors")}

    before, document, lines = weights(), done.document, list[str]()
    compare(done.config, output=str(done.folder.path), resume=True, say=lines.append, separate=False)
    assert weights() == before
    assert done.document == document
    assert sum(line.startswith("done") for line in lines) == 6
    with pytest.raises(RunError, match="already holds a comparison"):
        compare(done.config, output=str(done.folder.path), separate=False)
    with pytest.raises(RunError, match="another `training`"):
        compare(done.config, assignments=["num_epochs=3"], output=str(done.folder.path), resume=True, separate=False)
    write_jsonl(done.config.parent / "general.jsonl", rows(12, 300))
    mix = ["data.mix=[{path: general.jsonl, ratio: 0.5}]"]
    with pytest.raises(RunError, match=r"another `data\.mix`"):
        compare(done.config, assignments=mix, output=str(done.folder.path), resume=True, separate=False)
    with pytest.raises(RunError, match="holds the runs of `exactune compare`"):
        Run.open(done.folder.path)
    assert command("compare", str(done.config), "--output", str(done.folder.path), "--resume", "--json") == 0
    assert json.loads(capsys.readouterr().out)["keep"] == document["keep"]
    assert command("compare", str(done.config), "--output", str(done.folder.path), "--dry-run") == 0
    assert capsys.readouterr().out.count("(done)") == 6


@pytest.mark.parametrize(
    ("assignment", "message"),
    [("compare.methods=[orpo]", "held against `sft`"), ("start_from=elsewhere", "compared from the base model on")],
)
def test_what_cannot_be_compared_writes_nothing(done: Done, tmp_path: Path, assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare(done.config, assignments=[assignment], output=str(tmp_path / "out"), separate=False)
    assert not (tmp_path / "out").exists()
