"""Launches of the command on several ranks: of forked processes, or as the script of ``torch.distributed.run``."""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exactune import cli
from exactune.train.steps import Answers

import killing
from killing import Moments


class OfTheLauncher(Moments):
    """Sends the signal to the process that started this one."""

    def target(self) -> int:
        return os.getppid()


def poison(row: int) -> None:
    """Let the loss of a row, by its position, be no number."""
    real = Answers.nll

    def nll(self: Answers, *arguments: Any) -> Any:
        return real(self, *arguments) * (math.nan if row in self.rows.tolist() else 1)

    Answers.nll = nll  # type: ignore[method-assign]


def _train(arguments: list[str], moments: Moments | None) -> None:
    sys.argv = ["exactune", "train", *arguments]
    sys.setprofile(moments)
    try:
        cli.main()
    finally:
        sys.setprofile(None)


def _rank(
    arguments: list[str], environment: Mapping[str, str], moments: Moments | None, row: int | None, said: Path
) -> None:
    os.environ.update(environment)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
    if row is not None:
        poison(row)
    _train(arguments, moments)


def launch(
    config: Path,
    output: Path,
    *arguments: str,
    moments: Mapping[int, Moments] | None = None,
    row: int | None = None,
) -> tuple[list[int | None], str]:
    """Train on two ranks.

    Args:
        config: A config file.
        output: The run folder; what lies there is gone on with.
        arguments: More of the command's, for the second rank only.
        moments: Of which rank.
        row: See :func:`poison`.

    Returns:
        The exit code of each rank, and all that they said.
    """
    processes = killing._start_server()
    said = output.with_name(f"{output.name}.said")
    said.unlink(missing_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ranks = []
    for rank in range(2):
        environment = {
            "RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        own = [str(config), "--output", str(output), "--resume", *(arguments if rank else ())]
        ranks.append(processes.Process(target=_rank, args=(own, environment, (moments or {}).get(rank), row, said)))
        ranks[-1].start()
    for process in ranks:
        process.join(120)
        process.kill()
        process.join()
    return [process.exitcode for process in ranks], said.read_text(encoding="utf-8")


if __name__ == "__main__":
    # CONFIG OUTPUT STEP SIGNAL: the second rank has the launcher sent a signal at a step.
    is_second = os.environ["RANK"] == "1"
    moments = OfTheLauncher("step", int(sys.argv[3]), int(sys.argv[4])) if is_second else None
    _train([sys.argv[1], "--output", sys.argv[2]], moments)
