"""Memory: what is held, what was held at most, and what there is; of a GPU its own, else of the process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

__all__ = ["forget_peak", "held", "peak", "there_is"]

STATUS, FORGET, GROUPS = Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/self/cgroup")
CONTROL = Path("/sys/fs/cgroup")


def held(device: torch.device) -> int:
    """Bytes held now: tensors on a GPU, or what the process has in memory."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def peak(device: torch.device) -> int:
    """Most bytes held at a time, since the process began or since :func:`forget_peak`."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else _process_peak()


def _process_peak() -> int:
    # Not `ru_maxrss` where it can be had otherwise: a new process inherits its parent's.
    status = STATUS.read_text(encoding="utf-8") if STATUS.is_file() else ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


def forget_peak(device: torch.device) -> None:
    """Let :func:`peak` begin anew. Only Linux can for a process; elsewhere its peak stays that of its whole life."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif FORGET.exists():
        try:
            FORGET.write_text("5", encoding="ascii")
        except OSError:  # a sandbox that does not allow it is as one that does not have it
            return


def there_is(device: torch.device) -> int:
    """Bytes that there are at all: of the GPU, or of the machine, or of the part of it that this process may use."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    groups = GROUPS.read_text(encoding="utf-8") if GROUPS.is_file() else ""
    return min([int(psutil.virtual_memory().total), *group_limits(groups, CONTROL)])


def group_limits(groups: str, root: Path) -> Iterator[int]:
    """What control groups allow, one figure for each group that sets a limit.

    Args:
        groups: Of the process, as ``/proc/self/cgroup`` has them: lines of ``number:controllers:path``.
        root: Where control groups are mounted.
    """
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        # Of the second version, all controllers of a group are in one folder.
        top, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        folder = top / path.lstrip("/")
        for place in (folder, *folder.parents):
            file = place / name
            if file.is_file() and (text := file.read_text(encoding="ascii").strip()).isdecimal():
                yield int(text)
            if place == top:
                break
