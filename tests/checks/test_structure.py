"""What is special about the rules on structure and style of JSON answers (D402-D404)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from answering_rules import declared, found, found_in, only
from cases_answers import JOINT, NAMES, RECORDS, TOWNS, answered, joint, record, replaced

from cases import dataset


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"name": NAMES[2], "age": 22}, "the key `town` is missing"),
        (record(2) | {"age": "22"}, '`age` is a text ("22"), not a number'),
        (record(2) | {"age": [22]}, "`age` is a list ([22]), not a number"),
        (record(2) | {"note": "x"}, "the key `note` is not one of those known"),
        ([record(2)], "the answer is a list, not an object"),
        (
            {"name": NAMES[2], "town": TOWNS[2], "Age": 22},
            "the key `age` is missing, the key `Age` is not one of those known",
        ),
    ],
    ids=str,
)
def test_mismatches_name_key_expected_and_found(answer: Any, said: str) -> None:
    assert only("D402", RECORDS, 3, answer).message == f"1 answer of another structure: train:3: {said}"


def test_structures_inside_lists() -> None:
    wrong = joint(2)
    wrong["entities"][0] = {"text": NAMES[2], "kind": "PERSON"}
    finding = only("D402", JOINT, 3, wrong)
    assert "the key `entities[].type` is missing, the key `entities[].kind`" in finding.message


def test_optional_keys_and_other_numbers_are_no_mismatch() -> None:
    def optional(n: int) -> dict[str, Any]:
        extra: dict[str, Any] = {"note": f"note {n}"} if n % 8 == 0 else {}
        return record(n) | extra | ({"age": 20.5} if n == 7 else {}) | ({"town": None} if n in (3, 9) else {})

    assert found(dataset(answered(optional))) == {}


def test_keys_that_only_eval_has() -> None:
    (finding,) = found(dataset(RECORDS, replaced(RECORDS[:5], 2, record(1) | {"zip": "1"}))).values()
    assert (finding.code, [str(place) for place in finding.locations]) == ("D402", ["eval:2"])


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "town": {"enum": TOWNS[:2]}, "age": {"type": ["integer", "null"]}},
    "required": ["name", "age"],
}


def test_a_declared_schema_decides() -> None:
    rows = replaced(replaced(RECORDS, 3, {"name": NAMES[2], "age": None, "more": 1}), 5, {"name": NAMES[4], "age": 1.5})
    (finding,) = found(declared(rows, schema=SCHEMA)).values()
    assert finding.message.endswith("train:5: `age` is a number (1.5), not a whole number / null")
    closed = {**SCHEMA, "additionalProperties": False}
    (finding,) = found(declared(rows, schema=closed)).values()
    assert [place.line for place in finding.locations] == [3, 5]


def test_a_declared_schema_with_other_keywords_decides_too() -> None:
    bounded = {**SCHEMA, "additionalProperties": False, "properties": {**SCHEMA["properties"], "age": {"maximum": 50}}}
    rows = replaced(replaced(RECORDS, 3, {"name": 1, "ages": 1}), 4, record(3) | {"town": "x"})
    (finding,) = found(declared(rows, schema=bounded)).values()
    assert [place.line for place in finding.locations] == [3, *range(32, 41)]
    assert finding.evidence["samples"][0]["found"] == [
        "`name` is a number (1), not a text",
        "the key `age` is missing",
        "the key `ages` is not one of those known",
    ]
    assert finding.evidence["kinds"]["maximum age"] == 9
    assert "51 at `age` breaks `maximum`" in finding.evidence["samples"][1]["found"]


def test_escapes_of_the_file_are_no_escapes_of_the_answer() -> None:
    rows = [(text, json.loads(json.dumps(answer))) for text, answer in answered(lambda n: {"name": "正面", "age": n})]
    assert found(dataset(rows)) == {}


@pytest.mark.parametrize(
    ("answer", "escape", "plain"),
    [
        ('{"name": "\\u6b63\\u9762", "age": 1}', "\\u6b63", "正"),
        ('{"name": "a \\ud83d\\ude00", "age": 1}', "\\ud83d\\ude00", "😀"),
        ('{"name": "\\\\u6b63\\\\u9762", "age": 1}', "\\\\u6b63\\\\u9762", "正面"),
    ],
)
def test_escapes_in_the_answer(answer: str, escape: str, plain: str) -> None:
    finding = only("D403", answered(lambda n: {"name": f"正{n}", "age": n}), 3, answer)
    assert finding.evidence["samples"] == [{"row": "train:3", "escape": escape, "plain": plain}]


def test_escapes_that_have_a_reason_are_left_alone() -> None:
    rows = answered(lambda n: {"name": f"正{n}", "age": n})
    assert found_in(rows, 3, '{"name": "\\u0007\\u200b\\ufeff", "age": 1}') == {}
    labels = [(f"text {n}", "正面") for n in range(20)]
    assert found_in(labels, 3, "re.findall('[\\u4e00-\\u9fff]+', text)") == {}
    assert only("D403", labels, 3, "\\u6b63\\u9762")


def test_style_is_told_from_escapes_and_digits() -> None:
    assert found_in(RECORDS, 3, f'{{"name": "{NAMES[2]}", "town": "{TOWNS[2]}", "age": 2.20e1}}') == {}
    finding = only("D404", RECORDS, 3, json.dumps(record(2), separators=(",", ":")))
    assert (finding.evidence["spacing"], finding.evidence["key_order"]) == (1, 0)
    assert 'where most look like \'{"name": "Ann Holm"' in finding.message
    assert only("D404", RECORDS, 3, json.dumps(record(2), indent=2)).evidence["spacing"] == 1
    assert only("D404", RECORDS, 3, dict(reversed(record(2).items()))).evidence["key_order"] == 1


def test_style_of_most_may_be_any() -> None:
    tight = [(text, json.dumps(json.loads(answer), separators=(",", ":"))) for text, answer in RECORDS]
    assert found(dataset(tight)) == {}
    assert only("D404", tight, 3, record(2))


def test_keys_that_come_and_go_have_no_order() -> None:
    def some(n: int) -> dict[str, int]:
        return dict.fromkeys((("a", "b"), ("b", "a"), ("c", "a"), ("b", "c"), ("d", "c", "b"))[n % 5], n)

    assert found(dataset(answered(some))) == {}
    finding = only("D404", JOINT, 3, joint(2) | {"entities": [{"type": "CITY", "text": TOWNS[2]}], "relations": []})
    assert finding.evidence["key_order"] == 1
