"""Classification against scikit-learn and by hand."""

import random
from collections import Counter

import pytest

from exactune.tasks import ClassificationTask, Parsed
from exactune.types import Status

LABELS = ("a", "b", "c", "d")


def totals(task: ClassificationTask, gold: list[str], predicted: list[str]) -> Counter:
    summed: Counter = Counter()
    for right, given in zip(gold, predicted, strict=True):
        summed.update(task.score(task.parse(right), task.parse(given)).counts)
    return summed


@pytest.mark.parametrize("seed", range(20))
def test_equals_sklearn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draw = random.Random(seed)
    gold = draw.choices(LABELS[: draw.randint(1, 4)], k=40)
    predicted = [draw.choice([right, *LABELS, "zzz", ""]) for right in gold]
    task = ClassificationTask(LABELS)
    summed = totals(task, gold, predicted)
    values = task.aggregate(summed)

    # Anything outside the set is one class that the averages leave out.
    valid = [given if given in LABELS else "zzz" for given in predicted]
    occurring = sorted({*gold, *valid} - {"zzz"})
    options = {"labels": occurring, "zero_division": 0}
    assert values["accuracy"] == pytest.approx(metrics.accuracy_score(gold, valid))
    assert values["macro_f1"] == pytest.approx(metrics.f1_score(gold, valid, average="macro", **options))
    assert values["micro_f1"] == pytest.approx(metrics.f1_score(gold, valid, average="micro", **options))

    precision, recall, f1, support = metrics.precision_recall_fscore_support(gold, valid, **options)
    table = task.per_label(summed)
    assert list(table) == occurring
    for index, label in enumerate(occurring):
        expected = {"precision": precision[index], "recall": recall[index], "f1": f1[index], "support": support[index]}
        assert table[label] == pytest.approx(expected)

    matrix = metrics.confusion_matrix(gold, valid, labels=[*LABELS, "zzz"]).tolist()
    assert "zzz" in valid, "the draw should hold invalid predictions"
    assert task.confusion(summed) == {"labels": [*LABELS, "(none)"], "matrix": matrix[:4]}


def test_by_hand() -> None:
    task = ClassificationTask(("正面", "負面", "中立"), "sentiment")
    answers = ['{"sentiment": "%s"}' % label for label in ("正面", "正面", "負面", "負面")]  # noqa: UP031
    given = [answers[0], "正面", '{"sentiment": "好"}', answers[2]]
    summed = totals(task, answers, given)
    # 正面: 1 of 2 found, no false positive: F1 2/3. 負面: the same. Three answers are JSON.
    assert task.aggregate(summed) == pytest.approx(
        {"macro_f1": 2 / 3, "accuracy": 0.5, "micro_f1": 2 * 2 / (4 + 2), "valid_json": 0.75}
    )
    assert task.confusion(summed) == {
        "labels": ["正面", "負面", "中立", "(none)"],
        "matrix": [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]],
    }
    assert task.describe() == "classification, 3 labels under `sentiment`: 正面, 負面, 中立"


def test_no_none_column_when_every_answer_is_valid() -> None:
    task = ClassificationTask(("a", "b"))
    assert task.confusion(totals(task, ["a", "b"], ["b", "b"])) == {"labels": ["a", "b"], "matrix": [[0, 1], [0, 1]]}


def test_a_label_called_none_stays_apart() -> None:
    task = ClassificationTask(("(none)", "b"))
    summed = totals(task, ["(none)", "(none)"], ["(none)", "?"])
    assert task.aggregate(summed)["accuracy"] == 0.5
    assert task.confusion(summed)["matrix"] == [[1, 0, 1], [0, 0, 0]]


def test_right_answers_outside_the_set_are_misses() -> None:
    task = ClassificationTask(("a", "b"))
    summed = totals(task, ["a", "new", ""], ["a", "new", "b"])
    assert task.aggregate(summed)["accuracy"] == pytest.approx(1 / 3)
    assert task.aggregate(summed)["macro_f1"] == pytest.approx((1 + 0 + 0) / 3)
    assert task.confusion(summed) == {
        "labels": ["a", "b", "new", "(none)"],
        "matrix": [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" a\n", Parsed("a", Status.OK)),
        ("A", Parsed("A", Status.UNKNOWN_LABEL)),
        ('{"x": "a"}', Parsed('{"x": "a"}', Status.UNKNOWN_LABEL)),
        ("", Parsed(None, Status.EMPTY)),
    ],
)
def test_parse_bare(text: str, expected: Parsed) -> None:
    assert ClassificationTask(("a", "b")).parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (' {"x":"a"}\n', Parsed("a", Status.OK)),
        ('{"x": "c"}', Parsed("c", Status.UNKNOWN_LABEL)),
        ('{"x": " a"}', Parsed(" a", Status.UNKNOWN_LABEL)),
        ('{"x": 1}', Parsed(None, Status.INVALID_SCHEMA)),
        ('{"x": "a", "y": 1}', Parsed(None, Status.INVALID_SCHEMA)),
        ('["a"]', Parsed(None, Status.INVALID_SCHEMA)),
        ('{"x": "a"} ok', Parsed(None, Status.INVALID_JSON)),
        ("a", Parsed(None, Status.INVALID_JSON)),
    ],
)
def test_parse_field(text: str, expected: Parsed) -> None:
    assert ClassificationTask(("a", "b"), "x").parse(text) == expected


def test_an_answer_that_did_not_stop_is_wrong() -> None:
    task = ClassificationTask(("a", "b"), "x")
    score = task.score(Parsed("a", Status.OK), Parsed("a", Status.NO_STOP))
    assert not score.correct
    assert task.aggregate(score.counts) == {"macro_f1": 0, "accuracy": 0, "micro_f1": 0, "valid_json": 0}
