"""Train and evaluate the configs under ``configs/``, beside a linear model: ``results/`` and the README's table.

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

from exactune.data.load import load
from exactune.evaluate.baselines import linear
from exactune.evaluate.evaluation import score_texts
from exactune.evaluate.metrics import summarize
from exactune.layers import read_patch, resolve
from exactune.rundir import Run, read_json, write_json, write_text
from exactune.tasks import task_from_config

HERE = Path(__file__).parent
MARK = re.compile(r"(<!-- table -->\n).*?(<!-- /table -->)", re.DOTALL)


def measure(config: Path, assignments: list[str]) -> dict[str, Any]:
    """One config: train it in a process of its own, as a user does, then the linear model on the same rows."""
    run = Run(Path("runs") / config.stem)
    options = [part for text in assignments for part in ("--set", text)]
    command = [sys.executable, "-c", "from exactune.cli import main; main()", "train", str(config), "--overwrite"]
    started = time.time()
    subprocess.run([*command, "--output", str(run.path), *options], check=True)
    minutes = (time.time() - started) / 60
    document, data, env = read_json(run.metrics), read_json(run.data), read_json(run.env)
    best = read_json(run.train_metrics.with_name("best.json"))
    return {
        "name": config.stem,
        "task": resolve([read_patch(run.config)]).config.task.type,
        "rows": {name: part["rows"] for name, part in data["splits"].items()},
        "minutes": round(minutes, 1),
        "training_minutes": env["minutes"],
        "best_epoch": best["epoch"],
        "primary": document["primary"],
        "metrics": document["metrics"],
        "majority": {name: value["value"] for name, value in document["baselines"]["majority"].items()},
        "linear": _linear(run),
        "env": {name: env[name] for name in ("exactune", "python", "platform", "device", "packages", "model")},
        "assignments": assignments,
    }


def _linear(run: Run) -> dict[str, float] | None:
    """TF-IDF and logistic regression on the run's own rows; for classification only."""
    config = resolve([read_patch(run.config)]).config
    task = task_from_config(config.task.model_dump(by_alias=True, exclude_none=True))
    if task.type != "classification":
        return None
    splits, loaded = read_json(run.data)["splits"], load(config, run.path).splits
    by_id = {row.id: row for part in (loaded.train, loaded.eval, loaded.test) for row in part}
    train, test = ([by_id[name] for name in splits[split]["ids"]] for split in ("train", "test"))
    summary = summarize(task, score_texts(task, test, linear(train, test)), resamples=1)
    return {name: round(figure["value"], 4) for name, figure in summary.items()}


def table(results: list[dict[str, Any]]) -> str:
    """Markdown rows."""
    lines = [
        "| set | task | rows train / eval / test | metric | fine-tuned (95% interval) | majority | TF-IDF + LR | best "
        "epoch | minutes |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    ]
    for result in results:
        rows = " / ".join(str(result["rows"][name]) for name in ("train", "eval", "test"))
        names = [result["primary"]] + (["accuracy"] if result["task"] == "classification" else [])
        for name in names:
            figure = result["metrics"][name]
            linear_value = "-" if result["linear"] is None else f"{result['linear'][name]:.3f}"
            lines.append(
                f"| {result['name']} | {result['task']} | {rows} | {name} | {figure['value']:.3f} "
                f"({figure['low']:.3f}-{figure['high']:.3f}) | {result['majority'][name]:.3f} | {linear_value} | "
                f"{result['best_epoch']:g} | {result['minutes']:.1f} |\n"
            )
    return "".join(lines)


def main() -> None:
    """Measure what is named, or everything."""
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    names, assignments = arguments[:cut], arguments[cut + 1 :]
    for config in sorted((HERE / "configs").glob("*.yaml")):
        if names and config.stem not in names:
            continue
        train = resolve([read_patch(config)]).config.data.train[0]
        if not (config.parent / train).is_file():
            print(f"{config.stem}: skipped, {train} is not here")
            continue
        write_json(HERE / "results" / f"{config.stem}.json", measure(config, assignments))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((HERE / "results").glob("*.json"))]
    readme = HERE / "README.md"
    write_text(readme, MARK.sub(lambda match: match[1] + table(results) + match[2], readme.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
