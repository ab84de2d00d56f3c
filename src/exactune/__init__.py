"""Fine-tune a language model for a task that has a right answer, and prove that the result works.

>>> import exactune
>>> run = exactune.train("task.yaml")          # doctest: +SKIP
>>> exactune.evaluate(run)["metrics"]           # doctest: +SKIP
>>> exactune.load("runs/sentiment").predict(["台積電股價大漲"])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exactune.apply import evaluate, load, predict
    from exactune.checking import check
    from exactune.config import Config
    from exactune.pipeline import train

__all__ = ["Config", "__version__", "check", "evaluate", "load", "predict", "train"]
__version__ = "0.1.0"

_HOMES = {
    "Config": "exactune.config",
    "check": "exactune.checking",
    "evaluate": "exactune.apply",
    "load": "exactune.apply",
    "predict": "exactune.apply",
    "train": "exactune.pipeline",
}


def __getattr__(name: str) -> Any:
    """Import on first use: ``import exactune`` costs milliseconds, not torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
