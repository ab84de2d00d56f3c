from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

# The suite runs tiny models: threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Whatever the locale of who runs the suite.
os.environ["EXACTUNE_LANG"] = "en"

import tiny
from made import write_task


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Never the cache of who runs the suite."""
    os.environ["EXACTUNE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> None:
    """Files are flushed dozens of times a run, which only a loss of power would tell from this."""
    os.fsync = os.fstat


@pytest.fixture(scope="module", autouse=True)
def _libraries_set_aside() -> None:
    """A run collects garbage twice; without the half million objects of the libraries, in no time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random base model of some thousand parameters."""
    return tiny.save_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random base model whose rows fill the blocks in which weights are quantized."""
    return tiny.save_base(tmp_path_factory.mktemp("wide"), width=64)


@pytest.fixture
def task(tmp_path: Path, base: Path) -> Callable[..., Path]:
    """Writes rows and a config for the tiny base; keyword arguments become config keys."""

    def make(text: str = "", train: int = 24) -> Path:
        settings = "training: {num_epochs: 2, learning_rate: 1e-3, logging_steps: 1}\n"
        return write_task(tmp_path, base, f"{settings}output_dir: {tmp_path / 'run'}\n{text}", (train, 9, 12))

    return make
