"""Peak memory of an evaluation beside the number of its rows.

Usage: ``python benchmarks/bench_eval_memory.py [--rows 1000,10000]``. ``mini`` learns a few rows of a classification;
then ``exactune.evaluate`` scores files of so many rows, each in a process of its own, with every baseline that the
task has. Results go into ``results/bench_eval_memory.json`` and the README.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import exactune
from bench_train import HERE, publish
from exactune.environment import versions
from exactune.infer.model import describe_device
from exactune.rundir import write_json, write_jsonl

RESULT = HERE / "results" / "bench_eval_memory.json"
WORDS = {"up": ("rises", "soars", "gains"), "down": ("falls", "drops", "loses"), "flat": ("rests", "stays", "holds")}
TRAIN = 240


def made(rows: int, seed: int) -> list[dict[str, str]]:
    """Headlines whose verb tells the label, every one different."""
    draw = random.Random(seed)
    labels = [draw.choice([*WORDS]) for _ in range(rows)]
    return [
        {"text": f"share number {seed}{number} {draw.choice(WORDS[label])} after report {draw.randrange(10**6)}",
         "label": label}
        for number, label in enumerate(labels)
    ]  # fmt: skip


def prepared(folder: Path) -> Path:
    """A run of the embedded base."""
    for seed, (split, rows) in enumerate({"train": TRAIN, "eval": 60}.items(), 1):
        write_jsonl(folder / f"{split}.jsonl", made(rows, seed))
    config = folder / "task.yaml"
    settings = {"data": {"train": "train.jsonl", "eval": "eval.jsonl"}, "training": {"num_epochs": 1}}
    config.write_text(json.dumps(settings), encoding="utf-8")
    return exactune.train(config, output=str(folder / "run"), say=print).path


def scored(run: Path, file: Path) -> dict[str, Any]:
    """What one evaluation took; in this process, which does nothing else."""
    began = time.perf_counter()
    document = exactune.evaluate(run, data=file)
    return {
        "rows": document["n"],
        "accuracy": document["metrics"]["accuracy"]["value"],
        "baselines": document["baseline_rows"],
        "seconds": time.perf_counter() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def table(found: list[dict[str, Any]]) -> str:
    """Markdown."""
    text = "| rows | peak memory | times the first |\n| --- | --- | --- |\n"
    for one in found:
        text += f"| {one['rows']:,} | {one['peak_mb']:.0f} MB | {one['peak_mb'] / found[0]['peak_mb']:.3f} |\n"
    return text


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: [int(part) for part in text.split(",")], default=[1000, 10000])
    parser.add_argument("--score", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.score:
        print(json.dumps(scored(*given.score)))
        return
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = prepared(folder)
        for rows in given.rows:
            file = folder / f"rows{rows}.jsonl"
            write_jsonl(file, made(rows, rows))
            command = [sys.executable, __file__, "--score", str(run), str(file)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps(found[-1]), flush=True)
    device = describe_device(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    write_json(RESULT, {"versions": versions(), "device": device, "results": found})
    publish("bench_eval_memory", table(found))


if __name__ == "__main__":
    main()
