"""Pairs worth comparing are found, without comparing all."""

from __future__ import annotations

import random

import numpy as np
import pytest

from exactune.data.sketches import SIMILAR, TWINS, candidates, sketches_of

ROWS = 400


def texts(length: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=length)) for _ in range(ROWS)]


def slipped(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text))
    return text[:at] + "0" + text[at + 1 :]


def pairs_of(all_texts: list[str], apart: np.ndarray | None = None) -> set[tuple[int, int]]:
    sketches = sketches_of(((text, 1) for text in all_texts), len(all_texts))
    pairs, _ = candidates(sketches, np.arange(len(all_texts)) if apart is None else apart)
    return {(a, b) for a, b in pairs.tolist()}


@pytest.mark.parametrize(("length", "share"), [(20, 0.9), (40, 0.99), (200, 1.0)])
def test_rows_with_a_slip_are_proposed_and_others_hardly(length: int, share: float) -> None:
    chance = random.Random(1)
    originals = texts(length)
    found = pairs_of([*originals, *(slipped(text, chance) for text in originals)])
    assert sum((at, at + ROWS) in found for at in range(ROWS)) >= share * ROWS
    assert sum(b != a + ROWS for a, b in found) <= 0.02 * ROWS


def test_a_sketch_estimates_the_share_of_common_pieces() -> None:
    one, two = ("".join(texts(100, seed)) for seed in (2, 3))
    half = one[: len(one) // 2]
    sketches = sketches_of([(one, 1), (half + two[: len(half)], 1), (two, 1), (one, 2)], 4)
    shares = [(sketches[0] == other).mean() for other in sketches]
    assert shares[0] == 1
    assert 0.1 < shares[1] < 0.6  # a third of all pieces
    assert shares[2] < SIMILAR
    assert shares[3] < SIMILAR, "under another number nothing is shared"


def test_sketches_do_not_depend_on_how_texts_are_cut_into_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    numbered = [(text, 7) for text in ("", "a", "abc", "好吃嗎", *texts(50))]
    whole = sketches_of(numbered, len(numbered))
    monkeypatch.setattr("exactune.data.sketches.CHUNK", 100)
    assert (sketches_of(numbered, len(numbered)) == whole).all()


def test_rows_that_are_known_or_left_out_are_not_paired() -> None:
    same = texts(60)[:1] * 4
    assert pairs_of(same, np.array([0, 0, -1, 3])) == {(0, 3), (1, 3)}
    assert pairs_of([], np.zeros(0, dtype=np.int64)) == set()


def test_many_rows_of_one_pattern_stay_few_pairs() -> None:
    pattern = [f"please find me a cheap flight from {text} to the sea" for text in texts(4)] * 5
    found = pairs_of(pattern)
    assert 0 < len(found) <= TWINS * len(pattern)
