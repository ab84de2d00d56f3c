from __future__ import annotations

import json

import pytest

from exactune.tasks.layout import LAYOUTS, Layout, find_layout

VALUE = {"名": ["a, b: c", "d"], "n": {"x": 1.5, "y": []}, "z": {}, "b": True}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_layout_is_known_by_its_answers(layout: Layout) -> None:
    assert find_layout([layout.dump(VALUE)] * 3) == layout
    assert json.loads(layout.dump(VALUE)) == VALUE


def test_answers_that_fit_several_layouts_do_not_outvote_one_that_tells_them_apart() -> None:
    escaped = [json.dumps({"a": text}) for text in ["plain"] * 9 + ["正面"]]
    assert find_layout(escaped) == Layout(escapes=True)
    assert find_layout(escaped[:9]) == Layout()


@pytest.mark.parametrize("digits", ["12.50", "1e5", "-0.0", "1.0E+2"])
def test_the_digits_of_numbers_are_no_layout(digits: str) -> None:
    assert find_layout([f'{{"price": {digits}}}']) == Layout()


def test_no_layout_without_a_majority() -> None:
    assert find_layout([]) is None
    assert find_layout(["no JSON"]) is None
    assert find_layout(['{ "a": 1 }', '{ "a": 2 }', '{"a": 3}']) is None
    assert find_layout(['{"a": 1, "b": 2}'] * 3 + ['{"a":1,"b":2}'] * 2) == Layout()


def test_a_layout_is_found_in_thousands_of_answers_that_are_sorted() -> None:
    answers = ['{"a": 1, "b": 2}'] * 1000 + ['{"a":1,"b":2}'] * 3000
    assert find_layout(answers) == Layout(",", ":")
