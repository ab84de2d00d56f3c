"""Short passages of the corpus, with their sentences, as raw material for chat tasks."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .tokens import load
from .vocabulary import PAD

_SENTENCE = re.compile(r"[^。！？!?\n]*?(?:[。！？]+[」”』]*|[.!?]+[\"'”]*(?=\s|$)|\n|$)")

_GENRES: dict[str, re.Pattern[str]] = {
    "law": re.compile(r"^第\s*[一二三四五六七八九十百零\d]+\s*[條条章]|^Article \d+", re.M),
    "dialogue": re.compile(r"^(?:User|Assistant|用户|使用者|助手|甲|乙)[:：]", re.M),
    "arithmetic": re.compile(r"The answer is \d"),
    "health": re.compile(r"(?:symptoms|inherited|mutation|treatment|disease|diagnos)", re.I),
    "reference": re.compile(r"^(?:[A-Z][a-z ]+: .+\n){3}", re.M),
}
"""Kinds of text that betray themselves by their form; the first that matches counts."""

_UTTERANCES: tuple[re.Pattern[str], ...] = (
    re.compile(r"^Text: (?P<text>.+)\nIntent: (?P<label>\w+)\nSlots: (?P<json>\{.*\})"),
    re.compile(r"^句子：(?P<text>.+)\n答案：(?P<json>\{.*\})"),
)


@dataclass(frozen=True)
class Passage:
    """A few consecutive sentences of one document.

    Attributes:
        language: One of `corpus.LANGUAGES`.
        sentences: As in the text, outer whitespace removed.
        rest: Later text of the same document, possibly empty.
        genre: A key of the genre table, or None when the form does not tell.
        label: The intent or domain, when the document is an annotated utterance.
        slots: The annotation, when it is one.
    """

    language: str
    sentences: list[str]
    rest: str = ""
    genre: str | None = None
    label: str | None = None
    slots: dict[str, object] | None = field(default=None)

    @property
    def text(self) -> str:
        """The sentences, joined as the language joins them."""
        return (" " if self.language == "en" else "").join(self.sentences)

    @property
    def words(self) -> list[str]:
        """Words of the passage; for Chinese, runs of two to four characters between punctuation marks."""
        return words_of(self.text, self.language)


def words_of(text: str, language: str) -> list[str]:
    """Cuts out words that can be looked up in the text again."""
    if language == "en":
        return re.findall(r"[A-Za-z]{4,}", text)
    return [run[: 2 + len(run) % 3] for run in re.findall(r"[\u4e00-\u9fff]{2,}", text)]


class Passages:
    """Draws passages from the training tokens; a draw depends on nothing but the generator it is given."""

    def __init__(self, folder: Path, languages: Iterable[str], tokenizer: Tokenizer) -> None:
        """Finds where documents begin."""
        self._tokenizer = tokenizer
        self._streams = {language: load(folder, language, "train") for language in languages}
        end = tokenizer.token_to_id(PAD)
        self._starts = {
            language: np.concatenate(([0], np.flatnonzero(stream == end) + 1))
            for language, stream in self._streams.items()
        }

    def draw(self, rng: random.Random, language: str, size: int) -> Passage:
        """Draws a passage of about `size` characters at most; English gets three times as many."""
        limit = size * 3 if language == "en" else size
        while True:
            document = self._document(rng, language)
            annotated = _utterance(document, language)
            if annotated:
                return annotated
            sentences = [part for part in (match.strip() for match in _SENTENCE.findall(document)) if len(part) > 3]
            chosen = _some(rng, sentences, limit)
            if chosen:
                rest = document[document.find(chosen[-1]) + len(chosen[-1]) :]
                return Passage(language, chosen, rest[:600], _genre(document))

    def annotated(self, rng: random.Random, language: str) -> Passage:
        """Draws an annotated utterance."""
        while True:
            found = _utterance(self._document(rng, language), language)
            if found:
                return found

    def _document(self, rng: random.Random, language: str, tokens: int = 500) -> str:
        index = rng.randrange(len(self._starts[language]) - 1)
        start, stop = self._starts[language][index : index + 2]
        if stop - 1 - start > tokens:
            start = rng.randrange(start, stop - tokens) if rng.random() < 0.5 else start
        text = self._tokenizer.decode(self._streams[language][start : min(start + tokens, stop - 1)].tolist())
        return text.strip("\ufffd \n")


def _some(rng: random.Random, sentences: list[str], limit: int) -> list[str]:
    """Consecutive sentences within the limit; the document's last one may be cut and is left out."""
    usable = sentences[:-1] if len(sentences) > 2 else sentences
    if not usable:
        return []
    first = rng.randrange(len(usable))
    chosen: list[str] = []
    for sentence in usable[first : first + rng.randint(1, 5)]:
        if sum(map(len, chosen)) + len(sentence) > limit:
            break
        chosen.append(sentence)
    return chosen


def _genre(document: str) -> str | None:
    return next((genre for genre, pattern in _GENRES.items() if pattern.search(document)), None)


def _utterance(document: str, language: str) -> Passage | None:
    for pattern in _UTTERANCES:
        match = pattern.match(document)
        if match:
            try:
                slots = json.loads(match["json"])
            except json.JSONDecodeError:
                return None
            label = match.groupdict().get("label") or slots.get("领域") or slots.get("領域")
            return Passage(language, [match["text"].strip()], label=label, slots=slots)
    return None
