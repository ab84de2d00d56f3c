"""Trees hold every row, and nothing else."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exactune.render.packing import CostModel, Tree, cut, pack, shared

Rows = list[tuple[list[int], int]]
ROW = st.lists(st.integers(0, 2), min_size=2, max_size=9)
ROWS = st.lists(st.tuples(ROW, st.integers(1, 8)), min_size=1, max_size=8)
FREE = CostModel(pair=0.0, call=1.0, budget=10**9)


def prepared(drawn: Rows) -> Rows:
    return sorted((row, min(answer, len(row) - 1)) for row, answer in drawn)


def seen_by(tree: Tree, place: int) -> list[int]:
    """The tokens that a position attends to, itself last."""
    return tree.input_ids[tree.mask()[0, 0, place]].tolist()


@given(ROW, ROW)
def test_shared_is_the_common_prefix(first: list[int], second: list[int]) -> None:
    pairs = list(zip(first, second, strict=False))
    assert shared(first, second) == next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))


@given(ROWS)
@settings(max_examples=300)
def test_every_token_sees_its_own_row_and_stands_at_its_depth(drawn: Rows) -> None:
    rows = prepared(drawn)
    tree = pack(rows)
    prefixes = {tuple(row[: depth + 1]) for row, _ in rows for depth in range(len(row) - 1)}
    seen = [tuple(seen_by(tree, place)) for place in range(len(tree))]
    assert sorted(seen) == sorted(prefixes), "each prefix once"
    assert tree.position_ids.tolist() == [len(tokens) - 1 for tokens in seen]


@given(ROWS)
@settings(max_examples=300)
def test_every_answer_token_is_predicted_from_what_comes_before_it_as_often_as_rows_have_it(drawn: Rows) -> None:
    rows = prepared(drawn)
    tree = pack(rows)
    found: dict[tuple[int, ...], float] = {}
    for index, target, weight in zip(tree.predicted_from, tree.target, tree.weight, strict=True):
        path = (*seen_by(tree, int(tree.source[index])), int(target))
        assert path not in found
        found[path] = float(weight)
    wanted: dict[tuple[int, ...], float] = {}
    for row, answer in rows:
        for depth in range(len(row) - answer, len(row)):
            path = tuple(row[: depth + 1])
            wanted[path] = wanted.get(path, 0) + 1
    assert found == wanted
    assert tree.source.tolist() == sorted(set(tree.source.tolist()))


def cost_of(rows: list[list[int]], runs: list[list[int]], cost: CostModel) -> float:
    return sum(cost(len(pack([(rows[index], 1) for index in run]))) for run in runs)


@given(st.lists(ROW, min_size=1, max_size=6), st.sampled_from([0.0, 0.02, 0.2]), st.sampled_from([0.5, 4.0]))
@settings(max_examples=200)
def test_no_split_of_the_sorted_rows_is_cheaper(rows: list[list[int]], pair: float, call: float) -> None:
    cost = CostModel(pair, call)
    runs = cut(rows, cost)
    assert sorted(index for run in runs for index in run) == list(range(len(rows)))
    order = [index for run in runs for index in run]
    assert [rows[index] for index in order] == sorted(rows)
    for joins in product([False, True], repeat=len(rows) - 1):
        other: list[list[int]] = [[order[0]]]
        for index, joined in zip(order[1:], joins, strict=True):
            if joined:
                other[-1].append(index)
            else:
                other.append([index])
        assert cost_of(rows, runs, cost) <= cost_of(rows, other, cost) + 1e-9


@pytest.mark.parametrize("budget", [5, 40, 200, 1000])
def test_a_tree_keeps_to_its_budget_unless_one_row_does_not(budget: int) -> None:
    draw = random.Random(0)
    rows = [[1] * 30 + [draw.randrange(9) for _ in range(draw.randrange(1, 60))] for _ in range(40)]
    runs = cut(rows, CostModel(pair=0.0, budget=budget))
    for run in runs:
        assert len(run) == 1 or len(pack([(rows[index], 1) for index in run])) <= budget
    assert (len(runs) == 1) == (budget == 1000 and len(pack([(row, 1) for row in sorted(rows)])) <= 1000)


def test_rows_without_anything_in_common_stand_apart_where_pairs_cost() -> None:
    rows = [[first, *range(10, 110)] for first in range(4)]
    assert len(cut(rows, FREE)) == 1
    assert len(cut(rows, CostModel(pair=0.05, call=1.0))) == 4


def test_equal_rows_are_one_path_that_counts_for_each() -> None:
    tree = pack([([5, 6, 7], 1)] * 3)
    assert tree.input_ids.tolist() == [5, 6]
    assert (tree.target.tolist(), tree.weight.tolist()) == ([7], [3.0])
