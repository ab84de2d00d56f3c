"""Work in a process of its own: what it holds in memory at most is then its own, and what it leaves behind is gone.

What it says comes over a pipe. A signal is handed on to it, so that a training saves a checkpoint; if this process is
killed, the pipe breaks, and the next thing that the work has to say ends it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from exactune import errors
from exactune.errors import ExactuneError, Interrupted, TrainingError
from exactune.infer.model import default_device
from exactune.language import say
from exactune.pipeline import Say
from exactune.quiet import quiet_libraries
from exactune.stop import StopNow, StopRequest, listening
from exactune.train.fit import Display
from exactune.train.memory import peak

__all__ = ["Work", "apart", "here"]

Work = Callable[[Say, Display], Any]
"""Something to do, which tells what it does and how training advances; it and its result can be pickled."""

POLL = 0.2
"""Seconds between two looks at whether a signal came."""


def here(work: Work, tell: Say, display: Display | None, stop: StopRequest) -> tuple[Any, float]:
    """The same as :func:`apart` in this process; the peak is then that of all that it has done so far."""
    del stop
    return work(tell, display or _Nobody()), _peak()


def apart(work: Work, tell: Say, display: Display | None, stop: StopRequest) -> tuple[Any, float]:
    """Do some work in a new process.

    Args:
        work: What to do.
        tell: Told what the work tells.
        display: Shown what the work shows.
        stop: A signal that came is handed on.

    Returns:
        What the work returned, and the most memory that it held (MB).

    Raises:
        ExactuneError: As the work raised it.
        TrainingError: The system ended the process, as it does where memory runs out.
        Interrupted: The work was asked to stop.
    """
    context = _context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)  # type: ignore[attr-defined]
    try:
        with stop.deferring():
            process.start()
            theirs.close()
            return _followed(ours, process, tell, display or _Nobody(), stop)
    finally:
        if process.is_alive():
            process.terminate()
        process.join()
        ours.close()


def _context() -> BaseContext:
    """Where the system can, from a process that has loaded the libraries and computed nothing: that takes seconds."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["exactune.studies.training", "exactune.studies.mine"])
    return context


def _followed(
    connection: Connection, process: BaseProcess, tell: Say, display: Display, stop: StopRequest
) -> tuple[Any, float]:
    shown: Mapping[str, Callable[..., None]] = {
        "said": tell, "step": display.step, "evaluated": display.evaluated,
    }  # fmt: skip
    asked = False
    while True:
        if stop and not asked and process.pid is not None:
            asked = True
            os.kill(process.pid, stop.signal_number or signal.SIGTERM)
        if not connection.poll(POLL):
            if process.is_alive() or connection.poll():
                continue
            break
        try:
            kind, values = connection.recv()
        except EOFError:
            break
        if kind in shown:
            shown[kind](*values)
        elif kind == "done":
            result, most = values
            return result, most
        elif kind == "stopped":
            raise Interrupted(*values)
        else:
            name, message = values
            raise getattr(errors, name)(message)
    process.join()
    if asked:
        raise Interrupted(say("Stopped."), stop.signal_number or signal.SIGTERM)
    assert process.exitcode is not None
    if process.exitcode < 0:
        raise TrainingError(
            say(
                "its process was ended by signal {number}; 9 is what a system sends that has no memory left.",
                number=-process.exitcode,
            )
        )
    raise RuntimeError(f"the process ended with exit code {process.exitcode}; what went wrong is printed above")


def _serve(connection: Connection, work: Work) -> None:
    """In the new process: do the work, say what became of it."""
    if hasattr(os, "setsid"):
        # The terminal's signals come through the parent, once.
        os.setsid()
    quiet_libraries()
    with listening() as stop:
        try:
            result = work(lambda line: connection.send(("said", (line,))), _Remote(connection))
            connection.send(("done", (result, _peak())))
        except Interrupted as error:
            connection.send(("stopped", (str(error), error.signal_number)))
        except StopNow:
            connection.send(("stopped", (say("Stopped."), stop.signal_number or signal.SIGTERM)))
        except ExactuneError as error:
            connection.send(("failed", (type(error).__name__, str(error))))


def _peak() -> float:
    """MB."""
    return round(peak(default_device()) / 1e6, 1)


class _Remote:
    """A display at the other end of a pipe."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        self.connection.send(("step", (step, steps, dict(newest))))

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        self.connection.send(("evaluated", (epoch, dict(metrics), is_best)))


class _Nobody:
    """A display for nobody."""

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        """Nothing to show."""

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        """Nothing to show."""
