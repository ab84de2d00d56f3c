"""What a model has to beat: the most frequent answer, and a linear classifier.

Baselines return answer texts, so that they are parsed and scored exactly as a model's answers are.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence

from exactune.types import Example

__all__ = ["linear", "majority"]

WORD = r"(?u)\b\w+\b"
"""A word of the linear classifier; a run of Chinese characters is one."""

FEATURES = 30_000
"""At most so many n-grams of words, and as many of characters, the most frequent ones: seconds instead of minutes."""


def majority(train_answers: Sequence[str], n: int) -> list[str]:
    """The most frequent training answer, ``n`` times; of equally frequent ones the first.

    Raises:
        ValueError: There are no training answers.
    """
    if not train_answers:
        raise ValueError("there are no training answers to take a majority of")
    return [Counter(train_answers).most_common(1)[0][0]] * n


def linear(train: Sequence[Example], rows: Sequence[Example]) -> list[str]:
    """TF-IDF of words and characters with logistic regression; for classification.

    Words as 1- and 2-grams; characters as 1- to 4-grams within words, which also serve languages without spaces.

    Args:
        train: The training rows; each distinct answer is a class.
        rows: The rows to answer.
    """
    # A second to import, and only evaluation needs it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    answers, inputs = [row.answer for row in train], [row.input for row in train]
    if not rows or len(set(answers)) < 2 or not any(re.search(WORD, text) for text in inputs):
        return majority(answers, len(rows))
    common = {"max_features": FEATURES, "sublinear_tf": True}
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=WORD, **common)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), **common)
    model = make_pipeline(make_union(words, characters), LogisticRegression(C=10, max_iter=100, tol=1e-3))
    with warnings.catch_warnings():
        # A baseline that is a hair from its optimum is still the baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs, answers)
    return [str(answer) for answer in model.predict([row.input for row in rows])]
