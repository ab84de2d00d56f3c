"""Entities by hand."""

import json
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


def scored(gold: str, given: str, text: str) -> dict[str, float]:
    return TASK.aggregate(TASK.score(TASK.parse(gold), TASK.parse(given), text).counts)


def at(*places: int) -> str:
    return json.dumps([{"text": "Ann", "type": "PER", "start": place, "end": place + 3} for place in places])


@pytest.mark.parametrize(
    ("gold", "given", "found"),
    [
        (at(0), at(0), 1),
        (at(0), at(8), 0),
        (at(0, 8), at(8, 8), 1),
        (at(0, 8), at(8, 0), 2),
        (at(0, 8), '{"PER": ["Ann"]}', 1),
        ('{"PER": ["Ann"]}', at(8), 1),
        # What has a place takes what has none, so that all find a partner.
        (at(0) [:-1] + ', {"text": "Ann", "type": "PER"}]', at(8)[:-1] + ', {"text": "Ann", "type": "PER"}]', 2),
        (at(0)[:-1] + ', {"text": "Ann", "type": "PER"}]', at(0, 8), 2),
        (at(0), '[{"text": "Ann", "type": "PER", "start": true, "end": "3"}]', 1),
    ],
)  # fmt: skip
def test_offsets_count_where_both_sides_have_them(gold: str, given: str, found: int) -> None:
    counts = TASK.score(TASK.parse(gold), TASK.parse(given)).counts
    assert counts.get(("both", "PER"), 0) == found


def test_offsets_stay_in_the_value() -> None:
    assert TASK.parse(at(4)).value == [{"type": "PER", "text": "Ann", "start": 4, "end": 7}]


def test_found_in_part() -> None:
    text = "Ann Lee met Lee Ray"
    gold = '{"PER": ["Ann Lee", "Lee Ray"]}'
    # Of the two that overlap with "Lee", one can have it; other types cannot.
    assert scored(gold, '{"PER": ["Lee"]}', text)["entity_partial_f1"] == pytest.approx(2 / 3)
    assert scored(gold, '{"PER": ["Ann", "Ray"]}', text)["entity_partial_f1"] == 1
    assert scored(gold, '{"LOC": ["Ann", "Ray"]}', text)["entity_partial_f1"] == 0
    assert scored(gold, '{"PER": ["met"]}', text)["entity_partial_f1"] == 0
    # "Lee met" overlaps with both, most with the first in this order of likeness; equal ones come first.
    assert scored(gold, '{"PER": ["Lee met Lee", "Ann Lee"]}', text)["entity_partial_f1"] == 1
    assert scored(gold, '{"PER": ["Ann Lee", "Ann"]}', text)["entity_partial_f1"] == pytest.approx(1 / 2)
    # Where the offsets say where it is, it is nowhere else, whatever the end counts.
    here = '[{"text": "Lee", "type": "PER", "start": 4, "end": 6}]'
    assert scored('{"PER": ["Lee Ray"]}', here, text)["entity_partial_f1"] == 0
    assert scored('{"PER": ["Ann Lee"]}', here, text)["entity_partial_f1"] == 1


def test_invented_spans_are_counted() -> None:
    text = "Ann met Bob"
    values = scored('{"PER": ["Ann", "Bob"]}', '{"PER": ["Ann", "Bobby"], "LOC": ["Rome", "met"]}', text)
    assert values["invented_spans"] == pytest.approx(2 / 4)
    assert values["entity_f1"] == pytest.approx(2 / 6)
    # What the right answer says is not invented, even if the data are wrong.
    assert scored('{"PER": ["Eve"]}', '{"PER": ["Eve"]}', text)["invented_spans"] == 0
    assert scored('{"PER": ["Ann"]}', "{}", text)["invented_spans"] == 0
    # Without an input nothing can be said.
    assert aggregate(('{"PER": ["Ann"]}', '{"PER": ["Eve"]}'))["invented_spans"] == 0


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
