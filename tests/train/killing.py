"""Real training processes, killed with SIGKILL at chosen moments and resumed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, Literal

import torch

from exactune import cli, pipeline  # noqa: F401 - loaded once, for all processes
from exactune.infer import engine
from exactune.rundir import Run, read_jsonl, write_text

import tiny
from made import pairs, rows, write_jsonl, write_task

Moment = Literal["saving", "writing", "evaluation", "any"]
"""``any`` is a moment by the clock; the others are calls that :class:`Moments` counts."""
WRITING = {"open", "write", "fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "serialize_file"}
"""Calls into C by which a run changes its folder: a kill falls before, between and inside writes."""
SAVES = {"_save_checkpoint", "save_artifact", "replaced_dir", "sealed_dir"}
"""Python functions within which such calls are ``saving``; elsewhere they are ``writing``."""
PHASES = {"load_base": "loading", "training_step": "step", "to_html": "report"}
"""Python functions by whose calls the other phases of a run are known."""
SETTINGS = (
    # Each process would load scikit-learn for the others.
    "evaluate: {baselines: [majority]}\n"
    "training: {num_epochs: 4, learning_rate: 1e-3, logging_steps: 3, save_steps: 2, early_stopping_patience: 9,\n"
    "  per_device_train_batch_size: 2, gradient_accumulation_steps: 2}\n"
)
LORA = "lora: {r: 4, lora_alpha: 8, lora_dropout: 0.1}\n"
METHODS = {
    "lora": LORA,
    "full": "lora: none\n",
    "qlora": f"{LORA}quantization: 4bit\n",
    "dpo": "start_from: sft\ndata: {train: pairs.jsonl}\n",
    "orpo": LORA,
}
PREFERENCE = ("dpo", "orpo")


def _start_server() -> multiprocessing.context.ForkServerContext:
    """Processes of their own, for which everything heavy is imported once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killing"])
    before = os.environ.get("PYTHONPATH")
    # The server looks for its modules before it is told our path (Python 3.11).
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return context


def make_task(folder: Path, method: str) -> Path:
    """A config for a tiny base, with its rows."""
    base = tiny.save_base(folder / "base", width=64 if method == "qlora" else 32)
    settings = SETTINGS
    if method in PREFERENCE:
        settings = settings.replace("{num_epochs", f"{{method: {method}, num_epochs")
    if method == "orpo":
        # As many pairs as rows without a worse answer.
        write_jsonl(folder / "train.jsonl", [*pairs(11), *rows(11, 11)])
    if method != "dpo":
        return write_task(folder, base, settings + METHODS[method], (22, 9, 12))
    first = train(write_task(folder, base, SETTINGS + LORA, (22, 9, 12)), folder / "sft")
    assert first.code == 0, first.message
    write_jsonl(folder / "pairs.jsonl", pairs(22))
    write_text(folder / "task.yaml", settings + METHODS[method])
    return folder / "task.yaml"


class Moments:
    """A profiler that counts the moments of each kind, and sends its own process a signal at one of them."""

    def __init__(self, moment: str | None, number: int, signal_number: int) -> None:
        self.moment, self.number, self.signal_number = moment, number, signal_number
        self.counts: Counter[str] = Counter()
        self.saves = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "return") and frame.f_code.co_name in SAVES:
            self.saves += 1 if event == "call" else -1
            return
        if event == "c_call" and arg.__name__ in WRITING:
            kind = "saving" if self.saves else "writing"
        elif event == "call" and frame.f_code.co_filename == engine.__file__:
            kind = "evaluation"
        elif event == "call" and frame.f_code.co_name in PHASES:
            kind = PHASES[frame.f_code.co_name]
        else:
            return
        self.counts[kind] += 1
        if kind == self.moment and self.counts[kind] == self.number:
            os.kill(self.target(), self.signal_number)

    def target(self) -> int:
        """The process that gets the signal."""
        return os.getpid()


def _train(
    config: Path, output: Path, moment: str | None, number: int, signal_number: int, messages: Path, pipe: Connection
) -> None:
    torch.set_num_threads(1)
    os.dup2(os.open(messages, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), sys.stderr.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    moments = Moments(moment, number, signal_number)
    sys.argv = ["exactune", "train", str(config), "--output", str(output), "--resume"]
    pipe.send("started")
    sys.setprofile(moments)
    try:
        cli.main()
    finally:
        sys.setprofile(None)
        pipe.send(dict(moments.counts))


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit code; negative for a signal that it could not answer.
        seconds: From its start.
        message: What it wrote to stderr.
        counts: Moments of each kind, if it was not killed.
    """

    code: int
    seconds: float
    message: str
    counts: dict[str, int]

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def train(
    config: Path,
    output: Path,
    moment: str | None = None,
    number: float = 0,
    signal_number: int = signal.SIGKILL,
) -> Ended:
    """Train, or resume, in a process of its own.

    Args:
        config: A config file.
        output: The run folder.
        moment: What to count until the signal; ``any`` is the clock.
        number: Which one, or after how many seconds.
        signal_number: What to send then.
    """
    processes = _start_server()
    ours, theirs = processes.Pipe()
    messages = output.with_name(f"{output.name}.stderr")
    process = processes.Process(
        target=_train, args=(config, output, moment, int(number), signal_number, messages, theirs)
    )
    process.start()
    theirs.close()
    assert ours.recv() == "started"
    began = time.monotonic()
    if moment == "any":
        process.join(number)
        process.kill()
    process.join()
    code, message = process.exitcode, messages.read_text(encoding="utf-8")
    assert code in (0, -signal.SIGKILL, 128 + signal.SIGINT, 128 + signal.SIGTERM), f"exit code {code}: {message}"
    return Ended(code, time.monotonic() - began, message, {} if code < 0 else ours.recv())


def result(run: Run) -> dict[str, str]:
    """sha256 of all that a run should give again: weights, figures, answers, the reference of preference pairs, and the
    metrics file but for its times."""
    lines = [{key: value for key, value in line.items() if key != "time"} for line in read_jsonl(run.train_metrics)]
    weights = [*run.artifact.glob("*.safetensors")]
    assert len(weights) == 1
    parts = {"weights": weights[0], "figures": run.metrics, "answers": run.predictions}
    reference = run.train_metrics.with_name("reference.jsonl")
    parts |= {"reference": reference} if reference.is_file() else {}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in parts.items()}
    return {**digests, "metrics": hashlib.sha256(json.dumps(lines).encode()).hexdigest()}


def draw(random: Random, moment: Moment, whole: Ended, part: float = 1.0) -> float:
    """A moment of an undisturbed run, or of its first part."""
    if moment == "any":
        return random.uniform(0, whole.seconds * part)
    return random.randint(1, max(1, int(whole.counts[moment] * part)))
