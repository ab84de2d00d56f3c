"""What a model has to beat: the most frequent answer, and what simple methods make of the training rows.

A baseline's answers are parsed and scored exactly as a model's are. The base model itself as a baseline is in
:mod:`exactune.evaluate.prompting`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exactune.evaluate.evaluation import Baseline, read_texts
from exactune.evaluate.fields import fields
from exactune.evaluate.gazetteer import gazetteer
from exactune.evaluate.linear import WORD, classifier, unsettled, vectorizer
from exactune.tasks import Parsed, Task
from exactune.types import Example, Status

__all__ = ["FITTING", "LEARNT", "PROMPTED", "constant", "linear", "majority"]

FITTING: Mapping[str, tuple[str, ...]] = {
    "classification": ("majority", "linear", "zero_shot", "few_shot"),
    "json": ("majority", "fields", "zero_shot", "few_shot"),
    "entities": ("majority", "gazetteer", "zero_shot", "few_shot"),
    "relations": ("majority", "gazetteer", "zero_shot", "few_shot"),
    "text": ("majority", "zero_shot", "few_shot"),
}
"""Task type -> its baselines; ``evaluate.baselines: auto`` takes all of them."""


def majority(train_answers: Sequence[str], n: int) -> list[str]:
    """The most frequent training answer, ``n`` times; of equally frequent ones the first.

    Raises:
        ValueError: There are no training answers.
    """
    if not train_answers:
        raise ValueError("there are no training answers to take a majority of")
    return [Counter(train_answers).most_common(1)[0][0]] * n


def constant(task: Task, answer: str) -> Baseline:
    """The same answer to everything."""
    return lambda rows: read_texts(task, [answer] * len(rows))


def linear(task: Task, train: Sequence[Example]) -> Baseline:
    """TF-IDF of words and characters with logistic regression; for classification.

    Words as 1- and 2-grams; characters as 1- to 4-grams within words, which also serve languages without spaces. Each
    distinct answer is a class; where an answer is a list of labels, each label is a question of its own (one against
    the rest).

    Args:
        task: Reads the answers.
        train: The training rows.
    """
    answers, inputs = [row.answer for row in train], [row.input for row in train]
    if len(set(answers)) < 2 or not any(re.search(WORD, text) for text in inputs):
        return constant(task, majority(answers, 1)[0])
    parsed = read_texts(task, answers)
    if any(isinstance(one.value, list) for one in parsed):
        return _one_against_the_rest(inputs, parsed)
    model = _fitted(inputs, answers)

    def answer(rows: Sequence[Example]) -> list[Parsed]:
        # An empty block is nothing to scikit-learn.
        texts = model.predict([row.input for row in rows]) if rows else ()
        return read_texts(task, [str(text) for text in texts])

    return answer


def _one_against_the_rest(inputs: Sequence[str], parsed: Sequence[Parsed]) -> Baseline:
    usable = [(text, one.value) for text, one in zip(inputs, parsed, strict=True) if isinstance(one.value, list)]
    labels = list(dict.fromkeys(label for _, value in usable for label in value))
    # A label of all rows, or of none, needs no model.
    columns = {label: [label in value for _, value in usable] for label in labels}
    always = {label for label, column in columns.items() if all(column)}
    asked = [label for label in labels if label not in always]
    texts = [text for text, _ in usable]
    model = _fitted(texts, [[columns[label][row] for label in asked] for row in range(len(texts))]) if asked else None

    def answer(rows: Sequence[Example]) -> list[Parsed]:
        inputs = [row.input for row in rows]
        # To a single question the answers come flat.
        found = model.predict(inputs).reshape(len(rows), -1) if model is not None and rows else [[]] * len(rows)
        chosen = [always | {label for label, given in zip(asked, row, strict=False) if given} for row in found]
        return [Parsed([label for label in labels if label in given], Status.OK) for given in chosen]

    return answer


def _fitted(inputs: Sequence[str], targets: Sequence[Any]) -> Any:
    """The pipeline, trained; lists of truth values are several questions."""
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    several = isinstance(targets[0], list)
    model = make_pipeline(vectorizer(), OneVsRestClassifier(classifier()) if several else classifier())
    with unsettled():
        if several:
            import numpy as np

            return model.fit(inputs, np.array(targets, dtype=int))
        return model.fit(inputs, targets)


LEARNT: Mapping[str, Callable[[Task, Sequence[Example]], Baseline]] = {
    "linear": linear,
    "fields": fields,
    "gazetteer": gazetteer,
}
"""Baselines that are made of the training rows."""

PROMPTED = ("zero_shot", "few_shot")
"""Baselines that are the base model."""
