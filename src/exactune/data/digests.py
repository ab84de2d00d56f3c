"""Rows told apart by digests of what they ask and of what they answer: 32 bytes a row, whatever its length.

Rows that agree are found by sorting arrays of digests. Two of 128 bits agree by chance once in 10²⁶ pairs of a million
rows, so texts are not compared again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exactune.data.expand import learns_history
from exactune.data.normalise import normalise
from exactune.types import Example

__all__ = ["Digests", "Keys", "digest", "earliest", "keys_of", "meaning", "written_as_asked"]

Digests = NDArray[np.uint64]
"""``uint64 [rows, 2]``, or ``[rows, 4]`` of an input and its answer."""

SIZE = 16
"""Bytes of a digest."""


@dataclass(frozen=True)
class Keys:
    """What the rows of one split ask and answer.

    Attributes:
        inputs: Of normalised system message and input, ``uint64 [rows, 2]``: equal digests are the same question.
        answers: Of what the answer means, ``uint64 [rows, 2]``.
        turns: Numbers of the rows that the following belong to, ``int64 [turns]``.
        turn_inputs: Of the earlier turns of chats, each of which is trained as a row of its own, ``uint64 [turns, 2]``.
        turn_answers: As ``answers``, ``uint64 [turns, 2]``.
    """

    inputs: Digests
    answers: Digests
    turns: NDArray[np.int64]
    turn_inputs: Digests
    turn_answers: Digests

    @property
    def pairs(self) -> Digests:
        """Input and answer of each row, ``uint64 [rows, 4]``."""
        return np.hstack([self.inputs, self.answers])


def keys_of(examples: Iterable[Example], *, turns_too: bool = False, system: str | None = None) -> Keys:
    """The keys of a split's rows, in one pass over them.

    Args:
        examples: The rows.
        turns_too: Those of the turns that chats begin with, too.
        system: What is taken for every row's system message, instead of its own.
    """
    inputs, answers, turn_inputs, turn_answers = bytearray(), bytearray(), bytearray(), bytearray()
    turns: list[int] = []
    # Almost all rows of a file have one of a few system messages, and labels come back.
    system_digest, answer_digest = _remembered(normalise), _remembered(meaning)
    for number, example in enumerate(examples):
        asked = system_digest(example.prompt[0].content if system is None else system)
        inputs += _input_digest(asked, example.input)
        answers += answer_digest(example.answer)
        for prompt, answer in _earlier_turns(example) if turns_too else ():
            turns.append(number)
            turn_inputs += _input_digest(asked, prompt)
            turn_answers += answer_digest(answer)
    return Keys(
        _array(inputs), _array(answers), np.array(turns, dtype=np.int64), _array(turn_inputs), _array(turn_answers)
    )


def written_as_asked(keys: Mapping[str, Keys], splits: Mapping[str, Sequence[Example]]) -> dict[str, Keys]:
    """The keys with answers compared as inputs are, where rows that ask the same seem to have different ones.

    What an answer copies differs in case, width, blanks and punctuation as its input does. Few rows are read again.
    """
    inputs, pairs = (np.vstack(part) for part in zip(*((one.inputs, one.pairs) for one in keys.values()), strict=True))
    first, same = earliest(inputs), earliest(pairs)
    again = np.isin(first, first[first != same])
    changed, start = dict(keys), 0
    for name, one in keys.items():
        rows = np.flatnonzero(again[start : start + len(one.inputs)])
        start += len(one.inputs)
        if len(rows):
            answers = one.answers.copy()
            answers[rows] = _array(bytearray().join(_copying(splits[name][row]) for row in rows.tolist()))
            changed[name] = replace(one, answers=answers)
    return changed


def _copying(example: Example) -> bytes:
    """The digest of what an answer means, its copied texts normalised."""
    value = _parsed(example.answer) if example.answer.lstrip()[:1] in ("{", "[") else None
    if not value:
        return digest(meaning(example.answer))
    try:
        return digest(json.dumps(_as_asked(value, normalise(example.input)), sort_keys=True))
    except RecursionError:
        return digest(meaning(example.answer))


def _as_asked(value: Any, asked: str) -> Any:
    if isinstance(value, dict):
        return {key: _as_asked(item, asked) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_asked(item, asked) for item in value]
    plain = normalise(value) if isinstance(value, str) else ""
    # A single letter says too little: A+ and A- are two grades.
    return plain if len(plain) > 1 and plain in asked else value


def _remembered(plain: Callable[[str], str]) -> Callable[[str], bytes]:
    return lru_cache(maxsize=4096)(lambda text: digest(plain(text)))


def digest(text: str, before: bytes = b"") -> bytes:
    """16 bytes that stand for a text."""
    # Lone surrogates are no UTF-8, and JSON can hold them.
    return blake2b(before + text.encode("utf-8", "surrogatepass"), digest_size=SIZE).digest()


def _input_digest(system: bytes, text: str) -> bytes:
    return digest(normalise(text), system)


def _array(digests: bytearray) -> Digests:
    return np.frombuffer(bytes(digests), np.uint64).reshape(-1, 2)


def _earlier_turns(example: Example) -> Iterator[tuple[str, str]]:
    """Input and answer of the trained turns before a row's own, as :func:`~exactune.data.expand.expand` makes them."""
    if len(example.prompt) < 3 or not learns_history(example):
        return
    asked: list[str] = []
    for message in example.prompt:
        if message.role == "assistant" and message.content.strip():
            yield "\n".join(asked), message.content
        if message.role != "system":
            asked.append(message.content)


def meaning(answer: str) -> str:
    """The answer without what JSON leaves open: spacing and the order of keys."""
    plain = answer.strip()
    value = _parsed(answer) if plain[:1] in ("{", "[") else None
    return plain if value is None else json.dumps(value, sort_keys=True)


def _parsed(answer: str) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return None


def earliest(digests: Digests) -> NDArray[np.int64]:
    """For each row the number of the first one with the same digest, ``int64 [rows]``."""
    order = np.lexsort(digests.T)  # stable: rows that agree stay in their order
    ordered = digests[order]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[starts][np.cumsum(starts) - 1]
    return first
