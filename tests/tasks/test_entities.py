"""Entities by hand."""

from collections import Counter

import pytest

from exactune.tasks import EntitiesTask
from exactune.types import Status

TASK = EntitiesTask(("PER", "LOC"))


def aggregate(*pairs: tuple[str, str]) -> dict[str, float]:
    totals: Counter = Counter()
    for gold, predicted in pairs:
        totals.update(TASK.score(TASK.parse(gold), TASK.parse(predicted)).counts)
    return TASK.aggregate(totals)


@pytest.mark.parametrize(
    "text",
    [
        '{"PER": ["Ann"], "LOC": ["Rome"]}',
        '{"LOC": ["Rome"], "PER": ["Ann"], "ORG": []}',
        '{"entities": {"PER": ["Ann"], "LOC": ["Rome"]}}',
        '[{"text": "Ann", "type": "PER"}, {"span": "Rome", "label": "LOC", "start": 3, "end": 7}]',
        '{"entities": [{"category": "LOC", "word": "Rome"}, {"entity": "Ann", "type": "PER"}]}',
    ],
)
def test_every_way_of_writing_means_the_same(text: str) -> None:
    assert TASK.parse(text).status is Status.OK
    assert aggregate(('{"PER": ["Ann"], "LOC": ["Rome"]}', text)) == {
        "entity_f1": 1,
        "entity_macro_f1": 1,
        "entity_partial_f1": 1,
        "exact_match": 1,
        "valid_json": 1,
        "invented_spans": 0,
    }


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"PER": "Ann"}', Status.INVALID_SCHEMA),
        ('{"PER": [1]}', Status.INVALID_SCHEMA),
        ('{"PER": ["a"], "LOC": [["b"]]}', Status.INVALID_SCHEMA),
        ('["Ann"]', Status.INVALID_SCHEMA),
        ('[{"text": "Ann"}]', Status.INVALID_SCHEMA),
        ('[{"text": "Ann", "type": null}]', Status.INVALID_SCHEMA),
        ("3", Status.INVALID_SCHEMA),
        ("PER: Ann", Status.INVALID_JSON),
        ("", Status.EMPTY),
        ("{}", Status.OK),
        ("[]", Status.OK),
        ('{"entities": []}', Status.OK),
        ('{"ORG": ["UN"]}', Status.OK),
    ],
)
def test_status(text: str, status: Status) -> None:
    assert TASK.parse(text).status is status


def test_f1_by_hand() -> None:
    gold = '{"PER": ["Ann", "Ann", "Bob"], "LOC": ["Rome"]}'
    given = '{"PER": ["Ann", "Rome"], "LOC": ["Rome"], "ORG": ["UN"]}'
    # 4 right, 4 given, both: Ann once, Rome as LOC. PER 2/5, LOC 1, ORG (unknown, given) 0.
    assert aggregate((gold, given)) == pytest.approx(
        {
            "entity_f1": 2 * 2 / 8,
            "entity_macro_f1": (2 / 5 + 1 + 0) / 3,
            "entity_partial_f1": 2 * 2 / 8,
            "exact_match": 0,
            "valid_json": 1,
            "invented_spans": 0,
        }
    )
    counts = TASK.score(TASK.parse(gold), TASK.parse(given)).counts
    assert list(TASK.per_label(counts)) == ["PER", "LOC", "ORG"]
    assert TASK.per_label(counts)["PER"] == pytest.approx(
        {"precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5, "support": 3}
    )


def test_rows_without_entities() -> None:
    assert aggregate(("{}", "{}"))["entity_f1"] == 1
    assert aggregate(("{}", '{"PER": ["Ann"]}'))["entity_f1"] == 0
    assert aggregate(('{"PER": ["Ann"]}', "{}"))["entity_f1"] == 0
    assert aggregate(("{}", "{"), ("{}", "[]"))["exact_match"] == 0.5
    # An empty row that is right weighs nothing in F1.
    assert aggregate(("{}", "{}"), ('{"PER": ["Ann"]}', "{}"))["entity_f1"] == 0


def test_the_span_must_be_exact() -> None:
    assert aggregate(('{"PER": ["Ann"]}', '{"PER": ["ann"]}'))["entity_f1"] == 0
    assert aggregate(('{"PER": ["Ann"]}', '{"PER": ["Ann", "Ann"]}'))["entity_f1"] == pytest.approx(2 / 3)
    assert aggregate(('{"PER": ["Ann"]}', '{"PER": ["Ann", "Ann"]}'))["exact_match"] == 0
