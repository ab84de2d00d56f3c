"""What is special about the rules on spans, types and relations (D405-D407)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from answering_rules import declared, found, found_in, only
from cases_answers import ENTITIES, JOINT, NAMES, RECORDS, TOWNS, answered, entities, joint, record, replaced

from exactune.checks import check_dataset
from exactune.config import TaskConfig

from cases import dataset


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


def test_declared_relations_are_the_set() -> None:
    (finding,) = found(declared(JOINT, relation_types=["works_for"])).values()
    assert (finding.code, finding.evidence["types"]) == ("D406", {"lives_in": finding.evidence["rows"]})


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
