"""Rows that are the same, or nearly (D2)."""

from __future__ import annotations

from cases import Case, dataset, ready

DECLINED = "Why was my card payment declined?"
DECLNED = "Why was my card payment declned?"
OTHER = "Where can I see my monthly statement?"

CASES = {
    "D201": Case(
        ready(dataset([("好吃", "a"), ("x", "b"), ("好吃！", "a")])), [3], ready(dataset([("好吃", "a"), ("x", "b")]))
    ),
    "D202": Case(
        ready(dataset([(DECLINED, "a"), (OTHER, "b"), (DECLNED, "a")])),
        [3],
        ready(dataset([(DECLINED, "a"), (OTHER, "b")])),
    ),
    "D203": Case(
        ready(dataset([("好吃", "a"), ("x", "b"), ("好吃", "b")])), [3], ready(dataset([("好吃", "a"), ("x", "b")]))
    ),
    "D204": Case(
        ready(dataset([(DECLINED, "a"), (OTHER, "b"), (DECLNED, "b")])),
        [3],
        ready(dataset([(DECLINED, "a"), (OTHER, "b"), (DECLNED, "a")])),
    ),
    "D205": Case(
        ready(dataset([("x", "a"), ("好吃", "b")], [("y", "a")], [("好吃。", "b")])),
        [2],
        ready(dataset([("x", "a")], [("y", "a")], [("好吃。", "b")])),
    ),
    "D206": Case(
        ready(dataset([(OTHER, "b"), (DECLNED, "a")], [(DECLINED, "a")])),
        [2],
        ready(dataset([(OTHER, "b")], [(DECLINED, "a")])),
    ),
    "D207": Case(
        ready(dataset([("x", "a"), ("好吃", "a")], [("y", "a")], [("好吃。", "b")])),
        [2],
        ready(dataset([("x", "a"), ("好吃", "b")], [("y", "a")], [("z", "b")])),
    ),
}
