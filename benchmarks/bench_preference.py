"""Speed of preference training beside stock TRL: what it gives that both answers of a pair share their prompt.

Usage: ``python benchmarks/bench_preference.py [--sets A,B] [--pairs 16] [--rounds 3] [--shape 8m|41m|0.6b|4b]
[--device cuda]``. A random Qwen3 shape with an adapter is trained on real pairs by DPO, one epoch, 8 pairs a step, by
every side on the same ids, sides taking turns. Times are of the whole epoch, the reference's log-likelihoods included;
peak memory is of a process of its own for each side, beyond one that only loads the model. A set is a folder of the
development data beside the checkout, or a file of pairs; ``mined`` trains the bundled headlines and mines its mistakes.
Results go into ``results/bench_preference.json`` and the README.

Sides:

- ``trl``: stock ``DPOTrainer``, 4 pairs x 2, its defaults: the reference is a second adapter, asked at every step,
  and activations are checkpointed.
- ``trl-precomputed``: its best setting found: reference computed once, no checkpointing.
- ``plain``: ours, padded batches of 4 pairs, the reference computed once, logits at answer tokens only.
- ``tree``: and prompts computed once for both answers, as ``training.engine: auto`` does it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer

import exactune
from bench_train import DATA, HERE, SHAPES, model_of, now, publish
from exactune.bases import find_base
from exactune.config import TrainingConfig
from exactune.data.load import load
from exactune.environment import versions
from exactune.infer.model import describe_device
from exactune.layers import parse_mapping, resolve
from exactune.objective import log_likelihoods
from exactune.probing import encode_rejected
from exactune.render.packing import CostModel
from exactune.render.template import Encoded, Template
from exactune.rundir import write_json
from exactune.studies.mine import mine
from exactune.train.engine import choose_engine
from exactune.train.memory import peak as peak_bytes
from exactune.train.methods import answer_trainer
from exactune.train.preference import Objective, dpo, padded_pairs, tree_pairs
from exactune.train.steps import Cutter

RESULT = HERE / "results" / "bench_preference.json"
SETS = ("preference_en", "preference_zh_cn", "mined")
SIDES = ("trl", "trl-precomputed", "plain", "tree")
TRAINING = TrainingConfig(
    method="dpo", num_epochs=1, learning_rate=1e-4, per_device_train_batch_size=4, gradient_accumulation_steps=2
)
STEP = 8
BETA = 0.1
Pair = tuple[Encoded, Encoded]
"""The better answer and the worse one, behind the same prompt ids."""


def pairs_of(name: str, count: int) -> list[Pair]:
    """The first pairs of a set as ids of the embedded base's tokenizer."""
    file = Path(name) if Path(name).is_file() else DATA / name / "train.jsonl"
    settings = {"data": {"train": str(file.resolve())}, "training": {"method": "dpo"}}
    rows = [*load(resolve([parse_mapping(settings, "benchmark")]).config, Path()).splits.train][:count]
    template = Template.load(find_base("mini"))
    worse = encode_rejected(template, rows)
    return [(template.encode(row), worse[row.id]) for row in rows]


def mined(folder: Path) -> str:
    """Pairs of the mistakes that the bundled example's run makes."""
    config = HERE.parent / "examples" / "finance-sentiment-zh" / "task.yaml"
    run = exactune.train(config, output=str(folder / "run"), say=print)
    return str(mine(run, say=print).file)


class Losses(TrainerCallback):
    """Of each step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Take note."""
        if "loss" in logs:
            self.values.append(logs["loss"])


class ReadyIds(DPOTrainer):
    """TRL's trainer on ids that are there: nothing is tokenized or cut."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        return dataset


def epoch(side: str, model: torch.nn.Module, pairs: Sequence[Pair]) -> tuple[float, list[float]]:
    """Seconds of one epoch with its reference, and the loss of each step."""
    device = next(model.parameters()).device
    losses = Losses()
    with tempfile.TemporaryDirectory() as folder:
        began = now(device)
        trainer = (stock if side.startswith("trl") else ours)(side, model, pairs, Path(folder), losses)
        trainer.args.save_strategy = "no"
        trainer.train()
        return now(device) - began, losses.values


def stock(side: str, model: torch.nn.Module, pairs: Sequence[Pair], folder: Path, losses: Losses) -> DPOTrainer:
    """TRL's trainer."""
    best = side == "trl-precomputed"
    options = {"gradient_checkpointing": False, "precompute_ref_log_probs": True} if best else {}
    arguments = DPOConfig(
        output_dir=str(folder), per_device_train_batch_size=4, gradient_accumulation_steps=STEP // 4, beta=BETA,
        num_train_epochs=1, learning_rate=1e-4, max_length=None, report_to="none", disable_tqdm=True, logging_steps=1,
        bf16=model.dtype == torch.bfloat16, use_cpu=model.device.type == "cpu", **options,
    )  # fmt: skip
    rows = [
        {"prompt_ids": better.prompt_ids, "chosen_ids": better.answer_ids, "rejected_ids": worse.answer_ids}
        for better, worse in pairs
    ]
    tokenizer = Template.load(find_base("mini")).tokenizer
    return ReadyIds(
        model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
        callbacks=[losses],
    )  # fmt: skip


def ours(side: str, model: torch.nn.Module, pairs: Sequence[Pair], folder: Path, losses: Losses) -> Any:
    """Our trainer, the reference asked beforehand."""
    rows, worse = [better for better, _ in pairs], [rejected for _, rejected in pairs]
    cost = None
    if side == "tree":
        cost, why = choose_engine(model, [answer for pair in pairs for answer in pair], TRAINING)
        if cost is None:
            raise SystemExit(f"no trees: {why}")
    reference = torch.tensor(log_likelihoods(model, rows, cutter_of(cost, worse)))
    cutter = cutter_of(cost, worse, dpo(reference, BETA))
    tokenizer = Template.load(find_base("mini")).tokenizer
    return answer_trainer(model, tokenizer, rows, TRAINING, folder, [losses], cutter)


def cutter_of(cost: CostModel | None, worse: Sequence[Encoded], objective: Objective | None = None) -> Cutter:
    """As trees, or in padded batches."""
    if cost is None:
        return padded_pairs(TRAINING.per_device_train_batch_size, worse, objective)
    return tree_pairs(cost, worse, objective)


def measure(name: str, shown: str, given: argparse.Namespace) -> dict[str, Any]:
    """All sides on one set, taking turns."""
    pairs = pairs_of(name, given.pairs)
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    ends: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        for side in SIDES:
            model = model_of(given.shape, given.device)
            epoch(side, model, pairs[:1])
            once, ends[side] = epoch(side, model_of(given.shape, given.device), pairs)
            found[side].append(once)
    prompts = [len(better.prompt_ids) for better, _ in pairs]
    answers = [len(answer.answer_ids) for pair in pairs for answer in pair]
    document: dict[str, Any] = {
        "set": shown, "shape": given.shape, "device": describe_device(torch.device(given.device)),
        "rounds": given.rounds, "pairs": len(pairs), "prompt_tokens": statistics.mean(prompts),
        "answer_tokens": statistics.mean(answers), "sides": {},
    }  # fmt: skip
    for side, seconds in found.items():
        ratios = [trl / own for trl, own in zip(found["trl"], seconds, strict=True)]
        document["sides"][side] = {
            "seconds": statistics.median(seconds), "pairs_per_second": len(pairs) / statistics.median(seconds),
            "times_stock": statistics.median(ratios), "times_stock_lowest": min(ratios),
            "times_stock_highest": max(ratios), "first_loss": ends[side][0], "last_loss": ends[side][-1],
            "peak_bytes": beyond_loading(name, side, given),
        }  # fmt: skip
    return document


def beyond_loading(name: str, side: str, given: argparse.Namespace) -> int:
    """Most memory of a process that trains an epoch so, above one that only loads the model."""
    command = [sys.executable, __file__, "--sets", name, "--shape", given.shape, "--device", given.device]
    sizes = []
    for what in (side, "none"):
        options = ["--pairs", str(given.pairs), "--only", what]
        output = subprocess.run([*command, *options], check=True, capture_output=True, text=True, env=os.environ)
        sizes.append(int(output.stdout.strip().rpartition("\n")[2]))
    return sizes[0] - sizes[1]


def only(name: str, side: str, given: argparse.Namespace) -> int:
    """Most bytes held in this process."""
    pairs, model = pairs_of(name, given.pairs), model_of(given.shape, given.device)
    if side != "none":
        epoch(side, model, pairs)
    return peak_bytes(torch.device(given.device))


def table(documents: Sequence[dict[str, Any]]) -> str:
    """Markdown of all results."""
    text = (
        "| set, tokens (prompt + answer), shape, device | side | pairs per second | times stock TRL (lowest-highest) "
    )
    text += "| peak memory | loss of the last step |\n| --- | --- | --- | --- | --- | --- |\n"
    for one in documents:
        where = f"{one['set']}, {one['prompt_tokens']:.0f} + {one['answer_tokens']:.0f}, {one['shape']}, "
        where += f"{one['device']}, {one['rounds']} rounds of {one['pairs']} pairs"
        for side, found in one["sides"].items():
            spread = f"{found['times_stock_lowest']:.1f}-{found['times_stock_highest']:.1f}"
            text += (
                f"| {where} | {side} | {found['pairs_per_second']:.2f} | {found['times_stock']:.1f} ({spread}) | "
                f"{found['peak_bytes'] / 1e6:.0f} MB | {found['last_loss']:.5f} |\n"
            )
    return text


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=SHAPES, default="8m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(only(given.sets[0], given.only, given))
        return
    documents = json.loads(RESULT.read_text(encoding="utf-8"))["results"] if RESULT.is_file() else []
    for name in given.sets:
        with tempfile.TemporaryDirectory() as folder:
            place = mined(Path(folder)) if name == "mined" else name
            if not Path(place).is_file() and not (DATA / place).is_dir():
                print(f"{name}: skipped, {DATA / place} is not here")
                continue
            shown = Path(name).parent.parent.name if Path(name).is_file() else name
            document = measure(place, shown, given)
        print(json.dumps(document, indent=1), flush=True)
        key = (document["set"], given.shape, document["device"])
        documents = [one for one in documents if (one["set"], one["shape"], one["device"]) != key] + [document]
        write_json(RESULT, {"versions": versions(), "results": documents})
    publish("bench_preference", table(documents))


if __name__ == "__main__":
    main()
