"""Every error a user can meet, in one small tree.

::

    ExactuneError                      exit code 2: the user must change something
    ├── ConfigError     (ValueError)   a config file, ``--patch`` or ``--set`` that cannot be used
    ├── DataError       (ValueError)   rows that cannot be used; carries the findings
    ├── ModelError      (OSError)      a model that cannot be found, loaded or adapted
    ├── TemplateError   (ValueError)   a chat template that cannot render a conversation
    ├── RunError        (OSError)      a run folder that is missing, foreign or cannot be written
    ├── MissingExtra    (ImportError)  an optional dependency that is not installed
    └── TrainingError   (RuntimeError) a run that had to stop: non-finite loss, no gradient
    Interrupted         (InterruptedError)  a run stopped by Ctrl-C or SIGTERM; exit code 130 or 143

A message says what happened, where (``file:line`` or config path), what was found there and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

from exactune.rules import Finding

__all__ = [
    "ConfigError",
    "DataError",
    "ExactuneError",
    "Interrupted",
    "MissingExtra",
    "ModelError",
    "RunError",
    "TemplateError",
    "TrainingError",
]


class ExactuneError(Exception):
    """Something the user must change; printed without a traceback, exit code 2."""


class ConfigError(ExactuneError, ValueError):
    """A config value that cannot be used."""


class DataError(ExactuneError, ValueError):
    """Rows that cannot be used.

    Args:
        message: What happened and what to do.
        findings: The findings that say where, worst first.
    """

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class ModelError(ExactuneError, OSError):
    """A model that cannot be found, loaded or adapted."""


class TemplateError(ExactuneError, ValueError):
    """A chat template that cannot render a conversation."""


class RunError(ExactuneError, OSError):
    """A run folder that is missing, belongs to another run or cannot be written."""


class MissingExtra(ExactuneError, ImportError):
    """An optional dependency that is not installed."""


class TrainingError(ExactuneError, RuntimeError):
    """A run that had to stop because going on would have been wrong."""


class Interrupted(InterruptedError):
    """The run was asked to stop, and saved a checkpoint first if it was training.

    Args:
        message: What was saved and how to go on.
        signal_number: 2 for SIGINT, 15 for SIGTERM; the exit code is 128 plus it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
