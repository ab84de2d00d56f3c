"""Several labels per answer, by hand."""

from collections import Counter

import pytest

from exactune.tasks import MultiLabelTask, Parsed
from exactune.types import Status

TASK = MultiLabelTask(("food", "price", "service"))


def totals(*pairs: tuple[str, str]) -> Counter:
    summed: Counter = Counter()
    for gold, given in pairs:
        summed.update(TASK.score(TASK.parse(gold), TASK.parse(given)).counts)
    return summed


def test_by_hand() -> None:
    summed = totals(('["food", "price"]', '["price", "food", "food"]'), ('["food"]', '["price", "zzz"]'), ("[]", "[]"))
    # food 1 of 2 found: 2/3. price once right, once wrong: 2/3. Three right labels, four given, two in both.
    assert TASK.aggregate(summed) == pytest.approx(
        {"macro_f1": 2 / 3, "micro_f1": 2 * 2 / 7, "exact_match": 2 / 3, "valid_json": 1}
    )
    assert list(TASK.per_label(summed)) == ["food", "price"]
    assert TASK.per_label(summed)["price"] == pytest.approx(
        {"precision": 1 / 2, "recall": 1, "f1": 2 / 3, "support": 1}
    )
    assert TASK.confusion(summed) is None


def test_right_answers_outside_the_set_are_misses() -> None:
    values = TASK.aggregate(totals(('["new"]', '["new"]')))
    assert (values["macro_f1"], values["micro_f1"], values["exact_match"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["price", "food", "price"]', Parsed(["price", "food"], Status.OK)),
        ("[]", Parsed([], Status.OK)),
        ('["price", "x"]', Parsed(["price", "x"], Status.UNKNOWN_LABEL)),
        ('"price"', Parsed(None, Status.INVALID_SCHEMA)),
        ('["price", 1]', Parsed(None, Status.INVALID_SCHEMA)),
        ('{"a": ["price"]}', Parsed(None, Status.INVALID_SCHEMA)),
        ("price", Parsed(None, Status.INVALID_JSON)),
        (" ", Parsed(None, Status.EMPTY)),
    ],
)
def test_parse(text: str, expected: Parsed) -> None:
    assert TASK.parse(text) == expected


def test_under_a_key() -> None:
    task = MultiLabelTask(("food", "price"), "about")
    assert task.parse('{"about": ["food"]}') == Parsed(["food"], Status.OK)
    assert task.parse('["food"]').status is Status.INVALID_SCHEMA
    assert task.describe() == "classification, any of 2 labels under `about`: food, price"
