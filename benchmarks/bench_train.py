"""Training speed beside stock TRL, in one run, with what each part of the difference gives.

Usage: ``python benchmarks/bench_train.py [--sets A,B] [--pairs 5] [--steps 4] [--shape 8m|41m|0.6b|4b]
[--device cuda]``.
A random Qwen3 shape is trained on real rows (development data beside the checkout; ``prefix-500-suffix-26`` makes
random ones of these lengths, to see growth) by LoRA r=32 on attention, 16 rows a step, on the same rows by every side,
sides taking turns. Times are of whole optimizer steps with their batches, after one to warm up; peak memory is of a
process of its own for each side. Each side's share of the machine's matrix rate is what torch counts in one of its
steps, divided by its seconds and by the rate of one large product in the same precision. The table goes into
``results/bench_train.json`` and the README.

Sides:

- ``trl``: stock TRL, 4 rows x 4, its defaults (activation checkpointing on).
- ``trl-no-checkpointing``: the same without; the best setting found for it.
- ``trl-one-batch``: and all 16 rows in one forward pass.
- ``plain``: ours, padded batches of 4 without checkpointing, logits at answer tokens only.
- ``tree-dense``: ours, shared prefixes computed once, attention over all pairs of a tree.
- ``tree``: and attention by blocks, as ``training.engine: auto`` does it.
- ``tree-flex``: the same trees by torch's FlexAttention; for a GPU, where it is compiled.
- ``ms-swift``, ``ms-swift-no-checkpointing``: with ``--swift PYTHON``, the Python of an environment with ms-swift; see
  ``swift_side.py``. Its chat template writes one token more, a line break behind each answer.
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
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3Config, Qwen3ForCausalLM, TrainerCallback
from trl import SFTConfig, SFTTrainer

from exactune.bases import find_base
from exactune.config import LoraSettings, TrainingConfig
from exactune.data.load import load
from exactune.environment import versions
from exactune.infer.model import describe_device
from exactune.layers import parse_mapping, resolve
from exactune.render.packing import pack
from exactune.render.template import Encoded, Template
from exactune.rundir import write_json
from exactune.train.adapter import make_trainable
from exactune.train.engine import answers_cutter, choose_engine, tree_cost
from exactune.train.memory import peak as peak_bytes
from exactune.train.methods import answer_trainer
from exactune.train.rehearsal import Size
from exactune.train.steps import Cutter, padded, trees
from exactune.types import Example, Message
from flex_side import flex_trees

HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data"
RESULT = HERE / "results" / "bench_train.json"
MADE = re.compile(r"prefix-(\d+)-suffix-(\d+)")
LORA = LoraSettings()
TRAINING = TrainingConfig(num_epochs=1, learning_rate=1e-4)
STEP = 16
SETS = ("banking77", "banking77-listed", "cluener", "twlaw")
SIDES = ("trl", "trl-no-checkpointing", "trl-one-batch", "plain", "tree-dense", "tree")
SWIFT = {"ms-swift": "true", "ms-swift-no-checkpointing": "false"}
SHAPES = {
    "8m": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 8, "num_attention_heads": 4,
           "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 8192},
    "41m": {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8,
            "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 32000},
    "0.6b": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
             "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936},
    "4b": {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
           "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936},
}  # fmt: skip


def listed(name: str, count: int, split: str = "train") -> list[Example]:
    """The first rows of a set; where its name ends so, with all its labels listed in the system message."""
    folder = DATA / name.removesuffix("-listed")
    files = {use: str(folder / f"{use}.jsonl") for use in ("train", "eval", "test")}
    splits = load(resolve([parse_mapping({"data": files}, "benchmark")]).config, Path()).splits
    rows = list(getattr(splits, split))[:count]
    if not name.endswith("-listed"):
        return rows
    labels = ", ".join(sorted({row.answer for row in splits.train}))
    return [
        replace(row, prompt=(Message("system", f"{row.prompt[0].content}\nLabels: {labels}"), *row.prompt[1:]))
        for row in rows
    ]


def rows_of(name: str, count: int) -> list[Encoded]:
    """The first rows of a set as ids of the embedded base's tokenizer."""
    if made := MADE.fullmatch(name):
        prefix, suffix = (int(size) for size in made.groups())
        draw = random.Random(0)
        head = [draw.randrange(5, 8000) for _ in range(prefix)]
        return [
            Encoded(str(row), head + [draw.randrange(5, 8000) for _ in range(suffix)], [row % 99 + 5, 7, 2])
            for row in range(count)
        ]
    template = Template.load(find_base("mini"))
    return [template.encode(row) for row in listed(name, count)]


def model_of(shape: str, device: str) -> torch.nn.Module:
    """Random weights with an adapter."""
    torch.manual_seed(0)
    config = Qwen3Config(**SHAPES[shape], max_position_embeddings=8192, tie_word_embeddings=True)
    model = Qwen3ForCausalLM(config).to(torch.bfloat16 if device == "cuda" else torch.float32)
    return make_trainable(model.to(device), LORA, 0)


class Clock(TrainerCallback):
    """Seconds of each optimizer step after the first, its batch included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last: float | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        ended = now(args.device)
        if self.last is not None:
            self.seconds.append(ended - self.last)
        self.last = ended


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds_per_step(side: str, model: torch.nn.Module, rows: Sequence[Encoded]) -> float:
    """Median over the steps that the rows make, the first one left out."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(side, model, rows, Path(folder), clock)
        trainer.args.save_strategy = "no"
        trainer.train()
    return statistics.median(clock.seconds)


def step_flops(side: str, model: torch.nn.Module, rows: Sequence[Encoded]) -> int:
    """Floating-point operations of one step's matrix products and attention, as far as torch counts them."""
    with tempfile.TemporaryDirectory() as folder, FlopCounterMode(display=False) as counter:
        trainer = trainer_of(side, model, rows[:STEP], Path(folder), Clock())
        trainer.args.save_strategy = "no"
        trainer.train()
    return int(counter.get_total_flops())


def matrix_rate(device: str) -> float:
    """Floating-point operations per second of a large product in the precision of training; the best of ten."""
    size, dtype = (8192, torch.bfloat16) if device == "cuda" else (2048, torch.float32)
    one, two = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    rates = []
    for _ in range(10):
        started = now(torch.device(device))
        one @ two
        rates.append(2 * size**3 / (now(torch.device(device)) - started))
    return max(rates)


def trainer_of(side: str, model: torch.nn.Module, rows: Sequence[Encoded], folder: Path, clock: Clock) -> SFTTrainer:
    tokenizer = Template.load(find_base("mini")).tokenizer
    if not side.startswith("trl"):
        return answer_trainer(model, tokenizer, rows, TRAINING, folder, [clock], cutter_of(side, model, rows))
    batch = STEP if side == "trl-one-batch" else 4
    options = {} if side == "trl" else {"gradient_checkpointing": False}
    arguments = SFTConfig(
        output_dir=str(folder), per_device_train_batch_size=batch, gradient_accumulation_steps=STEP // batch,
        num_train_epochs=1, learning_rate=1e-4, max_length=None, report_to="none", disable_tqdm=True,
        bf16=model.dtype == torch.bfloat16, use_cpu=model.device.type == "cpu", **options,
    )  # fmt: skip
    dataset = Dataset.from_list([{"input_ids": row.input_ids, "labels": row.labels} for row in rows])
    return SFTTrainer(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer, callbacks=[clock])


def cutter_of(side: str, model: torch.nn.Module, rows: Sequence[Encoded]) -> Cutter:
    """How one of our sides cuts a step into forward passes."""
    if side == "tree":
        return answers_cutter(choose_engine(model, rows, TRAINING)[0], TRAINING)
    if side == "plain":
        return padded(TRAINING.per_device_train_batch_size)
    cost = tree_cost(model, rows, TRAINING)
    return flex_trees(model, cost.budget) if side == "tree-flex" else trees(cost)


def by_swift(python: str, side: str, name: str, shape: str, count: int) -> dict[str, Any]:
    """What ``swift_side.py`` says of the same rows and the same shape; its rows are checked to have the same tokens."""
    rows = listed(name, count)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tokenizer = Template.load(find_base("mini")).tokenizer
        model_of(shape, "cpu").unload().save_pretrained(place / "model")
        tokenizer.save_pretrained(place / "model")
        with (place / "rows.jsonl").open("w", encoding="utf-8") as stream:
            for row in rows:
                turns = [*row.prompt, Message("assistant", row.answer)]
                messages = [{"role": turn.role, "content": turn.content} for turn in turns]
                stream.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
        command = [python, str(HERE / "swift_side.py"), str(place / "model"), str(place / "rows.jsonl"), str(place)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        output = subprocess.run(
            [*command, "--gradient_checkpointing", SWIFT[side]],
            check=True, capture_output=True, text=True, env={**environment, "CUDA_VISIBLE_DEVICES": ""},
        ).stdout  # fmt: skip
    found: dict[str, Any] = json.loads(output.strip().rpartition("\n")[2])
    line_break = tokenizer("\n", add_special_tokens=False)["input_ids"]
    ours = sorted([*row.input_ids, *line_break] for row in rows_of(name, count))
    if sorted(found["tokens"]) != ours:
        raise SystemExit(f"{side}: its rows have other tokens than ours")
    return found


def measure(
    name: str, shape: str, device: str, pairs: int, steps: int, sides: Sequence[str], swift: str = ""
) -> dict[str, Any]:
    """All sides on one set, taking turns."""
    rows = rows_of(name, steps * STEP)
    found: dict[str, list[float]] = {side: [] for side in sides}
    peaks: dict[str, int] = {}
    for _ in range(pairs):
        for side in sides:
            if side in SWIFT:
                said = by_swift(swift, side, name, shape, len(rows))
                found[side].append(statistics.median(said["seconds"]))
                peaks[side] = max(peaks.get(side, 0), said["peak_bytes"])
            else:
                found[side].append(seconds_per_step(side, model_of(shape, device), rows))
    lengths = [len(row) for row in rows]
    passes = cutter_of("tree", model_of(shape, device), rows)([*enumerate(rows[:STEP])])
    packed = [size.tokens for size in map(Size.of, passes)]
    whole = pack(sorted((row.input_ids, len(row.answer_ids)) for row in rows[:STEP]))
    document: dict[str, Any] = {
        "set": name, "shape": shape, "device": describe_device(torch.device(device)),
        "pairs": pairs, "steps": steps - 1,
        "tokens_per_row": statistics.mean(lengths), "tokens_per_step": sum(lengths[:STEP]),
        "tree_tokens_per_step": sum(packed), "trees_per_step": len(packed), "one_tree_tokens": len(whole), "sides": {},
    }  # fmt: skip
    document["matrix_rate"] = matrix_rate(device)
    for side, seconds in found.items():
        ratios = [stock / ours for stock, ours in zip(found["trl"], seconds, strict=True)]
        document["sides"][side] = {
            "seconds_per_step": statistics.median(seconds), "lowest": min(seconds), "highest": max(seconds),
            "rows_per_second": STEP / statistics.median(seconds), "times_stock": statistics.median(ratios),
            "times_stock_lowest": min(ratios), "times_stock_highest": max(ratios),
            "tokens_per_second": sum(lengths[:STEP]) / statistics.median(seconds),
            "peak_bytes": peaks.get(side) or peak(name, shape, device, side),
        }  # fmt: skip
        # A counter sees neither another process nor what a compiler has fused.
        if side not in SWIFT and side != "tree-flex":
            flops = step_flops(side, model_of(shape, device), rows)
            share = flops / statistics.median(seconds) / document["matrix_rate"]
            document["sides"][side] |= {"flops_per_step": flops, "share_of_matrix_rate": share}
    return document


def table(documents: Sequence[dict[str, Any]]) -> str:
    """Markdown of all results."""
    text = "| set, shape, device | side | seconds per step | times stock TRL (lowest-highest) | peak memory |\n"
    text += "| --- | --- | --- | --- | --- |\n"
    for one in documents:
        where = f"{one['set']}, {one['shape']}, {one['device']}, {one['pairs']} rounds"
        for side, found in one["sides"].items():
            spread = f"{found['times_stock_lowest']:.1f}-{found['times_stock_highest']:.1f}"
            text += (
                f"| {where} | {side} | {found['seconds_per_step']:.2f} | {found['times_stock']:.1f} ({spread}) | "
                f"{found['peak_bytes'] / 1e6:.0f} MB |\n"
            )
    return text


def peak(name: str, shape: str, device: str, side: str) -> int:
    """Most memory of a process that trains two steps so, above one that only loads the model."""
    sizes = []
    for what in (side, "none"):
        command = [sys.executable, __file__, "--sets", name, "--shape", shape, "--device", device, "--only", what]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
        sizes.append(int(output.strip().rpartition("\n")[2]))
    return sizes[0] - sizes[1]


def only(name: str, shape: str, device: str, side: str) -> int:
    rows, model = rows_of(name, 2 * STEP), model_of(shape, device)
    if side != "none":
        seconds_per_step(side, model, rows)
    return peak_bytes(torch.device(device))


def publish(mark: str, text: str) -> None:
    """Put a table between its marks in the README."""
    readme = HERE / "README.md"
    place = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    whole = readme.read_text(encoding="utf-8")
    readme.write_text(place.sub(lambda match: match[1] + text + match[2], whole), encoding="utf-8")


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    parser.add_argument("--sides", type=lambda text: text.split(","), default=list(SIDES))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="optimizer steps in a round, the first to warm up")
    parser.add_argument("--shape", choices=SHAPES, default="41m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--swift", default="", metavar="PYTHON", help="of an environment with ms-swift")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if "trl" not in given.sides:
        parser.error("--sides: the others are measured by `trl`")
    if not given.swift and set(given.sides) & set(SWIFT):
        parser.error("--sides: ms-swift needs --swift")
    if not DATA.is_dir():
        raise SystemExit(f"the development data are not here: {DATA}")
    if given.only:
        print(only(given.sets[0], given.shape, given.device, given.only))
        return
    documents = json.loads(RESULT.read_text(encoding="utf-8"))["results"] if RESULT.is_file() else []
    for name in given.sets:
        document = measure(name, given.shape, given.device, given.pairs, given.steps, given.sides, given.swift)
        print(json.dumps(document, indent=1), flush=True)
        key = (name, given.shape, document["device"])
        documents = [one for one in documents if (one["set"], one["shape"], one["device"]) != key] + [document]
        write_json(RESULT, {"versions": versions(), "results": documents})
    publish("bench_train", table(documents))


if __name__ == "__main__":
    main()
