"""General rows that join training against forgetting (guide, section 最佳實踐)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from exactune.data.words import count
from exactune.language import say
from exactune.types import Example

__all__ = ["sample_mix"]


def sample_mix(
    source: Sequence[Example], name: str, ratio: float, train_rows: int, seed: int
) -> tuple[tuple[Example, ...], str | None]:
    """Draw ``round(ratio * train_rows)`` rows of one source, without replacement.

    Args:
        source: The usable rows of the source.
        name: Its path in the config; part of the seed, so that two sources are drawn independently.
        ratio: Rows to add for each training row.
        train_rows: Number of training rows, after an eval split was held out.
        seed: Same seed, same rows.

    Returns:
        The rows in file order, and a note if there were fewer than asked for.
    """
    wanted = round(ratio * train_rows)
    if len(source) < wanted:
        note = say(
            "{name}: {rows} mixed in, all it has; a ratio of {ratio:g} asks for {wanted:,}.",
            name=name,
            rows=count(len(source), "row"),
            ratio=ratio,
            wanted=wanted,
        )
        return tuple(source), note
    picked = sorted(random.Random(f"{seed} {name}").sample(range(len(source)), wanted))
    return tuple(source[index] for index in picked), None
