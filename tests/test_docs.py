from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from exactune.layers import parse_mapping, resolve

ROOT = Path(__file__).parents[1]


def test_the_docs_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_shipped_config_loads() -> None:
    files = [*ROOT.glob("examples/*/task.yaml"), *ROOT.glob("benchmarks/configs/*.yaml")]
    assert len(files) >= 6
    for file in files:
        resolve([parse_mapping(yaml.safe_load(file.read_text(encoding="utf-8")), file.name)])
