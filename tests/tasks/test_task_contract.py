"""What every registered task has to satisfy."""

import json
import pickle
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exactune.config import TaskConfig
from exactune.errors import ConfigError
from exactune.tasks import METRICS, TASKS, Parsed, Task, better, task_from_config
from exactune.types import Status

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a"],
    "additionalProperties": False,
}
CASES: list[tuple[dict, list[str]]] = [
    ({"type": "classification", "labels": ["正面", "負面", "(none)"]}, ["正面", "負面 ", "(none)"]),
    (
        {"type": "classification", "labels": ["正面", "負面"], "field": "sentiment"},
        ['{"sentiment": "正面"}', '{"sentiment":"負面"}'],
    ),
    ({"type": "json", "schema": SCHEMA}, ['{"a": "x", "b": [1, 2]}', '{"a": ""}', '{"a": "y", "b": []}']),
    (
        {"type": "entities", "entity_types": ["PER", "LOC"]},
        ["{}", '{"PER": ["Ann", "Ann"], "LOC": ["Rome"]}', '{"entities": [{"text": "Ann", "type": "PER"}]}', "[]"],
    ),
    (
        {"type": "classification", "labels": ["food", "price", "service"], "multi_label": True},
        ["[]", '["food", "price"]', '["service"]'],
    ),
    (
        {"type": "classification", "labels": ["食物", "價格"], "multi_label": True, "field": "面向"},
        ['{"面向": []}', '{"面向": ["食物"]}', '{"面向":["價格","食物"]}'],
    ),
    (
        {"type": "relations", "relation_types": ["r", "s"]},
        [
            "[]",
            '{"relations": [{"subject": "a", "relation": "r", "object": "b"}]}',
            '[{"head": "a", "type": "s", "tail": "a"}, {"head": "a", "type": "s", "tail": "a"}]',
        ],
    ),
    (
        {"type": "relations", "relation_types": ["r"], "entity_types": ["PER", "LOC"]},
        [
            '{"entities": [{"text": "a", "type": "PER"}], "relations": []}',
            '{"entities": [{"text": "a", "type": "PER"}, {"text": "b", "type": "LOC"}], '
            '"relations": [{"head": "a", "type": "r", "tail": "b"}]}',
            '{"relations": [{"head": "a", "head_type": "PER", "type": "r", "tail": "b", "tail_type": "LOC"}]}',
        ],
    ),
    ({"type": "text"}, ["a right answer", "對", "!!!"]),
]
JUNK = ["", " \n", "{", "[" * 100_000, "NaN", "[1e999]", "9" * 5000, '"\\ud800"', "null", "[[1]]", '{"a": {"a": 1}}']
tasks = pytest.mark.parametrize(
    ("config", "answers"), CASES, ids=lambda value: value["type"] if isinstance(value, dict) else ""
)


def summed(task: Task, pairs: list[tuple[str, str]]) -> Counter:
    totals: Counter = Counter()
    for gold, predicted in pairs:
        totals.update(task.score(task.parse(gold), task.parse(predicted), gold).counts)
    return totals


def best(task: Task) -> dict[str, float]:
    return {name: float(METRICS[name] == "max") for name in task.metrics}


def test_every_task_is_covered() -> None:
    assert {config["type"] for config, _ in CASES} == set(TASKS)
    assert all(name == task.type for name, task in TASKS.items())


@tasks
def test_config_round_trip(config: dict, answers: list[str]) -> None:
    task = task_from_config(config)
    assert task.config() == config
    assert task_from_config(json.loads(json.dumps(task.config()))) == task
    assert pickle.loads(pickle.dumps(task)) == task
    assert TaskConfig.model_validate(config).type == task.type
    assert task.describe().startswith(task.type)
    assert "\n" not in task.describe()


@tasks
def test_metrics_are_registered(config: dict, answers: list[str]) -> None:
    task = task_from_config(config)
    assert task.primary == task.metrics[0]
    assert set(task.metrics) <= set(METRICS)
    assert list(task.aggregate(summed(task, [(answers[0], answers[0])]))) == list(task.metrics)
    assert list(task.aggregate({})) == list(task.metrics)


@tasks
def test_right_answers_are_perfect(config: dict, answers: list[str]) -> None:
    task = task_from_config(config)
    for answer in answers:
        parsed = task.parse(answer)
        assert parsed.status is Status.OK
        assert task.score(parsed, parsed).correct
        assert task.aggregate(summed(task, [(answer, answer)])) == best(task)
    assert task.aggregate(summed(task, [(answer, answer) for answer in answers])) == best(task)


@tasks
def test_wrong_answers_are_not(config: dict, answers: list[str]) -> None:
    task = task_from_config(config)
    for right, wrong in [(answers[0], answers[1]), (answers[1], answers[0]), *((answers[1], junk) for junk in JUNK)]:
        assert not task.score(task.parse(right), task.parse(wrong)).correct
        assert task.aggregate(summed(task, [(right, wrong)]))[task.primary] < 1


@tasks
def test_unreadable_right_answer_is_never_matched(config: dict, answers: list[str]) -> None:
    task = task_from_config(config)
    for junk in ["", "  "]:
        assert not task.score(task.parse(junk), task.parse(junk)).correct
        assert all(0 <= value <= 1 for value in task.aggregate(summed(task, [(junk, answers[1])])).values())


@tasks
def test_an_answer_that_did_not_stop_earns_nothing(config: dict, answers: list[str]) -> None:
    task = task_from_config(config)
    right = task.parse(answers[1])
    score = task.score(right, Parsed(right.value, Status.NO_STOP))
    assert not score.correct
    assert set(task.aggregate(score.counts).values()) == {0.0}


@tasks
def test_junk_is_data(config: dict, answers: list[str]) -> None:
    task = task_from_config(config)
    for junk in JUNK:
        parsed = task.parse(junk)
        assert isinstance(parsed.status, Status)
        json.dumps(parsed.value, ensure_ascii=False).encode()
    assert task.parse("").status is task.parse(" \n").status is Status.EMPTY


@tasks
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_text_scores_within_bounds(config: dict, answers: list[str], data: st.DataObject) -> None:
    task = task_from_config(config)
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "PER"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
    texts = st.text() | st.sampled_from(answers + JUNK) | values.map(json.dumps)
    pairs = data.draw(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
    totals = summed(task, pairs)
    metrics = task.aggregate(totals)
    assert all(0 <= value <= 1 for value in metrics.values())
    for gold, predicted in pairs:
        score = task.score(task.parse(gold), task.parse(predicted))
        assert isinstance(score.correct, bool)
        if score.correct:
            assert task.aggregate(score.counts)[task.primary] == 1
    for row in task.per_label(totals).values():
        assert set(row) == {"precision", "recall", "f1", "support"}
        assert all(0 <= row[name] <= 1 for name in ("precision", "recall", "f1"))
    confusion = task.confusion(totals)
    if confusion is not None:
        assert sum(map(sum, confusion["matrix"])) == len(pairs)
        assert all(len(row) == len(confusion["labels"]) for row in confusion["matrix"])


@tasks
def test_a_zero_count_is_no_count(config: dict, answers: list[str]) -> None:
    """Resamples drop rows by weight 0; that must equal never having seen them."""
    task = task_from_config(config)
    kept = summed(task, [(answers[0], answers[1])])
    dropped = dict.fromkeys(summed(task, [(answers[-1], answers[-1]), (answers[1], "junk")]), 0.0)
    assert task.aggregate({**dropped, **kept}) == task.aggregate(kept)
    assert task.per_label({**dropped, **kept}).keys() == task.per_label(kept).keys()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"type": "auto"},
        {"type": "classification"},
        {"type": "classification", "labels": ["a", " "]},
        {"type": "classification", "labels": ["a", "a"]},
        {"type": "classification", "labels": ["a", "a "]},
        {"type": "json"},
        {"type": "json", "schema": {"type": "nothing"}},
        {"type": "json", "schema": {"properties": {"a": {"$ref": "https://example.com/schema"}}}},
        {"type": "json", "schema": {"properties": {"a": {"$ref": "#/$defs/missing"}}}},
        {"type": "json", "schema": {"properties": {"a": {"$dynamicRef": "#missing"}}}},
        {"type": "json", "schema": {"$ref": "#"}},
        {"type": "entities"},
        {"type": "entities", "entity_types": ["PER", "PER"]},
        {"type": "relations"},
        {"type": "relations", "relation_types": ["r", "r"]},
        {"type": "relations", "relation_types": ["r"], "entity_types": ["PER", "PER"]},
        {"type": "classification", "multi_label": True},
        {"type": "classification", "multi_label": True, "labels": ["a", "a"]},
    ],
)
def test_unusable_config(config: dict) -> None:
    with pytest.raises(ConfigError, match="task"):
        task_from_config(config)


@pytest.mark.parametrize(
    ("metric", "a", "b", "expected"),
    [
        ("macro_f1", 0.9, 0.8, True),
        ("macro_f1", 0.8, 0.9, False),
        ("macro_f1", 0.8, 0.8, False),
        ("loss", 0.1, 0.2, True),
        ("loss", 0.2, 0.1, False),
        ("loss", 0.1, 0.1, False),
        ("loss", 9.0, float("nan"), True),
        ("loss", float("nan"), 9.0, False),
        ("macro_f1", float("nan"), float("nan"), False),
    ],
)
def test_better_follows_the_direction(metric: str, a: float, b: float, expected: bool) -> None:
    assert better(metric, a, b) is expected


def test_better_knows_its_metrics() -> None:
    with pytest.raises(ConfigError, match="macro_f1"):
        better("macro-f1", 1, 0)
