"""TF-IDF with logistic regression: the linear baseline, and what is asked of rows by themselves."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["WORD", "classifier", "held_out", "unsettled", "vectorizer"]

WORD = r"(?u)\b\w+\b"
"""A word; a run of Chinese characters is one."""

FEATURES = 30_000
"""At most so many n-grams of words, and as many of characters, the most frequent ones: seconds instead of minutes."""

FOLDS = 5


def vectorizer() -> Any:
    """Words as 1- and 2-grams; characters as 1- to 4-grams within words, which also serve languages without spaces."""
    # A second to import, and only evaluation needs it.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    common = {"max_features": FEATURES, "sublinear_tf": True}
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=WORD, **common)
    return make_union(words, TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), **common))


def classifier(**settings: Any) -> Any:
    """Logistic regression with the settings of the baseline, or others."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**{"C": 10, "max_iter": 100, "tol": 1e-3, **settings})


@contextmanager
def unsettled() -> Iterator[None]:
    """Within it, a classifier that is a hair from its optimum is not worth a warning."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def held_out(texts: Sequence[str], classes: NDArray[np.int64], seed: int, **settings: Any) -> NDArray[np.float64]:
    """How probable each class is to a classifier that has not seen the row: stratified folds, each held out in turn.

    The words are counted over all rows at once, which tells nothing of their classes.

    Args:
        texts: The rows; at least one has a word.
        classes: Of each, from 0 on without gaps; each has at least two rows, or its rows get a model without it.
        seed: Of the folds.
        settings: Of the classifier.

    Returns:
        float64 ``[rows, classes]``.
    """
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, int(np.bincount(classes).max()))

    vectors = vectorizer().fit_transform(texts).tocsr()
    # What one row alone has tells nothing of others, and is most of the columns.
    vectors = vectors[:, vectors.getnnz(0) > 1]
    found = np.zeros((len(texts), int(classes.max()) + 1))
    with warnings.catch_warnings(), unsettled():
        # A class of fewer rows than folds is spread as far as it goes.
        warnings.simplefilter("ignore", UserWarning)
        for fitted, rest in StratifiedKFold(folds, shuffle=True, random_state=seed).split(vectors, classes):
            model = classifier(**settings).fit(vectors[fitted], classes[fitted])
            found[np.ix_(rest, model.classes_)] = model.predict_proba(vectors[rest])
    return found
