"""What is special about the rules for preference pairs and for open-ended answers."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from cases_preference import WORDS, lengths, pairs, stories

from exactune.checks import Dataset, check_dataset
from exactune.rules import Finding
from exactune.types import Location, Message, Splits

from cases import Pairs, dataset, rows


def found_by(code: str, subject: Dataset) -> list[Finding]:
    return [finding for finding in check_dataset(subject) if finding.code == code]


# D601, D602


def test_equal_answers_are_found_in_eval_rows_too() -> None:
    train, held = pairs([("q", "yes", "no")]), pairs([("q 2", "yes", "yes\n"), ("q 3", "[1", "[ 1")])
    (finding,) = found_by("D601", Dataset(Splits(train.splits.train, held.splits.train)))
    assert len(finding.locations) == 1
    assert "1 preference pair with the same chosen and rejected answer: train:1 'yes'" in finding.message


def test_lengths_of_few_pairs_or_of_equal_length_say_nothing() -> None:
    assert not found_by("D602", lengths(49, 49))
    assert not found_by("D602", pairs([(f"q {n}", "yes!", "no!!") for n in range(80)]))


def test_longer_answers_are_said_with_their_lengths() -> None:
    (finding,) = found_by("D602", lengths(60, 60))
    assert finding.evidence == {
        "pairs": 60, "longer": 60, "share": 1.0, "median_chosen": 13, "median_rejected": 9,
    }  # fmt: skip
    assert "in 60 of 60 preference pairs the chosen answer is longer" in finding.message


# D605, and D201 of pairs


def test_swapped_sides_oppose_each_other() -> None:
    (finding,) = found_by("D605", pairs([("2 + 2?", "4", "5"), ("3?", "3", "2"), ("2 + 2 ?", "5", "4")]))
    assert [place.line for place in finding.locations] == [1, 3]
    assert [place.line for place in finding.related] == [3, 1]
    assert "2 preference pairs that reject what another row prefers: train:1 rejects train:3" in finding.message
    assert finding.evidence["pairs"][0] == {"row": "train:1", "twin": "train:3", "answer": "5"}


def test_a_row_without_a_rejected_answer_prefers_too_and_json_is_compared_by_what_it_says() -> None:
    first, second = pairs([("q", '{"a": 1, "b": 2}', "x"), ("q", "y", '{"b":2,"a":1}')]).splits.train
    plain = replace(first, rejected=None)
    (finding,) = found_by("D605", Dataset(Splits((plain, second))))
    assert [place.line for place in finding.locations] == [2]
    assert not found_by("D605", Dataset(Splits((plain,), (second,)))), "of another split that is a leak"


def test_an_answer_set_against_itself_or_against_several_others_opposes_nothing() -> None:
    assert not found_by("D605", pairs([("q", "4", "4"), ("q", "4", "5"), ("q", "4", "6"), ("q 2", "5", "4")]))


def test_the_same_answer_against_another_one_is_no_repetition() -> None:
    assert not found_by("D201", pairs([("q", "4", "5"), ("q", "4", "6")]))
    (finding,) = found_by("D201", pairs([("q", "4", "5"), ("q", "4", "5")]))
    assert [place.line for place in finding.locations] == [2]


# D701


def chats(number: int, turns: int, words: int, *, tool: bool = False) -> Dataset:
    """Chats of several answers with words drawn at random."""
    chance = random.Random(1)
    said = [" ".join(chance.choices(WORDS, k=words)) for _ in range(number * turns)]
    train = []
    for number_, row in enumerate(rows("train", [(f"Hello {n}", said.pop()) for n in range(number)])):
        turn = [Message("assistant", said.pop()) if said else Message("assistant", f"Well {number_}")]
        turn += [Message("tool", "[]")] if tool else [Message("user", f"And {number_}?")]
        train.append(replace(row, prompt=row.prompt + tuple(turn * (turns - 1)), format="chat"))
    return Dataset(Splits(tuple(train)))


def test_a_long_dialogue_is_open_ended_and_calls_of_tools_are_not() -> None:
    assert found_by("D701", chats(60, 4, 15))
    assert not found_by("D701", chats(60, 4, 15, tool=True))
    assert not found_by("D701", chats(60, 2, 15))
    assert not found_by("D701", chats(60, 4, 5))


def reworded(source: Pairs) -> Pairs:
    """Each text with every word written backwards: other words, as many."""
    return [(answer, " ".join(word[::-1] for word in answer.split())) for _, answer in source]


def test_translations_and_extracts_have_a_right_answer() -> None:
    chance = random.Random(2)
    texts = [("", " ".join(chance.choices(WORDS, k=chance.randint(20, 300)))) for _ in range(80)]
    assert not found_by("D701", dataset(reworded(texts)))
    extracts = [(answer, " ".join(answer.split()[:60])) for _, answer in stories(80, 120)]
    assert not found_by("D701", dataset(extracts))


def test_answers_that_come_back_or_are_json_are_not_open_ended() -> None:
    told = stories(30, 80)
    assert not found_by("D701", dataset([(f"{question} {n}", answer) for n in range(3) for question, answer in told]))
    assert not found_by(
        "D701", dataset([(question, json.dumps({"x": answer})) for question, answer in stories(60, 80)])
    )
    assert not found_by("D701", dataset(stories(49, 80)))


def test_general_rows_that_are_mixed_in_are_no_task() -> None:
    mixed = rows("general", stories(100, 80))
    task = rows("train", [(f"text {n}", "ab"[n % 2]) for n in range(100)])
    assert not found_by("D701", Dataset(Splits(task, mix=mixed)))


@pytest.mark.parametrize("script", ["故事的開頭總是這樣", "さいしょはこうでした"])
def test_characters_count_as_words_where_there_are_no_blanks(script: str) -> None:
    chance = random.Random(3)
    answers = [(f"第{n}題", "".join(chance.choices(script + "山水花鳥風月日星", k=80))) for n in range(60)]
    (finding,) = found_by("D701", dataset(answers))
    assert finding.evidence["words"] == 80
    assert finding.locations == (Location("train", None),)
