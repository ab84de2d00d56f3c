"""Stopping on request: Ctrl-C and SIGTERM end the work at once, or, while a training loop runs, at its next safe point.

In a training loop the first signal asks and the second one insists.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from exactune import ranks

__all__ = ["StopEvaluation", "StopNow", "StopRequest", "held", "listening"]


class StopNow(BaseException):
    """Raised where a signal finds nothing worth saving. No ``except Exception`` of a library may hold it up."""


class StopEvaluation(Exception):
    """Raised inside an evaluation to end it early; it never leaves the training loop."""


class StopRequest:
    """Whether, and by which signal, the work was asked to stop.

    Attributes:
        signal_number: The first signal that came.
        deferred: A loop looks at the request by itself, so the first signal raises nothing.
        patient: A second one does not insist: launchers of several ranks repeat what the terminal or the batch system
            sent already.
        resumable: There is something on the disk to go on with.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.deferred = False
        self.patient = False
        self.resumable = False

    def __bool__(self) -> bool:
        return self.signal_number is not None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        insists, self.signal_number = bool(self), self.signal_number or number
        if (insists and not self.patient) or not self.deferred:
            raise StopNow

    def check(self, _: int = 0) -> None:
        """Raise :class:`StopEvaluation` if asked to stop; fits as an ``advance`` callable."""
        if self:
            raise StopEvaluation

    def agreed(self) -> bool:
        """Whether any rank was asked to stop; then all are. Every rank calls it at the same points."""
        number = ranks.highest(self.signal_number or 0)
        # One that came meanwhile to this rank alone waits for the next time.
        if number:
            self.signal_number = number
        return number > 0

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """Within the block the first signal only sets the request."""
        self.deferred = True
        try:
            yield
        finally:
            self.deferred = False


@contextmanager
def held() -> Iterator[None]:
    """Let signals wait until the block ends; while libraries load, theirs may swallow what a handler raises."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
