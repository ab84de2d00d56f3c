"""LoRA beside QLoRA: memory, speed, and what a whole run and its merged export reach.

Usage: ``python benchmarks/bench_qlora.py [shapes] [run] [--shape 8m|41m|0.6b|4b] [--device cuda] [--tokens 442,64]
[--steps 6] [--rounds 3]``. The parts:

- ``shapes``: a random Qwen3 shape, loaded as a user's base is, trains by LoRA r=32 on attention, 16 rows a step, beside
  weights as they come and beside weights in NF4, sides taking turns, each in a process of its own. Rows are random, of
  a prompt and an answer of ``--tokens`` each; ``--engine plain`` for padded batches. On a GPU:
  ``shapes --device cuda --shape 0.6b``, and ``4b``.
- ``run``: ``mini`` on 1,000 rows of waimai (development data beside the checkout), one whole ``exactune train`` and
  ``exactune export --to merged`` for each side, on the same rows.

Results go into ``results/bench_qlora.json`` and ``docs/qlora.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

import exactune
from bench_train import DATA, HERE, LORA, SHAPES, STEP, TRAINING, Clock
from exactune.bases import find_base
from exactune.environment import versions
from exactune.infer.model import default_device, describe_device, load_base
from exactune.render.template import Encoded, Template
from exactune.rundir import Run, read_json, write_json
from exactune.train.adapter import make_trainable
from exactune.train.engine import answers_cutter, choose_engine
from exactune.train.memory import forget_peak, held, peak
from exactune.train.methods import answer_trainer

RESULT = HERE / "results" / "bench_qlora.json"
PAGE = HERE.parent / "docs" / "qlora.md"
MARKED = re.compile(r"(<!-- bench_qlora -->\n).*?(<!-- /bench_qlora -->)", re.DOTALL)
SIDES = {"lora": "none", "qlora": "4bit"}
ROWS, RATE = 1000, 1e-3


def write_shape(shape: str, folder: Path) -> None:
    """A model folder of random weights, with the embedded base's tokenizer."""
    torch.manual_seed(0)
    config = Qwen3Config(**SHAPES[shape], max_position_embeddings=8192, tie_word_embeddings=True)
    on = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(on):
        model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    Template.load(find_base("mini")).tokenizer.save_pretrained(folder)


def made_rows(count: int, prompt: int, answer: int) -> list[Encoded]:
    """Rows that have nothing in common."""
    draw = random.Random(0)

    def ids(size: int) -> list[int]:
        return [draw.randrange(5, 8000) for _ in range(size)]

    return [Encoded(str(row), ids(prompt), [*ids(answer - 1), 2]) for row in range(count)]


def only(folder: Path, side: str, given: argparse.Namespace) -> dict[str, float]:
    """Train in this process, and say what it took."""
    device = default_device()
    if device.type != torch.device(given.device).type:
        raise SystemExit(f"this process computes on {device.type}, not on {given.device}")
    before = held(device)
    base, _ = load_base(find_base(str(folder)), quantization=SIDES[side])
    weights = sum(tensor.numel() * tensor.element_size() for tensor in base.parameters())
    model = make_trainable(base, LORA, 0)
    rows = made_rows(given.steps * STEP, *given.tokens)
    training = TRAINING.model_copy(update={"engine": given.engine})
    cutter = answers_cutter(choose_engine(model, rows, training)[0], training)
    forget_peak(device)
    clock = Clock()
    with tempfile.TemporaryDirectory() as place:
        trainer = answer_trainer(model, Template.load(find_base("mini")).tokenizer, rows, training, Path(place),
                                 [clock], cutter)  # fmt: skip
        trainer.args.save_strategy = "no"
        trainer.train()
    return {
        "rows_per_second": STEP / statistics.median(clock.seconds),
        "weights_bytes": weights,
        "peak_bytes": peak(device) - before,
    }


def measure_shape(given: argparse.Namespace) -> dict[str, Any]:
    """Both sides, taking turns."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        write_shape(given.shape, Path(folder))
        options = ["--steps", str(given.steps), "--tokens", ",".join(map(str, given.tokens))]
        options += ["--engine", given.engine, "--device", given.device]
        for _ in range(given.rounds):
            for side in SIDES:
                command = [sys.executable, __file__, "shapes", "--only", side, "--folder", folder, *options]
                output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
                found[side].append(json.loads(output.strip().rpartition("\n")[2]))
    ratios = [
        four["rows_per_second"] / whole["rows_per_second"]
        for whole, four in zip(found["lora"], found["qlora"], strict=True)
    ]
    return {
        "part": "shapes", "shape": given.shape, "device": describe_device(default_device()), "rounds": given.rounds,
        "tokens": given.tokens, "engine": given.engine, "speed": statistics.median(ratios),
        "speed_lowest": min(ratios), "speed_highest": max(ratios),
        "sides": {side: {name: statistics.median(one[name] for one in every) for name in every[0]}
                  for side, every in found.items()},
    }  # fmt: skip


def measure_run() -> dict[str, Any]:
    """One run of each side, and its merged export."""
    files = {split: str(DATA / "waimai" / f"{split}.jsonl") for split in ("train", "eval", "test")}
    config = {
        "data": {**files, "limit": {"train": ROWS, "eval": 200}},
        "evaluate": {"baselines": [], "train_rows": 0},
        # A fifth of the recipe's: at that, luck of the training differs by more than any quantization on this set.
        "training": {"learning_rate": RATE},
    }
    sides: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for side, quantization in SIDES.items():
            task = Path(folder) / f"{side}.yaml"
            task.write_text(json.dumps({**config, "quantization": quantization}), encoding="utf-8")
            run: Run = exactune.train(task, output=str(Path(folder) / side), say=print)
            figures = read_json(run.metrics)
            command = [sys.executable, "-c", "from exactune.cli import main; main()", "export", str(run.path)]
            done = subprocess.run([*command, "--to", "merged"], check=True, capture_output=True, text=True)
            said = re.search(r"(\d+) answers differ", " ".join((done.stdout + done.stderr).split()))
            again = exactune.load(run.path / "export" / "merged")
            if said is None:
                raise SystemExit(f"the export said nothing of its answers: {done.stdout}{done.stderr}")
            sides[side] = {**figures["metrics"]["macro_f1"], "n": figures["n"], "differ": int(said[1]),
                           "merged_weights": str(next(again.model.parameters()).dtype)}  # fmt: skip
    return {
        "part": "run",
        "set": "waimai",
        "rows": ROWS,
        "rate": RATE,
        "device": describe_device(default_device()),
        "sides": sides,
    }


def table(documents: Sequence[dict[str, Any]]) -> str:
    """Markdown of all results."""
    text = "| measured | LoRA | QLoRA |\n| --- | --- | --- |\n"
    for one in documents:
        lora, qlora = one["sides"]["lora"], one["sides"]["qlora"]
        if one["part"] == "run":
            text += f"| `mini`, {one['set']}, {one['rows']:,} rows, rate {one['rate']}, {one['device']}: macro-F1 |"
            text += "".join(f" {side['value']:.3f} ({side['low']:.3f}-{side['high']:.3f}) |" for side in (lora, qlora))
            text += f"\n| answers of {lora['n']} test rows that merging changed | {lora['differ']} | "
            text += f"{qlora['differ']} |\n"
            continue
        where = f"{one['shape']}, {'+'.join(map(str, one['tokens']))} tokens, {one['device']}"
        spread = f"{one['speed']:.2f} times LoRA ({one['speed_lowest']:.2f}-{one['speed_highest']:.2f})"
        text += f"| {where}: rows/s | {lora['rows_per_second']:.2f} | {qlora['rows_per_second']:.2f}, {spread} |\n"
        for name, words in (("weights_bytes", "weights, MB"), ("peak_bytes", "peak, MB")):
            text += f"| {words} | {lora[name] / 1e6:.0f} | {qlora[name] / 1e6:.0f} |\n"
    return text


def key(document: dict[str, Any]) -> list[Any]:
    """What a later measurement replaces."""
    return [document.get(name) for name in ("part", "shape", "device", "tokens", "engine", "set")]


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["shapes", "run"], metavar="PART", help="shapes, run")
    parser.add_argument("--shape", choices=SHAPES, default="41m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens", type=lambda text: [int(one) for one in text.split(",")], default=[100, 20])
    parser.add_argument("--engine", choices=["auto", "plain"], default="auto")
    parser.add_argument("--steps", type=int, default=5, help="optimizer steps in a round, the first to warm up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(only(given.folder, given.only, given)))
        return
    documents = json.loads(RESULT.read_text(encoding="utf-8"))["results"] if RESULT.is_file() else []
    for part in given.parts:
        if part == "run" and not (DATA / "waimai").is_dir():
            print(f"run: skipped, {DATA / 'waimai'} is not here")
            continue
        document = measure_run() if part == "run" else measure_shape(given)
        print(json.dumps(document, indent=1), flush=True)
        documents = [one for one in documents if key(one) != key(document)] + [document]
        write_json(RESULT, {"versions": versions(), "results": documents})
    whole = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(MARKED.sub(lambda match: match[1] + table(documents) + match[2], whole), encoding="utf-8")


if __name__ == "__main__":
    main()
