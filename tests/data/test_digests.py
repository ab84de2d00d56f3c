"""Rows told apart by digests: the same groups as by their texts, in a bounded number of bytes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactune.data.digests import Keys, digest, earliest, keys_of, meaning, written_as_asked
from exactune.data.expand import expand
from exactune.data.normalise import normalise
from exactune.types import Example, Location, Message

BYTES_A_ROW = 150


def row(number: int, text: str, answer: str, *history: str, system: str = "") -> Example:
    turns = [Message("assistant" if at % 2 else "user", one) for at, one in enumerate((*history, text))]
    place = Location("train", number)
    return Example(f"train:{number}", (Message("system", system), *turns), answer, place, "chat")


def keys(*examples: Example) -> Keys:
    return keys_of(examples, turns_too=True)


@given(st.lists(st.integers(0, 5)))
def test_the_first_of_equals(numbers: list[int]) -> None:
    digests = np.array([(number % 2, number) for number in numbers], dtype=np.uint64).reshape(-1, 2)
    assert earliest(digests).tolist() == [numbers.index(number) for number in numbers]


def test_inputs_agree_without_case_and_punctuation_and_only_under_one_system_message() -> None:
    same = keys(row(1, "Good!", "a"), row(2, "good", "a"), row(3, "good", "a", system="s"), row(4, "bad", "a"))
    assert earliest(same.inputs).tolist() == [0, 0, 2, 3]
    assert earliest(same.answers).tolist() == [0, 0, 0, 0]
    # What stands in the one never stands for what stands in the other.
    assert len({digest("b", digest("a")), digest("ab"), digest("a", digest("b")), digest("")}) == 4


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ('{"a": 1, "b": [2]}', '{"b":[2],"a":1}', True),
        (" [1,2]\n", "[1, 2]", True),
        ("positive", " positive ", True),
        ('{"a": 1}', '{"a": 2}', False),
        ("1", "1.0", False),
        ("{broken", "{broken ", True),
        ("[" * 100_000, "[" * 100_000, True),
    ],
)
def test_answers_agree_by_what_they_mean(one: str, other: str, agree: bool) -> None:
    assert (meaning(one) == meaning(other)) is agree


def test_earlier_turns_are_those_that_are_trained() -> None:
    chat = row(1, "bye", "ciao", "hi", "hello", "and?", " ", "what", "that", system="s")
    made = keys(row(0, "x", "y"), chat)
    turns = expand(chat)[:-1]
    wanted = keys(*(row(9, turn.input, turn.answer, system="s") for turn in turns))
    assert made.turns.tolist() == [1, 1]
    assert [normalise(turn.input) for turn in turns] == ["hi", "hihelloandwhat"]
    assert (made.turn_inputs == wanted.inputs).all()
    assert (made.turn_answers == wanted.answers).all()
    assert keys_of([chat]).turns.size == 0


def test_lone_surrogates_have_digests() -> None:
    assert len({digest("\ud800"), digest("\ud801"), digest("?")}) == 3


def test_rows_are_not_kept() -> None:
    rows = 20_000

    def made() -> Iterator[Example]:
        return (row(number, f"{number} " + "a long text " * 20, f"answer {number}") for number in range(rows))

    tracemalloc.start()
    held = keys_of(made())
    earliest(held.pairs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Answers that were met are remembered, up to 4,096 of them.
    assert (peak - 4096 * 300) / rows < BYTES_A_ROW


def test_answers_that_copy_agree_as_their_inputs_do() -> None:
    train = [
        row(1, "Play it on Netflix", '{"service": "Netflix"}'),
        row(2, "play it on netflix", '{"service": "netflix"}'),
        row(3, "Play it on Netflix.", '{"service": "Spotify"}'),
        row(4, "Grade a", '{"grade": "A+"}'),
        row(5, "grade A", '{"grade": "A-"}'),
        row(6, "deep", "[" * 900 + "1" + "]" * 900),
        row(7, "deep!", "[2]"),
    ]
    test = [row(1, "PLAY IT ON NETFLIX", '{"service": "NETFLIX"}'), row(2, "other", "x")]
    splits = {"train": train, "test": test}
    plain = {name: keys_of(rows) for name, rows in splits.items()}
    before = plain["train"].answers.copy()
    keys = written_as_asked(plain, splits)
    assert earliest(np.vstack([keys["train"].pairs, keys["test"].pairs])).tolist() == [0, 0, 2, 3, 4, 5, 6, 0, 8]
    assert (plain["train"].answers == before).all()
