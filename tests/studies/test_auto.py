"""The loop on a tiny model that learns the most frequent answer in four epochs, and nothing in two."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_bad_inputs import run as command

import exactune
from exactune.errors import ConfigError, Interrupted, RunError, TrainingError
from exactune.plan import config_source
from exactune.report.loop_page import write_loop_page
from exactune.rules import Finding, Severity
from exactune.rundir import LOCK, Run, read_json, read_jsonl, write_json
from exactune.studies.auto import search
from exactune.studies.tries import TryFolder

from made import write_task

DIVERGING = {"training.weight_decay": 1e38}
LEVEL = {"training.logging_steps": 1}
LONGER = {"training.num_epochs": 4}
SHORTER = {"training.num_epochs": 1}
OTHER_ROWS = {"data.limit": {"eval": 5}}
SETTINGS = (
    "task: text\nlora: none\nevaluate: {baselines: majority, train_rows: 0}\n"
    "training: {num_epochs: 2, learning_rate: 1e-2, logging_steps: 2, "
    "per_device_train_batch_size: 8, gradient_accumulation_steps: 1}\n"
)


def rows(count: int, start: int) -> list[dict[str, Any]]:
    return [{"prompt": f"第{n}號", "completion": "好" if n % 3 else "壞"} for n in range(start, start + count)]


def found(code: str, patch: Mapping[str, Any] | None, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(code, "found", severity, f"what {code} says", "", patch=patch)


def epochs(run: Run) -> int:
    return int(yaml.safe_load(run.config.read_text(encoding="utf-8"))["training"]["num_epochs"])


@dataclass
class ByEpochs:
    """A diagnosis that goes by how long a run was trained; it remembers what it was shown."""

    findings: Mapping[int, list[Finding]]
    shown: list[tuple[str, str, set[str]]] = field(default_factory=list)

    def __call__(self, run: Run) -> list[Finding]:
        if run.metrics.is_file():
            ids = {line["id"].split(":")[0] for line in read_jsonl(run.predictions)}
            self.shown.append((run.path.name, read_json(run.metrics)["split"], ids))
        return self.findings[epochs(run)]


def longer_only() -> ByEpochs:
    return ByEpochs({2: [found("R106", LONGER)], 4: []})


def write(folder: Path, base: Path, settings: str = SETTINGS) -> Path:
    return write_task(folder, base, settings, (24, 30, 12), rows)


@dataclass(frozen=True)
class Finished:
    config: Path
    folder: TryFolder
    diagnosis: ByEpochs
    lines: list[str]

    @property
    def document(self) -> dict[str, Any]:
        return read_json(self.folder.file)


@pytest.fixture(scope="module")
def finished(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Run 1 is kept, 2 diverges, 3 is level, 4 is better and kept, 5 cannot be compared, 6 is worse."""
    folder = tmp_path_factory.mktemp("loop")
    config, lines = write(folder, base), list[str]()
    diagnosis = ByEpochs({
        2: [found("R1", DIVERGING), found("R2", None), found("R3", LEVEL), found("R4", LONGER)],
        4: [found("R5", LONGER), found("R6", LEVEL, Severity.INFO), found("R7", OTHER_ROWS), found("R8", SHORTER)],
    })  # fmt: skip
    done = search(
        config_source(config), diagnosis, output=str(folder / "out"), max_runs=9, tell=lines.append
    )  # fmt: skip
    return Finished(config, done, diagnosis, lines)


def test_what_is_better_is_kept_and_nothing_else(finished: Finished) -> None:
    document = finished.document
    told = [(one["run"], one["from"], one["code"], one["verdict"], one["kept"]) for one in document["tries"]]
    assert told == [
        ("run-1", None, "", "first", True),
        ("run-2", "run-1", "R1", "failed", False),
        ("run-3", "run-1", "R3", "level", False),
        ("run-4", "run-1", "R4", "better", True),
        ("run-5", "run-4", "R7", "failed", False),
        ("run-6", "run-4", "R8", "worse", False),
    ]
    assert document["kept"] == "run-4"
    assert document["stopped"] == "no remedy is left that was not tried for what is found in run-4: R5, R7, R8"


def test_its_figures_are_those_of_the_eval_rows(finished: Finished) -> None:
    """Of the rows 100 to 129 twenty have the most frequent answer; before it is learned none is right."""
    tries = {one["run"]: one for one in finished.document["tries"]}
    assert finished.document["primary"] == "token_f1"
    assert tries["run-1"]["eval"]["value"] == 0
    assert tries["run-4"]["eval"]["value"] == pytest.approx(20 / 30)
    difference = tries["run-4"]["difference"]
    assert difference["value"] == pytest.approx(20 / 30)
    assert 0 < difference["low"] < 20 / 30 < difference["high"] <= 1
    assert difference["rows"] == 30
    assert tries["run-3"]["difference"]["value"] == 0
    assert tries["run-6"]["difference"]["high"] < 0
    assert all(tries[name]["minutes"] >= 0 and tries[name]["patch"] for name in ("run-2", "run-6"))


def test_what_failed_says_why(finished: Finished) -> None:
    tries = {one["run"]: one for one in finished.document["tries"]}
    assert "not a finite number" in tries["run-2"]["error"]
    assert "other rows would be scored" in tries["run-5"]["error"]
    assert not (finished.folder.path / "run-5").exists(), "it was never begun"


def test_no_decision_sees_a_test_row(finished: Finished) -> None:
    assert [name for name, _, _ in finished.diagnosis.shown] == ["run-1"] * 3 + ["run-4"] * 3
    assert all(split == "eval" and files == {"eval.jsonl"} for _, split, files in finished.diagnosis.shown)
    for name in ("run-1", "run-3", "run-6"):
        run = finished.folder.run(name)
        assert read_json(run.data)["splits"]["test"] == {"rows": 0, "ids": []}
        assert {line["id"] for line in read_jsonl(run.predictions)} == {f"eval.jsonl:{n}" for n in range(1, 31)}


def test_the_kept_run_is_an_ordinary_one_in_the_end(finished: Finished, tmp_path: Path) -> None:
    kept = Run.open(finished.folder.path / "run-4")
    tests = [f"test.jsonl:{n}" for n in range(1, 13)]
    assert read_json(kept.data)["splits"]["test"]["ids"] == tests
    assert [line["id"] for line in read_jsonl(kept.predictions)] == tests
    final = finished.document["final"]
    assert (final["split"], final["n"], final["metrics"]) == ("test", 12, read_json(kept.metrics)["metrics"])
    before = kept.metrics.read_bytes(), kept.predictions.read_bytes()
    exactune.evaluate(kept)
    assert (kept.metrics.read_bytes(), kept.predictions.read_bytes()) == before
    alone = exactune.train(finished.config, assignments=["num_epochs=4"], output=str(tmp_path / "alone"))
    weights = "model.safetensors"
    assert (alone.model / weights).read_bytes() == (kept.model / weights).read_bytes()
    assert alone.predictions.read_bytes() == kept.predictions.read_bytes()
    assert "num_epochs: 4  # R4 found" in kept.config.read_text(encoding="utf-8")


def test_each_try_is_told_in_a_line(finished: Finished) -> None:
    lines = [line for line in finished.lines if line.startswith(("try", "result", "kept"))]
    assert lines[0] == "try     run-1: as the config says"
    assert lines[2] == "try     run-2: R1 found in run-1: what R1 says Changed: training.weight_decay=1.0e+38"
    assert lines[7].startswith("result  run-4 is kept: better than run-1: token_f1 +0.667 (")
    assert lines[11].startswith("result  run-4 stays: run-6 is worse than run-4: token_f1 -0.667 (")
    assert len(lines) == 2 * 6 + 1
    assert "data    12 test rows are withheld until a run is chosen by the eval rows" in finished.lines


def test_the_page_shows_every_try_and_links_to_its_report(finished: Finished) -> None:
    page = finished.folder.report.read_text(encoding="utf-8")
    assert re.findall(r'href="(run-\d)/report.html"', page) == ["run-1", "run-3", "run-4", "run-6"]
    assert page.count("<svg") == 4 + 2, "a bar for each run that has figures, and for each final metric"
    for text in ("what R1 says", "--set training.num_epochs=4", "not a finite number", "+0.667", "<script"):
        assert (text in page) == (text != "<script"), text
    write_loop_page(finished.folder.path, "zh-TW")
    translated = finished.folder.report.read_text(encoding="utf-8")
    assert "保留" in translated
    assert "withheld" not in translated
    write_loop_page(finished.folder.path)


def test_the_folder_is_no_run_but_names_one(finished: Finished) -> None:
    for opened in (Run.open, exactune.load, lambda path: next(iter(exactune.predict(path, ["a"])))):
        with pytest.raises(RunError, match=r"run-4 was kept\. Name .*run-4\."):
            opened(finished.folder.path)


def test_a_finished_loop_is_left_alone(finished: Finished) -> None:
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in finished.folder.path.rglob("*") if path.name != LOCK}

    def again(**options: Any) -> list[str]:
        lines: list[str] = []
        search(config_source(finished.config), longer_only(), output=str(finished.folder.path), tell=lines.append,
               **options)  # fmt: skip
        return lines

    before = state()
    assert again(resume=True) == [f"resume  {finished.folder.path} is finished; there is nothing left to do"]
    with pytest.raises(RunError, match="already holds the runs of"):
        again()
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(RunError, match="holds other files than a run's"):
            exactune.train(finished.config, output=str(finished.folder.path), **options)
    (finished.folder.path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match=r"holds other files than those of .*notes\.txt"):
        again(overwrite=True)
    (finished.folder.path / "notes.txt").unlink()
    (finished.folder.path / "run-1" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match=r"run-1 holds other files than a run's \(notes\.txt\)"):
        again(overwrite=True)
    (finished.folder.path / "run-1" / "notes.txt").unlink()
    assert state().keys() == before.keys()


class Killed(BaseException):
    pass


class Stopping:
    """A display that stops training after its first step, as Ctrl-C does."""

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        pass


def test_a_loop_goes_on_wherever_it_was_killed(
    finished: Finished, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = write(tmp_path, base), tmp_path / "out"

    def kill(*_: Any) -> Any:
        raise Killed

    def go(diagnose: Callable[[Run], list[Finding]], **options: Any) -> TryFolder:
        return search(config_source(config), diagnose, output=str(out), resume=True, **options)

    with pytest.raises(Killed):
        go(kill)
    with pytest.raises(RunError, match="run-1 was kept"):
        Run.open(out)
    first = (out / "run-1" / "train" / "metrics.jsonl").stat().st_mtime_ns
    with pytest.raises(Interrupted, match=r"Stopped in run-2\..*--resume"):
        go(longer_only(), display=Stopping())
    assert [one["verdict"] for one in read_json(out / "auto.json")["tries"]] == ["first", None]
    assert "under way" in (out / "report.html").read_text(encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("exactune.pipeline.write_report", lambda run: run.path.name == "run-2" and kill())
        with pytest.raises(Killed):
            go(longer_only())
    diagnosis = longer_only()
    folder = go(diagnosis)
    assert diagnosis.shown == [("run-2", "eval", {"eval.jsonl"})], "what is known is not found out again"
    assert (out / "run-1" / "train" / "metrics.jsonl").stat().st_mtime_ns == first
    resumed, whole = read_json(folder.file), {one["run"]: one for one in finished.document["tries"]}
    assert [one["verdict"] for one in resumed["tries"]] == ["first", "better"]
    for ours, theirs in (("run-1", "run-1"), ("run-2", "run-4")):
        one = next(one for one in resumed["tries"] if one["run"] == ours)
        assert (one["eval"], one["difference"]) == (whole[theirs]["eval"], whole[theirs]["difference"])
    weights = [run.model / "model.safetensors" for run in (folder.run("run-2"), finished.folder.run("run-4"))]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert resumed["final"] == finished.document["final"]
    assert resumed["stopped"] == "nothing is found in run-2 that another run could mend"

    # Killed while the test rows were being scored: no further choice, the same figures.
    write_json(folder.file, {**resumed, "final": None})
    folder.run("run-2").metrics.unlink()
    assert read_json(go(kill).file) == resumed
    # Other test rows than those of the run are noticed there, too.
    write_json(folder.file, {**resumed, "final": None})
    (tmp_path / "test.jsonl").write_text('{"prompt": "?", "completion": "好"}\n', encoding="utf-8")
    with pytest.raises(RunError, match=r"run-2 was started with another .*test\.jsonl"):
        go(kill)


def test_a_first_run_that_diverges_is_mended_too_and_held_out_rows_are_its_test(base: Path, tmp_path: Path) -> None:
    config = write(tmp_path, base, SETTINGS.replace("num_epochs: 2", "num_epochs: 4, weight_decay: 1e38"))
    text = config.read_text(encoding="utf-8").replace(", eval: eval.jsonl, test: test.jsonl", ", eval_fraction: 0.25")
    config.write_text(text, encoding="utf-8")
    source, out, lines = config_source(config), tmp_path / "out", list[str]()
    with pytest.raises(TrainingError, match="not a finite number"):
        search(source, ByEpochs({4: [found("R304", None)]}), output=str(out))
    with pytest.raises(RunError, match="none has come to its end"):
        Run.open(out)
    diagnosis = ByEpochs({4: [found("R103", {"training.weight_decay": 0.01})]})
    folder = search(source, diagnosis, output=str(out), max_runs=2, resume=True, tell=lines.append)
    document = read_json(folder.file)
    told = [(one["verdict"], one["kept"], one["difference"]) for one in document["tries"]]
    assert told == [("failed", False, None), ("first", True, None)]
    assert document["stopped"] == "as many runs were made as --max-runs allows (2)"
    run = folder.run("run-2")
    splits = {name: set(part["ids"]) for name, part in read_json(run.data)["splits"].items()}
    assert (len(splits["test"]), len(splits["train"] | splits["eval"] | splits["test"])) == (6, 24)
    assert not splits["test"] & (splits["train"] | splits["eval"])
    assert not splits["train"] & splits["eval"]
    assert {line["id"] for line in read_jsonl(run.predictions)} == splits["test"]
    before = run.metrics.read_bytes(), run.predictions.read_bytes()
    exactune.evaluate(run)
    assert (run.metrics.read_bytes(), run.predictions.read_bytes()) == before


def test_what_cannot_begin_leaves_nothing(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = config_source(write(tmp_path, base), assignments=["training.report_to=nothing-known"])
    with pytest.raises(ConfigError, match="nothing-known"):
        search(source, longer_only(), output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("exactune.ranks.count", lambda: 2)
    with pytest.raises(ConfigError, match="trains in one process, and this launch has 2"):
        search(source, longer_only(), output=str(tmp_path / "out"))


def test_the_command_needs_auto_for_max_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("train", "task.yaml", "--max-runs", "2") == 2
    assert "--max-runs is for --auto" in capsys.readouterr().err
    assert command("train", "task.yaml", "--auto", "--max-runs", "0") == 2


def test_the_command_shows_what_was_tried(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, base, SETTINGS + "gate: {token_f1: 1.01}\n")
    options = ["--auto", "--max-runs", "2", "--set", "num_epochs=1", "--output", str(tmp_path / "out")]
    assert command("train", str(config), *options) == 1
    printed = capsys.readouterr()
    document = read_json(tmp_path / "out" / "auto.json")
    assert "runs, chosen on the eval rows" in printed.out
    for one in document["tries"]:
        assert f"try     {one['run']}: " in printed.out
    assert f"kept    {document['kept']}: {document['stopped']}" in printed.out
    assert "failed: token_f1" in printed.err
    (tmp_path / "out" / "report.html").unlink()
    assert command("report", str(tmp_path / "out")) == 0
    assert (tmp_path / "out" / "report.html").is_file()
