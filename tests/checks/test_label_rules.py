"""What is special about the rules for labels."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases_labels import FEES, LIMITS, sentences

from exactune.checks import Dataset, check_dataset
from exactune.checks.synonyms import near_names
from exactune.checks.variants import same_name
from exactune.config import TaskConfig
from exactune.rules import Finding, Severity
from exactune.types import Location

from cases import Pairs, dataset, labelled


def found_by(code: str, subject: Dataset) -> list[Finding]:
    return [finding for finding in check_dataset(subject) if finding.code == code]


def relations(*names: str, repeat: int = 1) -> Pairs:
    """Rows whose JSON answers hold one relation each; the texts do not have its name."""
    return [
        (f"Ann {n} met Bob {n}", json.dumps({"relations": [{"head": f"Ann {n}", "type": name, "tail": f"Bob {n}"}]}))
        for n, name in enumerate(names * repeat)
    ]


def spans(*types: str) -> Pairs:
    return [(f"Ann{n} left", json.dumps({"entities": [{"text": f"Ann{n}", "type": t}]})) for n, t in enumerate(types)]


# D301


def test_one_label_is_an_error_however_it_is_written() -> None:
    (bare,) = found_by("D301", dataset([("x", "a"), ("y", " a")]))
    (field,) = found_by("D301", dataset([("x", '{"label": "a"}'), ("y", '{"label":"a"}')]))
    assert bare.severity is field.severity is Severity.ERROR
    assert bare.message == field.message == "all 2 training rows have the answer 'a'"
    assert bare.locations == (Location("train", None),)
    assert not found_by("D301", dataset([("x", "a")]))


def test_the_same_text_as_every_answer_is_an_error_too() -> None:
    text = "word " * 40
    assert [one.severity for one in found_by("D301", dataset([("x", text), ("y", text)]))] == [Severity.ERROR]
    assert not found_by("D301", dataset([("x", text), ("y", text + "more")]))


def test_pairs_may_all_prefer_the_same_answer() -> None:
    """As of a run that gets the rows of one label wrong."""
    one = dataset([("x", "a"), ("y", "a")])
    train = tuple(replace(row, rejected="b") for row in one.splits.train)
    pairs = replace(one, splits=replace(one.splits, train=train))
    (found,) = found_by("D301", pairs)
    assert found.severity is Severity.WARNING
    (unlearned,) = found_by("D301", replace(pairs, learns_rejected=False))
    assert unlearned.severity is Severity.ERROR, "`sft` learns of the better answers alone"


@pytest.mark.parametrize(
    ("numbers", "fires"),
    [
        ([59, 41], False),
        ([90, 10], False),
        ([181, 19], True),
        ([60, 30, 5, 5], True),
        ([49, 17, 17, 17], False),
        ([200, *[5] * 60], False),
        ([19, 1], False),
    ],
    ids=str,
)
def test_a_label_dominates_by_share_and_by_ratio(numbers: list[int], fires: bool) -> None:
    rows = [(f"text {label} {n}", f"label {label}") for label, number in enumerate(numbers) for n in range(number)]
    found = found_by("D301", dataset(rows))
    assert [finding.severity for finding in found] == [Severity.WARNING] * fires
    if fires:
        assert found[0].evidence["labels"] == {f"label {label}": number for label, number in enumerate(numbers)}
        assert found[0].evidence["share"] == round(numbers[0] / sum(numbers), 4)


def test_ways_of_writing_are_not_rare_labels_of_their_own() -> None:
    forms = [(f"more {n}", form) for n, form in enumerate(("A", "a.", "B", "b."))]
    assert {one.code for one in check_dataset(dataset([*labelled(), *forms]))} == {"D303"}


# D303


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Positive", "positive"),
        ("ＡＢＣ", "abc"),
        ("正面", "正面。"),
        ("正面", "「正面」"),
        ("財經新聞", "财经新闻"),
        ("card_arrival", "card arrival"),
        ("on-hold", "On hold"),
        ("card - lost", "card lost"),
        ("news", "\u200bnews"),
        ("covid-19", "COVID 19"),
    ],
)
def test_ways_to_write_one_name(one: str, other: str) -> None:
    assert same_name(one) == same_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C++"),
        ("C", "C#"),
        ("A+", "A-"),
        ("1.5", "15"),
        ("1-2", "12"),
        ("-1", "1"),
        ("below -5", "below 5"),
        ("<5", ">5"),
        ("?", "!"),
        ("👍", "👎"),
        ("正面", "負面"),
        ("PER", "PERS"),
    ],
)
def test_names_that_are_different(one: str, other: str) -> None:
    assert same_name(one) != same_name(other)


def test_the_usual_form_is_that_of_training_and_every_split_is_looked_at() -> None:
    test = [(f"n {n}", "A") for n in range(12)]
    subject = dataset([("first", "A"), *labelled(20)], [("n", "Ａ"), ("m", "b")], test)
    (finding,) = found_by("D303", subject)
    assert len(finding.locations) == 14
    assert finding.locations[:2] == (Location("train", 1), Location("test", 1))
    assert finding.related == (Location("train", 2),)
    assert finding.evidence == {
        "rows": 14,
        "groups": [{"of": "label", "forms": {"a": 10, "A": 13, "Ａ": 1}, "difference": ["case", "width"]}],
    }
    assert "1 label written in several ways: 'a' (10), 'A' (13), 'Ａ' (1) (case, width)" in finding.message


def test_traditional_and_simplified_forms_are_one_label() -> None:
    (finding,) = found_by(
        "D303", dataset([(f"text {n}", ["負面", "正面"][n % 2]) for n in range(40)] + [("x", "负面")])
    )
    assert finding.evidence["groups"][0]["difference"] == ["simplified or traditional characters"]
    assert finding.locations == (Location("train", 41),)


def test_variants_of_entity_types_and_relation_names() -> None:
    (types,) = found_by("D303", dataset(spans(*["PER", "LOC"] * 10, "Per")))
    assert (types.locations, types.evidence["groups"][0]["of"]) == ((Location("train", 21),), "entity type")
    names = ("works_for", "lives_in")
    (relation,) = found_by("D303", dataset([*relations(*names, repeat=20), *relations("works for")]))
    assert relation.evidence["groups"] == [
        {"of": "relations.type", "forms": {"works_for": 20, "works for": 1}, "difference": ["blanks or punctuation"]}
    ]


def test_what_is_copied_from_the_input_may_be_written_in_any_way() -> None:
    rows = [
        (f"flight {n} to {city}", json.dumps({"to": city, "seats": [n]}))
        for n, city in enumerate(["Paris", "PARIS", "Rome", "paris"] * 20)
    ]
    assert not found_by("D303", dataset(rows))
    # An instruction that lists the names does not make them copied.
    told = [(f"Answer Paris, PARIS or Rome. {n}", answer) for n, (_, answer) in enumerate(rows)]
    (finding,) = found_by("D303", dataset(told))
    assert finding.evidence["groups"][0]["forms"] == {"Paris": 20, "PARIS": 20, "paris": 20}


def test_libraries_are_loaded_only_for_what_needs_them(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"text {n}", "label": "Aa"[n % 2]}) for n in range(40)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    script = (
        "import sys\nfrom exactune.checking import check\n"
        "assert 'D303' in {one.code for one in check(['train.jsonl']).findings}\n"
        "print(sorted({'opencc', 'sklearn', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# D304


def declared(pairs: Pairs, test: Pairs = (), **task: Any) -> Dataset:
    return replace(dataset(pairs, (), test), declared=TaskConfig.model_validate(task))


def test_a_label_outside_the_set_is_found_in_every_split() -> None:
    rows = [(str(n), json.dumps({"mood": "ab"[n % 2]})) for n in range(20)]
    odd = [("x", '{"mood": "c"}'), ("y", '{"mood": "a"}'), ("z", "broken")]
    (finding,) = found_by("D304", declared(rows, odd, labels=["a", "b"]))
    assert (finding.locations, finding.evidence) == ((Location("test", 1),), {"labels": {"c": 1}})


def test_a_label_of_a_list_outside_the_set() -> None:
    rows = [(str(n), json.dumps(["a", "b"][n % 2 :])) for n in range(100)]
    (finding,) = found_by("D304", declared(rows, [("x", '["b", "c"]'), ("y", "[]")], labels=["a", "b"]))
    assert (finding.locations, finding.evidence) == ((Location("test", 1),), {"labels": {"c": 1}})
    (rare,) = found_by("D703", declared(rows, labels=["a", "b", "d"]))
    assert [one["name"] for one in rare.evidence["labels"]] == ["d"]


def test_rows_that_have_none_of_the_labels_are_all_found() -> None:
    (finding,) = found_by("D304", declared(labelled(20), labels=["yes", "no"]))
    assert len(finding.locations) == 20
    assert finding.evidence == {"labels": {"a": 10, "b": 10}}


def test_values_outside_an_enumeration_of_the_schema() -> None:
    kind = {"type": "string", "enum": ["lives_in", "works_for"]}
    item = {"type": "object", "properties": {"type": kind}}
    schema = {"type": "object", "properties": {"relations": {"type": "array", "items": item}}}
    (finding,) = found_by("D304", declared(relations("lives_in", "owns", "works_for"), schema=schema))
    assert (finding.locations, finding.evidence) == ((Location("train", 2),), {"labels": {"owns": 1}})
    assert not found_by("D304", dataset(relations("lives_in", "owns")))


# D305


@pytest.mark.parametrize(
    "names",
    [
        ("card_fee", "card_fees"),
        ("billing issue", "issue_billing"),
        ("recieve_money", "receive_money"),
        ("cancel order", "cancel ordr"),
        ("申請退款", "退款申請"),
        ("level 1 support", "level 1 supports"),
    ],
)
def test_near_names(names: tuple[str, str]) -> None:
    assert near_names(names) == [names]


@pytest.mark.parametrize(
    "names",
    [
        ("正面", "負面"),
        ("buy", "bay"),
        ("level_1", "level_2"),
        ("pending_transfer", "declined_transfer"),
        ("lost_or_stolen_card", "lost_or_stolen_phone"),
        ("Card fee", "card_fee"),
    ],
)
def test_names_that_are_not_near(names: tuple[str, str]) -> None:
    assert near_names(names) == []


def test_near_names_of_different_texts_are_two_labels() -> None:
    apart = [*sentences("card_fee", FEES, 60, 1), *sentences("card_free", LIMITS, 60, 2)]
    assert not found_by("D305", dataset(apart))
    (finding,) = found_by("D305", dataset([*apart[:60], *sentences("card_free", FEES, 70, 2)]))
    (pair,) = finding.evidence["pairs"]
    assert pair["labels"] == {"card_free": 70, "card_fee": 60}
    assert 0.3 < pair["told_apart"] < 0.65
    assert finding.locations[0] == Location("train", 1)
    assert finding.related == (Location("train", 61),)


def test_labels_with_few_rows_are_not_compared() -> None:
    assert not found_by("D305", dataset([*sentences("fees", FEES, 49, 1), *sentences("feess", FEES, 80, 2)]))


# D703


def test_rare_types_and_relations_are_named_with_their_first_rows() -> None:
    (types,) = found_by("D703", dataset(spans(*["PER", "LOC"] * 50, "GPE", "GPE")))
    assert types.evidence == {"labels": [{"of": "entity type", "name": "GPE", "rows": 2, "first": "train:101"}]}
    assert "1 label with fewer than 10 training rows: 'GPE' (2, train:101)" in types.message
    (rare,) = found_by("D703", dataset([*relations("works_for", "lives_in", repeat=50), *relations("owns")]))
    assert rare.evidence["labels"][0]["of"] == "relations.type"


def test_a_listed_label_without_rows_is_named() -> None:
    (finding,) = found_by("D703", declared(labelled(), labels=["a", "b", "none of them"]))
    assert finding.locations == ()
    assert "'none of them' (none)" in finding.message


def test_below_the_minimum_the_number_of_all_rows_is_what_is_said() -> None:
    assert not found_by("D703", dataset([*labelled(90), ("x", "c")]))


def test_too_few_rows_say_what_the_guide_expects_of_more() -> None:
    (finding,) = found_by("D702", dataset(labelled(40)))
    assert "40 training rows; at least 100 are needed" in finding.message
    assert "70% to 80% of the answers to be right from there on, 80% to 88% from 500 rows on" in finding.message
    assert finding.evidence["expected"][2] == {"rows": 2000, "low": 0.88, "high": 0.92}
