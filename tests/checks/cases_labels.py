"""Labels that are rare, misspelt, not listed or double (D3), and how many rows they have (D702, D703)."""

from __future__ import annotations

import random
from dataclasses import replace

from exactune.config import TaskConfig

from cases import Case, Pairs, dataset, labelled, ready

FEES = ("fee", "charged", "card", "why", "was", "I", "paying", "again", "my", "a", "twice", "the", "account", "month")
LIMITS = ("limit", "raise", "daily", "how", "high", "is", "can", "you", "spend", "more", "than", "allowed", "maximum")


def sentences(label: str, words: tuple[str, ...], number: int, seed: int) -> list[tuple[str, str]]:
    """Rows of random words, so that the label alone tells two groups of the same words apart."""
    chance = random.Random(seed)
    return [(f"{' '.join(chance.choices(words, k=8))} {n}", label) for n in range(number)]


def doubled(second: str) -> Pairs:
    return [
        *sentences("card_fee", FEES, 80, 1),
        *sentences("card_limit", LIMITS, 80, 2),
        *sentences(second, FEES, 60, 3),
    ]


def listed(pairs: Pairs) -> Case:
    allowed = TaskConfig.model_validate({"labels": ["a", "b"]})
    return Case(
        ready(replace(dataset([*labelled(), *pairs]), declared=allowed)),
        [121],
        ready(replace(dataset(labelled()), declared=allowed)),
    )


CASES = {
    "D301": Case(
        ready(dataset([(f"text {n}", "ab"[n % 12 == 0]) for n in range(132)])), [None], ready(dataset(labelled(132)))
    ),
    "D302": Case(
        ready(dataset(labelled(), [("new", "a"), ("newer", "c")])),
        [2],
        ready(dataset([*labelled(), ("third", "c")], [("new", "a"), ("newer", "c")])),
    ),
    "D303": Case(
        ready(dataset([*labelled(), ("more", "A."), ("text", "a")])),
        [121],
        ready(dataset([*labelled(), ("more", "a"), ("text", "a")])),
    ),
    "D304": listed([("other", "c")]),
    "D305": Case(ready(dataset(doubled("card_fees"))), list(range(161, 221)), ready(dataset(doubled("card_fee")))),
    "D702": Case(ready(dataset(labelled(99))), [None], ready(dataset(labelled(100)))),
    "D703": Case(
        ready(dataset([*labelled(), ("rare", "c"), ("rarer", "c")])),
        [121, 122],
        ready(dataset([*labelled(), *((f"rare {n}", "c") for n in range(10))])),
    ),
}
