"""A confusion matrix of many labels, made readable: those that are mistaken for each other, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from exactune.report.scores import OTHERS, Confusion

__all__ = ["clustered", "zoomed"]

MOST = 12
"""Labels of the part that is shown large."""


def clustered(confusion: Confusion) -> Confusion:
    """The same counts with labels in another order, each beside those it is confused with; the clean ones come last."""
    order = _order(confusion, list(range(len(confusion.rows))))
    return _part(confusion, order, rest=False)


def zoomed(confusion: Confusion, most: int = MOST) -> Confusion | None:
    """The labels of the most frequent confusions, with all other predictions in one column; ``None`` without any."""
    places = {name: place for place, name in enumerate(confusion.rows)}
    chosen: dict[int, None] = {}
    for pair in confusion.confused():
        new = [places[name] for name in (pair.gold, pair.predicted) if name in places and places[name] not in chosen]
        if len(chosen) + len(new) > most:
            break
        chosen |= dict.fromkeys(new)
    return _part(confusion, _order(confusion, list(chosen)), rest=True) if chosen else None


def _links(confusion: Confusion) -> list[list[int]]:
    """How often two labels were mistaken for each other, either way."""
    size = range(len(confusion.rows))
    matrix = confusion.matrix
    return [[matrix[one][two] + matrix[two][one] if one != two else 0 for two in size] for one in size]


def _order(confusion: Confusion, labels: Sequence[int]) -> list[int]:
    """Some labels so that each follows the one it is most linked to: Prim's way through the graph of confusions."""
    links = _links(confusion)
    left = dict.fromkeys(sorted(labels, key=lambda one: -max(links[one], default=0)))
    order: list[int] = []
    near = dict.fromkeys(left, 0)
    while left:
        # Among equals the first left, which has the strongest link of its own.
        best = max(left, key=lambda one: near[one])
        del left[best]
        order.append(best)
        near = {one: max(near[one], links[best][one]) for one in left}
    return order


def _part(confusion: Confusion, labels: Sequence[int], *, rest: bool) -> Confusion:
    """Rows and columns of some labels; with ``rest``, what was predicted besides them is one more column."""
    rows = len(confusion.rows)
    names = [confusion.rows[place] for place in labels]
    matrix = []
    for place in labels:
        counts = [confusion.matrix[place][other] for other in labels]
        others = [sum(confusion.matrix[place][:rows]) - sum(counts)] if rest else []
        matrix.append((*counts, *others, *confusion.matrix[place][rows:]))
    columns = (*names, *([OTHERS] if rest else []), *confusion.columns[rows:])
    return Confusion(tuple(names), columns, tuple(matrix))
