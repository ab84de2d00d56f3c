"""Keeping evaluation text out of pre-training: drops documents that share a long shingle with given data files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

SHINGLE = 50
"""Length, in characters after collapsing whitespace, of the shared run that marks a document as leaked."""

_BASE = np.uint64(0x9E3779B97F4A7C15 | 1)
"""Multiplier of the polynomial hash; any odd constant with well-mixed bits will do."""

_FILTER_BITS = 27
"""The bitmap in front of the exact lookup has 2**27 entries: 128 MiB, and hardly any false alarm."""

_SEPARATOR = "\x00" * SHINGLE
"""Between texts, so that no window of one text runs into the next; windows that touch it are never looked up."""


class ShingleSet:
    """The shingles of the evaluation texts, as 64-bit hashes.

    Sixty-four bits make an accidental match improbable (about 1e8 corpus windows x 1e7 shingles / 2**64 = 5e-5).
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Hashes every window of every text; texts shorter than a shingle have none."""
        self._hashes = np.unique(_window_hashes(texts)[0])
        self._filter = np.zeros(1 << _FILTER_BITS, dtype=bool)
        self._filter[_bucket(self._hashes)] = True

    def __len__(self) -> int:
        """Number of distinct shingles."""
        return len(self._hashes)

    def leaked(self, documents: list[str], batch: int = 4000) -> set[int]:
        """Returns the indices of the documents that share a shingle with the set."""
        found: set[int] = set()
        for start in range(0, len(documents), batch):
            hashes, owner = _window_hashes(documents[start : start + batch])
            candidates = np.flatnonzero(self._filter[_bucket(hashes)])
            exact = candidates[self._contains(hashes[candidates])]
            found.update(int(index) + start for index in np.unique(owner[exact]))
        return found

    def _contains(self, hashes: np.ndarray) -> np.ndarray:
        # A binary search per candidate; np.isin would sort the whole set again for each batch.
        places = np.searchsorted(self._hashes, hashes)
        return self._hashes[np.minimum(places, len(self._hashes) - 1)] == hashes


def texts_to_exclude(folder: Path) -> Iterator[str]:
    """Yields every string value of every `.jsonl` row below `folder`: all splits, training rows included.

    Training rows are excluded too: a learning curve from 0 to n rows means little when the base has read the rows.
    """
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.strip():
                yield from _strings(json.loads(line))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _bucket(hashes: np.ndarray) -> np.ndarray:
    return (hashes >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)


def _window_hashes(texts: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes all `SHINGLE`-character windows of the texts.

    Returns:
        uint64 hashes [windows] and int64 text indices [windows].
    """
    collapsed = [re.sub(r"\s+", " ", text).strip() for text in texts]
    joined = _SEPARATOR.join(collapsed) + _SEPARATOR
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    hashes = _rolling(codes)
    starts = np.cumsum([0] + [len(text) + SHINGLE for text in collapsed])[:-1]
    owner = np.repeat(np.arange(len(collapsed)), [max(0, len(text) - SHINGLE + 1) for text in collapsed])
    keep = [
        np.arange(start, start + len(text) - SHINGLE + 1)
        for start, text in zip(starts, collapsed, strict=True)
        if len(text) >= SHINGLE
    ]
    return (hashes[np.concatenate(keep)], owner) if keep else (np.empty(0, np.uint64), owner)


def _rolling(codes: np.ndarray) -> np.ndarray:
    """Polynomial hash of every window, by doubling: a window of a + b is a window of a, shifted, plus one of b."""
    total, length = None, 0
    power, width = codes, 1
    multiplier = _BASE
    with np.errstate(over="ignore"):
        while width <= SHINGLE:
            if SHINGLE & width:
                total, length = (
                    (power, width) if total is None else (_join(power, total, width, length), length + width)
                )
            power = _join(power, power, width, width) if 2 * width <= SHINGLE else power
            width *= 2
        mixed = total * multiplier
    return mixed ^ (mixed >> np.uint64(29))


def _join(left: np.ndarray, right: np.ndarray, left_width: int, right_width: int) -> np.ndarray:
    """Hashes of windows made of a left window followed by a right one."""
    size = min(len(left), len(right) - left_width)
    return left[:size] * _power(right_width) + right[left_width : left_width + size]


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(int(_BASE), exponent, 1 << 64))
