"""Checkpoints: whole or known not to be, without pickles, and going on from one changes no byte of what comes out."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import exactune
from exactune.durable import damage
from exactune.errors import Interrupted, RunError
from exactune.rundir import Run, read_json, read_jsonl
from exactune.train.checkpoints import (
    newest_checkpoint,
    remembered,
    step_of,
)

from made import write_task

FLIPS = int(os.environ.get("EXACTUNE_SOAK_FLIPS", "200"))
FILES = ["manifest.json", "optimizer.safetensors", "state.json", "trainer_state.json", "weights.safetensors"]


@pytest.fixture(scope="module")
def task_file(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve steps in two epochs, with dropout, so that a generator out of place would show."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return write_task(
        folder, base,
        "training: {num_epochs: 2, learning_rate: 1e-3, logging_steps: 4, save_steps: 4,\n"
        "  per_device_train_batch_size: 1, gradient_accumulation_steps: 2}\n"
        "lora: {r: 4, lora_alpha: 8, lora_dropout: 0.1}\n",
        (12, 3, 3),
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(task_file: Path) -> Run:
    return exactune.train(task_file, output=str(task_file.parent / "run"))


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Path:
    """Its checkpoints, to be damaged."""
    return Path(shutil.copytree(finished.checkpoints, tmp_path / "checkpoints"))


def weights(run: Run) -> bytes:
    return (run.adapter / "adapter_model.safetensors").read_bytes()


def metrics(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "time"} for line in read_jsonl(run.train_metrics)]


class Power(Exception):
    """The process is gone."""


class Cut:
    """A display that ends the run at a step."""

    def __init__(self, at: int, how: Callable[[], None]) -> None:
        self.at, self.how = at, how

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        if step == self.at:
            self.how()

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        pass


def fail() -> None:
    raise Power


def ask() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def unfinished(task_file: Path, folder: Path, at: int, how: Callable[[], None] = fail) -> Run:
    with pytest.raises(Power if how is fail else Interrupted):
        exactune.train(task_file, output=str(folder), display=Cut(at, how))
    return Run.open(folder)


def test_a_checkpoint_is_safetensors_and_json_and_nothing_in_a_run_is_a_pickle(finished: Run) -> None:
    assert [path.name for path in sorted(finished.checkpoints.iterdir())] == ["step-000008", "step-000012"]
    for checkpoint in finished.checkpoints.iterdir():
        assert sorted(path.name for path in checkpoint.iterdir()) == FILES
        assert damage(checkpoint) is None
    for path in (path for path in finished.path.rglob("*") if path.is_file()):
        assert path.suffix not in {".bin", ".pt", ".pth", ".pkl", ".pickle"}, path
        assert not path.read_bytes().startswith((b"\x80", b"PK")), path


@contextmanager
def restored(file: Path) -> Iterator[bytes]:
    """The bytes of a file that may be damaged within the block."""
    content = file.read_bytes()
    try:
        yield content
    finally:
        file.write_bytes(content)


def damaged(content: bytes, way: str, draw: random.Random) -> bytes | None:
    place = draw.randrange(len(content))
    return {
        "flip": content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :],
        "cut": content[:place],
        "append": content + bytes([draw.randrange(256)]),
        "remove": None,
    }[way]


def test_any_damage_to_any_file_is_noticed_and_the_checkpoint_before_is_taken(copied: Path) -> None:
    draw, before, newest = random.Random(11), copied / "step-000008", copied / "step-000012"
    tried = set()
    for turn in range(FLIPS):
        name, way = FILES[turn % 5], draw.choice(["flip", "flip", "flip", "cut", "append", "remove"])
        with restored(newest / name) as content:
            left = damaged(content, way, draw)
            (newest / name).unlink() if left is None else (newest / name).write_bytes(left)
            found, broken = newest_checkpoint(copied)
        assert found == before, (turn, name, way)
        assert [path for path, _ in broken] == [newest]
        assert name in broken[0][1], (turn, name, way, broken[0][1])
        tried.add((name, way))
        assert newest_checkpoint(copied) == (newest, [])
    assert len(tried) == 20 or FLIPS < 200


@pytest.mark.parametrize("name", FILES)
def test_every_byte_of_a_manifest_and_the_ends_of_every_file_count(name: str, copied: Path) -> None:
    newest = copied / "step-000012"
    with restored(newest / name) as content:
        places = range(len(content)) if name == "manifest.json" else (0, 1, 7, 8, len(content) - 1)
        for place in places:
            flipped = bytearray(content)
            flipped[place] ^= 0x20  # as between upper and lower case
            (newest / name).write_bytes(flipped)
            assert damage(newest), place


def test_a_file_too_many_and_one_that_cannot_be_read_are_damage(copied: Path) -> None:
    newest = copied / "step-000012"
    (newest / "notes.txt").write_text("mine", encoding="utf-8")
    assert newest_checkpoint(copied) == (
        copied / "step-000008", [(newest, "notes.txt: missing or unexpected")],
    )  # fmt: skip
    (newest / "notes.txt").unlink()
    for name in FILES:
        with restored(newest / name):
            (newest / name).unlink()
            (newest / name).mkdir()
            found, broken = newest_checkpoint(copied)
            (newest / name).rmdir()
        assert found == copied / "step-000008"
        assert name in broken[0][1]


def test_files_of_two_checkpoints_do_not_make_one(copied: Path) -> None:
    old, newest = copied / "step-000008", copied / "step-000012"
    for name in FILES:
        with restored(newest / name):
            shutil.copy(old / name, newest / name)
            assert newest_checkpoint(copied)[0] == old, name


def test_none_is_left_when_all_are_damaged(copied: Path) -> None:
    for path in copied.iterdir():
        (path / "weights.safetensors").write_bytes(b"")
    found, broken = newest_checkpoint(copied)
    assert found is None
    assert [step_of(path) for path, _ in broken] == [12, 8]
    assert newest_checkpoint(copied / "absent") == (None, [])


def test_what_a_killed_run_left_half_written_is_cleared_and_never_used(copied: Path) -> None:
    for name in (".step-000016.tmp", ".step-000012.old", "checkpoint-16"):
        shutil.copytree(copied / "step-000012", copied / name)
    (copied / ".step-000020.tmp").mkdir()
    assert newest_checkpoint(copied) == (copied / "step-000012", [])
    assert [path.name for path in sorted(copied.iterdir())] == ["step-000008", "step-000012"]


def test_folders_that_people_made_beside_checkpoints_are_left_alone(copied: Path) -> None:
    for name in ("step-000012 (copy)", "step-best"):
        shutil.copytree(copied / "step-000012", copied / name)
    assert newest_checkpoint(copied) == (copied / "step-000012", [])
    assert (copied / "step-best").is_dir()


@pytest.mark.parametrize("broken", [1, 2])
def test_a_run_goes_on_from_the_newest_whole_checkpoint_to_the_same_bytes(
    broken: int, task_file: Path, finished: Run, tmp_path: Path
) -> None:
    run = unfinished(task_file, tmp_path / "run", 10)
    assert [step_of(path) for path in sorted(run.checkpoints.iterdir())] == [6, 8]
    for path in sorted(run.checkpoints.iterdir())[2 - broken :]:
        with (path / "optimizer.safetensors").open("r+b") as file:
            file.seek(100)
            file.write(b"?")
    said: list[str] = []
    exactune.train(task_file, output=str(run.path), resume=True, say=said.append)
    assert [f"step-{step:06d} is damaged (optimizer.safetensors" in "\n".join(said) for step in (8, 6)] == [
        broken > 0, broken > 1,
    ]  # fmt: skip
    assert ["resume  from step 8", "resume  from step 6", "resume  no checkpoint yet: from the start"][broken] in said
    assert weights(run) == weights(finished)
    assert metrics(run) == metrics(finished)
    assert newest_checkpoint(run.checkpoints) == (run.checkpoints / "step-000012", [])
    assert read_json(run.env)["resumed"][0]["step"] == [8, 6, 0][broken]
    for name in ("weights.safetensors", "optimizer.safetensors"):
        own, other = (folder.checkpoints / "step-000012" / name for folder in (run, finished))
        assert own.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(("at", "stopped"), [(6, 6), (9, 9), (12, 12)])
def test_a_run_that_was_asked_to_stop_ends_as_an_undisturbed_one(
    at: int, stopped: int, task_file: Path, finished: Run, tmp_path: Path
) -> None:
    """The signal comes at the very end of a step: 6 and 12 end an epoch, 6 and 9 have begun a line of the metrics."""
    run = unfinished(task_file, tmp_path / "run", at, ask)
    newest, broken = newest_checkpoint(run.checkpoints)
    assert newest == run.checkpoints / f"step-{stopped:06d}"
    assert broken == []
    assert len(remembered(newest)["watch"]["losses"]) == stopped % 4
    exactune.train(task_file, output=str(run.path), resume=True)
    assert weights(run) == weights(finished)
    assert metrics(run) == metrics(finished)
    assert read_json(run.metrics)["metrics"] == read_json(finished.metrics)["metrics"]


@pytest.mark.parametrize("save_steps", ["1", "null"])
def test_saving_does_not_disturb_training(save_steps: str, task_file: Path, finished: Run, tmp_path: Path) -> None:
    run = exactune.train(
        task_file, output=str(tmp_path / "run"), assignments=[f"training.save_steps={save_steps}"]
    )  # fmt: skip
    kept = [step_of(path) for path in sorted(run.checkpoints.iterdir())]
    assert kept == ([11, 12] if save_steps == "1" else [6, 12])
    assert weights(run) == weights(finished)
    assert metrics(run) == metrics(finished)


def test_what_a_checkpoint_reads_back_otherwise_keeps_the_one_before(
    task_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk does that loses what was written."""
    import exactune.durable as durable

    facts = durable._facts

    def other(file: Path) -> dict[str, int | str]:
        found = facts(file)
        return found | {"sha256": "0"} if file.name == "weights.safetensors" and "12.tmp" in str(file) else found

    monkeypatch.setattr(durable, "_facts", other)
    with pytest.raises(RunError, match=r"step-000012 was written, but reads back otherwise \(weights\.safetensors"):
        exactune.train(task_file, output=str(tmp_path / "run"))
    monkeypatch.undo()
    found, broken = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert found == tmp_path / "run" / "checkpoints" / "step-000008"
    assert [path.name for path, _ in broken] == ["step-000012"]
