"""Fine-tune a language model for a task that has a right answer, and prove that the result works.

>>> import exactune
>>> run = exactune.train("task.yaml")          # doctest: +SKIP
>>> exactune.evaluate(run)["metrics"]           # doctest: +SKIP
>>> exactune.load("runs/sentiment").predict(["台積電股價大漲"])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exactune.apply import evaluate, load, predict
    from exactune.checking import check
    from exactune.config import Config
    from exactune.studies.training import train

__all__ = ["Config", "__version__", "check", "evaluate", "load", "predict", "train"]
__version__ = "0.1.0"

_HOMES = {
    "Config": "exactune.config",
    "check": "exactune.checking",
    "evaluate": "exactune.apply",
    "load": "exactune.apply",
    "predict": "exactune.apply",
    "train": "exactune.studies.training",
}


class _Package(ModuleType):
    """This package: functions whose names its subpackages share, imported on first use.

    ``import exactune`` costs milliseconds, not torch. See design/0001-functions-and-folders-of-one-name.md.
    """

    def __getattr__(self, name: str) -> Any:
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a subpackage to its parent; `train` and `evaluate` are taken by our functions.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
