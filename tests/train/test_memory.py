"""What a process holds, and what it may."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from exactune.train.memory import FORGET, forget_peak, group_limits, held, peak, there_is

CPU = torch.device("cpu")
SIZE = 200_000_000


def test_a_tensor_is_in_what_is_held_and_stays_in_the_peak() -> None:
    before = held(CPU)
    tensor = torch.ones(SIZE, dtype=torch.uint8)
    during = held(CPU)
    del tensor
    assert during - before > 0.95 * SIZE
    assert held(CPU) < during - 0.9 * SIZE
    assert peak(CPU) >= 0.99 * during, "the kernel counts pages in portions"


@pytest.mark.skipif(not FORGET.exists(), reason="only Linux lets a process forget its peak")
def test_a_peak_can_be_forgotten() -> None:
    tensor = torch.ones(SIZE, dtype=torch.uint8)
    most = peak(CPU)
    del tensor
    forget_peak(CPU)
    assert peak(CPU) < most - 0.9 * SIZE


def test_there_is_no_more_than_the_machine_has() -> None:
    assert held(CPU) < there_is(CPU)
    if sys.platform == "linux":
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        assert there_is(CPU) <= int(lines[0].split()[1]) * 1024


def test_limits_of_control_groups_are_found_in_the_group_and_above_it(tmp_path: Path) -> None:
    for place, text in {"memory.max": "max", "a/memory.max": "5000", "a/b/memory.max": "7000"}.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text + "\n")
    assert [*group_limits("0::/a/b\n", tmp_path)] == [7000, 5000]
    assert [*group_limits("0::/a\n", tmp_path)] == [5000]
    # Seen from inside a container, the path may lead nowhere; what is mounted is the container's own group.
    (tmp_path / "memory.max").write_text("3000\n")
    assert [*group_limits("0::/elsewhere/entirely\n", tmp_path)] == [3000]


def test_limits_of_the_first_version_are_found_under_their_controller(tmp_path: Path) -> None:
    (tmp_path / "memory" / "job").mkdir(parents=True)
    (tmp_path / "memory" / "job" / "memory.limit_in_bytes").write_text("4096\n")
    groups = "11:cpu,cpuacct:/job\n7:memory:/job\n1:name=systemd:/job\n"
    assert [*group_limits(groups, tmp_path)] == [4096]
