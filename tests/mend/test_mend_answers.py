"""Answers mended one by one."""

from __future__ import annotations

import json

import pytest

from exactune.mend.answers import laid_out, learn_house, mended_answer, unescaped, unfenced
from exactune.mend.labels import label_forms
from exactune.tasks import ClassificationTask, EntitiesTask, MultiLabelTask
from exactune.tasks.layout import Layout

CODES = {"D303", "D403", "D404", "D408"}


def after(answer: str, house) -> str:
    changes = mended_answer(answer, house, CODES)
    return changes[-1].after if changes else answer


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r'{"name": "\u674e\u660e"}', '{"name": "李明"}'),
        (r"\u597d\u5403", "好吃"),
        (r'"\ud83d\udc4d"', '"👍"'),
        # A backslash that is escaped itself begins no escape; what has no shape, or ends a string, stays.
        (r'{"a": "\\u674e"}', None),
        (r'{"a": "\u0022\u000a\u200b\ud800"}', None),
        (r"C:\users\new", None),
        ("plain", None),
    ],
)
def test_escapes_become_characters(text: str, plain: str | None) -> None:
    assert unescaped(text) == plain


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ("```\n[1, 2]\n```\n", "[1, 2]"),
        ("```json\n{broken\n```", None),
        ('Here it is:\n```json\n{"a": 1}\n```', None),
        ("```python\nprint(1)\n```", None),
        ('{"a": "```"}', None),
    ],
)
def test_only_a_fence_around_json_is_taken_off(text: str, inner: str | None) -> None:
    assert unfenced(text) == inner


def test_code_keeps_its_fences_where_answers_are_not_json() -> None:
    house = learn_house(None, ["some words"] * 9 + ['```json\n{"a": 1}\n```'])
    assert mended_answer('```json\n{"a": 1}\n```', house, {"D408"}) == []


def test_layout_and_order_of_most_answers() -> None:
    usual = [json.dumps({"name": f"n{n}", "score": n, "tags": [{"k": 1, "v": 2}]}) for n in range(30)]
    house = learn_house(None, usual)
    odd = '{"score":1.50,"tags":[{"v":2,"k":1}],"name":"x"}'
    assert after(odd, house) == '{"name": "x", "score": 1.50, "tags": [{"k": 1, "v": 2}]}', "digits stay"
    assert mended_answer(usual[0], house, CODES) == []
    # What cannot be understood, or means two things, is for a person to mend.
    for bad in ('{"name": "x", "name": "y", "score":1}', '{"score":1', '{"score":NaN}', "1.0", "007"):
        assert mended_answer(bad, house, CODES) == []


def test_without_a_usual_order_keys_stay() -> None:
    answers = ['{"a": 1, "b": 2}', '{"b": 1, "a": 2}'] * 20
    assert all(mended_answer(answer, learn_house(None, answers), CODES) == [] for answer in answers)


def test_keys_that_are_data_have_no_order() -> None:
    types = ["person", "city", "game", "book", "film"]
    answers = [json.dumps({types[n % 5]: ["x"]}) for n in range(200)] + ['{"city": ["x"], "person": ["y"]}'] * 9
    house = learn_house(None, answers)
    assert mended_answer('{"person": ["y"], "city": ["x"]}', house, CODES) == []


def test_an_unusual_key_leaves_the_order_alone() -> None:
    orders = {(): ["a", "b"]}
    assert laid_out('{"b": 1, "extra": 2, "a": 3}', Layout(), orders) is None


def test_labels_take_the_form_of_most() -> None:
    task = ClassificationTask(("Positive", "positive", "negative", "C", "C++", "-1", "1"))
    answers = ["Positive"] * 3 + ["positive", "positive ", "negative", "C", "C++", "-1", "1"]
    assert label_forms(task, answers) == {"positive": "Positive", "positive ": "Positive"}
    assert label_forms(task, answers, known=("positive",)) == {"Positive": "positive", "positive ": "positive"}
    house = learn_house(task, answers)
    assert [after(answer, house) for answer in answers] == ["Positive"] * 5 + answers[5:]


def test_declared_labels_are_no_variants_of_each_other() -> None:
    task = ClassificationTask(("May", "may"))
    assert label_forms(task, ["May", "may", "may"], known=("May", "may")) == {}


def test_labels_within_json_keep_the_rest_as_it_was() -> None:
    task = ClassificationTask(("good", "Good"), "label")
    house = learn_house(task, ['{"label": "good"}'] * 9 + ['{"label":"Good"}'])
    (change,) = mended_answer('{"label":"Good"}', house, {"D303"})
    assert (change.code, change.after) == ("D303", '{"label":"good"}')


@pytest.mark.parametrize("form", ["%s", '{"about": %s}'])
def test_labels_of_a_list(form: str) -> None:
    task = MultiLabelTask(("food", "Food", "price"), None if form == "%s" else "about")
    odd = form % '["Food", "price", "food"]'
    assert after(odd, learn_house(task, [form % '["food"]'] * 9 + [odd])) == form % '["food", "price"]'


@pytest.mark.parametrize(
    ("usual", "odd", "mended"),
    [
        ('{"PER": ["Ann"], "LOC": ["Rome"]}', '{"Per": ["Bob"], "PER": ["Ann"]}', '{"PER": ["Bob", "Ann"]}'),
        ('[{"text": "Ann", "type": "PER"}]', '[{"text": "Per", "type": "Per"}]', '[{"text": "Per", "type": "PER"}]'),
        (
            '{"entities": [{"text": "Ann", "type": "PER"}]}',
            '{"entities": [{"text": "Bob", "type": "per"}]}',
            '{"entities": [{"text": "Bob", "type": "PER"}]}',
        ),
    ],
)
def test_entity_types(usual: str, odd: str, mended: str) -> None:
    house = learn_house(EntitiesTask(("PER", "LOC", "Per", "per")), [usual] * 9 + [odd])
    assert after(odd, house) == mended
