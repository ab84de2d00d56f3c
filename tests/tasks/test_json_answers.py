"""Strict JSON, equality of values, and the json task by hand."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactune.tasks import JsonTask
from exactune.tasks.jsontext import MAX_DEPTH, canonical, leaves, parse_json
from exactune.types import Status

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "1" * 301,
        "1" * 10_000,
        "{} {}",
        "{}x",
        "'a'",
        "[1,]",
        '{"a":"\\ud800"}',
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "[" * 10**6,
        '{"a":' * 10**5 + "1" + "}" * 10**5,
        "\ufeff{}",
        "",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the wording is the standard library's
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        '"\\ud83d\\ude00"',
        "[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1),
        "1" * 300,
        " {}\n",
        '"[[[["',
        "1e3",
    ],
)
def test_accepted(text: str) -> None:
    assert parse_json(text) == json.loads(text)


@given(json_values)
def test_reads_what_json_writes(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert canonical(value) == canonical(json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ('{"a": 1, "b": 2}', '{"b": 2.0, "a": 1e0}', True),
        ("0", "-0.0", True),
        ("1", "true", False),
        ("0", "false", False),
        ("1", '"1"', False),
        ("[1, 2]", "[2, 1]", False),
        ("null", "{}", False),
        ("0.1", "0.10", True),
        ('"é"', '"e\\u0301"', False),
    ],
)
def test_equality(a: str, b: str, equal: bool) -> None:
    assert (canonical(parse_json(a)) == canonical(parse_json(b))) is equal


def test_leaves() -> None:
    value = {"a": {"b": [1, 2.0, {"c": "x"}]}, "none": None, "relations": [], "slots": {}, "in": [[], 3]}
    assert list(leaves(value)) == [
        (("a", "b"), "1"),
        (("a", "b"), "2"),
        (("a", "b", "c"), '"x"'),
        (("none",), "null"),
        (("relations",), "[]"),
        (("slots",), "{}"),
        (("in",), "[]"),
        (("in",), "3"),
    ]
    assert list(leaves({})) == [((), "{}")]


ANY = {"type": "object", "properties": {"who": {"type": "array"}}, "required": ["who"]}


def aggregate(task: JsonTask, *pairs: tuple[str, str]) -> dict[str, float]:
    totals: Counter = Counter()
    for gold, predicted in pairs:
        totals.update(task.score(task.parse(gold), task.parse(predicted)).counts)
    return task.aggregate(totals)


def test_field_f1_by_hand() -> None:
    task = JsonTask(ANY)
    # 4 leaves right, 3 given, 2 of them right: F1 4/7. Order of items does not matter, how often does.
    pair = ('{"who": ["a", "b", "b"], "n": 1}', '{"n": 1, "who": ["b", "c"]}')
    assert aggregate(task, pair) == pytest.approx(
        {"field_f1": 4 / 7, "exact_match": 0, "valid_json": 1, "valid_schema": 1}
    )
    score = task.score(task.parse(pair[0]), task.parse(pair[1]))
    assert task.per_label(score.counts) == {
        "who": pytest.approx({"precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5, "support": 3}),
        "n": {"precision": 1, "recall": 1, "f1": 1, "support": 1},
    }
    # A second row, unreadable: 4 more leaves missed, and rates are over two rows.
    assert aggregate(task, pair, (pair[0], "{")) == pytest.approx(
        {"field_f1": 4 / 11, "exact_match": 0, "valid_json": 0.5, "valid_schema": 0.5}
    )


def test_values_swapped_between_objects_are_wrong() -> None:
    task = JsonTask({})
    gold = '[{"a": 1, "b": 2}, {"a": 3, "b": 4}]'
    assert aggregate(task, (gold, '[{"b": 4, "a": 3}, {"a": 1, "b": 2}]'))["field_f1"] == 1
    assert aggregate(task, (gold, '[{"a": 1, "b": 4}, {"a": 3, "b": 2}]'))["field_f1"] == pytest.approx(2 / 4)
    # One object too many: all four of the right answer are found among six.
    assert aggregate(task, (gold, gold[:-1] + ', {"a": 1, "b": 4}]'))["field_f1"] == pytest.approx(2 * 4 / 10)
    nested = '{"x": [{"n": "p", "tags": ["u", "v"]}, {"n": "q", "tags": ["w"]}], "y": 1}'
    swapped = '{"x": [{"n": "q", "tags": ["u", "v"]}, {"n": "p", "tags": ["w"]}], "y": 1}'
    # Paired by their tags, all but the names are found.
    score = task.score(task.parse(nested), task.parse(swapped))
    assert task.per_label(score.counts)["x"]["f1"] == pytest.approx(3 / 5)
    assert aggregate(task, ("[[1, 2], [3, 4]]", "[[1, 3], [2, 4]]"))["field_f1"] == pytest.approx(2 / 4)
    assert aggregate(task, ("[[1, 2], [3, 4]]", "[[4, 3], [1, 2]]"))["field_f1"] == 1
    assert aggregate(task, ('[1, {"a": 1}, []]', '[[], {"a": 1}, 1]'))["field_f1"] == 1


WHEN = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "format": "date"},
        "at": {"anyOf": [{"$ref": "#/$defs/moment"}, {"type": "null"}]},
        "times": {"type": "array", "items": {"type": "string", "format": "time"}},
        "note": {"type": "string"},
        "n": {"type": "number"},
    },
    "additionalProperties": {"$ref": "#/$defs/moment"},
    "$defs": {"moment": {"type": "string", "format": "date-time"}},
}


@pytest.mark.parametrize(
    ("gold", "given", "equal"),
    [
        ({"at": "2024-01-05T00:00:00Z"}, {"at": "2024-01-05T00:00:00+00:00"}, True),
        ({"at": "2024-01-05T00:00:00Z"}, {"at": "2024-01-05 08:00:00.000+08:00"}, True),
        ({"at": "2024-01-05T00:00:00Z"}, {"at": "2024-01-05t00:00z"}, True),
        ({"at": "2024-01-05T00:00:00Z"}, {"at": "2024-01-05T00:00:00"}, False),
        ({"at": "2024-01-05T00:00:00Z"}, {"at": "2024-01-05T00:00:01Z"}, False),
        ({"at": "2024-01-05T00:00:00Z"}, {"at": "5 January 2024"}, False),
        ({"at": "0001-01-01T00:00:00+08:00"}, {"at": "0001-01-01T00:00:00+08:00"}, True),
        ({"at": "2024-02-30T00:00:00Z"}, {"at": "2024-02-30T00:00:00+00:00"}, False),
        ({"other": "2024-01-05T00:00:00Z"}, {"other": "2024-01-05T00:00:00+00:00"}, True),
        ({"times": ["10:00:00", "09:30Z"]}, {"times": ["10:00", "10:30:00+01:00"]}, True),
        ({"times": ["23:30:00Z"]}, {"times": ["00:30:00+01:00"]}, True),
        ({"day": "2024-01-05"}, {"day": "20240105"}, False),
        ({"day": "2024-01-05"}, {"day": "2024-01-05T00:00:00"}, False),
        ({"note": "2024-01-05T00:00:00Z"}, {"note": "2024-01-05T00:00:00+00:00"}, False),
        ({"note": "1"}, {"note": "1.0"}, False),
        ({"note": "1"}, {"note": 1}, False),
        ({"n": 1}, {"n": 1.0}, True),
        ({"n": 1}, {"n": "1"}, False),
        ({"n": 1}, {"n": True}, False),
    ],
    ids=str,
)
def test_moments_and_numbers(gold: dict, given: dict, equal: bool) -> None:
    task = JsonTask(WHEN)
    values = aggregate(task, (json.dumps(gold), json.dumps(given)))
    assert (values["exact_match"] == 1) is (values["field_f1"] == 1) is equal
    # What is written down is what was said.
    assert task.parse(json.dumps(given)).value == given


def test_moments_in_a_schema_that_refers_to_itself() -> None:
    schema = {"properties": {"child": {"$ref": "#"}, "at": {"format": "time"}}, "allOf": [{"$ref": "#/$defs/x"}]}
    task = JsonTask({**schema, "$defs": {"x": {"patternProperties": {"^d": {"format": "date-time"}}}}})
    gold = '{"child": {"at": "10:00", "due": "2024-01-05T00:00Z"}}'
    assert aggregate(task, (gold, '{"child": {"at": "10:00:00", "due": "2024-01-05T01:00+01:00"}}'))["exact_match"] == 1


def test_empty_list_is_an_answer() -> None:
    task = JsonTask(ANY)
    assert aggregate(task, ('{"who": []}', '{"who": []}'))["field_f1"] == 1
    assert aggregate(task, ('{"who": []}', '{"who": ["a"]}'))["field_f1"] == 0
    assert aggregate(task, ('{"who": ["a"]}', '{"who": []}'))["field_f1"] == 0


def test_same_value_elsewhere_does_not_count() -> None:
    task = JsonTask({})
    assert aggregate(task, ('{"a": {"b": 1}}', '{"a": {"c": 1}}'))["field_f1"] == 0
    assert aggregate(task, ('{"a": {"b": 1}}', '{"b": 1}'))["field_f1"] == 0


def test_schema_violation_keeps_what_is_right() -> None:
    task = JsonTask(ANY)
    assert task.parse('{"n": 1}').status is Status.INVALID_SCHEMA
    assert task.parse("[1]").status is Status.INVALID_SCHEMA
    assert aggregate(task, ('{"who": ["a"], "n": 1}', '{"n": 1}')) == pytest.approx(
        {"field_f1": 2 / 3, "exact_match": 0, "valid_json": 1, "valid_schema": 0}
    )


def test_null_is_a_value() -> None:
    task = JsonTask({})
    assert aggregate(task, ("null", "null"))["exact_match"] == 1
    assert aggregate(task, ("null", "nul"))["exact_match"] == 0
    assert task.score(task.parse("nul"), task.parse("null")).correct is False


def test_a_recursive_schema_works() -> None:
    schema = {"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": False}
    task = JsonTask(schema)
    assert task.parse('{"child": {"child": {}}}').status is Status.OK
    assert task.parse('{"child": {"child": {"x": 1}}}').status is Status.INVALID_SCHEMA
