"""Formats: the same question and answer from every way to write them, and a code for every row that has none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exactune.data.formats import FORMATS, check_columns, convert_row
from exactune.data.problems import KINDS, RowError
from exactune.data.read import read_bytes
from exactune.types import Message

SYSTEM, QUESTION, ANSWER = "你是助手", "台積電股價大漲", '{"sentiment": "正面"}'

GOOD: dict[str, dict[str, Any]] = {
    "preference": {"prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}],
                   "chosen": [{"role": "assistant", "content": ANSWER}], "rejected": "不知道"},
    "preference_chat": {"system": SYSTEM, "rejected_response": "不知道",
                        "messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]},
    "chat": {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION},
                          {"role": "assistant", "content": ANSWER}]},
    "sharegpt": {"system": SYSTEM,
                 "conversations": [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": ANSWER}]},
    "prompt_completion": {"prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}],
                          "completion": [{"role": "assistant", "content": ANSWER}]},
    "instruction": {"instruction": QUESTION, "input": " ", "output": ANSWER, "system": SYSTEM, "history": None},
    "query_response": {"query": QUESTION, "response": ANSWER, "system": SYSTEM, "history": []},
    "text_label": {"text": QUESTION, "label": ANSWER, "system": SYSTEM},
}  # fmt: skip


def chat(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def test_every_format_has_a_row_here() -> None:
    assert list(GOOD) == list(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_formats_agree(name: str) -> None:
    converted = convert_row({**GOOD[name], "extra": [1]})
    assert converted.format == name
    assert converted.prompt == (Message("system", SYSTEM), Message("user", QUESTION))
    assert converted.answer == ANSWER


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("layout", ["jsonl", "pretty", "array"])
def test_formats_from_every_json_layout(name: str, layout: str) -> None:
    row = GOOD[name]
    content = {
        "jsonl": json.dumps(row), "pretty": json.dumps(row, indent=2), "array": json.dumps([row], indent=2),
    }[layout]  # fmt: skip
    found = read_bytes(content.encode(), "rows")
    assert convert_row(found.rows[0].value) == convert_row(row)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "columns",
    [
        ("text", "label"),
        ("instruction", "output"),
        ("prompt", "completion"),
        ("query", "response"),
        ("input", "output", "instruction"),
    ],
)
def test_formats_from_tables(delimiter: str, columns: tuple[str, ...]) -> None:
    values = ["問題", ' "007" ', "指示"][: len(columns)]
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    found = read_bytes("\n".join([delimiter.join(columns), delimiter.join(quoted)]).encode(), "rows")
    converted = convert_row(found.rows[0].value)
    assert converted.answer == ' "007" '
    assert converted.prompt[1].content == ("指示\n問題" if len(columns) == 3 else "問題")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" 正面\n", " 正面\n"),
        ({"b": "正面", "a": [1, 2.5]}, '{"b": "正面", "a": [1, 2.5]}'),
        ([], "[]"),
        (7, "7"),
        (True, "true"),
        ([{"text": "Bob", "type": "person"}], '[{"text": "Bob", "type": "person"}]'),
    ],
)
def test_answers_that_are_not_texts(value: Any, text: str) -> None:
    assert convert_row({"instruction": "q", "output": value}).answer == text
    assert convert_row({"prompt": "q", "completion": value}).answer == text
    assert convert_row({"text": "q", "label": value}).answer == text
    assert convert_row({"q": "q", "a": value}, {"input": "q", "output": "a"}).answer == text
    if value is not None:
        assert convert_row(chat(("user", "q"), ("assistant", value))).answer == text


def test_the_last_assistant_turn_is_the_answer() -> None:
    converted = convert_row(chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")))
    assert [message.role for message in converted.prompt] == ["system", "user", "assistant", "user"]
    assert (converted.prompt[0].content, converted.answer) == ("", "d")


def test_history_comes_before_the_instruction() -> None:
    converted = convert_row({"instruction": "c", "output": "d", "history": [["a", "b"]]})
    assert [message.content for message in converted.prompt] == ["", "a", "b", "c"]
    assert convert_row({"query": "c", "response": "d", "history": [["a", "b"]]}).prompt == converted.prompt


def test_lists_that_a_table_holds_as_json_text() -> None:
    row = chat(("user", "q"), ("assistant", "a"))
    assert convert_row({"messages": json.dumps(row["messages"])}) == convert_row(row)
    asked = {"instruction": "c", "output": "d"}
    assert convert_row({**asked, "history": '[["a", "b"]]'}) == convert_row({**asked, "history": [["a", "b"]]})
    assert convert_row({**asked, "history": ""}) == convert_row(asked)


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    converted = convert_row(chat(("user", parts), ("assistant", parts)))
    assert (converted.prompt[1].content, converted.answer) == ("ab", "ab")


def test_the_instruction_of_the_config_fills_a_missing_system_message_only() -> None:
    assert convert_row(GOOD["chat"], None, "other").prompt[0].content == SYSTEM
    assert convert_row({"text": "q", "label": "a"}, None, "other").prompt[0] == Message("system", "other")
    assert convert_row(chat(("system", " "), ("user", "q"), ("assistant", "a")), None, "x").prompt[0].content == "x"


def test_named_columns_win_over_recognition() -> None:
    row = {"text": "no", "label": "no", "sentence": "q", "tag": "a", "role": "s"}
    converted = convert_row(row, {"input": "sentence", "output": "tag", "system": "role"})
    assert (converted.format, converted.answer) == ("columns", "a")
    assert [message.content for message in converted.prompt] == ["s", "q"]


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [({}, None), ({"input": "a", "output": "b"}, None), ({"input": "a"}, "`output` is missing"),
     ({"input": "a", "output": "b", "label": "c"}, "`label` is unknown")],
)  # fmt: skip
def test_columns_are_checked(columns: dict[str, str], wrong: str | None) -> None:
    found = check_columns(columns)
    assert found is None if wrong is None else found is not None and wrong in found


U, A, S = ("user", "q"), ("assistant", "a"), ("system", "s")


@pytest.mark.parametrize(
    ("row", "code", "reason"),
    [
        ({}, "D102", "no columns"),
        ({"review": "x", "tag": "y"}, "D102", "write `data: {columns: {input: review, output: tag}}`"),
        ({"tag": "y", "the text": "xy"}, "D102", 'write `data: {columns: {input: "the text", output: tag}}`'),
        ({"tokens": ["x"], "tags": ["y"]}, "D102", "it has the columns `tokens`, `tags`"),
        ({"prompt": "x", "chosen": None, "rejected": "z"}, "D104", "the answer is null"),
        ({"prompt": "x", "rejected": "z"}, "D104", "no `chosen`"),
        ({"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
          "rejected": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]},
         "D603", "differ before their last turns"),
        ({"prompt": "x", "chosen": [{"role": "user", "content": "y"}, {"role": "assistant", "content": "b"}],
          "rejected": [{"role": "user", "content": "y"}, {"role": "assistant", "content": "d"}]},
         "D603", "`prompt` and `chosen` ask different things"),
        ({"prompt": "x", "chosen": "a", "rejected": [{"role": "user", "content": "c"}]},
         "D104", "`rejected` ends with a turn of user, not with an answer"),
        ({"messages": "hello"}, "D102", "`messages` is a list of messages, found a text"),
        ({"messages": ["hello"]}, "D102", "messages[0] is an object with `role` and `content`, found a text"),
        ({"messages": [{"content": "x"}]}, "D102", "no `role`; its keys are `content`"),
        ({"messages": [{"role": "user"}]}, "D102", "no `content`"),
        ({"conversations": [{"from": "human", "text": "x"}]}, "D102", "no `value`"),
        (chat(("user", [{"type": "image_url", "image_url": "x"}]), A), "D102", "part of type 'image_url'"),
        (chat(U, ("assistant", [{"type": "image_url", "image_url": "x"}])), "D102", "part of type 'image_url'"),
        (chat(("user", ["x"]), A), "D102", "a list with a text"),
        (chat(("user", {"a": 1}), A), "D102", "found an object"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "", "tool_calls": [1]}]},
         "D102", "messages[1] has a tool call without a `name`: 1"),
        ({**chat(U, A), "tools": "calculator"}, "D102", "`tools` is a list or its JSON text, found 'calculator'"),
        ({**chat(U, A), "tools": ["calculator"]}, "D102", "`tools` is a list of objects"),
        ({"instruction": "x", "output": "y", "history": [["only"]]}, "D102", "[question, answer] pairs"),
        ({"instruction": "x", "output": "y", "history": "z"}, "D102", "found a text"),
        (chat(("critic", "x"), A), "D103", "unknown role 'critic'"),
        (chat(U, ("tool", "x"), A), "D103", "a tool turn without the assistant turn before it"),
        (chat(U, A, ("tool", "x")), "D104", "found tool"),
        (chat((3, "x"), A), "D103", "unknown role '3'"),  # type: ignore[arg-type]
        (chat(([], "x"), A), "D103", "unknown role '[]'"),  # type: ignore[arg-type]
        (chat(A, U, A), "D103", "before any user turn"),
        (chat(S, A), "D103", "before any user turn"),
        (chat(S, S, U, A), "D103", "two system turns"),
        (chat(U, S, A), "D103", "the system turn is not the first"),
        (chat(U, A, A), "D103", "two assistant turns in a row"),
        ({**GOOD["chat"], "system": "another"}, "D103", "two system turns"),
        (chat(), "D104", "no turns"),
        (chat(U), "D104", "found user"),
        (chat(U, A, U), "D104", "found user"),
        (chat(U, ("assistant", None)), "D104", "content null"),
        ({"instruction": "x", "input": "y"}, "D104", "no `output`"),
        ({"prompt": "x"}, "D104", "no `completion`"),
        ({"prompt": "x", "completion": "y", "label": False}, "D102", "marked as bad"),
        ({"text": "x"}, "D104", "no `label`"),
        ({"text": "x"}, "D104", "a text alone teaches no task"),
        (chat(U, ("assistant", " \n")), "D105", "empty"),
        ({"text": "x", "label": ""}, "D105", "empty"),
        ({"text": "x", "label": " \u200b"}, "D105", "empty"),
        ({"text": "\ufeff", "label": "y"}, "D106", "no user turn"),
        ({"text": " ", "label": "y"}, "D106", "no user turn"),
        ({"text": None, "label": "y"}, "D106", "no user turn"),
        ({"instruction": "", "input": " ", "output": "y"}, "D106", "no user turn"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used(row: dict[str, Any], code: str, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        convert_row(row)
    assert caught.value.code == code
    assert code in KINDS
    assert reason in caught.value.reason


def test_a_missing_named_column_is_named_with_those_there_are() -> None:
    with pytest.raises(RowError, match=r"no column `sentence` .*`data.columns.input`.*`text`, `label`"):
        convert_row({"text": "x", "label": "y"}, {"input": "sentence", "output": "label"})


@pytest.mark.parametrize("row", [{"instruction": "q", "output": None}, {"text": "q", "label": None}])
def test_a_null_answer_is_no_answer(row: dict[str, Any]) -> None:
    with pytest.raises(RowError, match="the answer is null") as caught:
        convert_row(row)
    assert caught.value.code == "D104"


USER, BOT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}
WORSE = {"role": "assistant", "content": "bad"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "chosen": "good", "rejected": "bad"},
        {"prompt": [USER], "chosen": [BOT], "rejected": [WORSE]},
        {"prompt": "q", "chosen": BOT, "rejected": WORSE},
        {"prompt": [USER], "chosen": [USER, BOT], "rejected": [USER, WORSE]},
        {"chosen": [USER, BOT], "rejected": [USER, WORSE]},
        {"instruction": "q", "input": "", "chosen": "good", "rejected": "bad"},
        {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "good"},
         "rejected": {"from": "gpt", "value": "bad"}},
        {"messages": [USER, BOT], "rejected_response": "bad"},
        {"messages": [USER, BOT], "rejected_response": ["bad"]},
    ],
    ids=lambda row: "+".join(row),
)  # fmt: skip
def test_preference_pairs_are_read_with_both_answers(row: dict[str, Any]) -> None:
    converted = convert_row(row)
    assert [message.content for message in converted.prompt] == ["", "q"]
    assert (converted.answer, converted.rejected) == ("good", "bad")


def test_a_pair_without_a_rejected_answer_is_a_row() -> None:
    assert convert_row({"prompt": "q", "chosen": "good", "rejected": None}).rejected is None


CALL = '{"name": "weather", "arguments": {"city": "台北"}}'
SPEC = {"name": "weather", "parameters": {}}
RESULT = '{"degrees": 31}'


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "台北"}'}}]},
            {"role": "tool", "tool_call_id": "1", "content": RESULT},
            {"role": "assistant", "content": "31", "tool_calls": []},
        ], "tools": [{"type": "function", "function": SPEC}]},
        {"messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "function_call": {"name": "weather", "arguments": {"city": "台北"}}},
            {"role": "function", "name": "weather", "content": {"degrees": 31}},
            {"role": "assistant", "content": "31"},
        ], "tools": json.dumps([SPEC])},
        {"conversations": [
            {"from": "human", "value": "q"}, {"from": "function_call", "value": CALL},
            {"from": "observation", "value": RESULT}, {"from": "gpt", "value": "31"},
        ], "tools": SPEC},
        {"messages": [
            {"role": "user", "content": "q"}, {"role": "tool_call", "content": CALL},
            {"role": "tool_response", "content": RESULT}, {"role": "assistant", "content": "31"},
        ], "tools": json.dumps(SPEC)},
    ],
    ids=["tool_calls", "function_call", "sharegpt", "swift"],
)  # fmt: skip
def test_chats_with_tools_agree(row: dict[str, Any]) -> None:
    converted = convert_row(row)
    assert [(message.role, message.content) for message in converted.prompt[1:]] == [
        ("user", "q"), ("assistant", CALL), ("tool", RESULT),
    ]  # fmt: skip
    assert converted.answer == "31"
    assert converted.prompt[0].content.startswith(f"Available tools: {json.dumps([SPEC])}\nTo call a tool")


def test_a_call_can_be_the_answer_and_there_can_be_several() -> None:
    call = {"function": {"name": "weather", "arguments": {"city": "台北"}}}
    said = {"role": "assistant", "content": "Let me look.", "tool_calls": [call, call]}
    converted = convert_row({"messages": [USER, said]})
    assert converted.answer == f"Let me look.\n[{CALL}, {CALL}]"


def test_tools_stand_behind_the_system_message_or_the_instruction() -> None:
    row = {"query": "q", "response": "a", "tools": [SPEC]}
    assert convert_row({**row, "system": "你是助手"}).prompt[0].content.startswith("你是助手\n\nAvailable tools: [")
    assert convert_row(row, None, "do it").prompt[0].content.startswith("do it\n\nAvailable tools: [")
    for nothing in (None, "", " ", [], "[]"):
        assert convert_row({**row, "tools": nothing}).prompt[0].content == ""
    assert convert_row({"text": "q", "label": "a", "tools": "hammer"}).prompt[0].content == ""
