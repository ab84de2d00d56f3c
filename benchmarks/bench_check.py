"""Speed and memory of ``exactune check`` on many rows, beside what ``datasets`` takes to load the file.

Usage: ``python benchmarks/bench_check.py [--rows 10000,100000,1000000] [--rounds 3] [--sides check,check-no-near,…]``.
Chats of about 425 bytes are made from a seed. Each measurement is a process of its own, sides taking turns; memory is
the process's peak. Results go into ``results/bench_check.json`` and the README.

Sides:

- ``check``: ``exactune check FILE``, all rules.
- ``check-no-near``: without the rules that look for near duplicates.
- ``load``: reading and converting alone, as every command does it first.
- ``datasets``: ``datasets.load_dataset("json")`` into an empty cache; it looks for nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_train import HERE, publish
from exactune.checks import RULES
from exactune.environment import versions
from exactune.rundir import write_json

RESULT = HERE / "results" / "bench_check.json"
NEAR = ("D202", "D204", "D206")
"""Rules that look for near duplicates, as far as they are there."""
LABELS = ("positive", "negative", "neutral", "mixed")

PEAK = """
import atexit, os
def write():
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    open(os.environ["BENCH_PEAK"], "w").write(peak.split()[1])
atexit.register(write)
"""
"""What ``wait4`` says of memory begins with what the parent had."""
CHECK = "import sys; from exactune.cli import main; sys.argv[0] = 'exactune'; main()"
LOAD = "import sys; from exactune.data.load import load_paths; load_paths(sys.argv[1:])"
DATASETS = (
    "import sys, datasets; datasets.disable_progress_bars(); "
    "datasets.load_dataset('json', data_files=sys.argv[1], cache_dir=sys.argv[2])"
)


def chats(rows: int, seed: int = 0) -> Iterator[str]:
    """JSON lines; no two ask the same."""
    chance = random.Random(seed)
    words = [f"w{chance.randrange(10**6):x}" for _ in range(5000)] + ["股價", "大漲", "服務", "很好"]
    for number in range(rows):
        text = " ".join(chance.choices(words, k=30))
        answer = json.dumps({"sentiment": chance.choice(LABELS)})
        messages = [
            {"role": "system", "content": "You label the sentiment of a text. Answer with one JSON object."},
            {"role": "user", "content": f"{number} {text}"},
            {"role": "assistant", "content": answer},
        ]
        yield json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def measure(side: str, path: Path) -> dict[str, float]:
    """Seconds and peak megabytes of one process."""
    near = [rule.code for rule in RULES if rule.code in NEAR]
    with tempfile.TemporaryDirectory() as cache:
        command = {
            "check": [CHECK, "check", str(path)],
            "check-no-near": [CHECK, "check", str(path), *(part for code in near for part in ("--ignore", code))],
            "load": [LOAD, str(path)],
            "datasets": [DATASETS, str(path), cache],
        }[side]
        peak = Path(cache) / "peak"
        code, *arguments = command
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-c", PEAK + code, *arguments],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "BENCH_PEAK": str(peak)},
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if child.returncode not in (0, 1):
            raise SystemExit(f"{side} failed with exit code {child.returncode}")
        megabytes = int(peak.read_text(encoding="utf-8")) / 1024
    return {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": megabytes}


def bench(rows: int, rounds: int, sides: list[str]) -> list[dict[str, Any]]:
    """All sides on one file, taking turns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.jsonl"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(chats(rows))
        size = path.stat().st_size
        found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                found[side].append(measure(side, path))
    documents = []
    for side, each in found.items():
        middle = {name: statistics.median(one[name] for one in each) for name in each[0]}
        one = {
            "rows": rows, "side": side, "rounds": rounds, "bytes": size, **middle,
            "rows_per_second": rows / middle["seconds"], "rows_per_cpu_second": rows / middle["cpu_seconds"],
            "seconds_lowest": min(one["seconds"] for one in each),
            "seconds_highest": max(one["seconds"] for one in each),
            "load_average": os.getloadavg()[0], "rules": len(RULES),
        }  # fmt: skip
        print(json.dumps(one), flush=True)
        documents.append(one)
    return documents


def table(documents: list[dict[str, Any]]) -> str:
    """Markdown of all results."""
    text = (
        "| rows, rounds, other load | side | seconds (lowest-highest) | rows per second | per CPU second | peak MB |\n"
    )
    text += "| --- | --- | --- | --- | --- | --- |\n"
    for one in sorted(documents, key=lambda one: one["rows"]):
        text += (
            f"| {one['rows']:,}, {one['rounds']}, {one['load_average']:.0f} | {one['side']} | {one['seconds']:.1f} "
            f"({one['seconds_lowest']:.1f}-{one['seconds_highest']:.1f}) | {one['rows_per_second']:,.0f} | "
            f"{one['rows_per_cpu_second']:,.0f} | {one['peak_mb']:.0f} |\n"
        )
    return text


def main() -> None:
    """Measure and write down."""
    sides = ["check", "check-no-near", "load", "datasets"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: [int(part) for part in text.split(",")], default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", type=lambda text: text.split(","), default=sides)
    given = parser.parse_args()
    documents = json.loads(RESULT.read_text(encoding="utf-8"))["results"] if RESULT.is_file() else []
    for rows in given.rows:
        made = bench(rows, given.rounds, given.sides)
        new = {(one["rows"], one["side"]) for one in made}
        documents = [one for one in documents if (one["rows"], one["side"]) not in new] + made
        hardware = {"machine": platform.machine(), "cores": os.cpu_count()}
        write_json(RESULT, {"versions": versions(), "hardware": hardware, "results": documents})
    publish("bench_check", table(documents))


if __name__ == "__main__":
    main()
