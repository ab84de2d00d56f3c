"""Reading a run that may be unfinished: what is missing is empty, what is broken is named."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from exactune.errors import RunError
from exactune.rundir import Run, read_json, read_jsonl

__all__ = ["UNPRINTABLE", "RunFiles", "integer", "mapping", "mappings", "number", "sequence", "text"]

UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What has no place in HTML: control characters and halves of surrogate pairs, which model answers can hold."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of one run.

    Attributes:
        run: The run.
        broken: Files that could not be read, or not to their end, relative to the run; filled while reading.
    """

    run: Run
    broken: list[str] = field(default_factory=list)

    def json(self, path: Path) -> Any:
        """A JSON document, or ``None``."""
        if not path.is_file():
            return None
        try:
            return read_json(path)
        except RunError:
            self._note(path)
            return None

    def yaml(self, path: Path) -> Mapping[str, Any]:
        """A YAML mapping, or an empty one."""
        try:
            return mapping(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, yaml.YAMLError):
            self._note(path)
            return {}

    def lines(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The objects of a JSONL file, up to the first line that a killed run left unfinished."""
        try:
            yield from (mapping(row) for row in read_jsonl(path))
        except (RunError, ValueError):
            self._note(path)

    def _note(self, path: Path) -> None:
        name = path.relative_to(self.run.path).as_posix()
        if name not in self.broken:
            self.broken.append(name)


def number(value: Any) -> float | None:
    """A finite number, or ``None``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def integer(value: Any) -> int | None:
    """A whole number, or ``None``."""
    found = number(value)
    return None if found is None else int(found)


def text(value: Any) -> str:
    """A string; nothing is empty."""
    return "" if value is None else str(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping; anything else is empty."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """A list; anything else is empty."""
    return value if isinstance(value, list) else ()


def mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """The mappings of a list."""
    return (item for item in sequence(value) if isinstance(item, Mapping))
