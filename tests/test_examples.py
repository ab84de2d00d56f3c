"""The shipped examples: what their files hold, and what their READMEs say about them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from exactune import check
from exactune.data.load import load_paths
from exactune.data.normalise import normalise
from exactune.rules import Severity
from exactune.types import Example

ROOT = Path(__file__).parents[1] / "examples"

SPLITS = ("train", "eval", "test")

ROWS = {
    "contact-extraction-en": (140, 20, 40),
    "finance-sentiment-zh": (420, 80, 100),
    "news-entities-zh": (140, 20, 40),
}

COPIED = ("contact-extraction-en", "news-entities-zh")
"""Examples whose answers hold nothing but text of the input."""

NEAR = 0.4
"""Inputs that share so many of their character trigrams are near-duplicates."""

FICTION = re.compile(
    r"1?(\d{3})?55501\d\d(\d\d)?"  # North America, with or without an extension
    r"|(44|0)(2079460|1\d\d4960|1914980|7700900|1632960)\d{3}"  # United Kingdom
    r"|(61|0)(25550\d{4}|491570(006|15[6-9]))"  # Australia
    r"|3319900\d{4}"  # France
)
"""Numbers set aside for fiction, as digits."""


def rows(name: str) -> dict[str, tuple[Example, ...]]:
    splits = load_paths([str(ROOT / name / f"{split}.jsonl") for split in SPLITS]).splits
    return {split: getattr(splits, split) for split in SPLITS}


def text(example: Example) -> str:
    """The row's own text, without the instruction that all rows share."""
    return example.input.partition("\n")[2] if example.input.startswith("找出句子中") else example.input


def test_every_example_is_tested() -> None:
    assert {path.parent.name for path in ROOT.glob("*/task.yaml")} == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_the_check_finds_nothing_that_the_readme_does_not_explain(name: str) -> None:
    readme = (ROOT / name / "README.md").read_text(encoding="utf-8")
    findings = [one for one in check(ROOT / name / "task.yaml").findings if one.severity is not Severity.INFO]
    assert not [one.message for one in findings if one.severity is Severity.ERROR or one.code not in readme]


@pytest.mark.parametrize("name", ROWS)
def test_row_counts(name: str) -> None:
    found = rows(name)
    assert tuple(len(found[split]) for split in SPLITS) == ROWS[name]
    readme = (ROOT / name / "README.md").read_text(encoding="utf-8")
    for split in SPLITS:
        assert re.search(rf"^\| {split.title()} \| `{split}.jsonl` \|.* {len(found[split])} \|$", readme, re.MULTILINE)


@pytest.mark.parametrize("name", ROWS)
def test_every_answer_is_a_json_object(name: str) -> None:
    for examples in rows(name).values():
        assert all(isinstance(json.loads(example.answer), dict) for example in examples)


@pytest.mark.parametrize("name", ROWS)
def test_no_input_comes_twice_or_nearly(name: str) -> None:
    texts = [text(example) for examples in rows(name).values() for example in examples]
    assert len({normalise(one) for one in texts}) == len(texts)
    trigrams = [{one[at : at + 3] for at in range(len(one) - 2)} for one in map(normalise, texts)]
    near = [
        (one, other)
        for (one, first), (other, second) in combinations(zip(texts, trigrams, strict=True), 2)
        if len(first & second) > NEAR * len(first | second)
    ]
    assert near == []


def values(answer: Any) -> Iterator[str]:
    for value in answer.values():
        yield from value if isinstance(value, list) else [] if value is None else [value]


@pytest.mark.parametrize("name", COPIED)
def test_every_value_stands_in_its_input(name: str) -> None:
    for examples in rows(name).values():
        for example in examples:
            missing = [value for value in values(json.loads(example.answer)) if value not in text(example)]
            assert not missing, example.location


@pytest.mark.parametrize("name", COPIED)
def test_the_readme_counts_the_values(name: str) -> None:
    readme = (ROOT / name / "README.md").read_text(encoding="utf-8")
    header = re.search(r"^\| Split \| File \| (.*) \|$", readme, re.MULTILINE)
    assert header
    fields = header[1].split(" | ")[:-2]
    for split, examples in rows(name).items():
        answers = [json.loads(example.answer) for example in examples]
        counts = Counter(field for answer in answers for field in answer for _ in values({field: answer[field]}))
        nothing = sum(not any(answer.values()) for answer in answers)
        cells = " | ".join(map(str, [*(counts[field] for field in fields), nothing, len(answers)]))
        assert f"`{split}.jsonl` | {cells} |" in readme


def test_entities_come_in_one_order_and_once() -> None:
    types = ["人名", "機構", "地點", "產品"]
    for examples in rows("news-entities-zh").values():
        for example in examples:
            answer = json.loads(example.answer)
            assert list(answer) == [kind for kind in types if kind in answer], example.location
            for spans in answer.values():
                assert spans, example.location
                assert len(set(spans)) == len(spans), example.location


def test_contacts_cannot_reach_anybody() -> None:
    for examples in rows("contact-extraction-en").values():
        for example in examples:
            for domain in re.findall(r"@([\w.-]*\w)", example.input.lower()):
                assert re.fullmatch(r"example\.(com|org|net)|[\w-]+\.example", domain), example.location
            phone = json.loads(example.answer)["phone"] or ""
            if len(digits := re.sub(r"\D", "", phone)) > 4:
                assert FICTION.fullmatch(digits), (example.location, phone)
