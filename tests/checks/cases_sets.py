"""Rows beside rows: labels, form, size (D3, D4, D7)."""

from __future__ import annotations

from cases import Case, dataset, labelled, ready

OBJECTS = [(str(n), '{"a": 1}') for n in range(9)]

CASES = {
    "D301": Case(ready(dataset([("x", "a"), ("y", "a")])), [None], ready(dataset([("x", "a"), ("y", "b")]))),
    "D302": Case(
        ready(dataset(labelled(), [("new", "a"), ("newer", "c")])),
        [2],
        ready(dataset([*labelled(), ("third", "c")], [("new", "a"), ("newer", "c")])),
    ),
    "D401": Case(ready(dataset([*OBJECTS, ("x", '{"a": 1')])), [10], ready(dataset([*OBJECTS, ("x", '{"a": 1}')]))),
    "D702": Case(ready(dataset(labelled(99))), [None], ready(dataset(labelled(100)))),
}
