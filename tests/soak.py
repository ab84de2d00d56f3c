"""Kills real training processes many times and compares what their resumed runs give: ``make soak``.

Prints a line for each trial and the counts at the end; exit code 1 if any run gave something else.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import get_args

from exactune.rundir import Run

import killing

EXAMPLE = Path(__file__).parents[1] / "examples" / "finance-sentiment-zh" / "task.yaml"


MOMENTS = get_args(killing.Moment)
Trial = tuple[int, Sequence[killing.Moment]]
"""How often a run is killed, and at which kinds of moments."""


def try_all(config: Path, place: Path, name: str, trials: Iterable[Trial], random: Random) -> Counter[str]:
    """An undisturbed run, and others that are killed and resumed: what came of them, in numbers."""
    counts = Counter[str]()
    run = Run(place / "whole")
    whole = killing.train(config, run.path)
    expected = killing.result(run)
    print(f"{name}: undisturbed run, {whole.counts} in {whole.seconds:.1f} s", flush=True)
    for kills, kinds in trials:
        cut = Run(place / "cut")
        moments = kill_and_resume(config, cut, whole, kills, kinds, random)
        verdict = "identical" if killing.result(cut) == expected else "DIFFERENT"
        shutil.rmtree(cut.path)
        counts.update(
            ["runs", verdict, f"runs killed {kills} times", *(f"kills at {text.split()[0]}" for text in moments)]
        )
        counts["kills"] += kills
        print(f"{name}: killed at {', '.join(moments)}: {verdict}", flush=True)
    return counts


def kill_and_resume(
    config: Path, cut: Run, whole: killing.Ended, kills: int, kinds: Sequence[killing.Moment], random: Random
) -> list[str]:
    """Kill a run exactly so many times and let it come to its end: the moments."""
    moments: list[str] = []
    while len(moments) < kills:
        moment = random.choice(kinds)
        number = killing.draw(random, moment, whole, 1.0 if kills == 1 else 0.15)
        if killing.train(config, cut.path, moment, number).killed:
            moments.append(f"{moment} {number:.3g}")
        else:  # it came to its end before
            shutil.rmtree(cut.path)
            moments.clear()
    assert killing.train(config, cut.path).code == 0
    return moments


def main() -> int:
    """Run all trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--single", type=int, default=25, help="runs killed once, for each method")
    parser.add_argument("--five", type=int, default=5, help="runs killed five times, for each method")
    parser.add_argument("--example", type=int, default=1, help="runs of the bundled example, for each kind of moment")
    parser.add_argument(
        "--methods", nargs="*", default=[*killing.METHODS, "example"], help="of killing.METHODS, and `example`"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random, counts, began = Random(given.seed), Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tiny = [(1, MOMENTS)] * given.single + [(5, MOMENTS)] * given.five
        for name in given.methods:
            place = Path(folder) / name
            place.mkdir()
            is_example = name == "example"
            config = EXAMPLE if is_example else killing.make_task(place, name)
            trials = [(1, (moment,)) for moment in MOMENTS] * given.example if is_example else tiny
            counts += try_all(config, place, name, trials, random)
    for name, count in sorted(counts.items()):
        print(f"{name}: {count}")
    print(f"minutes: {(time.monotonic() - began) / 60:.1f}")
    return 1 if counts["DIFFERENT"] else 0


if __name__ == "__main__":
    sys.exit(main())
