"""Rows that are the same, or nearly (D2)."""

from __future__ import annotations

from cases import Case, dataset, ready

CASES = {
    "D201": Case(
        ready(dataset([("好吃", "a"), ("x", "b"), ("好吃！", "a")])), [3], ready(dataset([("好吃", "a"), ("x", "b")]))
    ),
    "D203": Case(
        ready(dataset([("好吃", "a"), ("x", "b"), ("好吃", "b")])), [3], ready(dataset([("好吃", "a"), ("x", "b")]))
    ),
    "D205": Case(
        ready(dataset([("x", "a"), ("好吃", "b")], [("y", "a")], [("好吃。", "b")])),
        [2],
        ready(dataset([("x", "a")], [("y", "a")], [("好吃。", "b")])),
    ),
    "D207": Case(
        ready(dataset([("x", "a"), ("好吃", "a")], [("y", "a")], [("好吃。", "b")])),
        [2],
        ready(dataset([("x", "a"), ("好吃", "b")], [("y", "a")], [("z", "b")])),
    ),
}
