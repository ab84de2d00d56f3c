"""How much of a JSON value another one has, when the items of lists may come in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from exactune.tasks.jsontext import canonical
from exactune.types import JsonValue

__all__ = ["shared_leaves"]


def shared_leaves(gold: JsonValue, predicted: JsonValue) -> Counter[str]:
    """How many leaves two values have in common, by the first key on the way to them.

    Leaves are those of :func:`~exactune.tasks.jsontext.leaves`. Texts, numbers and the like in two lists are compared
    as multisets. Objects and lists in two lists are paired, each with at most one of the other side and in the way by
    which the pairs together share most, and only leaves of a pair can be shared: ``[{"a": 1, "b": 2}, {"a": 3, "b":
    4}]`` and ``[{"a": 1, "b": 4}, {"a": 3, "b": 2}]`` have two leaves in common, not four.

    Returns:
        First key (empty where there is none) -> number of leaves.
    """
    if isinstance(gold, dict) and isinstance(predicted, dict) and gold and predicted:
        common = (key for key in gold if key in predicted)
        return Counter({key: shared_leaves(gold[key], predicted[key]).total() for key in common})
    if isinstance(gold, list) and isinstance(predicted, list) and gold and predicted:
        return _in_lists(gold, predicted)
    return Counter({"": 1}) if canonical(gold) == canonical(predicted) else Counter()


def _in_lists(gold: Sequence[JsonValue], predicted: Sequence[JsonValue]) -> Counter[str]:
    right, given = ([(canonical(item), item) for item in items] for items in (gold, predicted))
    same = Counter(text for text, _ in right) & Counter(text for text, _ in given)
    shared: Counter[str] = Counter()
    (equal, rest), (_, other) = _parted(right, same), _parted(given, same)
    for item in equal:
        shared += shared_leaves(item, item)
    for kind in (dict, list):
        shared += _paired([one for one in rest if _holds(one, kind)], [one for one in other if _holds(one, kind)])
    return shared


def _parted(items: Sequence[tuple[str, JsonValue]], same: Counter[str]) -> tuple[list[JsonValue], list[JsonValue]]:
    """The items that the other list has, too, and the rest."""
    left = same.copy()
    equal: list[JsonValue] = []
    rest: list[JsonValue] = []
    for text, item in items:
        (equal if left[text] else rest).append(item)
        left[text] -= bool(left[text])
    return equal, rest


def _holds(item: JsonValue, kind: type) -> bool:
    return isinstance(item, kind) and bool(item)


def _paired(gold: Sequence[JsonValue], predicted: Sequence[JsonValue]) -> Counter[str]:
    """What the pairs share that together share most (a linear assignment)."""
    table = [[shared_leaves(one, other) for other in predicted] for one in gold]
    if not gold or not predicted:
        return Counter()
    if len(gold) == 1 or len(predicted) == 1:
        cells = [cell for row in table for cell in row]
        return max(cells, key=Counter.total)
    # A third of a second to import, and few answers need it.
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped, unused-ignore]

    totals = [[cell.total() for cell in row] for row in table]
    pairs = zip(*linear_sum_assignment(totals, maximize=True), strict=True)
    return sum((table[row][column] for row, column in pairs), Counter())
