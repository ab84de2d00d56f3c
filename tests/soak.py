"""Kills real training processes many times and compares what their resumed runs give: ``make soak``.

Prints a line for each trial and the counts at the end; exit code 1 if any run gave something else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import get_args

from exactune.rundir import Run

import killing


def trial(config: Path, whole: killing.Ended, run: Run, kills: int, random: Random) -> tuple[list[str], bool]:
    """Kill a run so many times, resume it, and compare: the moments, and whether all is the same."""
    moments: list[str] = []
    with tempfile.TemporaryDirectory(dir=config.parent) as folder:
        cut = Run(Path(folder) / "run")
        while len(moments) < kills:
            moment = random.choice(get_args(killing.Moment))
            number = killing.draw(random, moment, whole, 1.0 if kills == 1 else 0.15)
            ended = killing.train(config, cut.path, moment, number)
            if ended.killed:
                moments.append(f"{moment} {number:.3g}")
            elif not moments:
                continue  # the clock ran out after the end: not a kill
            else:
                break
        killing.train(config, cut.path)
        return moments, killing.result(cut) == killing.result(run)


def main() -> int:
    """Run all trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--single", type=int, default=25, help="runs killed once, for each method")
    parser.add_argument("--five", type=int, default=5, help="runs killed five times, for each method")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random, counts, began = Random(given.seed), Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for method in killing.METHODS:
            config = killing.make_task(Path(folder) / method, method)
            run = Run(config.parent / "whole")
            whole = killing.train(config, run.path)
            print(f"{method}: undisturbed run, {whole.counts} in {whole.seconds:.1f} s", flush=True)
            for kills in [1] * given.single + [5] * given.five:
                moments, same = trial(config, whole, run, kills, random)
                counts["runs"] += 1
                counts["kills"] += len(moments)
                counts[f"runs killed {len(moments)} times"] += 1
                counts["identical" if same else "DIFFERENT"] += 1
                counts.update(f"kills at {text.split()[0]}" for text in moments)
                print(f"{method}: killed at {', '.join(moments)}: {'identical' if same else 'DIFFERENT'}", flush=True)
    for name, count in sorted(counts.items()):
        print(f"{name}: {count}")
    print(f"minutes: {(time.monotonic() - began) / 60:.1f}")
    return 1 if counts["DIFFERENT"] else 0


if __name__ == "__main__":
    sys.exit(main())
