"""How far confidences are off before and after scaling, and how right the surest answers are, in finished runs.

Usage: ``python benchmarks/bench_calibration.py RUN [RUN ...]``, for example ``runs/banking77`` after
``python benchmarks/run.py banking77``. Nothing is trained or answered: the figures are those of ``eval/metrics.json``.
Results go into ``results/bench_calibration.json`` and the README.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench_train import HERE, publish
from exactune.environment import versions
from exactune.rundir import Run, read_json, write_json

RESULT = HERE / "results" / "bench_calibration.json"
SHARES = (0.8, 0.5)


def figures(run: Run) -> dict[str, Any]:
    """Those of one run."""
    document = read_json(run.metrics)
    found = document["calibration"]
    return {
        "name": run.path.name,
        "rows": document["n"],
        "train": read_json(run.data)["splits"]["train"]["rows"],
        "fitted_on": found["rows"],
        **{key: found[key] for key in ("method", "temperature", "bias", "figures")},
        "before": found["before"]["ece"],
        "after": found["after"]["ece"],
        "accuracy": found["coverage"][0]["accuracy"],
        "surest": {str(share): next((one for one in found["coverage"] if one["coverage"] <= share), None)
                   for share in SHARES},
    }  # fmt: skip


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of all results."""
    text = (
        "| run, rows train / scored | fitted on | temperature | expected calibration error before | after | right | "
        + " | ".join(f"right of the surest {share:.0%}" for share in SHARES)
        + " |\n"
        + "| --- " * (6 + len(SHARES))
        + "|\n"
    )
    for one in results:
        points = [one["surest"][str(share)] for share in SHARES]
        cells = [
            "-" if point is None else f"{point['accuracy']:.3f} (`--abstain-below {point['threshold']:.3f}`)"
            for point in points
        ]
        text += (
            f"| {one['name']}, {one['train']} / {one['rows']} ({one['figures']}) | {one['fitted_on']} | "
            f"{one['temperature']:.2f} | {one['before']:.3f} | {one['after']:.3f} | {one['accuracy']:.3f} | "
            f"{' | '.join(cells)} |\n"
        )
    return text


def main() -> None:
    """Read and write down."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    results = json.loads(RESULT.read_text(encoding="utf-8"))["results"] if RESULT.is_file() else []
    for path in sys.argv[1:]:
        found = figures(Run.open(path))
        results = [one for one in results if one["name"] != found["name"]] + [found]
    write_json(RESULT, {"versions": versions(), "results": results})
    publish("bench_calibration", table(results))


if __name__ == "__main__":
    main()
