"""Train and evaluate the configs under ``configs/``, beside their baselines: ``results/`` and the README's table.

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

from exactune.layers import read_patch, resolve
from exactune.rundir import Run, read_json, write_json, write_text

HERE = Path(__file__).parent
MARK = re.compile(r"(<!-- table -->\n).*?(<!-- /table -->)", re.DOTALL)


def measure(config: Path, assignments: list[str]) -> dict[str, Any]:
    """One config: train it in a process of its own, as a user does."""
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
        "baselines": {
            name: {metric: round(figure["value"], 4) for metric, figure in figures.items()}
            for name, figures in document["baselines"].items()
        },
        "comparison": document["comparison"],
        "env": {name: env[name] for name in ("exactune", "python", "platform", "device", "packages", "model")},
        "assignments": assignments,
    }


def table(results: list[dict[str, Any]]) -> str:
    """Markdown rows."""
    lines = [
        "| set | task | rows train / eval / test | metric | fine-tuned (95% interval) | majority | best baseline | "
        "against it | best epoch | minutes |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    ]
    for result in results:
        rows = " / ".join(str(result["rows"][name]) for name in ("train", "eval", "test"))
        names = [result["primary"]] + (["accuracy"] if result["task"] == "classification" else [])
        for name in names:
            figure = result["metrics"][name]
            best = max(result["baselines"], key=lambda one: result["baselines"][one][result["primary"]])
            # Results from before there was a paired comparison have none.
            verdict = result.get("comparison", {}).get("verdict", "-") if name == result["primary"] else ""
            lines.append(
                f"| {result['name']} | {result['task']} | {rows} | {name} | {figure['value']:.3f} "
                f"({figure['low']:.3f}-{figure['high']:.3f}) | {result['baselines']['majority'][name]:.3f} | "
                f"{result['baselines'][best][name]:.3f} {best} | {verdict} | {result['best_epoch']:g} | "
                f"{result['minutes']:.1f} |\n"
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
    paths = [HERE / "results" / f"{config.stem}.json" for config in sorted((HERE / "configs").glob("*.yaml"))]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    readme = HERE / "README.md"
    write_text(readme, MARK.sub(lambda match: match[1] + table(results) + match[2], readme.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
