"""One contract for all data rules, and what is special about some."""

from __future__ import annotations

import copy
import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from exactune.checks import RULES, Dataset, Probe, check_dataset, drop_located
from exactune.data.load import load_paths
from exactune.data.problems import KINDS
from exactune.errors import ConfigError, DataError
from exactune.rules import Finding, Rule, Severity
from exactune.types import Example, Location, Splits

from cases import Case, dataset, labelled, rows

SECTIONS = ("What it does:", "Why it matters:", "Example:", "Fix:")
CASES: dict[str, Case] = {
    code: case
    for path in sorted(Path(__file__).parent.glob("cases_*.py"))
    for code, case in importlib.import_module(path.stem).CASES.items()
}

CLEAN = replace(
    dataset(labelled(), [("new 1", "a"), ("new 2", "b")], [("new 3", "a")]),
    tokens=lambda example: Probe(10, 10, example.answer),
)


by_code = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


def found_by(code: str, subject: Dataset) -> list[Finding]:
    return [finding for finding in check_dataset(subject) if finding.code == code]


def test_codes_and_names_are_unique() -> None:
    assert len({rule.code for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    assert all(re.fullmatch(r"D\d{3}", rule.code) and re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.name) for rule in RULES)
    assert set(CASES) == {rule.code for rule in RULES}


@by_code
def test_docstrings_have_their_sections_in_order(rule: Rule[Dataset]) -> None:
    lines = rule.doc.splitlines()
    assert [line for line in lines if line in SECTIONS] == list(SECTIONS)
    for section in SECTIONS:
        assert lines[lines.index(section) + 1].startswith("    ")
    assert rule.fix
    assert not any(section in rule.fix for section in SECTIONS)


@by_code
def test_fires_on_its_example_and_not_on_the_mended_one(rule: Rule[Dataset], tmp_path: Path) -> None:
    case = CASES[rule.code]
    bad = case.bad(tmp_path)
    before = copy.deepcopy(bad.splits)
    (finding,) = found_by(rule.code, bad)
    assert [place.line for place in finding.locations] == case.lines
    assert (finding.name, finding.severity, finding.fix) == (rule.name, rule.severity, rule.fix)
    assert finding.message
    json.dumps(finding.to_json(), allow_nan=False)
    assert bad.splits == before
    assert not found_by(rule.code, case.fixed(tmp_path))


@by_code
def test_is_silent_on_clean_data(rule: Rule[Dataset]) -> None:
    assert not list(rule.find(CLEAN, rule))


def test_row_problems_and_their_rules_say_the_same() -> None:
    rules = {rule.code: rule for rule in RULES}
    for code, kind in KINDS.items():
        assert (kind.name, kind.fix) == (rules[code].name, rules[code].fix)
        assert rules[code].severity is Severity.ERROR


def test_a_file_that_is_not_utf8_is_named_and_no_error(tmp_path: Path) -> None:
    for encoding, severity in (("utf-16", Severity.INFO), ("cp950", Severity.WARNING)):
        path = tmp_path / "train.jsonl"
        path.write_text('{"text": "這是一個很大的問題", "label": "負面"}\n', encoding=encoding)
        found = load_paths([str(path)])
        (finding,) = found_by("D107", Dataset(found.splits, found.findings))
        assert (finding.severity, [place.line for place in finding.locations]) == (severity, [None])
        assert "nothing was lost" in finding.message
        assert found.splits.train[0].answer == "負面"


def test_earlier_answers_of_a_chat_are_looked_at_too() -> None:
    subject = replace(dataset([("x", "c")]), tokens=lambda e: Probe(9, 8, e.answer, turns=(("A", "a"), ("b", "b"))))
    (changed,) = found_by("D505", subject)
    assert changed.evidence["answers"] == [{"row": "train:1", "answer": "A", "decoded": "a"}]
    (long,) = found_by("D501", subject)
    assert "1 row longer" in long.message


def test_worst_first_and_ignored_codes() -> None:
    subject = dataset([("x", "a"), ("x", "a"), ("y", "a")])
    assert [finding.code for finding in check_dataset(subject)] == ["D301", "D201", "D702"]
    assert [finding.code for finding in check_dataset(subject, ["d301", "D702"])] == ["D201"]
    with pytest.raises(ConfigError, match="no data rule has the code D999"):
        check_dataset(subject, ["D999"])


def test_free_answers_need_not_be_in_training() -> None:
    free = [(f"text {n}", f"answer {n}") for n in range(120)]
    assert not found_by("D302", dataset(free, [("new", "another")]))


def test_token_rules_look_at_mixed_in_rows_and_say_what_they_saw() -> None:
    splits = Splits(rows("train", [("x", "ＡＢ")]), mix=rows("general", [("y" * 50, "a")]))
    subject = Dataset(splits, (), lambda e: Probe(len(e.input), 20, e.answer.replace("ＡＢ", "AB")))
    (long,) = found_by("D501", subject)
    assert long.locations == (Location("general", 1),)
    assert long.evidence == {"limit": 20, "longest": 50, "rows": 1}
    (changed,) = found_by("D505", subject)
    assert changed.evidence["answers"] == [{"row": "train:1", "answer": "ＡＢ", "decoded": "AB"}]
    assert "'ＡＢ' comes back as 'AB'" in changed.message


def test_each_row_is_probed_once() -> None:
    seen: list[str] = []

    def probe(example: Example) -> Probe:
        seen.append(example.id)
        return Probe(1, 2, example.answer)

    check_dataset(Dataset(CLEAN.splits, (), probe))
    assert len(seen) == len(set(seen)) == 123


def test_drop_located_heeds_errors_about_rows_only() -> None:
    subject = dataset([("x", "a"), ("x", "a"), ("y", "a")])
    assert drop_located(subject.splits, check_dataset(subject)) == subject.splits


def test_drop_located_refuses_a_place_with_several_rows() -> None:
    place = Location("rows.json", 1)
    crowd = tuple(replace(example, location=place) for example in rows("rows.json", [("x", "a"), ("y", "b")]))
    finding = Finding("D501", "row-too-long", Severity.ERROR, "", "", locations=(place,))
    with pytest.raises(DataError, match=r"rows\.json:1 holds 2 rows.*Write one row per line"):
        drop_located(Splits(crowd), [finding])


def test_without_rows_nothing_crashes() -> None:
    assert [finding.code for finding in check_dataset(Dataset(Splits(())))] == ["D702"]
