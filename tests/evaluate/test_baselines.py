"""Baselines."""

import pytest

from exactune.evaluate.baselines import linear, majority
from exactune.types import Example, Location, Message


def rows(*pairs: tuple[str, str]) -> list[Example]:
    return [
        Example(str(line), (Message("system", "Sort."), Message("user", text)), answer, Location("t", line), "chat")
        for line, (text, answer) in enumerate(pairs, 1)
    ]


TRAIN = rows(
    *[(f"great tasty food {number}", '{"s": "good"}') for number in range(8)],
    *[(f"slow cold bad food {number}", '{"s": "bad"}') for number in range(6)],
    *[(f"送餐很快好吃{number}", '{"s": "good"}') for number in range(6)],
    *[(f"太慢難吃{number}", '{"s": "bad"}') for number in range(6)],
)


def test_majority() -> None:
    assert majority(["a", "b", "b"], 2) == ["b", "b"]
    assert majority(["x", "b", "a", "a", "b"], 1) == ["b"]
    with pytest.raises(ValueError, match="no training answers"):
        majority([], 1)


def test_linear_learns() -> None:
    unseen = rows(("tasty and great", ""), ("bad and cold", ""), ("真的好吃", ""), ("難吃又慢", ""), ("", ""))
    answers = linear(TRAIN, unseen)
    assert answers[:4] == ['{"s": "good"}', '{"s": "bad"}', '{"s": "good"}', '{"s": "bad"}']
    assert answers == linear(TRAIN, unseen)
    assert set(answers) <= {row.answer for row in TRAIN}


def test_linear_without_anything_to_learn() -> None:
    assert linear(rows(("x", "a"), ("y", "a")), rows(("z", "b"))) == ["a"]
    assert linear(rows(("", "a"), (" ?", "b"), ("", "b")), rows(("z", "b"))) == ["b"]
    assert linear(TRAIN, []) == []
