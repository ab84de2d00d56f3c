"""Normalising, splitting, slicing and mixing: seeded, stratified, and never the same input on both sides."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exactune.data.mix import sample_mix
from exactune.data.normalise import normalise
from exactune.data.split import answers_recur, deal, hold_out, stratified_slice
from exactune.errors import DataError
from exactune.types import Example, Location, Message


def example(number: int, text: str, answer: str) -> Example:
    prompt = (Message("system", ""), Message("user", text))
    return Example(f"t:{number}", prompt, answer, Location("t", number), "text_label")


def examples(*pairs: tuple[str, str]) -> list[Example]:
    return [example(number, text, answer) for number, (text, answer) in enumerate(pairs, 1)]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Hello, World!", "hello world"), ("好吃！", "好吃"), ("ＡＢＣ　１２", "abc12"), ("Straße", "STRASSE"),
     ("a_b", "ab"), ("line\none", "line one"), ("～好～", "好")],
)  # fmt: skip
def test_the_same_input(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("好吃👍", "好吃👎"), ("$5", "€5"), ("?", "!"), ("कि", "का"), ("a1", "a2"), ("...", "?")],
)  # fmt: skip
def test_not_the_same_input(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


ROWS = st.lists(
    st.tuples(st.sampled_from([*"abcdefghijklm", "A", "a!", "Ｂ", " b"]), st.sampled_from(["x", "y", "z"])), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.floats(0.01, 0.99), st.integers(0, 9))
def test_hold_out(pairs: list[tuple[str, str]], fraction: float, seed: int) -> None:
    rows = examples(*pairs)
    inputs = {normalise(row.input) for row in rows}
    if len(inputs) < 2:
        with pytest.raises(DataError, match=r"cannot be split.*`data\.eval`"):
            hold_out(rows, fraction, seed)
        return
    train, held = hold_out(rows, fraction, seed)
    assert train
    assert held
    assert sorted((*train, *held), key=lambda row: row.location) == rows
    assert list(train) == sorted(train, key=lambda row: row.location)
    assert list(held) == sorted(held, key=lambda row: row.location)
    assert not {normalise(row.input) for row in train} & {normalise(row.input) for row in held}
    assert (train, held) == hold_out(rows, fraction, seed)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000))
def test_hold_out_gives_each_answer_its_share(seed: int) -> None:
    rows = examples(*((f"text {n}", "rare" if n % 10 == 0 else "common") for n in range(200)))
    train, held = hold_out(rows, 0.1, seed)
    assert Counter(row.answer for row in held) == {"common": 18, "rare": 2}
    assert len(train) == 180


def test_hold_out_leaves_every_label_in_training() -> None:
    rows = examples(("only one", "single"), *((f"text {n}", "common") for n in range(20)))
    for seed in range(30):
        train, _ = hold_out(rows, 0.5, seed)
        assert "single" in {row.answer for row in train}


def test_hold_out_depends_on_the_seed_and_is_pinned() -> None:
    rows = examples(*((f"text {n}", "ab"[n % 2]) for n in range(20)))
    held = [row.location.line for row in hold_out(rows, 0.2, 42)[1]]
    assert held != [row.location.line for row in hold_out(rows, 0.2, 43)[1]]
    # A changed draw would give resumed and repeated runs other eval rows.
    assert held == [4, 7, 8, 17]


def test_hold_out_without_recurring_answers_is_one_stratum() -> None:
    rows = examples(*((f"text {n}", f"answer {n}") for n in range(50)))
    assert not answers_recur(rows)
    assert len(hold_out(rows, 0.2, 1)[1]) == 10


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(0, 70), st.integers(0, 9))
def test_stratified_slice(pairs: list[tuple[str, str]], n: int, seed: int) -> None:
    rows = examples(*pairs)
    kept = stratified_slice(rows, n, seed)
    assert len(kept) == min(n, len(rows))
    assert list(kept) == [row for row in rows if row in kept]
    assert kept == stratified_slice(rows, n, seed)
    if answers_recur(rows):
        have, all_ = Counter(row.answer for row in kept), Counter(row.answer for row in rows)
        for answer, number in all_.items():
            assert abs(have[answer] - min(1, n / len(rows)) * number) < 1


def test_mix_draws_its_ratio_in_order() -> None:
    rows = examples(*((f"text {n}", "a") for n in range(50)))
    drawn, note = sample_mix(rows, "general.jsonl", 0.1, 204, 42)
    assert (len(drawn), note) == (20, None)
    assert list(drawn) == sorted(drawn, key=lambda row: row.location)
    assert drawn == sample_mix(rows, "general.jsonl", 0.1, 204, 42)[0]
    assert drawn != sample_mix(rows, "general.jsonl", 0.1, 204, 43)[0]
    assert drawn != sample_mix(rows, "other.jsonl", 0.1, 204, 42)[0]


def test_mix_takes_all_of_a_small_source_and_says_so() -> None:
    rows = examples(("a", "b"))
    drawn, note = sample_mix(rows, "general.jsonl", 0.5, 10, 42)
    assert drawn == tuple(rows)
    assert note is not None
    assert "general.jsonl: 1 row mixed in, all it has; a ratio of 0.5 asks for 5" in note


def chat(number: int, *texts: str) -> Example:
    turns = (Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts[:-1]))
    return Example(f"t:{number}", (Message("system", ""), *turns), texts[-1], Location("t", number), "chat")


def test_a_row_that_a_chat_begins_with_is_not_held_out() -> None:
    rows = [chat(0, "hi", "hello"), chat(1, "hi", "hello", "bye", "ciao"), chat(2, "hi", "hello", "more", "yes")]
    rows += [chat(number, f"question {number}", f"answer {number}") for number in range(3, 12)]
    for seed in range(30):
        train, held = hold_out(rows, 0.3, seed)
        assert held
        assert rows[0] in train
        assert len(train) + len(held) == len(rows)


def test_a_greeting_that_all_chats_open_with_does_not_glue_them_together() -> None:
    rows = [chat(0, "hello", "hi"), *(chat(n, "hello", "hi", f"question {n}", f"answer {n}") for n in range(1, 300))]
    train, held = hold_out(rows, 0.1, 0)
    assert (len(train), len(held)) == (270, 30)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(2, 5), st.integers(0, 9))
def test_deal(pairs: list[tuple[str, str]], folds: int, seed: int) -> None:
    rows = examples(*pairs)
    if len({normalise(row.input) for row in rows}) < folds:
        with pytest.raises(DataError, match="cannot be dealt into"):
            deal(rows, folds, seed)
        return
    dealt = deal(rows, folds, seed)
    assert len(dealt) == folds
    assert all(dealt)
    assert sorted(number for fold in dealt for number in fold) == [*range(len(rows))]
    asked = [{normalise(rows[number].input) for number in fold} for fold in dealt]
    assert sum(map(len, asked)) == len(set().union(*asked)), "the same input lies in one fold"
    assert dealt == deal(rows, folds, seed)


def test_deal_spreads_every_answer_and_goes_by_the_seed() -> None:
    rows = examples(*((f"text {n}", "rare" if n % 10 == 0 else "common") for n in range(90)))
    dealt = deal(rows, 3, 1)
    assert [Counter(rows[number].answer for number in fold) for fold in dealt] == [{"common": 27, "rare": 3}] * 3
    assert dealt != deal(rows, 3, 2)


def test_a_row_is_in_one_fold_with_the_chats_that_begin_with_it() -> None:
    rows = [chat(0, "hi", "hello"), chat(1, "hi", "hello", "bye", "ciao"), chat(2, "hi", "hello", "bye", "so long")]
    rows += [chat(number, f"question {number}", f"answer {number}") for number in range(3, 12)]
    for seed in range(20):
        assert any({0, 1, 2} <= set(fold) for fold in deal(rows, 3, seed))
