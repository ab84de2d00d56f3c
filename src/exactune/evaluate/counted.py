"""What answers came to, row by row, in a few bytes each: memory for the different outcomes, not for the rows."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exactune.tasks import Score

__all__ = ["ABSENT", "Counted", "Key"]

Key = tuple[str, ...]

ABSENT = -1
"""The pattern of a row that was not answered."""


class Counted:
    """The counts of many scores.

    Rows with equal counts share a pattern, which is kept once; a row is the number of its pattern. 3,000 rows of 77
    labels have about 1,000.

    Attributes:
        keys: What was counted, in the order in which it first occurred, with its number.
    """

    def __init__(self) -> None:
        self.keys: dict[Key, int] = {}
        self._patterns: dict[bytes, int] = {}
        self._rows = array("i")

    def add(self, score: Score | None) -> None:
        """Count one more row; ``None`` for a row that was not answered."""
        if score is None:
            self._rows.append(ABSENT)
            return
        keys = self.keys
        counts = sorted((keys.setdefault(key, len(keys)), count) for key, count in score.counts.items() if count)
        packed = array("d", [number for pair in counts for number in pair]).tobytes()
        self._rows.append(self._patterns.setdefault(packed, len(self._patterns)))

    def __len__(self) -> int:
        """Rows, those not answered included."""
        return len(self._rows)

    @property
    def answered(self) -> int:
        """How many rows were."""
        return int((self.rows != ABSENT).sum())

    @property
    def rows(self) -> NDArray[np.int64]:
        """The pattern of each row, -1 where it was not answered; int64 ``[rows]``."""
        return np.array(self._rows, dtype=np.int64)

    def taken(self, places: Sequence[int]) -> Counted:
        """Some of the rows, in another order; -1 for one that is not here."""
        taken = Counted()
        taken.keys, taken._patterns = self.keys, self._patterns
        taken._rows = array("i", [ABSENT if place == ABSENT else self._rows[place] for place in places])
        return taken

    def matrix(self) -> Any:
        """The counts of each pattern: a sparse float64 ``[patterns, keys]``."""
        # A tenth of a second to load, and only sums of many rows need it.
        from scipy.sparse import csr_array  # type: ignore[import-untyped, unused-ignore]

        pairs = [np.frombuffer(packed).reshape(-1, 2) for packed in self._patterns]
        ends = np.cumsum([0, *map(len, pairs)])
        flat = np.concatenate([*pairs, np.empty((0, 2))])
        shape = (len(pairs), len(self.keys))
        return csr_array((flat[:, 1], flat[:, 0].astype(np.int64), ends), shape=shape)

    def totals(self, wanted: NDArray[np.bool_] | None = None) -> dict[Key, float]:
        """Counts summed over the rows, or over those wanted; whole ones as ``int``, none that is 0."""
        rows = self.rows if wanted is None else self.rows[wanted]
        times = np.bincount(rows[rows != ABSENT], minlength=len(self._patterns)).astype(np.float64)
        sums = (self.matrix().T @ times).tolist()
        found = zip(self.keys, sums, strict=True)
        return {key: int(total) if total.is_integer() else total for key, total in found if total}

    @classmethod
    def of(cls, scores: Sequence[Score | None]) -> Counted:
        """Those of some scores."""
        counted = cls()
        for score in scores:
            counted.add(score)
        return counted
