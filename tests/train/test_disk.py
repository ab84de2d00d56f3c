"""A disk without room: said before training, or named when it fills, and nothing complete is harmed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import exactune
from exactune.durable import damage
from exactune.errors import RunError
from exactune.rundir import Run, read_json, read_jsonl
from exactune.train.checkpoints import newest_checkpoint, step_of
from exactune.train.disk import _is_full, naming_a_full_disk

from made import write_task

SIZES = int(os.environ.get("EXACTUNE_SOAK_SIZES", "12"))
PAGE = 4096
ENOUGH = 160_000_000
ENDS = ".tmp", ".old"


class Volume:
    """A file system in memory whose size can be changed under way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True)

    @property
    def used(self) -> int:
        return shutil.disk_usage(self.path).used

    def leave(self, free: int) -> None:
        """Room for so many bytes more; a size of zero would mean no limit."""
        self.resize(max(PAGE, self.used + free))

    def clear(self) -> None:
        self.resize(ENOUGH)
        for entry in self.path.iterdir():
            shutil.rmtree(entry)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    path = tmp_path / "volume"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={ENOUGH}", "tmpfs", str(path)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    try:
        yield Volume(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)


@dataclass
class Watched:
    """A display that does something after one step, and notes what was complete before it.

    Attributes:
        complete: Step of the newest whole checkpoint seen.
        published: Adapters seen.
    """

    run: Run
    at: int = -1
    do: Callable[[], None] = lambda: None
    complete: int = 0
    published: set[bytes] = field(default_factory=set)

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        whole = [step_of(path) for path in self.run.checkpoints.glob("step-*") if damage(path) is None]
        self.complete = max([self.complete, *whole])
        if self.run.adapter.is_dir():
            self.published.add(weights(self.run))
        if step == self.at:
            self.do()

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        pass


@dataclass(frozen=True)
class Reference:
    """An undisturbed run."""

    task: Path
    run: Run
    published: set[bytes]


def labelled(count: int, start: int) -> list[dict[str, Any]]:
    return [{"text": f"第{n}號{'漲跌平'[n % 3]}", "label": "ABC"[n % 3]} for n in range(start, start + count)]


@pytest.fixture(scope="module")
def reference(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("disk")
    task = write_task(
        folder, base,
        "training: {num_epochs: 2, learning_rate: 1e-3, logging_steps: 1, save_steps: 1,\n"
        "  per_device_train_batch_size: 2, gradient_accumulation_steps: 2}\n"
        "lora: {r: 2, lora_alpha: 4, target_modules: [q_proj, v_proj]}\n",
        (8, 3, 3), labelled,
    )  # fmt: skip
    run = Run(folder / "run")
    display = Watched(run)
    exactune.train(task, output=str(run.path), display=display)
    return Reference(task, run, {*display.published, weights(run)})


def weights(run: Run) -> bytes:
    return (run.adapter / "adapter_model.safetensors").read_bytes()


def metrics(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "time"} for line in read_jsonl(run.train_metrics)]


def refused(reference: Reference, run: Run, **options: Any) -> str:
    """What a run on a disk that may be too small says; empty where it finishes."""
    try:
        exactune.train(reference.task, output=str(run.path), **options)
    except RunError as error:
        return str(error)
    return ""


def refuse_harm(run: Run, display: Watched, reference: Reference) -> None:
    """What was complete before the disk filled is complete still, and nothing half written stands in its place."""
    assert not [path for path in run.path.rglob("*") if path.name.endswith(ENDS)]
    assert metrics(run) == metrics(reference.run)[: len(metrics(run))]
    newest, broken = newest_checkpoint(run.checkpoints)
    assert broken == []
    assert (0 if newest is None else step_of(newest)) >= display.complete
    if display.published:
        assert weights(run) in reference.published
        assert load_file(run.adapter / "adapter_model.safetensors")
    for path in run.path.rglob("*.json"):
        assert read_json(path) is not None


def refuse_difference(run: Run, reference: Reference) -> None:
    assert weights(run) == weights(reference.run)
    assert metrics(run) == metrics(reference.run)
    assert read_json(run.metrics) == read_json(reference.run.metrics)
    assert run.predictions.read_bytes() == reference.run.predictions.read_bytes()
    assert newest_checkpoint(run.checkpoints) == (run.checkpoints / "step-000004", [])


def spread(largest: int, count: int, start: int = 0) -> list[int]:
    """Whole pages from ``start`` to ``largest``, evenly; every page if there are no more than ``count``."""
    pages = range(start, largest // PAGE + 2)
    return sorted({pages[round(n * (len(pages) - 1) / max(1, count - 1))] * PAGE for n in range(count)})


@pytest.mark.parametrize("at", [1, 3])
def test_training_on_a_disk_that_fills_anywhere_goes_on_to_the_same_bytes(
    at: int, volume: Volume, reference: Reference
) -> None:
    """Room for n more pages after a step, so that each write in turn is the one that finds none."""
    run = Run(volume.path / "run")
    largest = sum(-(-path.stat().st_size // PAGE) * PAGE for path in reference.run.path.rglob("*") if path.is_file())
    outcomes = set()
    for room in spread(largest * 2, SIZES // 3):
        display = Watched(run, at, lambda room=room: volume.leave(room))
        message = refused(reference, run, display=display)
        outcomes.add(bool(message))
        if message:
            assert f"{run.path}: no room left on the disk" in message, room
            refuse_harm(run, display, reference)
            if not room:  # that is said again, and harms nothing either
                with pytest.raises(RunError, match="training needs up to|no room left"):
                    exactune.train(reference.task, output=str(run.path), resume=True)
                refuse_harm(run, display, reference)
            volume.resize(ENOUGH)
            exactune.train(reference.task, output=str(run.path), resume=True)
        refuse_difference(run, reference)
        volume.clear()
    assert outcomes == {True, False}


def test_a_disk_that_fills_after_training_keeps_the_weights(volume: Volume, reference: Reference) -> None:
    """Evaluation and report only."""
    run = exactune.train(reference.task, output=str(volume.path / "run"))
    trained = shutil.copytree(run.path, volume.path.with_name("trained"))
    largest = 0
    for path in (run.predictions, run.metrics, run.report):
        largest += path.stat().st_size + PAGE
        (trained / path.relative_to(run.path)).unlink()
    outcomes = set()
    for room in spread(largest, SIZES // 3):
        volume.clear()
        shutil.copytree(trained, run.path)
        volume.leave(room)
        message = refused(reference, run, resume=True)
        outcomes.add(bool(message))
        if message:
            assert "no room left on the disk" in message, room
            assert not [path for path in run.path.rglob("*") if path.name.endswith(ENDS)]
            volume.resize(ENOUGH)
            exactune.train(reference.task, output=str(run.path), resume=True)
        refuse_difference(run, reference)
        assert run.report.read_bytes()[-8:].strip() == b"</html>"
    assert outcomes == {True, False}


def test_a_small_disk_is_refused_before_anything_is_written(volume: Volume, reference: Reference) -> None:
    run = Run(volume.path / "run")
    for size in spread(1_000_000, max(3, SIZES // 4), start=1):
        volume.resize(size)
        with pytest.raises(RunError, match=rf"{run.path}: training needs up to 100 MB there .*, and .*B are free"):
            exactune.train(reference.task, output=str(run.path))
        assert list(volume.path.iterdir()) == []
    volume.resize(ENOUGH)
    exactune.train(reference.task, output=str(run.path), resume=True)
    refuse_difference(run, reference)


def test_a_disk_that_fills_while_the_plan_is_written_can_be_resumed(
    volume: Volume, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate was too low, or another program took the room."""
    run = Run(volume.path / "run")
    monkeypatch.setattr("exactune.pipeline.needed_bytes", lambda _: 0)
    began = []
    for pages in range(7):
        (volume.path / "other").write_bytes(b"x")
        volume.leave(pages * PAGE)
        with pytest.raises(RunError, match="no room left on the disk"):
            exactune.train(reference.task, output=str(run.path))
        began.append(run.config.is_file())
        assert not [path for path in run.path.rglob("*") if path.name.endswith(ENDS)]
        volume.resize(ENOUGH)
        if pages in (0, 4) or SIZES > 12:
            exactune.train(reference.task, output=str(run.path), resume=True)
            refuse_difference(run, reference)
        shutil.rmtree(run.path, ignore_errors=True)
    assert began == sorted(began)
    assert set(began) == {False, True}


def test_a_line_that_finds_no_room_leaves_no_half_of_itself(volume: Volume) -> None:
    from exactune.rundir import append_jsonl

    file = volume.path / "metrics.jsonl"
    file.write_text("", encoding="utf-8")
    volume.leave(PAGE)
    line = {"text": "x" * 300}
    size = len(json.dumps(line)) + 1
    for _ in range(PAGE // size):
        append_jsonl(file, line)
    with pytest.raises(OSError, match="No space left"):
        append_jsonl(file, line)
    assert PAGE % size
    assert list(read_jsonl(file)) == [line] * (PAGE // size)
    volume.resize(ENOUGH)
    append_jsonl(file, line)
    assert list(read_jsonl(file)) == [line] * (PAGE // size + 1)


def test_an_error_of_safetensors_on_a_full_disk_is_recognised(volume: Volume) -> None:
    volume.resize(2 * PAGE)
    with pytest.raises(SafetensorError) as caught:
        save_file({"a": torch.zeros(100_000)}, volume.path / "a.safetensors")
    assert _is_full(caught.value)
    with pytest.raises(RunError, match="no room left on the disk"), naming_a_full_disk(volume.path):
        raise caught.value
    with pytest.raises(SafetensorError) as other:
        save_file({"a": torch.zeros(1)}, volume.path / "absent" / "a.safetensors")
    assert not _is_full(other.value)
