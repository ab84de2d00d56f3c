"""Two processes train what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

HERE = Path(__file__).parent


def run(output: Path, ranks: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"] if ranks > 1 else []
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, *launcher, str(HERE / "two_ranks.py"), str(output), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "ACCELERATE_USE_CPU": "true"},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def trained(output: Path, ranks: int, *arguments: str) -> dict[str, Any]:
    process = run(output, ranks, *arguments)
    assert process.returncode == 0, process.stderr
    return json.loads(output.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("engine", "rows", "step"),
    [("tree", "39", "8"), ("plain", "17", "4")],
    ids=["a rank with less", "a rank with none"],
)
def test_two_ranks_are_one(engine: str, rows: str, step: str, tmp_path: Path) -> None:
    one = trained(tmp_path / "one.json", 1, engine, rows, step)
    two = trained(tmp_path / "two.json", 2, engine, rows, step)
    assert len(one["lines"]) == len(two["lines"]) == 20
    for (loss, _), (other, _) in zip(one["lines"], two["lines"], strict=True):
        assert other == pytest.approx(loss, rel=1e-5)
    weights, others = torch.tensor(one["weights"]), torch.tensor(two["weights"])
    assert float((weights - others).norm() / weights.norm()) < 1e-4


def test_a_rank_that_dies_ends_the_run(tmp_path: Path) -> None:
    process = run(tmp_path / "out.json", 2, "tree", "40", "8", "die")
    assert process.returncode != 0
    assert not (tmp_path / "out.json").exists()
