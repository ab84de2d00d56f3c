"""Checkpoints: whole or known not to be, without pickles, and going on from one changes no byte of what comes out."""

from __future__ import annotations

import inspect
import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from transformers import Trainer, TrainerCallback

import exactune
from exactune.config import LoraSettings, TrainingConfig
from exactune.durable import damage
from exactune.errors import Interrupted, RunError
from exactune.render.template import Encoded
from exactune.rundir import Run, read_json, read_jsonl
from exactune.train.adapter import make_trainable
from exactune.train.checkpoints import (
    Checkpoints,
    _generators,
    _set_generators,
    newest_checkpoint,
    remembered,
    step_of,
)
from exactune.train.methods import AnswerTrainer, sft_trainer
from exactune.train.steps import padded

import tiny
from made import rows, write_jsonl

FLIPS = int(os.environ.get("EXACTUNE_SOAK_FLIPS", "200"))
FILES = ["manifest.json", "optimizer.safetensors", "state.json", "trainer_state.json", "weights.safetensors"]
OVERRIDDEN = ("_save_checkpoint", "_load_from_checkpoint", "_load_optimizer_and_scheduler", "_load_rng_state")


@pytest.fixture(scope="module")
def task_file(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve steps in two epochs, with dropout, so that a generator out of place would show."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, count, start in (("train", 12, 0), ("eval", 3, 100), ("test", 3, 200)):
        write_jsonl(folder / f"{name}.jsonl", rows(count, start))
    (folder / "task.yaml").write_text(
        f"model: {base}\ndata: {{train: train.jsonl, eval: eval.jsonl, test: test.jsonl}}\n"
        "training: {num_epochs: 2, learning_rate: 1e-3, logging_steps: 4, save_steps: 4,\n"
        "  per_device_train_batch_size: 1, gradient_accumulation_steps: 2}\n"
        "lora: {r: 4, lora_alpha: 8, lora_dropout: 0.1}\n",
        encoding="utf-8",
    )
    return folder / "task.yaml"


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


def test_random_generators_come_back_through_json() -> None:
    def draws() -> tuple[Any, ...]:
        return (
            random.random(), random.gauss(0, 1), numpy.random.rand(3).tolist(), numpy.random.randn(),
            torch.rand(3).tolist(), torch.randn(7).tolist(),
        )  # fmt: skip

    before = _generators()
    try:
        # Both keep the second number of a pair for the next call.
        random.gauss(0, 1), numpy.random.randn()
        stored = json.dumps(_generators(), allow_nan=False)
        first = draws()
        assert draws() != first
        _set_generators(json.loads(stored))
        assert draws() == first
    finally:
        _set_generators(before)


class Steps(TrainerCallback):
    """Saves after one step and keeps the weights after every one."""

    def __init__(self, save_at: int) -> None:
        self.save_at = save_at
        self.weights: dict[int, torch.Tensor] = {}

    def on_step_end(self, args, state, control, model=None, **kwargs):  # type: ignore[no-untyped-def]
        control.should_save = state.global_step == self.save_at
        self.weights[state.global_step] = torch.cat([p.detach().flatten() for p in model.parameters()])

    def on_epoch_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        control.should_save = False


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 1e-2, fused=False),
    "adamw-fused": lambda parameters: torch.optim.AdamW(parameters, 1e-2, fused=True),
    "adamw-amsgrad": lambda parameters: torch.optim.AdamW(parameters, 1e-2, amsgrad=True),
    "sgd": lambda parameters: torch.optim.SGD(parameters, 1e-2),
    "sgd-momentum": lambda parameters: torch.optim.SGD(parameters, 1e-2, momentum=0.9, nesterov=True),
}


def trainer_of(
    folder: Path,
    steps: Steps,
    *,
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None,
    lora: LoraSettings | None = None,
    dtype: torch.dtype = torch.float32,
) -> AnswerTrainer:
    draw = random.Random(3)
    encoded = [
        Encoded(str(n), [draw.randrange(3, 390) for _ in range(draw.randrange(4, 12))], [n + 3, 2]) for n in range(12)
    ]
    training = TrainingConfig(num_epochs=1, per_device_train_batch_size=2, gradient_accumulation_steps=1)
    model = make_trainable(tiny.model(), lora, 0).to(dtype)
    trainer = sft_trainer(model, tiny.byte_bpe(), encoded, training, folder, [steps], padded(2))
    if optimizer:
        trainer.optimizer = optimizer([tensor for tensor in model.parameters() if tensor.requires_grad])
    return trainer


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, torch.float32) for name in OPTIMIZERS), ("adamw-fused", torch.bfloat16)]
)
def test_optimizers_go_on_as_if_never_stopped(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    lora = LoraSettings(r=4, lora_alpha=8, lora_dropout=0.2)
    whole, rest = Steps(3), Steps(0)
    options: Any = {"optimizer": OPTIMIZERS[name], "lora": lora, "dtype": dtype}
    first = trainer_of(tmp_path, whole, **options)
    first.train()
    torch.manual_seed(77)
    second = trainer_of(tmp_path, rest, **options)
    second.train(resume_from_checkpoint=str(tmp_path / "step-000003"))
    assert sorted(rest.weights) == [4, 5, 6]
    assert not torch.equal(whole.weights[4], whole.weights[3])
    assert all(torch.equal(rest.weights[step], whole.weights[step]) for step in rest.weights)
    ours, theirs = first.optimizer.state_dict(), second.optimizer.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    for index, values in ours["state"].items():
        for key, value in values.items():
            again = theirs["state"].get(index, {}).get(key)
            assert type(again) is type(value)
            assert torch.equal(again, value) if isinstance(value, torch.Tensor) else again == value
            assert not isinstance(value, torch.Tensor) or again.dtype == value.dtype


def test_full_fine_tuning_with_tied_tensors_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    whole, rest = Steps(3), Steps(0)
    trainer_of(tmp_path, whole).train()
    trainer_of(tmp_path, rest).train(resume_from_checkpoint=str(tmp_path / "step-000003"))
    assert torch.equal(rest.weights[6], whole.weights[6])


def test_a_checkpoint_of_other_tensors_is_refused(tmp_path: Path) -> None:
    four = LoraSettings(r=4, lora_alpha=8)
    trainer_of(tmp_path, Steps(3), lora=four).train()
    others = [
        LoraSettings(r=8, lora_alpha=8),
        LoraSettings(r=4, lora_alpha=8, target_modules=["q_proj"]),
        LoraSettings(r=4, lora_alpha=8, target_modules=[*four.target_modules, "up_proj"]),
        None,
    ]
    for lora in others:
        other = trainer_of(tmp_path, Steps(0), lora=lora)
        before = [tensor.detach().clone() for tensor in other.model.parameters()]
        with pytest.raises(RunError, match=r"step-000003 holds other tensors than this run trains, first \S+\. Start"):
            other.train(resume_from_checkpoint=str(tmp_path / "step-000003"))
        assert all(torch.equal(old, new) for old, new in zip(before, other.model.parameters(), strict=True))


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


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_transformers_still_calls_the_methods_that_ours_replace(name: str) -> None:
    """They are private there: one renamed would switch ours off without a word."""
    assert [*inspect.signature(getattr(Checkpoints, name)).parameters] == [
        *inspect.signature(getattr(Trainer, name)).parameters
    ]
    assert f"self.{name}(" in inspect.getsource(Trainer).replace(f"def {name}(", "")
    assert getattr(AnswerTrainer, name) is getattr(Checkpoints, name)
    assert not [owner for owner in AnswerTrainer.__mro__[: AnswerTrainer.__mro__.index(Checkpoints)]
                if name in vars(owner)]  # fmt: skip
