"""One contract for all data rules, and what is special about some."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exactune.checks import RULES, Dataset, Probe, check_dataset, drop_located
from exactune.data.load import load_paths
from exactune.data.problems import KINDS
from exactune.errors import ConfigError, DataError
from exactune.rules import Finding, Rule, Severity
from exactune.types import Example, Location, Message, Splits

SECTIONS = ("What it does:", "Why it matters:", "Example:", "Fix:")
Pairs = list[tuple[str, str]]


def rows(file: str, pairs: Pairs, system: str = "") -> tuple[Example, ...]:
    return tuple(
        Example(
            f"{file}:{line}",
            (Message("system", system), Message("user", text)),
            answer,
            Location(file, line),
            "text_label",
        )
        for line, (text, answer) in enumerate(pairs, 1)
    )


def dataset(train: Pairs, eval: Pairs = (), test: Pairs = ()) -> Dataset:  # type: ignore[assignment]
    return Dataset(Splits(rows("train", train), rows("eval", eval), rows("test", test)))


def labelled(number: int = 120) -> Pairs:
    return [(f"text {n}", "ab"[n % 2]) for n in range(number)]


CLEAN = replace(
    dataset(labelled(), [("new 1", "a"), ("new 2", "b")], [("new 3", "a")]),
    tokens=lambda example: Probe(10, 10, example.answer),
)


def loaded(*lines: str) -> Callable[[Path], Dataset]:
    def build(folder: Path) -> Dataset:
        path = folder / "train.jsonl"
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
        found = load_paths([str(path)])
        return Dataset(found.splits, found.findings)

    return build


def fixed(bad: Dataset) -> Callable[[Path], Dataset]:
    return lambda _: bad


def turns(*roles: str) -> str:
    return json.dumps({"messages": [{"role": role, "content": "x"} for role in roles]})


GOOD_ROW = '{"text": "x", "label": "y"}'
BAD: dict[str, tuple[Callable[[Path], Dataset], list[int | None]]] = {
    "D101": (loaded(GOOD_ROW, "{", GOOD_ROW, '{"a": NaN}'), [2, 4]),
    "D102": (loaded(GOOD_ROW, '{"x": 1}'), [2]),
    "D103": (loaded(turns("assistant", "user", "assistant"), GOOD_ROW), [1]),
    "D104": (loaded(GOOD_ROW, turns("user")), [2]),
    "D105": (loaded(GOOD_ROW, '{"text": "x", "label": " "}'), [2]),
    "D106": (loaded('{"text": "", "label": "y"}', GOOD_ROW), [1]),
    "D107": (loaded(GOOD_ROW, '{"text": "caf\udce9", "label": "y"}'), [2]),
    "D108": (loaded(GOOD_ROW, '{"text": "x", "lab'), [2]),
    "D109": (loaded('{"text": "x", "label": "y", "label": "z"}', GOOD_ROW), [1]),
    "D201": (fixed(dataset([("好吃", "a"), ("x", "b"), ("好吃！", "a")])), [3]),
    "D203": (fixed(dataset([("好吃", "a"), ("x", "b"), ("好吃", "b")])), [3]),
    "D205": (fixed(dataset([("x", "a"), ("好吃", "a")], [("y", "a")], [("好吃。", "b")])), [2]),
    "D301": (fixed(dataset([("x", "a"), ("y", "a")])), [None]),
    "D302": (fixed(dataset(labelled(), [("new", "a"), ("newer", "c")])), [2]),
    "D401": (fixed(dataset([*[(str(n), '{"a": 1}') for n in range(9)], ("x", '{"a": 1')])), [10]),
    "D501": (
        fixed(replace(dataset([("x", "a"), ("long", "b")]), tokens=lambda e: Probe(len(e.input), 3, e.answer))),
        [2],
    ),
    "D505": (fixed(replace(dataset([("x", "a"), ("y", "B")]), tokens=lambda e: Probe(1, 3, e.answer.lower()))), [2]),
    "D506": (
        fixed(
            replace(
                dataset([("x", "a"), ("y", "B")]), tokens=lambda e: Probe(1, 3, e.answer, ("<s>",) * (e.input == "y"))
            )
        ),
        [2],
    ),
    "D702": (fixed(dataset(labelled(99))), [None]),
}

by_code = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


def found_by(code: str, subject: Dataset) -> list[Finding]:
    return [finding for finding in check_dataset(subject) if finding.code == code]


def test_codes_and_names_are_unique() -> None:
    assert len({rule.code for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    assert all(re.fullmatch(r"D\d{3}", rule.code) and re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.name) for rule in RULES)
    assert set(BAD) == {rule.code for rule in RULES}


@by_code
def test_docstrings_have_their_sections_in_order(rule: Rule[Dataset]) -> None:
    lines = rule.doc.splitlines()
    assert [line for line in lines if line in SECTIONS] == list(SECTIONS)
    for section in SECTIONS:
        assert lines[lines.index(section) + 1].startswith("    ")
    assert rule.fix
    assert not any(section in rule.fix for section in SECTIONS)


@by_code
def test_fires_on_bad_data(rule: Rule[Dataset], tmp_path: Path) -> None:
    build, lines = BAD[rule.code]
    (finding,) = found_by(rule.code, build(tmp_path))
    assert [place.line for place in finding.locations] == lines
    assert (finding.name, finding.severity, finding.fix) == (rule.name, rule.severity, rule.fix)
    assert finding.message
    json.dumps(finding.to_json(), allow_nan=False)


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


def test_duplicates_name_the_first() -> None:
    (finding,) = found_by("D201", dataset([("x", "a"), ("X", "a"), ("y", "a"), ("x.", "a"), ("y", "b")]))
    assert [place.line for place in finding.locations] == [2, 4]
    assert [place.line for place in finding.related] == [1]
    assert "train:2 repeats train:1" in finding.message


def test_json_answers_conflict_by_meaning() -> None:
    same = dataset([("x", '{"a": 1, "b": 2}'), ("x", '{"b":2,"a":1}')])
    assert not found_by("D203", same)
    assert found_by("D201", same)
    (finding,) = found_by("D203", dataset([("x", '{"a": 1}'), ("x", '{"a": 2}'), ("x", '{"a":1}')]))
    assert [place.line for place in finding.locations] == [2]
    assert [place.line for place in finding.related] == [1, 3]


def test_conflicts_are_within_a_split_and_under_one_system_message() -> None:
    assert not found_by("D203", dataset([("x", "a")], [("x", "b")]))
    assert found_by("D203", dataset([("x", "a")], [("y", "b"), ("y", "c")]))
    other = Dataset(Splits((*rows("one", [("x", "a")], "sentiment"), *rows("two", [("x", "b")], "topic"))))
    assert not found_by("D203", other)


def test_leakage_names_both_sides() -> None:
    (finding,) = found_by(
        "D205", dataset([("x", "a"), ("y", "a"), ("X!", "b")], [("x", "a")], [("x", "a"), ("z", "a")])
    )
    assert finding.locations == (Location("train", 1), Location("train", 3))
    assert finding.related == (Location("eval", 1), Location("test", 1))
    assert "2 eval or test rows also in training: eval:1, test:1 (in training at train:1, train:3)" in finding.message
    kept = drop_located(dataset([("x", "a"), ("y", "a"), ("X!", "b")], [("x", "a")]).splits, [finding])
    assert [example.input for example in kept.train] == ["y"]
    assert len(kept.eval) == 1


def test_the_same_input_under_another_system_message_is_no_leak() -> None:
    splits = Splits(rows("train", [("x", "a")], "sentiment"), rows("eval", [("x", "b")], "topic"))
    assert not found_by("D205", Dataset(splits))


def chats(file: str, *rows: list[str]) -> tuple[Example, ...]:
    """Chats of user and assistant texts in turn, the last the answer."""
    return tuple(
        Example(
            f"{file}:{line}",
            (
                Message("system", ""),
                *(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(row[:-1])),
            ),
            row[-1],
            Location(file, line),
            "chat",
        )
        for line, row in enumerate(rows, 1)
    )


def test_a_chat_that_begins_with_an_eval_row_leaks_it() -> None:
    train = chats("train", ["hi", "hello", "bye", "ciao"], ["new", "a", "old", "b"])
    (finding,) = found_by("D205", Dataset(Splits(train, chats("eval", ["Hi!", "hello"], ["bye", "ciao"]))))
    assert (finding.locations, finding.related) == ((Location("train", 1),), (Location("eval", 1),))
    # A shared beginning alone is no leak: the question asked is another.
    assert not found_by("D205", Dataset(Splits(train, chats("eval", ["hi", "hello", "more", "x"]))))
    # What stands in a prompt is not trained.
    prompts = tuple(replace(row, format="prompt_completion") for row in train)
    assert not found_by("D205", Dataset(Splits(prompts, chats("eval", ["hi", "hello"]))))


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
