"""Rows that are too long, counted or estimated."""

from __future__ import annotations

import pytest
from cases_tokens import ENGLISH, tokenized

from exactune.bases import find_base
from exactune.checks import Dataset, check_dataset
from exactune.checks.lengths import _least_tokens
from exactune.render.template import Template
from exactune.rules import Finding, Severity
from exactune.types import Location, Splits

import tiny
from cases import dataset, rows


def found_by(code: str, subject: Dataset) -> list[Finding]:
    return [finding for finding in check_dataset(subject) if finding.code == code]


def test_too_long_rows_are_counted_by_label() -> None:
    pairs = [("x" * 80, "long one"), ("y", "long one"), ("z" * 80, "other"), *[("x", "other")] * 7]
    subject = tokenized(Splits(rows("train", pairs)), tiny.byte_bpe(vocab=259), limit=60)
    (finding,) = found_by("D501", subject)
    assert finding.severity is Severity.ERROR
    assert finding.evidence["labels"] == {"long one": {"rows": 1, "all": 2}, "other": {"rows": 1, "all": 8}}
    assert "labels that lose rows: 'long one' 1 of 2, 'other' 1 of 8" in finding.message


def test_mixed_in_rows_belong_to_no_label() -> None:
    splits = Splits(rows("train", ENGLISH), mix=rows("general", [("x" * 200, "yes")]))
    (finding,) = found_by("D501", tokenized(splits, tiny.byte_bpe(vocab=259), limit=100))
    assert finding.locations == (Location("general", 1),)
    assert "labels" not in finding.evidence


@pytest.mark.parametrize(("text", "least"), [("還會再來很好吃" * 900, 3150), ("really tasty food " * 900, 3240)])
def test_without_a_model_the_length_is_an_estimate_and_no_error(text: str, least: int) -> None:
    (finding,) = found_by("D501", dataset([("x", "a"), (text, "b")]))
    assert finding.severity is Severity.WARNING
    assert finding.evidence == {"limit": 2048, "longest": least, "rows": 1, "estimated": True}
    assert [place.line for place in finding.locations] == [2]
    assert "by an estimate from the characters" in finding.message
    assert "exactune check task.yaml" in finding.fix


@pytest.mark.parametrize(
    "text",
    ["還會再來很好吃" * 580, "really tasty food " * 560, "-" * 50_000, "\n" * 30_000 + "x", "a, b\n\n\n\n" * 1500],
    ids=["chinese", "english", "dashes", "lines", "table"],
)
def test_the_estimate_does_not_count_what_large_vocabularies_write_in_few_tokens(text: str) -> None:
    assert not found_by("D501", dataset([("x", "a"), (text, "b")]))


@pytest.mark.parametrize(
    "text",
    [
        "台積電股價今日大漲，創下歷史新高，外資連續買超。",
        "The committee has postponed its decision until the figures for the third quarter are known. ",
        '{"name": "Ada", "year": 1843, "tags": ["notes", "engine"]}, ',
        "def area(radius: float) -> float:\n    return math.pi * radius**2\n",
        "서울은 대한민국의 수도이다. ",
    ],
)
def test_the_estimate_stays_below_what_a_tokenizer_counts(text: str) -> None:
    (row,) = rows("train", [(text * 400, "a")])
    assert 0 < _least_tokens(row, 2048) < len(Template.load(find_base("mini")).encode(row))
