"""Inputs without answers: every format, asked as it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from exactune.data.inputs import read_inputs
from exactune.errors import DataError

from made import write_jsonl

USER, BOT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
TOOL = {"role": "tool", "content": "31"}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
CALLED = {"role": "assistant", "content": '{"name": "f", "arguments": {}}'}


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"text": "q"}, "q"),
        ({"text": "q", "label": "a"}, "q"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "q"),
        ({"prompt": [USER], "chosen": [BOT], "rejected": [BOT]}, [USER]),
        ({"prompt": [USER]}, [USER]),
        ({"query": "q"}, [USER]),
        ({"query": "q", "response": None, "history": [["q", "a"]]}, [USER, BOT, USER]),
        ({"instruction": "q"}, [USER]),
        ({"messages": [USER]}, [USER]),
        ({"messages": [USER, BOT]}, [USER]),
        ({"messages": [USER, BOT], "rejected_response": "b"}, [USER]),
        ({"messages": [USER, CALL, TOOL]}, [USER, CALLED, TOOL]),
        ({"messages": [USER, CALL, TOOL, BOT]}, [USER, CALLED, TOOL]),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "x"}]}, [USER]),
        ({"review": "q", "stars": "1"}, [USER]),
        ({"review": "q"}, [USER]),
    ],
)
def test_what_a_model_is_asked(row: dict[str, Any], asked: Any, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "in.jsonl", [row])
    assert read_inputs(path, {"input": "review", "output": "stars"}) == [(f"{path}:1", asked)]


def test_parquet_and_other_encodings(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist([{"text": "q"}]), tmp_path / "in")
    assert read_inputs(tmp_path / "in", {}) == [(f"{tmp_path / 'in'}:1", "q")]
    (tmp_path / "in").write_text('{"text": "好"}\n', encoding="utf-16")
    assert read_inputs(tmp_path / "in", {}) == [(f"{tmp_path / 'in'}:1", "好")]


def test_broken_rows_keep_their_code(tmp_path: Path) -> None:
    (tmp_path / "in").write_text('{"text": "q"}\n{"text": "cu', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_inputs(tmp_path / "in", {})
    assert [finding.code for finding in caught.value.findings] == ["D108"]


def test_a_table_of_one_column_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text('text\n好吃\n"快,但是冷"\n', encoding="utf-8")
    assert [asked for _, asked in read_inputs(path, {})] == ["好吃", "快,但是冷"]
    path.write_text("text\n快,但是冷\n", encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_inputs(path, {})
    assert "quote a field that holds a comma" in str(error.value.findings[0].message)
