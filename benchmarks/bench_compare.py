"""Which method to take: ``exactune compare`` on a classification and on written JSON, from ``mini``.

Usage: ``python benchmarks/bench_compare.py [--sets waimai,snips] [--rows 200] [--eval-rows 100] [--test-rows 300]
[--seeds 1,2,3] [--folder runs/compare]``. Each set's config under ``configs/`` is compared in a process of its own, as
a user does; what was stopped goes on. Forgetting is measured on texts of the project's own examples. A set whose files
(development data beside the checkout) are not here is skipped and said so. Results go into
``results/bench_compare.json`` and the README; a smaller run is printed and not written down.
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
from exactune.durable import write_text
from exactune.environment import versions
from exactune.infer.model import default_device, describe_device
from exactune.layers import read_patch, resolve
from exactune.rundir import read_json, write_json

from planted.damage import general_text

RESULT = HERE / "results" / "bench_compare.json"
SETS = ("waimai", "snips")
ROWS, EVAL, TEST, SEEDS = 200, 100, 300, [1, 2, 3]
KEPT = ("method", "seeds", "same", "failed", "metrics", "difference", "usable", "general", "rows", "pairs", "minutes",
        "before", "peak_memory_mb")  # fmt: skip


def measure(name: str, given: argparse.Namespace) -> dict[str, Any] | None:
    """One set; None where it cannot be."""
    config = HERE / "configs" / f"{name}.yaml"
    train = resolve([read_patch(config)]).config.data.train[0]
    if not (config.parent / train).is_file():
        print(f"{name}: skipped, {train} is not here")
        return None
    limit = {"train": given.rows, "eval": given.eval_rows, "test": given.test_rows}
    text = given.folder.resolve() / "general.txt"
    write_text(text, general_text())
    settings = [f"data.limit={json.dumps(limit)}", f"compare.seeds={given.seeds}",
                f"evaluate.general={json.dumps([str(text)])}"]  # fmt: skip
    command = [sys.executable, "-c", "from exactune.cli import main; main()", "compare", str(config), "--resume"]
    began = time.time()
    options = [part for text in settings for part in ("--set", text)]
    done = subprocess.run([*command, "--output", str(given.folder / name), *options], check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{name} ended with exit code {done.returncode}")
    document = read_json(given.folder / name / "compare.json")
    return {
        "set": name, **{key: document[key] for key in ("task", "primary", "seeds", "data", "keep", "verdict")},
        "methods": [{key: one[key] for key in KEPT} for one in document["methods"]],
        "runs": [{key: value for key, value in one.items() if key != "said"} for one in document["runs"]],
        "seconds": round(time.time() - began), "versions": versions(), "device": describe_device(default_device()),
    }  # fmt: skip


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: every set and method, then what the command says."""
    names = ("set, rows, seeds", "method", "metric (95% interval)", "against SFT", "valid JSON", "forgotten",
             "rows, pairs", "minutes (before it)", "peak memory")  # fmt: skip
    text = f"| {' | '.join(names)} |\n" + "| --- " * len(names) + "|\n"
    for one in results:
        rows = one["data"]
        title = f"{one['set']}, {rows['train']['rows']} / {rows['test']['rows']}, {len(one['seeds'])}"
        text += "".join(f"| {title} | {_cells(method, one['primary'])} |\n" for method in one["methods"])
    for one in results:
        text += f"\nOf {one['set']} it says: " + " ".join(one["verdict"]) + "\n"
    return text


def _cells(one: dict[str, Any], primary: str) -> str:
    trained = one["method"] not in ("base", "kshot")
    figure, valid = one["metrics"].get(primary), one["metrics"].get("valid_json")
    difference = one["difference"] and one["difference"][primary]
    cells = (
        one["method"],
        f"{primary} {_shown(figure, '.3f')}" if figure else "-",
        f"{_shown(difference, '+.3f')} {difference['verdict']}" if difference else "-",
        f"{valid['value']:.3f}" if valid else "-",
        ", ".join(f"{change:+.1%}" for change in one["general"].values()) if trained else "-",
        f"{one['rows']:.0f}, {one['pairs']:.0f}" if trained and figure else "-",
        f"{one['minutes']:.1f} ({one['before']:.1f})" if trained and figure else "-",
        f"{one['peak_memory_mb']:.0f} MB" if one["peak_memory_mb"] else "-",
    )
    return " | ".join(cells)


def _shown(figure: dict[str, float], form: str) -> str:
    return f"{figure['value']:{form}} ({figure['low']:{form}} to {figure['high']:{form}})"


def main() -> None:
    """Compare, write down, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--eval-rows", type=int, default=EVAL)
    parser.add_argument("--test-rows", type=int, default=TEST)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=SEEDS)
    parser.add_argument("--folder", type=Path, default=Path("runs/compare"))
    given = parser.parse_args()
    found = [one for name in given.sets if (one := measure(name, given))]
    whole = given.rows >= ROWS and given.test_rows >= TEST and len(given.seeds) >= len(SEEDS)
    if found and whole:
        known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else []
        names = {one["set"] for one in found}
        results = [*(one for one in known if one["set"] not in names), *found]
        write_json(RESULT, results)
        publish("bench_compare", table(results))
    print(table(found))


if __name__ == "__main__":
    main()
