"""Seeded, stratified splitting that never puts the same input on both sides."""

from __future__ import annotations

import random
from collections.abc import Sequence

from exactune.data.expand import expand
from exactune.data.normalise import normalise
from exactune.data.words import count
from exactune.errors import DataError
from exactune.language import say
from exactune.types import Example

__all__ = ["answers_recur", "deal", "hold_out", "stratified_slice"]


def answers_recur(examples: Sequence[Example]) -> bool:
    """Whether answers come back like labels: on average each at least twice."""
    return 0 < 2 * len({example.answer for example in examples}) <= len(examples)


def _strata(examples: Sequence[Example], members: Sequence[list[int]]) -> list[list[list[int]]]:
    """Groups of row numbers by the answer of their first row, in the order of first appearance."""
    if not answers_recur(examples):
        return [list(members)]
    strata: dict[str, list[list[int]]] = {}
    for group in members:
        strata.setdefault(examples[group[0]].answer, []).append(group)
    return list(strata.values())


def _quotas(sizes: Sequence[int], total: int, chance: random.Random) -> list[int]:
    """``total`` shared out in proportion to ``sizes`` by largest remainder; chance breaks ties."""
    exact = [total * size / sum(sizes) for size in sizes]
    quotas = [int(share) for share in exact]
    order = sorted(range(len(sizes)), key=lambda index: (quotas[index] - exact[index], chance.random()))
    for index in order[: total - sum(quotas)]:
        quotas[index] += 1
    return quotas


def hold_out(
    examples: Sequence[Example], fraction: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Take eval rows out of the training rows.

    Rows with the same normalised input stay together, and a row that a longer chat begins with is never held out: every
    turn of a chat is trained. Where answers recur, each answer gives its share, and none gives its last input, so that
    every label stays in training.

    Args:
        examples: In file order, which both sides keep.
        fraction: Share of the rows to hold out, in (0, 1).
        seed: Same seed, same rows, on any machine.

    Returns:
        Training rows and eval rows, neither empty.

    Raises:
        DataError: There are fewer than two different inputs.
    """
    groups = _groups(examples)
    if len(groups) < 2:
        raise DataError(
            say(
                "{training_rows} with {different_inputs} cannot be split into training and eval rows. "
                "Add rows, or name an eval file with `data.eval`.",
                training_rows=count(len(examples), "training row"),
                different_inputs=count(len(groups), "different input"),
            )
        )
    chance = random.Random(seed)
    begun = {normalise(turn.input) for example in examples for turn in expand(example)[:-1]}
    free = [group for group in groups if normalise(examples[group[0]].input) not in begun]
    strata = _strata(examples, free)
    sizes = [sum(len(group) for group in stratum) for stratum in strata]
    held: set[int] = set()
    for stratum, quota in zip(strata, _quotas(sizes, round(fraction * len(examples)), chance), strict=True):
        held.update(_take(stratum, quota, chance))
    if not held:
        smallest: list[int] = min(free, key=len)
        held.update(smallest)
    return (
        tuple(example for index, example in enumerate(examples) if index not in held),
        tuple(example for index, example in enumerate(examples) if index in held),
    )


def _groups(examples: Sequence[Example]) -> list[list[int]]:
    """Numbers of the rows with the same input, in the order of first appearance."""
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(normalise(example.input), []).append(index)
    return list(groups.values())


def _take(stratum: Sequence[list[int]], quota: int, chance: random.Random) -> list[int]:
    """Row numbers of groups that fit into the quota, in random order; one group is always left."""
    shuffled = chance.sample(stratum, len(stratum))
    taken: list[int] = []
    for group in shuffled[1:]:
        if len(taken) + len(group) <= quota:
            taken += group
    return taken


def stratified_slice(examples: Sequence[Example], n: int, seed: int) -> tuple[Example, ...]:
    """At most ``n`` rows in their order, each recurring answer with its share; seeded."""
    if n >= len(examples):
        return tuple(examples)
    chance = random.Random(seed)
    strata = _strata(examples, [[index] for index in range(len(examples))])
    kept: set[int] = set()
    for stratum, quota in zip(strata, _quotas([len(stratum) for stratum in strata], n, chance), strict=True):
        kept.update(index for group in chance.sample(stratum, quota) for index in group)
    return tuple(example for index, example in enumerate(examples) if index in kept)


def deal(examples: Sequence[Example], folds: int, seed: int) -> list[list[int]]:
    """Share the training rows out into folds, each to be held out in its turn.

    Rows with the same normalised input are in one fold, and so is a row with the chats that begin with it: every turn
    of a chat is trained. Where answers recur, those of each are spread over the folds.

    Args:
        examples: The rows.
        folds: How many; at least 2.
        seed: Same seed, same folds, on any machine.

    Returns:
        The numbers of each fold's rows, rising.

    Raises:
        DataError: There are fewer different inputs than folds.
    """
    groups = _chained(examples)
    if len(groups) < folds:
        raise DataError(
            say(
                "{training_rows} with {different_inputs} cannot be dealt into {folds} folds. Take fewer folds, or add "
                "rows.",
                training_rows=count(len(examples), "training row"),
                different_inputs=count(len(groups), "different input"),
                folds=folds,
            )
        )
    chance = random.Random(seed)
    dealt: list[list[int]] = [[] for _ in range(folds)]
    for stratum in _strata(examples, groups):
        own = [0] * folds
        # The largest first: small ones fill up what these leave uneven.
        for group in sorted(chance.sample(stratum, len(stratum)), key=len, reverse=True):
            fold = min(range(folds), key=lambda fold: (own[fold], len(dealt[fold])))
            dealt[fold] += group
            own[fold] += len(group)
    return [sorted(numbers) for numbers in dealt]


def _chained(examples: Sequence[Example]) -> list[list[int]]:
    """Numbers of the rows that cannot be told apart by folds, in the order of first appearance."""
    asked = [normalise(example.input) for example in examples]
    group = {text: {text} for text in asked}
    for example, text in zip(examples, asked, strict=True):
        for turn in expand(example)[:-1]:
            other = group.get(normalise(turn.input), group[text])
            if other is not group[text]:
                joined = group[text] | other
                group.update(dict.fromkeys(joined, joined))
    numbers: dict[int, list[int]] = {}
    for index, text in enumerate(asked):
        numbers.setdefault(id(group[text]), []).append(index)
    return list(numbers.values())
