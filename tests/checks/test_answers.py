"""What is special about the rules on JSON answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from cases_answers import ENTITIES, JOINT, NAMES, RECORDS, TOWNS, answered, entities, joint, record, replaced

from exactune.checks import Dataset, check_dataset
from exactune.checks.slips import why_not_json
from exactune.config import TaskConfig
from exactune.language import translate
from exactune.rules import Finding, Severity

from cases import Pairs, dataset

ANSWERS = {f"D40{number}" for number in range(1, 10)}


def found(subject: Dataset) -> dict[str, Finding]:
    return {finding.code: finding for finding in check_dataset(subject) if finding.code in ANSWERS}


def found_in(rows: Pairs, line: int, answer: Any) -> dict[str, Finding]:
    """What the rules find when one answer is another; each finding is about that line alone."""
    findings = found(dataset(replaced(rows, line, answer)))
    assert all([place.line for place in one.locations] == [line] for one in findings.values())
    assert all(one.severity is Severity.WARNING for one in findings.values())
    return findings


def only(code: str, rows: Pairs, line: int, answer: Any) -> Finding:
    findings = found_in(rows, line, answer)
    assert list(findings) == [code]
    return findings[code]


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


def declared(rows: Pairs, **task: Any) -> Dataset:
    return replace(dataset(rows), declared=TaskConfig.model_validate(task))


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


@pytest.mark.parametrize(
    ("span", "text", "why", "instead"),
    [
        ("ann holm", "Ann Holm came", "case", "Ann Holm"),
        ("ＡＢ１", "the AB1 model", "width", "AB1"),
        ("AnnHolm", "it is Ann Holm", "blanks", "Ann Holm"),
        ("台积电", "昨天台積電大漲", "script", "台積電"),
        ("「明天」", "他說明天見", "punctuation", "明天"),
        ("台积ＴＷ", "昨天台積 tw大漲", "writing", ""),
        ("Cleo Holmes", "then Cleo Holme left", "alike", "Cleo Holme"),
        ("Zürich", "nothing of it", "absent", ""),
    ],
)
def test_why_a_span_is_not_in_the_input(span: str, text: str, why: str, instead: str) -> None:
    rows = [*ENTITIES, (text, json.dumps({"PERSON": [span]}, ensure_ascii=False))]
    (finding,) = found(dataset(rows)).values()
    (sample,) = finding.evidence["samples"]
    assert (finding.code, sample["why"], finding.locations[0].line) == ("D405", why, 41)
    assert sample["instead"].startswith(instead)
    assert bool(instead) == bool(sample["instead"])
    assert finding.evidence["causes"] == {why: 1}


def test_only_fields_that_are_copied_are_looked_at() -> None:
    assert only("D405", RECORDS, 3, record(2) | {"name": "Cleo Grauer"}).evidence["samples"][0]["span"] == "Cleo Grauer"
    # Of few towns that recur, one may be meant though it is not named.
    assert found_in(RECORDS, 3, record(2) | {"town": "Bern"}) == {}
    written = answered(lambda n: record(n) | {"name": f"Mx. {NAMES[n % 20]}" if n % 10 else NAMES[n % 20]})
    assert found(dataset(written)) == {}


def test_spans_of_eval_are_looked_at_and_labels_never() -> None:
    (finding,) = found(dataset(ENTITIES, replaced(ENTITIES[:5], 2, {"PERSON": ["Zoe"]}))).values()
    assert (finding.code, [str(place) for place in finding.locations]) == ("D405", ["eval:2"])
    tones = [(f"{word} {n}", json.dumps({"tone": word})) for n in range(30) for word in ("good", "bad")]
    assert found_in(tones, 3, {"tone": "fair"}) == {}


def offsets(n: int, shift: int = 0) -> list[dict[str, Any]]:
    text = f"{NAMES[n % 20]} number {n} moved to {TOWNS[n % 5]}."
    start = text.index(TOWNS[n % 5])
    return [{"text": TOWNS[n % 5], "type": "CITY", "start": start, "end": start + 4 + shift}]


@pytest.mark.parametrize("shift", [0, -1], ids=["exclusive", "inclusive"])
def test_offsets_mean_what_most_mean(shift: int) -> None:
    rows = answered(lambda n: offsets(n, shift))
    assert found(dataset(rows)) == {}
    moved = offsets(2, shift)
    moved[0]["start"] += 1
    finding = only("D405", rows, 3, moved)
    assert finding.evidence["causes"] == {"offset": 1}
    assert "its offsets point elsewhere" in finding.message


def test_offsets_into_another_text_are_left_alone() -> None:
    assert found(dataset(answered(lambda n: [offsets(n)[0] | {"start": n, "end": n + 4}]))) == {}


@pytest.mark.parametrize("name", ["PERSN", "PRESON"])
def test_types_that_are_misspelt(name: str) -> None:
    finding = only("D406", ENTITIES, 3, {name: [NAMES[2]]})
    assert finding.evidence == {"rows": 1, "types": {name: 1}, "meant": {name: "PERSON"}}
    assert f"{name!r}, likely 'PERSON'" in finding.message


@pytest.mark.parametrize("name", ["Person", "PERSON "])
def test_other_ways_of_writing_a_type_are_variants_of_a_name_unless_types_are_listed(name: str) -> None:
    rows = replaced(ENTITIES, 3, {name: [NAMES[2]]})
    findings = {finding.code: finding for finding in check_dataset(dataset(rows))}
    assert "D406" not in findings
    assert [place.line for place in findings["D303"].locations] == [3]
    listed = replace(dataset(rows), declared=TaskConfig(type="entities", entity_types=["PERSON", "CITY"]))
    assert [place.line for place in found(listed)["D406"].locations] == [3]


def test_rare_types_of_their_own_are_types() -> None:
    assert found_in(ENTITIES, 3, {"PERSON": [NAMES[2]], "EVENT": ["moved"]}) == {}
    numbered = answered(lambda n: [{"text": NAMES[n % 20], "type": "Type1" if n else "Type2"}])
    assert found(dataset(numbered)) == {}


def test_types_that_only_eval_has_and_relations() -> None:
    held = replaced(JOINT[:5], 2, joint(1) | {"relations": [{"head": NAMES[1], "type": "born_in", "tail": TOWNS[1]}]})
    (finding,) = found(dataset(JOINT, held)).values()
    assert (finding.code, finding.evidence["types"]) == ("D406", {"born_in": 1})
    slip = joint(2) | {"relations": [{"head": NAMES[2], "type": "live_in", "tail": TOWNS[2]}]}
    assert only("D406", JOINT, 3, slip).evidence["meant"] == {"live_in": "lives_in"}


def test_declared_types_are_the_set() -> None:
    (finding,) = found(declared(ENTITIES, entity_types=["PERSON"])).values()
    lines = [n + 1 for n in range(40) if "CITY" in entities(n)]
    assert (finding.code, [place.line for place in finding.locations]) == ("D406", lines)
    assert found(declared(ENTITIES, entity_types=["PERSON", "CITY", "EVENT"])) == {}


@pytest.mark.parametrize("form", ["text", "object", "id", "place"])
def test_arguments_may_name_entities_in_several_ways(form: str) -> None:
    def row(n: int, tail: int = 1) -> dict[str, Any]:
        names = [NAMES[n % 20], TOWNS[n % 5]]
        listed = [{"id": f"e{k}", "text": name, "type": "X" if k else "Y"} for k, name in enumerate(names)]
        other = "number" if tail > 1 else names[1]
        argument = {"text": other, "object": {"text": other}, "id": f"e{tail}", "place": tail}[form]
        return {"entities": listed, "relations": [{"subject": names[0], "relation": "in", "object": argument}]}

    rows = answered(row)
    assert found(dataset(rows)) == {}
    assert "D407" in found_in(rows, 3, row(2, tail=7))


def test_entities_that_are_never_listed_dangle_not() -> None:
    alone = answered(lambda n: {"relations": joint(n)["relations"]})
    assert found(dataset(alone)) == {}
    # Without its list of entities an answer has another structure; that its relations dangle says no more.
    assert only("D402", JOINT, 3, {"relations": joint(2)["relations"]})


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
