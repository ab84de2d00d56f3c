"""A disk without room: said before training, or named when it fills, and nothing complete is harmed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import exactune
from exactune.config import LoraSettings
from exactune.durable import damage
from exactune.errors import RunError
from exactune.rundir import Run, read_json, read_jsonl
from exactune.train import disk
from exactune.train.adapter import make_trainable
from exactune.train.checkpoints import newest_checkpoint, step_of
from exactune.train.disk import _is_full, naming_a_full_disk, needed_bytes, readable, refuse_a_small_disk

import tiny
from made import write_jsonl

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


@pytest.fixture(scope="module")
def reference(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("disk")
    for name, count, start in (("train", 8, 0), ("eval", 3, 100), ("test", 3, 200)):
        items = [{"text": f"第{n}號{'漲跌平'[n % 3]}", "label": "ABC"[n % 3]} for n in range(start, start + count)]
        write_jsonl(folder / f"{name}.jsonl", items)
    task = folder / "task.yaml"
    task.write_text(
        f"model: {base}\ndata: {{train: train.jsonl, eval: eval.jsonl, test: test.jsonl}}\n"
        "training: {num_epochs: 2, learning_rate: 1e-3, logging_steps: 1, save_steps: 1,\n"
        "  per_device_train_batch_size: 2, gradient_accumulation_steps: 2}\n"
        "lora: {r: 2, lora_alpha: 4, target_modules: [q_proj, v_proj]}\n",
        encoding="utf-8",
    )
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


def chained(outer: BaseException, inner: BaseException, *, explicit: bool) -> BaseException:
    try:
        try:
            raise inner
        except type(inner) as error:
            if explicit:
                raise outer from error
            raise outer  # noqa: B904
    except type(outer) as error:
        return error


def test_a_full_disk_is_recognised_through_other_errors_and_nothing_else_is() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert _is_full(full)
    assert _is_full(OSError(errno.EDQUOT, "Disk quota exceeded"))
    for explicit in (True, False):
        assert _is_full(chained(RuntimeError("save failed"), full, explicit=explicit))
        assert _is_full(chained(KeyError(1), chained(ValueError("x"), full, explicit=True), explicit=explicit))
    for error in (
        None, ValueError("x"), OSError(errno.EACCES, "Permission denied"), OSError(errno.EIO, "Input/output error"),
        MemoryError(), RuntimeError("os error 2"), RuntimeError("os error 280"), RuntimeError("28"),
        chained(ValueError("x"), OSError(errno.EROFS, "Read-only"), explicit=True),
    ):  # fmt: skip
        assert not _is_full(error), error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_file_that_takes_nothing_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"{tmp_path}: no room left on the disk .*--resume") as caught:  # noqa: SIM117
        with naming_a_full_disk(tmp_path), Path("/dev/full").open("w", encoding="utf-8") as file:
            file.write("x")
    assert isinstance(caught.value.__cause__, OSError)


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    for error in (ValueError("x"), OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, naming_a_full_disk(tmp_path):
            raise error
        assert caught.value is error


def test_a_full_disk_that_is_dealt_with_is_not_blamed_again(tmp_path: Path) -> None:
    """As where another run is tried in the ``except`` of the first."""
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError:
        with pytest.raises(ValueError, match="other"), naming_a_full_disk(tmp_path):
            raise ValueError("other")  # noqa: B904
        with pytest.raises(RunError), naming_a_full_disk(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")  # noqa: B904


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1234, "1.23 kB"), (50_000_000, "50 MB"),
     (1_500_000_000, "1.5 GB"), (2.34e12, "2.34 TB"), (5e15, "5e+03 TB")],
)  # fmt: skip
def test_sizes_are_readable(size: float, text: str) -> None:
    assert readable(size) == text


@pytest.mark.parametrize("size", [999.7, 999_600, 999_999, 999_999_999])
def test_sizes_next_to_a_unit_are_readable_too(size: float) -> None:
    assert "e+" not in readable(size)


def test_needed_room_counts_what_is_trained() -> None:
    full = make_trainable(tiny.model(), None, 0)
    count = sum(tensor.numel() for tensor in full.parameters())
    assert needed_bytes(full) == (3 * 3 + 2) * 4 * count + disk.REST
    half = make_trainable(tiny.model().to(torch.bfloat16), None, 0)
    assert needed_bytes(half) == (3 * 3 + 2) * 2 * count + disk.REST
    lora = make_trainable(tiny.model(), LoraSettings(r=4, target_modules=["q_proj"]), 0)
    assert needed_bytes(lora) == (3 * 3 + 2) * 4 * 2 * 4 * (32 + 32) + disk.REST


def test_what_a_run_holds_already_counts_as_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=700)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    folder = tmp_path / "deep" / "run"
    refuse_a_small_disk(folder, 700)
    with pytest.raises(RunError) as caught:
        refuse_a_small_disk(folder, 1000)
    assert str(caught.value) == (
        f"{folder}: training needs up to 1 kB there (checkpoints and the published weights), and 700 bytes are free. "
        "Free some, or choose another disk with --output DIR."
    )
    assert set(asked) == {tmp_path}
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "a").write_bytes(b"x" * 300)
    refuse_a_small_disk(folder, 1000)
    assert asked[-1] == folder
