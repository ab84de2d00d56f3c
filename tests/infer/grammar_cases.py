"""Answers of every shape that grammars are made of, and what those must and must not allow."""

from __future__ import annotations

import json
from typing import Any

from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask, Task
from exactune.tasks.grammar import answer_grammar

STRINGS = {"type": "array", "items": {"type": "string"}}


def closed(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


LAW = closed({"性質": {"enum": ["命令", "法律"]}, "機關": {"type": "string"}, "廢止": {"type": "boolean"}})
SLOTS = closed({"intent": {"enum": ["Play", "Rate"]}, "slots": closed(dict.fromkeys("abcde", STRINGS), [])})
TYPES = ("LOC", "ORG", "人名")

# Task, training answers, further answers that have to be possible, and some that must not.
CASES: dict[str, tuple[Task, list[str], list[str], list[str]]] = {
    "one order, all required": (
        JsonTask(LAW),
        ['{"性質": "命令", "機關": "考選部", "廢止": true}', '{"性質": "法律", "機關": "a\\"b", "廢止": false}'],
        ['{"性質": "法律", "機關": "", "廢止": true}', '{"性質": "法律", "機關": "\\u001f🙂\\\\", "廢止": true}'],
        [
            '{"性質":"命令","機關":"考選部","廢止":true}',
            '{"機關": "考選部", "性質": "命令", "廢止": true}',
            '{"性質": "其他", "機關": "考選部", "廢止": true}',
            '{"性質": "命令", "機關": "考選部"}',
            '{"性質": "命令", "機關": "\\u8003", "廢止": true}',
            '{"性質": "命令", "機關": "a\nb", "廢止": true}',
            '{"性質": "命令", "機關": null, "廢止": true}',
            '{"性質": "命令", "機關": "考選部", "廢止": true}\n',
            "",
        ],
    ),
    "any order, each key once": (
        JsonTask(SLOTS),
        [
            '{"intent": "Play", "slots": {"a": ["x"], "c": ["y", "z"]}}',
            '{"intent": "Rate", "slots": {"c": ["x"], "a": ["y"]}}',
        ],
        [
            '{"intent": "Play", "slots": {}}',
            '{"intent": "Play", "slots": {"e": ["1"], "d": ["2"], "c": [], "b": ["3"], "a": ["4"]}}',
        ],
        [
            '{"intent": "Play", "slots": {"a": ["x"], "a": ["y"]}}',
            '{"intent": "Play", "slots": {"f": ["x"]}}',
            '{"slots": {}, "intent": "Play"}',
        ],
    ),
    "any order, some required": (
        JsonTask(closed({"a": {"type": "integer"}, "b": {"type": "null"}, "c": {"type": "number"}}, ["a", "c"])),
        ['{"a": 1, "b": null, "c": 1.5}', '{"c": -2e5, "a": 0}', '{"b": null, "c": 3, "a": 4}'],
        ['{"c": 1, "b": null, "a": 2}', '{"a": 1, "c": 1}'],
        [
            '{"a": 1, "b": null}',
            '{"c": 1}',
            '{"a": 01, "c": 1}',
            '{"a": 1.0, "c": 1}',
            '{"a": 1, "c": 1e999}',
            '{"a": 1, "c": NaN}',
            "{}",
        ],
    ),
    "one order, some required": (
        JsonTask(closed({key: {"type": "integer"} for key in "cba"}, ["b"])),
        ['{"a": 1, "b": 2, "c": 3}', '{"b": 2, "c": 3}', '{"b": 2}', '{"a": 1, "b": 2}'],
        [],
        ['{"a": 1, "c": 3}', '{"a": 1}', '{"c": 3}', '{"c": 3, "b": 2}', '{"b": 2, "a": 1}', "{}"],
    ),
    "escapes, no spaces": (
        JsonTask(closed({"名": {"type": "string"}, "k": {"enum": ["正", "🙂"]}})),
        ['{"\\u540d":"a\\u6b63","k":"\\u6b63"}', '{"\\u540d":"b","k":"\\ud83d\\ude42"}'],
        ['{"\\u540d":"\\uD83D\\uDE42\\n\\u0000\\ud7ff\\ue000 !#[]~","k":"\\u6b63"}'],
        [
            '{"名":"a","k":"\\u6b63"}',
            '{"\\u540d":"正","k":"\\u6b63"}',
            '{"\\u540d":"\\ud83d","k":"\\u6b63"}',
            '{"\\u540d":"\\ud83dx","k":"\\u6b63"}',
        ],
    ),
    "lines of their own": (
        JsonTask(closed({"a": STRINGS, "b": closed({"c": {"type": "integer"}})})),
        [json.dumps({"a": ["x", "y"], "b": {"c": 1}}, indent=2), json.dumps({"a": [], "b": {"c": 2}}, indent=2)],
        [json.dumps({"a": ["z"], "b": {"c": 2}}, indent=2)],
        [json.dumps({"a": ["z"], "b": {"c": 2}}), json.dumps({"a": ["z"], "b": {"c": 2}}, indent=4)],
    ),
    "free keys and any value": (
        JsonTask({"type": "object", "additionalProperties": {"type": ["integer", "null"]}}),
        ['{"x": 1}', '{"y": null, "z": 2}'],
        ["{}", '{"正": 3}'],
        ['{"x": "1"}', "[]"],
    ),
    "open object": (
        JsonTask({"properties": {"a": {"type": "integer"}}, "type": "object", "required": ["a"]}),
        ['{"a": 1, "more": [{"b": null}]}', '{"a": 2}'],
        ['{"a": 1, "more": true}'],
        ['{"more": 1}', '{"a": 1, "other": 1}'],
    ),
    "list of anything": (
        JsonTask({"type": "array"}),
        ['[1, "a", {"b": []}]', "[]"],
        ["[null]"],
        ["{}", "[1,2]"],
    ),
    "keywords beyond the rules": (
        JsonTask({"$ref": "#/$defs/x", "$defs": {"x": closed({"d": {"type": "string", "pattern": "^[0-9]{4}$"}})}}),
        ['{"d": "2019"}'],
        ['{"d": "1234"}'],
        ['{"d": "20"}', '{"d":"2019"}', '{"d": "201a"}'],
    ),
    "label under a key": (
        ClassificationTask(("正面", 'a "b"\\\n', "🙂\u2028/"), "情緒"),
        ['{"情緒": "正面"}'],
        [json.dumps({"情緒": label}, ensure_ascii=False) for label in ('a "b"\\\n', "🙂\u2028/")],
        ['{"情緒": "中立"}', '{"情緒": "正面", "情緒": "正面"}', "正面"],
    ),
    "entities by type": (
        EntitiesTask(TYPES),
        ['{"LOC": ["台北"], "人名": ["Ann"]}', '{"ORG": ["x", "y"]}', "{}"],
        ['{"人名": ["Bob"]}', '{"LOC": ["a"], "ORG": ["b"], "人名": ["c"]}'],
        ['{"PER": ["x"]}', '{"LOC": "x"}', "[]", '{"LOC": [1]}'],
    ),
    "entities by type, all keys always": (
        EntitiesTask(TYPES),
        ['{"人名": [], "LOC": ["台北"], "ORG": []}', '{"人名": ["x"], "LOC": [], "ORG": []}'],
        ['{"人名": [], "LOC": [], "ORG": []}'],
        ['{"人名": [], "LOC": []}', "{}"],
    ),
    "entities as items": (
        EntitiesTask(TYPES),
        [
            '[{"text": "台北", "type": "LOC", "start": 3}]',
            '[{"text": "x", "type": "ORG", "start": 0}, {"text": "x", "type": "LOC", "start": 9}]',
        ],
        ["[]", '[{"text": "new", "type": "人名", "start": 12}]'],
        ['[{"text": "x", "type": "PER", "start": 1}]', '[{"text": "x"}]', "{}"],
    ),
    "entities inside a key": (
        EntitiesTask(TYPES),
        [
            '{"entities":[{"type":"LOC","word":"x"}]}',
            '{"entities":[]}',
            '{"entities":[{"type":"LOC","word":"y"}]}',
            "[]",
        ],
        ['{"entities":[{"type":"人名","word":"y"},{"type":"LOC","word":""}]}'],
        ["[]", '{"entities":[{"type":"PER","word":"y"}]}', '{"items":[]}'],
    ),
    "seventy types": (
        EntitiesTask(tuple(f"t{number}" for number in range(70))),
        ['{"t1": ["a"], "t0": ["b"]}', '{"t0": ["a"], "t1": ["b"]}', "{}"],
        ['{"t69": ["a"]}'],
        ['{"t70": ["a"]}'],
    ),
}


def written(task: Task, answers: list[str]) -> str:
    text = answer_grammar(task, answers)
    assert text is not None
    return text
