"""What is special about the rules on the form of JSON answers (D401, D408, D409)."""

from __future__ import annotations

import pytest
from answering_rules import found, found_in, only
from cases_answers import ENTITIES, JOINT, NAMES, RECORDS, answered, record, replaced

from exactune.checks.slips import why_not_json
from exactune.language import translate

from cases import Pairs, dataset


@pytest.mark.parametrize("rows", [RECORDS, ENTITIES, JOINT], ids=["records", "entities", "joint"])
def test_good_answers_are_left_alone(rows: Pairs) -> None:
    assert found(dataset(rows, rows[:5], rows[5:9])) == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{'a': 1}", "single quotes instead of double ones at character 2"),
        ('{"a": 1,}', "a comma before the closing bracket at character 9"),
        ("[1, 2, ]", "a comma before the closing bracket at character 8"),
        ('{"a": NaN}', "NaN is not JSON; write null or a text"),
        ('{"a": None}', "None instead of null at character 7"),
        ('{"a": [1', "it ends before the value does"),
        ('{"a": "b', "it ends before the value does"),
        ('{"a"：1}', "： instead of : at character 5"),
        ('{"a": 1, // one\n"b": 2}', "a comment at character 10"),
        ('{"a": 1, "a": 2}', 'key "a" stands twice in one object'),
        ('{"a": 1}}', "'}' behind the end of the value"),
        ('"a"', "a text, not an object or a list"),
        ("positive", "plain text"),
        ('{"a" 1}', "Expecting ':' delimiter (character 6: '1}')"),
    ],
)
def test_why_a_text_is_not_json(text: str, why: str) -> None:
    comma = "a comma before" in why
    said = why_not_json(text)
    # Since Python 3.13 the decoder points to the comma, not to the bracket behind it.
    assert said == why or (comma and said.startswith("a comma before the closing bracket"))
    finding = only("D401", RECORDS, 3, text)
    assert f"({said})" in finding.message
    assert finding.evidence["samples"] == [{"row": "train:3", "why": said}]
    assert translate(said, "zh-TW") != said


def test_a_third_of_broken_answers_is_named_and_plain_texts_are_not() -> None:
    quoted = [
        (text, answer.replace('"', "'") if row % 3 == 0 else answer) for row, (text, answer) in enumerate(RECORDS)
    ]
    wanted = [row for row in range(1, len(RECORDS) + 1) if row % 3 == 1]
    finding = found(dataset(quoted))["D401"]
    assert [place.line for place in finding.locations] == wanted
    # Where as many answers do not even begin as JSON does, nothing says that they were meant to be it.
    mixed = [(text, "none" if row % 3 == 0 else answer) for row, (text, answer) in enumerate(RECORDS)]
    assert "D401" not in found(dataset(mixed))


@pytest.mark.parametrize(
    "around",
    ["```json\n%s\n```", "```\n%s\n```\nDone.", "```json\n%s", "As in [1]: %s", "%s\nI hope this helps", "結果：%s"],
)
def test_what_stands_around_json(around: str) -> None:
    finding = only("D408", RECORDS, 3, around % RECORDS[2][1])
    assert finding.evidence["kinds"] == {"fence" if "```" in around else "prose": 1}


def test_answers_that_all_have_a_fence_are_all_named() -> None:
    fenced = [(text, f"```json\n{answer}\n```") for text, answer in RECORDS]
    findings = found(dataset(replaced(fenced, 4, "{")))
    assert {code: len(one.locations) for code, one in findings.items()} == {"D401": 1, "D408": 39}


def test_prose_that_mentions_json_is_no_json_answer() -> None:
    prose = [(text, f"Write {{}} where nothing is known, case {n}.") for n, text in enumerate("abcdefghij")]
    assert found(dataset([*prose[:5], *[(f"x{n}", f"An essay of {n} words.") for n in range(5)]])) == {}


@pytest.mark.parametrize(
    "answer",
    ["<think>\n\n</think>\n\n%s", "<Reasoning>so</Reasoning>%s", "Let me see.</think>%s", "[THINK]so[/THINK]%s"],
)
def test_thoughts_in_an_answer(answer: str) -> None:
    assert only("D409", RECORDS, 3, answer % RECORDS[2][1]).evidence["rows"] == 1
    assert list(found_in(RECORDS, 3, answer % "{")) == ["D401", "D409"]


def test_thoughts_without_an_end_and_in_labels() -> None:
    assert only("D409", RECORDS, 3, "<think>The name is").evidence["marks"] == {"<think>": 1}
    labels = [(f"text {n}", "ab"[n % 2]) for n in range(40)]
    assert only("D409", labels, 3, "<think>hm</think>\na")


def test_marks_that_are_data_are_no_thoughts() -> None:
    assert "D409" not in found_in(RECORDS, 3, record(2) | {"name": "<think>"})
    pages = [(f"remove {tag}", f"without {tag}") for tag in ("<b>", "<think>", "<i>")]
    assert found(dataset(pages)) == {}


def test_one_cause_has_one_code() -> None:
    for answer in ('{"name"', "```\n{}\n```", "<think></think>{}"):
        assert len(found_in(answered(lambda n: {}), 3, answer)) == 1


def test_findings_can_be_said_in_chinese() -> None:
    rows = replaced(replaced(RECORDS, 3, "{'a': 1}"), 4, {"name": NAMES[3]})
    for finding in found(dataset(rows)).values():
        said = translate(finding.message, "zh-TW")
        assert said != finding.message
        assert " instead of " not in said
        assert " is missing" not in said
