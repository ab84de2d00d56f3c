"""Rows beside rows: repetition and form (D2, D4)."""

from __future__ import annotations

from cases import Case, dataset, ready

OBJECTS = [(str(n), '{"a": 1}') for n in range(9)]

CASES = {
    "D201": Case(
        ready(dataset([("好吃", "a"), ("x", "b"), ("好吃！", "a")])), [3], ready(dataset([("好吃", "a"), ("x", "b")]))
    ),
    "D203": Case(
        ready(dataset([("好吃", "a"), ("x", "b"), ("好吃", "b")])), [3], ready(dataset([("好吃", "a"), ("x", "b")]))
    ),
    "D205": Case(
        ready(dataset([("x", "a"), ("好吃", "a")], [("y", "a")], [("好吃。", "b")])),
        [2],
        ready(dataset([("x", "a")], [("y", "a")], [("好吃。", "b")])),
    ),
    "D401": Case(ready(dataset([*OBJECTS, ("x", '{"a": 1')])), [10], ready(dataset([*OBJECTS, ("x", '{"a": 1}')]))),
}
