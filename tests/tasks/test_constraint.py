"""What answers are held to."""

from __future__ import annotations

import json

import pytest

from exactune.config import TaskConfig
from exactune.errors import ConfigError
from exactune.tasks import ClassificationTask, MultiLabelTask, TextTask, infer_task
from exactune.tasks.constraint import choose_constraint


def labels_of(field: str | None, answers: list[str], labels: tuple[str, ...] = ("正面", "負面", "中立")) -> list[str]:
    constraint = choose_constraint(ClassificationTask(labels, field), answers, "auto")
    assert constraint is not None
    json.dumps(constraint)
    return list(constraint["labels"])


def test_labels_are_written_as_most_rows_write_them() -> None:
    answers = ['{"a":"正面"}', '{"a": "正面"}', '{"a":"正面"}', '{"a":"負面"}', "unreadable", '{"a":"other"}']
    assert labels_of("a", answers) == ['{"a":"正面"}', '{"a":"負面"}', '{"a":"中立"}']


def test_labels_without_rows_are_written_as_the_others() -> None:
    assert labels_of(None, ["正面\n", " 正面 ", "正面\n"]) == ["正面\n", "負面", "中立"]
    assert labels_of("a", []) == ['{"a": "正面"}', '{"a": "負面"}', '{"a": "中立"}']
    assert labels_of("a", ['{"a":"\\u6b63\\u9762"}'] * 3)[1] == '{"a":"\\u8ca0\\u9762"}'


@pytest.mark.parametrize("setting", ["auto", True])
def test_every_label_reads_back_as_itself(setting: object) -> None:
    task = ClassificationTask(('quo"te', "a b", "x\\y", "尾"), "label")
    constraint = choose_constraint(task, [], setting)  # type: ignore[arg-type]
    assert constraint is not None
    assert [task.parse(answer).value for answer in constraint["labels"]] == list(task.labels)


def test_json_answers_are_held_to_a_grammar_only_on_request() -> None:
    answers = [json.dumps({"name": name, "age": age}) for name, age in (("a b", 3), ("c", 41), ("d", 5))]
    task = infer_task(TaskConfig(type="json"), [row(answer) for answer in answers])
    assert choose_constraint(task, answers, "auto") is None
    assert choose_constraint(task, answers, False) is None
    assert "grammar" in (choose_constraint(task, answers, True) or {})


def test_lists_of_labels_are_not_held_to_single_ones() -> None:
    task = MultiLabelTask(("a", "b"))
    assert list(choose_constraint(task, ['["a"]', '["a", "b"]'], "auto") or {}) == ["grammar"]
    assert "labels" not in (choose_constraint(MultiLabelTask(("a",), "x"), ['{"x": ["a"]}'], False) or {})


def test_texts_cannot_be_held_to_anything() -> None:
    assert choose_constraint(TextTask(), ["a"], "auto") is None
    with pytest.raises(ConfigError, match="nothing to hold answers of a text task to"):
        choose_constraint(TextTask(), ["a"], True)


def row(answer: str) -> object:
    from exactune.types import Example, Location, Message

    return Example("r:1", (Message("system", ""), Message("user", "x")), answer, Location("r", 1), "chat")
