"""What is special about rows that are the same: duplicates, conflicts, leaks (D201, D203, D205, D207)."""

from __future__ import annotations

from dataclasses import replace

from exactune.checks import Dataset, check_dataset, drop_located
from exactune.rules import Finding
from exactune.types import Example, Location, Message, Splits

from cases import dataset, rows


def found_by(code: str, subject: Dataset) -> list[Finding]:
    return [finding for finding in check_dataset(subject) if finding.code == code]


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
    subject = dataset([("x", "a"), ("y", "a"), ("X!", "a")], [("x", "a")], [("x", "a"), ("z", "a")])
    (finding,) = found_by("D205", subject)
    assert finding.locations == (Location("train", 1), Location("train", 3))
    assert finding.related == (Location("eval", 1), Location("test", 1))
    assert "2 eval or test rows also in training: eval:1, test:1 (in training at train:1, train:3)" in finding.message
    assert finding.evidence["pairs"][1] == {"row": "train:3", "twin": "eval:1", "text": "X!", "other": "x"}
    assert not found_by("D207", subject)
    kept = drop_located(subject.splits, [finding])
    assert [example.input for example in kept.train] == ["y"]
    assert len(kept.eval) == 1


def test_a_leak_with_another_answer_is_a_finding_of_its_own() -> None:
    subject = dataset([("x", "a"), ("y", "b"), ("Y", "a")], [("z", "a"), ("x.", "b")], [("y", "a")])
    (finding,) = found_by("D207", subject)
    assert (finding.locations, finding.related) == (
        (Location("train", 1), Location("train", 2)),
        (Location("eval", 2), Location("test", 1)),
    )
    assert finding.evidence["pairs"][0]["answer"] == "a"
    assert finding.evidence["pairs"][0]["other_answer"] == "b"
    (same,) = found_by("D205", subject)
    assert (same.locations, same.related) == ((Location("train", 3),), (Location("test", 1),))
    assert drop_located(subject.splits, [finding]) == subject.splits


def test_a_training_row_that_also_leaks_with_its_own_answer_is_named_once() -> None:
    subject = dataset([("x", "a")], [("x", "b")], [("x", "a")])
    assert found_by("D205", subject)
    assert not found_by("D207", subject)


def test_the_same_input_under_another_system_message_is_no_leak() -> None:
    splits = Splits(rows("train", [("x", "a")], "sentiment"), rows("eval", [("x", "a")], "topic"))
    assert not found_by("D205", Dataset(splits))
    assert not found_by("D207", Dataset(splits))


def test_a_mixed_in_row_that_is_scored_leaks_whatever_its_system_message() -> None:
    train = rows("train", [("x", "a"), ("y", "b")], "judge")
    test = rows("test", [("asked", "yes"), ("other", "no"), ("asked", "yes")], "judge")
    mix = rows("general", [("new", "c"), ("Asked!", "yes"), ("other", "perhaps")])
    subject = Dataset(Splits(train, rows("eval", [("e", "a")], "judge"), test, mix))
    (leak,) = found_by("D205", subject)
    assert leak.locations == (Location("general", 2),)
    assert leak.related == (Location("test", 1), Location("test", 3))
    assert leak.evidence["pairs"][0]["row"] == "general:2"
    (other,) = found_by("D207", subject)
    assert (other.locations, other.related) == ((Location("general", 3),), (Location("test", 2),))
    assert [row.location.line for row in drop_located(subject.splits, [leak]).mix] == [1, 3]
    assert not found_by("D205", Dataset(Splits(train, mix=mix)))


def test_training_and_mixed_in_rows_leak_side_by_side() -> None:
    scored = rows("eval", [("one", "a"), ("two", "b")])
    subject = Dataset(Splits(rows("train", [("z", "a"), ("two", "b")]), scored, mix=rows("general", [("one", "a")])))
    (leak,) = found_by("D205", subject)
    assert leak.locations == (Location("train", 2), Location("general", 1))
    assert set(leak.related) == {Location("eval", 1), Location("eval", 2)}


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
