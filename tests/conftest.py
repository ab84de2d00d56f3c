from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

# The suite runs tiny models: threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import tiny

SHARED = Path(__file__).parents[1].parent / "shared"


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random base model of some thousand parameters."""
    return tiny.save_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data sets for development, where they are at hand."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the development data sets are not beside this checkout")
    return SHARED


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Classification rows with JSON answers that a model can learn: the word decides."""
    words = ["大漲", "重挫", "持平"]
    labels = ["正面", "負面", "中立"]
    return [
        {
            "messages": [
                {"role": "system", "content": "判斷情感。"},
                {"role": "user", "content": f"第{number}號公司股價{words[number % 3]}"},
                {"role": "assistant", "content": json.dumps({"sentiment": labels[number % 3]}, ensure_ascii=False)},
            ]
        }
        for number in range(start, start + count)
    ]


def write_jsonl(path: Path, items: Iterable[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")
    return path


@pytest.fixture
def task(tmp_path: Path, base: Path) -> Callable[..., Path]:
    """Writes rows and a config for the tiny base; keyword arguments become config keys."""

    def make(text: str = "", train: int = 24) -> Path:
        for name, count, start in (("train", train, 0), ("eval", 9, 100), ("test", 12, 200)):
            if not (tmp_path / f"{name}.jsonl").exists():
                write_jsonl(tmp_path / f"{name}.jsonl", rows(count, start))
        config = tmp_path / "task.yaml"
        config.write_text(
            f"model: {base}\ndata: {{train: train.jsonl, eval: eval.jsonl, test: test.jsonl}}\n"
            "training: {num_epochs: 2, learning_rate: 1e-3, logging_steps: 1}\n"
            f"output_dir: {tmp_path / 'run'}\n{text}",
            encoding="utf-8",
        )
        return config

    return make
