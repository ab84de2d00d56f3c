"""Does the loop find its way? Sick starts under ``train --auto``, beside a grid that was gone through by hand.

Usage: ``python benchmarks/bench_auto.py [--starts NAME,...] [--max-runs 4] [--folder runs/auto]``. Each start is a case
of :mod:`planted.cases`, trained by ``exactune train --auto``. By hand: the same rows with the base's own recipe, half
of its learning rate and twice of it, of which the eval rows choose one, as somebody who knows the base would. Both are
scored on the same test rows. Results go into ``results/bench_auto.json`` and the README.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench_train import HERE, publish
from doctor import prepare
from exactune.rundir import read_json, write_json

from planted.cases import CASES

RESULT = HERE / "results" / "bench_auto.json"
STARTS = ("slow-100-banking", "thin-banking", "fast-20-finance", "one-epoch-finance")
RATES = (2.5e-3, 5e-3, 1e-2)
"""Half of the rate that the recipe gives `mini`, the rate, and twice of it."""


def train(config: Path, output: Path, *options: str) -> float:
    """One command in a process of its own; seconds."""
    began = time.time()
    command = [sys.executable, "-c", "from exactune.cli import main; main()", "train", str(config), "--overwrite"]
    subprocess.run([*command, "--output", str(output), *options], check=True, stdout=subprocess.DEVNULL)
    return time.time() - began


def by_hand(name: str, folder: Path) -> dict[str, Any]:
    """The best of the grid by its eval rows."""
    tree = json.loads((folder / "task.yaml").read_text(encoding="utf-8"))
    # What was made sick goes; the recipe gives the rest.
    for key in CASES[name].settings:
        block, _, leaf = key.partition(".")
        tree.get(block, {}).pop(leaf, None)
    config = folder / "by_hand.yaml"
    write_json(config, {key: value for key, value in tree.items() if value != {}})
    tried = []
    for rate in RATES:
        output = folder / f"hand-{rate:g}"
        seconds = train(config, output, "--set", f"learning_rate={rate}")
        tried.append({
            "rate": rate, "eval": read_json(output / "train" / "best.json")["value"],
            "test": _figure(output), "seconds": round(seconds),
        })  # fmt: skip
    return {"tried": tried, "chosen": max(tried, key=lambda one: one["eval"])}


def _figure(run: Path) -> dict[str, float]:
    document = read_json(run / "eval" / "metrics.json")
    figure: dict[str, float] = document["metrics"][document["primary"]]
    return figure


def measure(name: str, max_runs: int, root: Path) -> dict[str, Any]:
    """One start: the loop, and the grid."""
    folder = root / name
    config = prepare(CASES[name], folder)
    seconds = train(config, folder / "auto", "--auto", "--max-runs", str(max_runs))
    record = read_json(folder / "auto" / "auto.json")
    return {
        "start": name, "planted": CASES[name].planted, "primary": record["primary"], "seconds": round(seconds),
        "auto": _figure(folder / "auto" / record["kept"]), "kept": record["kept"], "stopped": record["stopped"],
        "tries": [{key: one[key] for key in ("run", "from", "code", "patch", "eval", "verdict")}
                  for one in record["tries"]],
        "by_hand": by_hand(name, folder),
    }  # fmt: skip


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: every start, what was tried, and both ends."""
    text = "| start | tries (eval figure) | kept | test, loop | test, by hand (rate) |\n" + "| --- " * 5 + "|\n"
    for one in results:
        tries = "; ".join(
            f"{item['code'] or 'as it is'} {item['eval']['value']:.3f} {item['verdict']}" if item["eval"]
            else f"{item['code']} failed" for item in one["tries"]
        )  # fmt: skip
        chosen = one["by_hand"]["chosen"]
        text += (
            f"| {one['start']}: {one['planted']} | {tries} | {one['kept']} | {one['primary']} {_shown(one['auto'])} "
            f"| {_shown(chosen['test'])} ({chosen['rate']:g}) |\n"
        )
    return text


def _shown(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"


def main() -> None:
    """Measure what has no result yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=lambda text: text.split(","), default=list(STARTS))
    parser.add_argument("--max-runs", type=int, default=4)
    parser.add_argument("--folder", type=Path, default=Path("runs/auto"))
    given = parser.parse_args()
    results = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else []
    for name in given.starts:
        if name not in {one["start"] for one in results}:
            results.append(measure(name, given.max_runs, given.folder))
            write_json(RESULT, results)
    publish("bench_auto", table(results))


if __name__ == "__main__":
    main()
