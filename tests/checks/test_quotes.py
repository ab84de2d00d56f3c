"""What is quoted at the places of findings, and how differences are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactune.checking import check
from exactune.quotes import MOST_TOKENS, Piece, differences, quotes_of, texts_at, visible
from exactune.rules import Finding, Severity
from exactune.types import Location


def finding(*lines: int, related: tuple[int, ...] = (), file: str = "train", **evidence: object) -> Finding:
    places, twins = (tuple(Location(file, line) for line in part) for part in (lines, related))
    return Finding("D201", "exact-duplicate", Severity.WARNING, "", "", evidence, None, places, twins)


def rebuilt(pieces: list[Piece], *kinds: str) -> str:
    return "".join(piece.text for piece in pieces if piece.kind in kinds)


texts = st.text(st.sampled_from("ab1 ,\n好吃"), max_size=40)


@given(texts, texts)
def test_pieces_give_both_texts_back(other: str, text: str) -> None:
    pieces = list(differences(other, text))
    assert rebuilt(pieces, "same", "cut") == other
    assert rebuilt(pieces, "same", "added") == text
    assert all(piece.text for piece in pieces)


def test_words_and_characters_are_what_differs() -> None:
    assert list(differences("a red car", "a blue car")) == [
        Piece("same", "a "), Piece("cut", "red"), Piece("added", "blue"), Piece("same", " car"),
    ]  # fmt: skip
    assert list(differences("很好吃", "很難吃"))[1:3] == [Piece("cut", "好"), Piece("added", "難")]


def test_long_texts_that_differ_all_over_are_not_compared_word_by_word() -> None:
    one, two = "a " * MOST_TOKENS, "b " * MOST_TOKENS
    pieces = list(differences("same " + one, "same " + two))
    assert [piece.kind for piece in pieces] == ["same", "cut", "added", "same"]


@pytest.mark.parametrize(
    ("text", "shown", "exact"),
    [
        ("a\n b\tc", "a b c", "a\\n b\\tc"),
        ("a\u200bb\x1b[31m", "a\\u200bb\\u001b[31m", "a\\u200bb\\u001b[31m"),
        ("a\u3000b", "a b", "a\\u3000b"),
        ("好👍", "好👍", "好👍"),
        ("\ud800\U000e0001", "\\ud800\\U000e0001", "\\ud800\\U000e0001"),
    ],
)
def test_what_has_no_shape_is_written_out(text: str, shown: str, exact: str) -> None:
    assert (visible(text), visible(text, blanks=True)) == (shown, exact)


def test_twins_from_whatever_a_finding_has() -> None:
    def twin(found: Finding) -> list[str]:
        return [quote.twin for quote in quotes_of(found, {})]

    assert twin(finding(2, 3)) == ["", ""]
    assert twin(finding(2, 3, related=(1,))) == ["train:1", "train:1"]
    assert twin(finding(2, 3, related=(1, 4))) == ["train:1", "train:4"]
    assert twin(finding(2, 3, related=(1, 4, 5), groups=[{"train:4": "a", "train:3": "b"}])) == ["", "train:4"]
    assert twin(finding(2, pairs=[{"row": "train:2", "first": "train:1"}])) == ["train:1"]
    assert twin(finding(2, pairs=[{"train": "train:2", "eval": ["eval:7", "eval:8"]}])) == ["eval:7"]


def test_evidence_of_another_shape_is_left_alone() -> None:
    for odd in ([1, "x", {}, ["a", "b"]], {"a": 1}, "text", 3):
        (quote,) = quotes_of(finding(2, groups=odd, pairs=odd, reasons={"a": 1}), {Location("train", 2): "a"})
        assert (quote.text, quote.twin, quote.reason) == ("a", "", "")


def test_the_texts_of_a_pair_are_used_where_the_finding_brings_them() -> None:
    pair = {"row": "train:2", "twin": "train:1", "text": "abc d", "other": "abc e"}
    (quote,) = quotes_of(finding(2, related=(1,), pairs=[pair]), {Location("train", 2): "not this"})
    assert quote.pieces == (Piece("same", "abc "), Piece("cut", "e"), Piece("added", "d"))


def test_rows_come_as_input_and_answer_and_broken_ones_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes('\ufeff{"text": "很好", "label": "正面"}\r\n{oops\r\n\r\n{"text": "x"}\r\n'.encode())
    result = check(path)
    everywhere = finding(1, 2, 4, 99, file=str(path))
    found = texts_at([everywhere], result.dataset.splits)
    assert {place.line: text for place, text in found.items()} == {1: "很好 → 正面", 2: "{oops", 4: '{"text": "x"}'}
    lines = texts_at([everywhere], None, most=1)
    assert list(lines.values()) == ['{"text": "很好", "label": "正面"}']
    assert texts_at([finding(1, file=str(tmp_path / "absent"))], None) == {}
