"""Train and evaluate the configs under ``configs/``: ``results/`` and the README's table.

Usage: ``python benchmarks/run.py [NAME ...] [-- key=value ...]``. The data sets lie beside the checkout and are not
part of the project; a config whose files are absent is skipped and said so.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from exactune.durable import write_text
from exactune.layers import read_patch, resolve
from exactune.rundir import Run, read_json, write_json

HERE = Path(__file__).parent
MARK = re.compile(r"(<!-- table -->\n).*?(<!-- /table -->)", re.DOTALL)


def measure(config: Path, assignments: list[str]) -> dict[str, Any]:
    """One config, trained in a process of its own, as a user does."""
    run = Run(Path("runs") / config.stem)
    options = [part for text in assignments for part in ("--set", text)]
    command = [sys.executable, "-c", "from exactune.cli import main; main()", "train", str(config), "--overwrite"]
    started = time.time()
    subprocess.run([*command, "--output", str(run.path), *options], check=True)
    minutes = (time.time() - started) / 60
    document, data, env = read_json(run.metrics), read_json(run.data), read_json(run.env)
    best = read_json(run.train_metrics.with_name("best.json"))
    calibration = document.get("calibration")
    return {
        "name": config.stem,
        "task": resolve([read_patch(run.config)]).config.task.type,
        "rows": {name: part["rows"] for name, part in data["splits"].items()},
        "minutes": round(minutes, 1),
        "training_minutes": env["minutes"],
        "best_epoch": best["epoch"],
        **{name: document.get(name) for name in ("primary", "metrics", "baselines", "comparison")},
        "calibration": calibration and {name: calibration[name]["ece"] for name in ("before", "after")},
        "accuracy_at_80": calibration and _at_80(calibration["coverage"]),
        "env": {name: env[name] for name in ("exactune", "python", "platform", "device", "packages", "model")},
        "assignments": assignments,
    }


def _at_80(curve: list[dict[str, float]]) -> float:
    """Accuracy where the surest 80 % of the rows are answered."""
    return min(curve, key=lambda point: abs(point["coverage"] - 0.8))["accuracy"]


def table(results: list[dict[str, Any]]) -> str:
    """Markdown rows."""
    text = "| set | task | rows train / eval / test | metric | fine-tuned (95% interval) | best baseline | verdict "
    text += "| ECE before, after | right at 80% coverage | best epoch | minutes |\n" + "| --- " * 11 + "|\n"
    for result in results:
        rows = " / ".join(str(result["rows"][name]) for name in ("train", "eval", "test"))
        figure, against = result["metrics"][result["primary"]], result["comparison"]
        baseline = result["baselines"][against["baseline"]][result["primary"]]["value"]
        errors = result["calibration"] or {}
        text += (
            f"| {result['name']} | {result['task']} | {rows} | {result['primary']} | {figure['value']:.3f} "
            f"({figure['low']:.3f}-{figure['high']:.3f}) | {against['baseline']} {baseline:.3f} | {against['verdict']} "
            f"| {', '.join(f'{value:.3f}' for value in errors.values()) or '-'} "
            f"| {'-' if result['accuracy_at_80'] is None else format(result['accuracy_at_80'], '.3f')} "
            f"| {result['best_epoch']:g} | {result['minutes']:.1f} |\n"
        )
    return text


def main() -> None:
    """Measure what is named, or everything."""
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    names, assignments = arguments[:cut], arguments[cut + 1 :]
    configs = sorted((HERE / "configs").glob("*.yaml"))
    for config in configs:
        if names and config.stem not in names:
            continue
        train = resolve([read_patch(config)]).config.data.train[0]
        if not (config.parent / train).is_file():
            print(f"{config.stem}: skipped, {train} is not here")
            continue
        write_json(HERE / "results" / f"{config.stem}.json", measure(config, assignments))
    paths = [HERE / "results" / f"{config.stem}.json" for config in configs]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    readme = HERE / "README.md"
    write_text(readme, MARK.sub(lambda match: match[1] + table(results) + match[2], readme.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
