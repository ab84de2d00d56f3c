"""A rule about labels that look like two names of one thing (D305)."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from exactune.checks.dataset import Dataset
from exactune.checks.names import LABEL, Rows
from exactune.checks.variants import same_name
from exactune.data.words import count, excerpt, unique
from exactune.language import Text, join, say
from exactune.rules import Finding, Rule
from exactune.tasks import ClassificationTask
from exactune.tasks.classification import read_label

__all__ = ["near_names", "synonym_labels"]

ENOUGH = 50
"""Rows of each label from which a cross-validated accuracy means something: of 100 rows its standard error is 0.05."""
SAMPLE = 200
"""Rows of each label that are looked at."""
CHARACTERS = 1000
"""Of each text."""
TOLD_APART = 0.65
"""Balanced accuracy up to which two labels count as one; 0.5 is guessing. Between different labels of intent and
sentiment data it measures 0.84 and more, between random halves of one label 0.62 and less."""
MAX_PAIRS = 20
"""Pairs of near names whose texts are compared, those with the most rows first."""
SHORTEST = 4
LONGEST = 80
"""Letters of a name; in shorter ones every letter counts, longer ones are sentences."""
SHOWN = 3
"""Pairs named in the message."""

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\d_\u3400-\u9fff]+|\d+")


def near_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that have the same words in another order or number, or are about one edit apart.

    Names that differ in a digit are apart (`level_1`, `level_2`), and so are short ones (正面, 負面; `buy`, `bay`).
    """
    alike: dict[object, dict[str, None]] = {}
    for name in names:
        for trace in _traces(name):
            alike.setdefault(trace, {})[name] = None
    pairs = dict.fromkeys(pair for group in alike.values() for pair in combinations(group, 2))
    return [(one, other) for one, other in pairs if same_name(one) != same_name(other)]


def _traces(name: str) -> Iterator[object]:
    """What near names share: their words, sorted and in the singular, or what is left without one letter.

    Sharing the rest of a deletion finds all names one edit apart without comparing each with each
    (https://github.com/wolfgarbe/SymSpell).
    """
    words = _WORD.findall(name.casefold())
    letters = "".join(word for word in words if not word.isdigit())
    if len(letters) < SHORTEST or len(name) > LONGEST:
        return
    yield tuple(sorted(word[:-1] if word.endswith("s") and len(word) > 3 else word for word in words))
    digits = tuple(word for word in words if word.isdigit())
    yield letters, digits
    for place in range(len(letters)):
        yield letters[:place] + letters[place + 1 :], digits


def told_apart(first: Sequence[str], second: Sequence[str]) -> float:
    """How well the texts of two labels can be told apart: cross-validated balanced accuracy.

    A logistic regression over TF-IDF of one to three characters, which need no word boundaries.
    """
    # Loaded where there are such names only: it takes a second.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    labels = [0] * len(first) + [1] * len(second)
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True).fit_transform([*first, *second])
    model = LogisticRegression(class_weight="balanced")
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(model, vectors, labels, cv=folds, scoring="balanced_accuracy").mean())


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two labels, the more frequent one first, and how well their texts can be told apart."""

    first: str
    second: str
    accuracy: float

    def said(self, names: Rows) -> Text:
        return say(
            "{first!r} ({first_rows:,}) and {second!r} ({second_rows:,}), told apart in {accuracy:.0%}",
            first=excerpt(self.first),
            first_rows=len(names[self.first]),
            second=excerpt(self.second),
            second_rows=len(names[self.second]),
            accuracy=self.accuracy,
        )


def synonym_labels(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Two labels with nearly the same name and the same sort of texts.

    What it does:
        Looks for labels of a classification whose names are near: the same words in another order or number, or about
        one letter apart. Where each has at least 50 training rows, a small text classifier tries to tell their texts
        apart; the pair is reported if it does hardly better than guessing (up to 65%, where guessing gives 50%).

    Why it matters:
        If both names mean the same, each row's label is a coin toss: the model cannot be right more often than that,
        and the rows of one label count as mistakes of the other.

    Example:
        `card_fee` (300 rows) and `card_fees` (120 rows), told apart in 51%

    Fix:
        Join the two labels into one, or say in the instruction what tells them apart and correct the rows.
    """
    names = dataset.names.get(LABEL, {}).get("train", {})
    near = _candidates(names)
    texts = _texts(dataset, {name: len(names[name]) for pair in near for name in pair})
    pairs = [_Pair(first, second, told_apart(texts[first], texts[second])) for first, second in near]
    alike = [pair for pair in pairs if pair.accuracy <= TOLD_APART]
    if alike:
        yield rule.finding(
            say(
                "{pairs} with near names and the same sort of texts: {named}{more}",
                pairs=count(len(alike), "label pair"),
                named=join("; ", (pair.said(names) for pair in alike[:SHOWN])),
                more="; …" if len(alike) > SHOWN else "",
            ),
            locations=unique(place for pair in alike for place in names[pair.second]),
            related=unique(names[pair.first][0] for pair in alike),
            evidence={
                "pairs": [
                    {
                        "labels": {name: len(names[name]) for name in (pair.first, pair.second)},
                        "told_apart": round(pair.accuracy, 3),
                    }
                    for pair in alike
                ]
            },
        )


def _candidates(names: Rows) -> list[tuple[str, str]]:
    """Pairs of near names with enough rows, the more frequent name first, those with the most rows first."""
    frequent = sorted((name for name in names if len(names[name]) >= ENOUGH), key=lambda name: -len(names[name]))
    pairs = near_names(frequent)
    return sorted(pairs, key=lambda pair: -len(names[pair[1]]))[:MAX_PAIRS]


def _texts(dataset: Dataset, labels: Mapping[str, int]) -> Mapping[str, list[str]]:
    """A sample of the inputs of each label, given with its number of rows."""
    texts: dict[str, list[str]] = {label: [] for label in labels}
    if not labels or not isinstance(dataset.task, ClassificationTask):
        return texts
    chance = random.Random(0)
    drawn = {label: set(chance.sample(range(rows), min(SAMPLE, rows))) for label, rows in labels.items()}
    seen: Counter[str] = Counter()
    for example in dataset.splits.train:
        label = read_label(example.answer, dataset.task.field).value
        if label in drawn:
            if seen[label] in drawn[label]:
                texts[label].append(example.input[:CHARACTERS])
            seen[label] += 1
    return texts
