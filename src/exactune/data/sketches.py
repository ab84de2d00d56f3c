"""Texts that share most of their pieces: pairs worth comparing, found without comparing all.

A sketch is a one-permutation MinHash (Li, Owen & Zhang, NIPS 2012) of a text's character 4-grams: each 4-gram falls
into one of 36 slots, which keeps its smallest hash. The share of slots in which two sketches agree estimates the share
of 4-grams that the texts have in common (Jaccard). Rows that agree in some band of slots become neighbours by sorting,
so the work grows with the rows and not with their pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["SLOTS", "Sketches", "candidates", "sketches_of"]

Sketches = NDArray[np.uint16]
"""``uint16 [rows, slots]``."""

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

GRAM = 4
"""Characters in a piece: a changed character changes four, of the 20 to 100 of a short row."""

SLOTS = 36
BAND = 3
"""Slots that must agree at once. 12 bands of 3 find a pair that shares 80 % of its pieces with probability 0.9998, one
that shares 30 % with 0.28 (1 - (1 - s³)¹²)."""

SIMILAR = 0.5
"""Share of slots below which a pair is not compared: one changed character in 20 leaves 0.66 of the pieces, and an
estimate from 36 slots is off by 0.08 (its standard deviation)."""

WINDOW = 8
"""A bucket of so many rows is compared pair by pair; in a larger one (rows of one template) each row meets only those
that :data:`NEIGHBOURS` says."""

NEIGHBOURS = 2
"""Rows behind it that a row of a large bucket meets; sorted by the next band, too, they are the most alike."""

TWINS = 2
"""Most similar rows that are kept for each row."""

CHUNK = 1 << 20
"""Characters sketched at a time: what numpy holds beside the sketches is a small multiple."""

_EMPTY = np.uint32(0xFFFFFFFF)
_PLACES = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], dtype=np.uint64)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_HALF = np.uint64(32)


def sketches_of(texts: Iterable[tuple[str, int]], rows: int) -> Sketches:
    """The sketches of texts, in their order.

    Args:
        texts: Each with a number that stands for what it is under; texts under different numbers share nothing.
        rows: How many texts there are.
    """
    sketches = np.empty((rows, SLOTS), dtype=np.uint16)
    done = 0
    for chunk in _chunks(texts):
        sketches[done : done + len(chunk)] = _sketched(chunk)
        done += len(chunk)
    return sketches


def _chunks(texts: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    chunk: list[tuple[str, int]] = []
    size = 0
    for text, under in texts:
        chunk.append((text, under))
        size += len(text)
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _sketched(chunk: list[tuple[str, int]]) -> Sketches:
    hashes, owners = _grams(chunk)
    slots = ((hashes >> _HALF) * np.uint64(SLOTS)) >> _HALF
    least = np.full(len(chunk) * SLOTS, _EMPTY)
    np.minimum.at(least, owners * SLOTS + slots.astype(np.int64), hashes.astype(np.uint32))
    return _filled(least.reshape(-1, SLOTS)).astype(np.uint16)  # the low bits: those of a minimum are spread evenly


def _grams(chunk: list[tuple[str, int]]) -> tuple[Hashes, Numbers]:
    """A hash for each character's 4-gram, and the text that it is of."""
    # Behind each text stand blanks, so that the last 4-grams are its own and mark its end.
    joined = "".join(text + " " * GRAM for text, _ in chunk)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.array([len(text) for text, _ in chunk])
    owners = np.repeat(np.arange(len(chunk)), lengths)
    starts = np.arange(len(owners)) + owners * GRAM
    hashes = np.array([under for _, under in chunk], dtype=np.uint64)[owners]
    for place, factor in enumerate(_PLACES):
        hashes += codes[starts + place] * factor
    hashes = (hashes ^ (hashes >> _HALF)) * _MIX
    return hashes ^ (hashes >> _HALF), owners


def _filled(least: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Empty slots take what the next filled one before them holds, around the end (Shrivastava & Li, ICML 2014)."""
    twice = np.hstack([least, least])
    source = np.maximum.accumulate(np.where(twice == _EMPTY, 0, np.arange(2 * SLOTS)), axis=1)
    return np.take_along_axis(twice, source[:, SLOTS:], axis=1)


def candidates(sketches: Sketches, apart: Numbers) -> tuple[Numbers, int]:
    """Pairs of rows that look alike.

    Args:
        sketches: Of all rows.
        apart: A number per row; rows of the same number are not paired (they are known to be the same), nor is a row
            whose number is negative.

    Returns:
        ``int64 [pairs, 2]``, each pair once, the lower row first; and how many rows look like so many others that
        not all pairs are among these.
    """
    twins = np.full((len(sketches), TWINS), -1, dtype=np.int32)
    scores = np.zeros((len(sketches), TWINS), dtype=np.uint8)
    rows = np.flatnonzero(apart >= 0)
    for band in range(0, SLOTS, BAND):
        order, bucket, size = _buckets(sketches, rows, band)
        for distance in range(1, WINDOW):
            met = bucket[distance:] == bucket[:-distance]
            if distance > NEIGHBOURS:
                met &= size[distance:] <= WINDOW
            row, twin = order[distance:][met], order[:-distance][met]
            differ = apart[row] != apart[twin]
            _remember(sketches, row[differ], twin[differ], twins, scores)
    crowded = int((twins >= 0).all(axis=1).sum())
    row, slot = np.nonzero(twins >= 0)
    twin = twins[row, slot]
    codes = np.unique(np.minimum(row, twin) * len(sketches) + np.maximum(row, twin))
    return np.column_stack(np.divmod(codes, max(1, len(sketches)))), crowded


def _buckets(sketches: Sketches, rows: Numbers, band: int) -> tuple[Numbers, Numbers, Numbers]:
    """The rows that share a band with another, side by side; the bucket of each, and how many rows it holds."""
    key = _band(sketches, rows, band)
    order = np.lexsort((_band(sketches, rows, (band + BAND) % SLOTS), key))
    key = key[order]
    new = np.ones(len(key), dtype=bool)
    new[1:] = key[1:] != key[:-1]
    bucket = np.cumsum(new) - 1
    size = np.bincount(bucket, minlength=1)[bucket]
    shared = size > 1
    return rows[order[shared]], bucket[shared], size[shared]


def _band(sketches: Sketches, rows: Numbers, band: int) -> Hashes:
    key = np.zeros(len(rows), dtype=np.uint64)
    for slot in range(band, band + BAND):
        key = (key << np.uint64(16)) | sketches[rows, slot]
    return key


def _remember(
    sketches: Sketches, rows: Numbers, others: Numbers, twins: NDArray[np.int32], scores: NDArray[np.uint8]
) -> None:
    """Keep the similar ones of these pairs in ``twins`` and ``scores``; no row stands twice in ``rows``."""
    for start in range(0, len(rows), CHUNK // SLOTS):
        row, other = (part[start : start + CHUNK // SLOTS] for part in (rows, others))
        score = (sketches[row] == sketches[other]).sum(axis=1).astype(np.uint8)
        wanted = (score >= SIMILAR * SLOTS) & ~(twins[row] == other[:, None]).any(axis=1)
        row, other, score = row[wanted], other[wanted], score[wanted]
        slot = scores[row].argmin(axis=1)
        better = score > scores[row, slot]
        twins[row[better], slot[better]] = other[better]
        scores[row[better], slot[better]] = score[better]
