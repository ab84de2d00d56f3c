"""Text by hand."""

import pytest

from exactune.tasks import TextTask
from exactune.tasks.text import tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat, the CAT!", {"the": 2, "cat": 2}),
        ("3.14 is (about) pi…", {"3.14": 1, "is": 1, "about": 1, "pi": 1}),
        ("臺北，101大樓", {"臺": 1, "北": 1, "101": 1, "大": 1, "樓": 1}),
        ("カタカナ 한국어 말", {"カ": 2, "タ": 1, "ナ": 1, "한국어": 1, "말": 1}),
        ("—!?", {}),
        ("", {}),
    ],
)
def test_tokens(text: str, expected: dict[str, int]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("gold", "given", "f1", "exact"),
    [
        ("the red cat", " the red cat\n", 1, 1),
        ("the red cat", "The red cat.", 1, 0),
        ("the red cat", "red red dog house", 2 * 1 / 7, 0),
        ("何斌", "何", 2 / 3, 0),
        ("a", "b", 0, 0),
        ("a", "", 0, 0),
        ("!!!", "???", 0, 0),
        ("!!!", "!!!", 1, 1),
    ],
)
def test_scores(gold: str, given: str, f1: float, exact: float) -> None:
    task = TextTask()
    counts = task.score(task.parse(gold), task.parse(given)).counts
    assert task.aggregate(counts) == pytest.approx({"token_f1": f1, "exact_match": exact})
