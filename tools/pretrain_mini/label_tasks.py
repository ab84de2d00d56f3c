"""Chat tasks whose answers are labels: alone, or as JSON `{"label": ...}`."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from .passages import Passage, Passages
from .wording import Task, dump

_LANGUAGES = {
    "en": {"en": "English", "zh_tw": "Traditional Chinese", "zh_cn": "Simplified Chinese"},
    "zh_tw": {"en": "英文", "zh_tw": "繁體中文", "zh_cn": "簡體中文"},
    "zh_cn": {"en": "英文", "zh_tw": "繁体中文", "zh_cn": "简体中文"},
}
_GENRES = {
    "en": {
        "law": "law",
        "dialogue": "dialogue",
        "arithmetic": "arithmetic",
        "health": "health",
        "reference": "reference",
    },
    "zh_tw": {"law": "法律", "dialogue": "對話", "arithmetic": "算術", "health": "健康", "reference": "資料"},
    "zh_cn": {"law": "法律", "dialogue": "对话", "arithmetic": "算术", "health": "健康", "reference": "资料"},
}
_YES_NO = {"en": ("yes", "no"), "zh_tw": ("是", "否"), "zh_cn": ("是", "否")}
_HAVE = {"en": ("yes", "no"), "zh_tw": ("有", "沒有"), "zh_cn": ("有", "没有")}
_PAIRS = {
    "en": [("A", "B"), ("positive", "negative"), ("true", "false"), ("related", "other"), ("accept", "reject")],
    "zh_tw": [("甲", "乙"), ("正面", "負面"), ("真", "假"), ("相關", "其他"), ("通過", "退回")],
    "zh_cn": [("甲", "乙"), ("正面", "负面"), ("真", "假"), ("相关", "其他"), ("通过", "退回")],
}
_FIELDS = {
    "en": ["label", "category", "answer"],
    "zh_tw": ["label", "類別", "標籤"],
    "zh_cn": ["label", "类别", "标签"],
}
_AS_JSON = {
    "en": ' Answer as JSON: {{"{}": "..."}}.',
    "zh_tw": '以 JSON 回答：{{"{}": "..."}}。',
    "zh_cn": '以 JSON 回答：{{"{}": "..."}}。',
}


def language(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """Which language the passage is in; the question's language is drawn apart from it by the caller's passage."""
    shown = source.draw(rng, rng.choice(list(_LANGUAGES)), 60)
    names = _LANGUAGES[passage.language]
    return "language", {"labels": _listed(rng, list(names.values()), passage)}, shown.text, names[shown.language]


def genre(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """Which kind of text, for the kinds that their form betrays."""
    names = _GENRES[passage.language]
    return (
        ("genre", {"labels": _listed(rng, list(names.values()), passage)}, passage.text, names[passage.genre])
        if passage.genre
        else None
    )


def intent(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """The annotated intent or domain of an utterance, among those of other utterances."""
    shown = source.annotated(rng, passage.language)
    others = {source.annotated(rng, passage.language).label for _ in range(rng.randint(2, 8))}
    labels = [label for label in others | {shown.label} if isinstance(label, str)]
    if not isinstance(shown.label, str) or len(labels) < 2:
        return None
    return rng.choice(["topic", "genre"]), {"labels": _listed(rng, sorted(labels), passage)}, shown.text, shown.label


def open_intent(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """The intent of an utterance, in CamelCase or snake_case, without a list to choose from."""
    shown = source.annotated(rng, passage.language)
    if not isinstance(shown.label, str):
        return None
    if passage.language == "en" and rng.random() < 0.7:
        return "open_intent_snake", {}, shown.text, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", shown.label).lower()
    return "open_intent", {}, shown.text, shown.label


def examples(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """The label of the last of a few utterances, the others of which are labelled."""
    shown = source.annotated(rng, passage.language)
    others = [source.annotated(rng, passage.language) for _ in range(rng.randint(2, 4))]
    if shown.label not in {other.label for other in others}:
        others.append(
            next((x for _ in range(40) if (x := source.annotated(rng, passage.language)).label == shown.label), shown)
        )
    if not isinstance(shown.label, str) or others[-1] is shown:
        return None
    rng.shuffle(others)
    lines = [f"{other.text} -> {other.label}" for other in others if isinstance(other.label, str)]
    return "examples", {}, "\n".join([*lines, f"{shown.text} ->"]), shown.label


def topic(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """A word of the same document's later text, among words of other documents."""
    own = [
        word
        for word in Passage(passage.language, [passage.rest]).words
        if word not in passage.text or rng.random() < 0.3
    ]
    if not own or len(passage.text) < 20:
        return None
    answer = max(rng.sample(own, min(6, len(own))), key=len)
    others = [
        word
        for _ in range(rng.randint(1, 4))
        for word in sorted(source.draw(rng, passage.language, 60).words, key=len)[-1:]
    ]
    labels = list(dict.fromkeys([answer, *others]))
    return ("topic", {"labels": _listed(rng, labels, passage)}, passage.text, answer) if len(labels) > 1 else None


def contains(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """Whether a word occurs."""
    word, inside = _word(rng, passage, source)
    return ("contains", {"word": word}, passage.text, _HAVE[passage.language][0 if inside else 1]) if word else None


def rule(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """One label if a word occurs, else the other; which label means which is drawn."""
    word, inside = _word(rng, passage, source)
    yes, no = rng.sample(rng.choice(_PAIRS[passage.language]), 2)
    return ("rule", {"word": word, "a": yes, "b": no}, passage.text, yes if inside else no) if word else None


def follows(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """Whether two passages are of one document."""
    same = rng.random() < 0.5
    second = passage.rest.strip()[:120] if same else source.draw(rng, passage.language, 60).text[:120]
    if len(second) < 15:
        return None
    return "follows", {}, f"1. {passage.text}\n2. {second}", _YES_NO[passage.language][0 if same else 1]


def as_json(rng: random.Random, passage: Passage, answer: str) -> tuple[str, str]:
    """Turns a label into an object with one field; returns what to add to the instruction, and the answer."""
    name = rng.choice(_FIELDS[passage.language])
    return _AS_JSON[passage.language].format(name), dump({name: answer})


def _word(rng: random.Random, passage: Passage, source: Passages) -> tuple[str, bool]:
    own = rng.random() < 0.5
    words = (passage if own else source.draw(rng, passage.language, 60)).words
    word = rng.choice(words) if words else ""
    return word, word in passage.text


def _listed(rng: random.Random, labels: list[str], passage: Passage) -> str:
    return (", " if passage.language == "en" else "、").join(rng.sample(labels, len(labels)))


TASKS: tuple[Callable[[random.Random, Passage, Passages], Task | None], ...] = (
    language,
    genre,
    intent,
    intent,
    open_intent,
    open_intent,
    examples,
    topic,
    topic,
    contains,
    rule,
    follows,
)
