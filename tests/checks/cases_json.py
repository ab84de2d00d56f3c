"""Answers beside answers (D4)."""

from __future__ import annotations

from cases import Case, dataset, ready

OBJECTS = [(str(n), '{"a": 1}') for n in range(9)]

CASES = {
    "D401": Case(ready(dataset([*OBJECTS, ("x", '{"a": 1')])), [10], ready(dataset([*OBJECTS, ("x", '{"a": 1}')]))),
}
