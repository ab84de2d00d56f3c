"""Whether two texts are one text typed twice: apart by slips, not by what they say.

Rows made from one sentence pattern differ in few characters, too ("flights to Rome", "flights to Paris"), and so do a
sentence and its negation. So texts are compared word by word, and a difference counts as a slip only if it cannot well
carry meaning: spacing, a repeated word, a filler, or a misspelt word. Numbers, names, negations and whole other words
are never slips. Where each character is a word, as in Chinese, only fillers and characters that are often confused may
differ, or in a long text a single one be left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Sequence

from rapidfuzz.distance import OSA, Indel, Levenshtein

__all__ = ["common_words", "differing_words", "retyped"]

SHARED = 0.85
"""Share of characters (normalised indel similarity) without which the words are not looked at: a filler in a short row
leaves 0.87, and the words decide anyway."""

LEAST_WORDS = 4
LEAST_CHARACTERS = 16
"""Shorter texts say too little to tell a slip from another request ("top up", "top ups")."""

LEAST_HAN = 12
LEAST_HAN_ADDED = 40
"""Chinese characters without which no filler may differ, and no other character be left out: each carries as much as a
word."""

TYPO_LETTERS = 5
"""Letters of a word of which one may be wrong: in short words a letter makes another word."""

TYPO_LETTERS_TWO = 9
"""Letters of a word of which two may be."""

UNITS_A_SLIP = 12
"""Words or Chinese characters for each slip beyond the first."""

COMMON = 3
"""A word that stands so often in the sample is spelt as it is meant; two such words are no misspellings of each other
("charge", "change")."""

_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(rf"[-+]?\d+(?:[.:/,]\d+)*|[{_HAN}]|[^\W\d_{_HAN}]+(?:['’][^\W\d_{_HAN}]+)*|[^\s\w]")
_WORD = re.compile(rf"[^\W\d_{_HAN}]{{{TYPO_LETTERS},}}")
_IS_HAN = re.compile(rf"[{_HAN}]")

Block = tuple[int, int, int, int]
"""``a, b, c, d``: the units ``one[a:b]`` of one text stand where ``two[c:d]`` of the other do."""

SYMBOLS = frozenset(["So", "Sc", "Mn", "Mc"])
"""Categories of emoji, currency signs and marks, which tell texts apart."""

FILLERS = frozenset([
    "a", "an", "the", "this", "that", "some", "please", "pls", "kindly", "just", "so", "really", "very",
    "well", "oh", "hi", "hello", "hey", "thanks", "thank", "you",
    *"的了啊呢吧呀哦嘛哈啦吗嗎喔耶唷哟地得着著就也很请請",
])  # fmt: skip
"""Words without which a text asks the same."""

NEGATIONS = frozenset([
    "no", "not", "none", "never", "neither", "nor", "without", "cannot", "cant", "dont", "doesnt", "didnt", "isnt",
    "arent", "wasnt", "werent", "wont", "wouldnt", "couldnt", "shouldnt", "mustnt", "neednt", "hasnt", "havent",
    "hadnt", "aint", *"不没沒無无非未别別勿莫否",
])  # fmt: skip

CONFUSED = frozenset(map(frozenset, ["在再", "做作", "他她", "他它", "她它", "那哪", "像象", "份分", "账帐", "帳賬"]))
"""Characters that are mistaken for each other and rarely tell two texts apart; any other pair may be two names."""

INFLECTIONS = ("s", "es", "d", "ed", "ing", "n", "ly")


def common_words(texts: Iterable[str]) -> frozenset[str]:
    """The longer words that stand in these texts at least :data:`COMMON` times."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(_WORD.findall(text.casefold()))
    return frozenset(word for word, number in words.items() if number >= COMMON)


def retyped(text: str, other: str, common: Container[str]) -> bool:
    """Whether the texts differ by slips alone; ``common`` are the words known to be spelt as they are meant."""
    if Indel.normalized_similarity(text.casefold(), other.casefold(), score_cutoff=SHARED) < SHARED:
        return False
    one, two = _units(text), _units(other)
    han = sum(map(_is_han, one))
    if not _long_enough(one, han):
        return False
    blocks = _differences([_folded(unit) for unit in one], [_folded(unit) for unit in two])
    if len(blocks) > 1 + len(one) // UNITS_A_SLIP:
        return False
    return all(_slip(one, two, block, common, han) for block in blocks)


def differing_words(text: str, other: str) -> frozenset[str]:
    """The words in which two texts differ."""
    one, two = ([_folded(unit) for unit in _units(side)] for side in (text, other))
    return frozenset(word for a, b, c, d in _differences(one, two) for word in (*one[a:b], *two[c:d]))


def _units(text: str) -> list[str]:
    """Numbers, words and Chinese characters, with their case, and the symbols that tell texts apart."""
    found = _UNIT.findall(unicodedata.normalize("NFKC", text))
    return [unit for unit in found if unit[-1].isalnum() or unicodedata.category(unit) in SYMBOLS]


def _folded(unit: str) -> str:
    return unit.casefold().replace("'", "").replace("’", "")


def _is_han(unit: str) -> bool:
    return _IS_HAN.fullmatch(unit) is not None


def _long_enough(units: Sequence[str], han: int) -> bool:
    written = len(units) - han >= LEAST_WORDS and sum(map(len, units)) >= LEAST_CHARACTERS
    return written or han >= LEAST_HAN


def _differences(one: Sequence[str], two: Sequence[str]) -> list[Block]:
    blocks: list[Block] = []
    for code in Levenshtein.opcodes(one, two):
        if code.tag == "equal":
            continue
        if blocks and (blocks[-1][1], blocks[-1][3]) == (code.src_start, code.dest_start):
            start = blocks.pop()
            blocks.append((start[0], code.src_end, start[2], code.dest_end))
        else:
            blocks.append((code.src_start, code.src_end, code.dest_start, code.dest_end))
    return blocks


def _slip(one: Sequence[str], two: Sequence[str], block: Block, common: Container[str], han: int) -> bool:
    a, b, c, d = block
    old, new = ([_folded(unit) for unit in units] for units in (one[a:b], two[c:d]))
    changed = (*old, *new)
    if "".join(old) == "".join(new):
        return True
    if not all(map(str.isalpha, changed)) or not NEGATIONS.isdisjoint(changed):
        return False
    in_han = any(map(_is_han, changed))
    if all(word in FILLERS for word in changed) or _repeated(one, a, b, new) or _repeated(two, c, d, old):
        return han >= LEAST_HAN or not in_han
    if in_han:
        return _slip_of_a_character(old, new, han)
    # A capital within a text mostly begins a name.
    if any(unit[0].isupper() for unit in (*one[max(a, 1) : b], *two[max(c, 1) : d])):
        return False
    return len(old) == len(new) and all(_misspelt(*words, common) for words in zip(old, new, strict=True))


def _slip_of_a_character(old: Sequence[str], new: Sequence[str], han: int) -> bool:
    if len(old) == len(new) == 1:
        return han >= LEAST_HAN and frozenset((*old, *new)) in CONFUSED
    return han >= LEAST_HAN_ADDED and len(old) + len(new) == 1


def _repeated(units: Sequence[str], start: int, end: int, other: Sequence[str]) -> bool:
    """Whether ``units[start:end]`` only says again what stands beside it."""
    if other or start == end:
        return False
    words = [_folded(unit) for unit in units]
    size = end - start
    return words[start:end] in (words[max(0, start - size) : start], words[end : end + size])


def _misspelt(word: str, other: str, common: Container[str]) -> bool:
    """Whether one word is the other one with a slip, or another form of it."""
    short, long = sorted((word, other), key=len)
    # The first letter is rarely wrong (Yannakoudakis & Fawthrop 1983), and prefixes turn a meaning round.
    if short[0] != long[0] or (word in common and other in common and not _inflected(short, long)):
        return False
    if _inflected(short, long) or (len(short) > 2 and sorted(short) == sorted(long)):
        return True
    slips = 1 if len(short) < TYPO_LETTERS_TWO else 2
    return len(short) >= TYPO_LETTERS and OSA.distance(short, long, score_cutoff=slips) <= slips


def _inflected(short: str, long: str) -> bool:
    return len(short) > 3 and long.startswith(short) and long[len(short) :] in INFLECTIONS
