from __future__ import annotations

import pytest

from exactune.data.normalise import normalise


@pytest.mark.parametrize(
    ("a", "b"), [("漲 1.5%", "漲 15%"), ("-5 度", "5 度"), ("3:10", "310"), ("毛利率 1/2", "毛利率 12"), ("5-8", "58")]
)
def test_different_numbers_are_different_inputs(a: str, b: str) -> None:
    assert normalise(a) != normalise(b)


@pytest.mark.parametrize(("a", "b"), [("1,234 元。", "１２３４元"), ("Hello, World!", "hello world"), ("A - B", "ab")])
def test_spelling_does_not_matter(a: str, b: str) -> None:
    assert normalise(a) == normalise(b)
