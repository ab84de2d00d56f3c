"""What a dry run says of some configs, and what their runs then hold at most: each in a process of its own.

Usage: ``python peaks.py FOLDER CONFIG...``. Prints a JSON line for each config: bytes ``estimated``, ``measured`` by
the system, and ``recorded`` by the run.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from exactune import train
from exactune.estimate import estimate
from exactune.plan import config_source, make_plan
from exactune.rundir import read_json


def alone(work: Callable[[], list[float]]) -> list[float]:
    """The result of some work in a child. Nothing was computed before it began, so its peak is its own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    found: list[float] = json.loads(text)
    return found


def said(config: str) -> list[float]:
    return [estimate(make_plan(config_source(config))).memory.total]


def held(config: str) -> list[float]:
    run = train(config)
    measured = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return [measured, read_json(run.env)["peak_memory_mb"] * 1e6]


if __name__ == "__main__":
    os.chdir(Path(sys.argv[1]))
    for config in sys.argv[2:]:
        (estimated,), (measured, recorded) = alone(lambda: said(config)), alone(lambda: held(config))  # noqa: B023
        print(json.dumps({"estimated": estimated, "measured": measured, "recorded": recorded}), flush=True)
