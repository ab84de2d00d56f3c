"""Text: any answer, compared as a whole and word by word."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from exactune.language import Text, say
from exactune.tasks.base import Counts, Parsed, Score, rate
from exactune.types import Status

__all__ = ["TextTask", "tokens"]

_CJK = r"\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Han characters and kana, which are written without spaces."""

_TOKEN = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")


@dataclass(frozen=True)
class TextTask:
    """Free text that has one right wording; words that agree earn part of the score."""

    type: ClassVar[str] = "text"
    primary: ClassVar[str] = "token_f1"
    metrics: ClassVar[tuple[str, ...]] = ("token_f1", "exact_match")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TextTask:
        """The task of a ``task`` block, which has nothing to say."""
        return cls()

    def config(self) -> dict[str, Any]:
        """``type`` alone."""
        return {"type": self.type}

    def describe(self) -> Text:
        """For people."""
        return say("text, compared by words and as a whole")

    def parse(self, text: str) -> Parsed:
        """The text without surrounding space."""
        stripped = text.strip()
        return Parsed(stripped, Status.OK) if stripped else Parsed(None, Status.EMPTY)

    def score(self, gold: Parsed, predicted: Parsed, source: str | None = None) -> Score:
        """Whether the texts are equal, and the token F1 of this row."""
        usable = gold.status is predicted.status is Status.OK
        correct = usable and gold.value == predicted.value
        shared = _token_f1(gold.value, predicted.value) if usable else 0.0
        return Score(correct, {("n",): 1, ("exact_match",): int(correct), ("token_f1",): shared})

    def aggregate(self, totals: Counts) -> dict[str, float]:
        """Means over the rows."""
        n = totals.get(("n",), 0)
        return {name: rate(totals.get((name,), 0), n) for name in self.metrics}

    def per_label(self, totals: Counts) -> dict[str, dict[str, float]]:
        """Meaningless here."""
        return {}

    def confusion(self, totals: Counts) -> None:
        """Meaningless here."""


def tokens(text: str) -> Counter[str]:
    """The multiset of words, lower-cased and without punctuation at their ends; a CJK character is a word."""
    return Counter(word for match in _TOKEN.findall(text.lower()) if (word := _bare(match)))


def _bare(word: str) -> str:
    start, end = 0, len(word)
    while start < end and _is_punctuation(word[start]):
        start += 1
    while end > start and _is_punctuation(word[end - 1]):
        end -= 1
    return word[start:end]


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] == "P"


def _token_f1(gold: str, predicted: str) -> float:
    """F1 of the token multisets, as in SQuAD (Rajpurkar et al., 2016)."""
    right, given = tokens(gold), tokens(predicted)
    if not right and not given:
        return float(gold == predicted)
    return 2 * (right & given).total() / (right.total() + given.total())
