"""Stopping on request: the first Ctrl-C or SIGTERM asks, the second one insists."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StopEvaluation", "StopRequest", "listening"]


class StopEvaluation(Exception):
    """Raised inside an evaluation to end it early; it never leaves the training loop."""


class StopRequest:
    """Whether, and by which signal, the run was asked to stop."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        if self:
            raise KeyboardInterrupt
        self.signal_number = number

    def check(self, _: int = 0) -> None:
        """Raise :class:`StopEvaluation` if asked to stop; fits as an ``advance`` callable."""
        if self:
            raise StopEvaluation


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Catch SIGINT and SIGTERM for the duration of the block.

    Python allows handlers in the main thread only; elsewhere (a notebook server's worker) signals keep their meaning.
    """
    request = StopRequest()
    try:
        before = {number: signal.signal(number, request.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        before = {}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
