"""Ranks: the processes that train one run together, under ``torchrun`` or ``accelerate launch``; most often one.

Each rank makes the same plan, holds the same weights and computes its part of every step. The first one alone writes,
evaluates and speaks. What all must agree on is exchanged here, at points that every rank comes by; one process alone
gets back what it gave. A rank that fails ends by itself: the others notice that it is gone, or the launcher ends them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from exactune.errors import ConfigError, ExactuneError, TrainingError
from exactune.language import say

__all__ = [
    "count", "from_first", "gathered", "highest", "index", "is_first", "join", "leaving", "may_speak",
    "naming_a_lost_rank", "refuse_sharding",
]  # fmt: skip

TIMEOUT = timedelta(days=1)
"""Others wait while the first rank evaluates or writes. One that is dead is noticed at once, by its connections."""
REASON_SECONDS = 3.0
"""For a rank that fails to say why, before those that only noticed speak."""
SHARDING = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


@dataclass(frozen=True, slots=True)
class _Group:
    """The ranks that have met.

    Attributes:
        index: Of this process.
        count: How many there are.
        talk: Over gloo, whatever gradients travel on: flags need no GPU.
        store: Names that the ranks share; it outlives a rank that fails if the launcher keeps it.
    """

    index: int
    count: int
    talk: Any
    store: Any


Value = TypeVar("Value")

_group: _Group | None = None
_follows = False
"""Whether this process fails because another one did."""
_speaks: bool | None = None
"""Whether this process says why the run ends; None if it has not asked."""


def join() -> None:
    """Meet the other processes of the launch, if there are any; each takes a GPU of its own.

    Raises:
        ConfigError: The launch is incomplete, or has more processes than GPUs.
    """
    global _group
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if _group is not None or size < 2:
        return
    import torch
    from torch import distributed

    gpus = torch.cuda.device_count()
    if 0 < gpus <= local:
        raise ConfigError(
            say(
                "there are more processes than GPUs on this machine ({gpus}). Start one for each: "
                "torchrun --nproc_per_node={gpus}.",
                gpus=gpus,
            )
        )
    if gpus:
        torch.cuda.set_device(local)
    if not distributed.is_initialized():
        try:
            distributed.init_process_group("nccl" if gpus else "gloo", timeout=TIMEOUT)
        except ValueError as error:
            raise ConfigError(
                say(
                    "WORLD_SIZE is {size}, but this process was not started by torchrun or accelerate launch "
                    "({error}). Start it by one of them, or unset WORLD_SIZE.",
                    size=size,
                    error=error,
                )
            ) from error
    talk = distributed.new_group(backend="gloo", timeout=TIMEOUT)
    store = distributed.distributed_c10d._get_default_store()
    _group = _Group(distributed.get_rank(), distributed.get_world_size(), talk, store)


def index() -> int:
    """Which of the ranks this process is."""
    return 0 if _group is None else _group.index


def count() -> int:
    """How many ranks there are."""
    return 1 if _group is None else _group.count


def is_first() -> bool:
    """Whether this is the rank that writes and speaks."""
    return index() == 0


def refuse_sharding(engine: str) -> None:
    """Say early that every rank must hold the whole model.

    Args:
        engine: As the config has it.

    Raises:
        ConfigError: The launcher was told to spread its weights over the ranks.
    """
    way = next((name for key, name in SHARDING.items() if os.environ.get(key, "").lower() in ("1", "true")), None)
    if way is None:
        return
    if engine == "tree":
        raise ConfigError(
            say(
                "`training.engine: tree`: trees need the whole weights on each process, and {way} spreads them over "
                "all. Use DDP: torchrun --nproc_per_node=N --no-python exactune train CONFIG.",
                way=way,
            )
        )
    raise ConfigError(
        say(
            "{way} spreads the weights over the processes; checkpoints and evaluation here need them whole on each. "
            "Use DDP: torchrun --nproc_per_node=N --no-python exactune train CONFIG.",
            way=way,
        )
    )


def highest(number: int) -> int:
    """The highest of the numbers that the ranks give."""
    if _group is None:
        return number
    import torch
    from torch import distributed

    tensor = torch.tensor(int(number))
    distributed.all_reduce(tensor, distributed.ReduceOp.MAX, group=_group.talk)
    return int(tensor)


def gathered(value: Value) -> list[Value]:
    """What each rank gives, in their order."""
    if _group is None:
        return [value]
    from torch import distributed

    values: list[Any] = [None] * _group.count
    distributed.all_gather_object(values, value, group=_group.talk)
    return values


def from_first(work: Callable[[], Value]) -> Value:
    """Let the first rank do some work; all get its result, and none goes on before.

    Raises:
        TrainingError: On the other ranks, when the work raised something.
    """
    if _group is None:
        return work()
    result: tuple[Value] | None = None
    if _group.index:
        result = _broadcast(None)
        if result is None:
            raise _following(say("The first process of this run has failed; what it said tells why."))
    else:
        try:
            result = (work(),)
        except BaseException:
            with contextlib.suppress(RuntimeError):
                _broadcast(None)
            raise
        _broadcast(result)
    return result[0]


def _broadcast(value: Any) -> Any:
    from torch import distributed

    assert _group is not None
    box = [value]
    distributed.broadcast_object_list(box, src=0, group=_group.talk)
    return box[0]


@contextmanager
def naming_a_lost_rank() -> Iterator[None]:
    """Turn what the loss of another rank looks like into a message.

    Raises:
        TrainingError: Instead of the error of the connection.
    """
    try:
        yield
    except RuntimeError as error:
        if _group is None or isinstance(error, ExactuneError) or not _is_of_a_connection(error):
            raise
        raise _following(
            say(
                "Another process of this run has ended, so this one cannot go on. Its own messages, or the launcher's, "
                "tell why; go on from the last checkpoint with the same command and --resume."
            )
        ) from error


def _is_of_a_connection(error: RuntimeError) -> bool:
    from torch import distributed

    return isinstance(error, distributed.DistError) or "gloo" in str(error).lower()


def _following(message: str) -> TrainingError:
    global _follows
    _follows = True
    return TrainingError(message)


def _await_reason() -> None:
    assert _group is not None
    with contextlib.suppress(RuntimeError):
        _group.store.wait(["said"], timedelta(seconds=REASON_SECONDS))


def may_speak() -> bool:
    """Whether this process says why the run ends: the first one to ask does, since others may fail because of it."""
    global _speaks
    if _group is None:
        return True
    # A launcher sends them to whoever is left; they come too late.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if _follows:
        _await_reason()
    try:
        _speaks = _group.store.add("speakers", 1) == 1
    except RuntimeError:
        _speaks = True
    return _speaks


@contextmanager
def leaving() -> Iterator[None]:
    """End the process with the block where there are other ranks.

    Without the interpreter's own end: while gloo's threads still run it aborts the process now and then.
    """
    code: Any = 0
    try:
        yield
    except SystemExit as end:
        if _group is None:
            raise
        code = end.code
    except BaseException:
        if _group is None:
            raise
        traceback.print_exc()
        code = 1
    if _group is None:
        return
    # A launcher ends all others once one has failed, so whoever speaks has to finish first.
    if _speaks is False:
        _await_reason()
    elif _speaks:
        with contextlib.suppress(RuntimeError):
            _group.store.set("said", "")
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
