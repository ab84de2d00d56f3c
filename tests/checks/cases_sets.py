"""Rows beside rows: repetition, labels, form, size (D2, D3, D4, D7)."""

from __future__ import annotations

from cases import Case, dataset, labelled, ready

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
    "D301": Case(ready(dataset([("x", "a"), ("y", "a")])), [None], ready(dataset([("x", "a"), ("y", "b")]))),
    "D302": Case(
        ready(dataset(labelled(), [("new", "a"), ("newer", "c")])),
        [2],
        ready(dataset([*labelled(), ("third", "c")], [("new", "a"), ("newer", "c")])),
    ),
    "D401": Case(ready(dataset([*OBJECTS, ("x", '{"a": 1')])), [10], ready(dataset([*OBJECTS, ("x", '{"a": 1}')]))),
    "D702": Case(ready(dataset(labelled(99))), [None], ready(dataset(labelled(100)))),
}
