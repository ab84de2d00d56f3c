"""Inputs without answers: the rows that a finished model is asked about."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exactune.data.formats import FORMATS, convert_row
from exactune.data.problems import Problem, RowError, findings_of
from exactune.data.read import ReadFile, read_bytes, read_file
from exactune.data.turns import ROLES
from exactune.errors import DataError
from exactune.language import say

__all__ = ["read_inputs"]

Input = str | list[dict[str, str]]

OTHER_KEYS = {"instruction", "messages", "conversations", "query", "system", "history", "tools"}

TEXT_KEYS = ("input", "text", "prompt")
"""A row with none of the formats' other keys holds its user text under one of these."""


def read_inputs(path: Path, columns: Mapping[str, str]) -> list[tuple[str, Input]]:
    """The inputs of a data file in any training format, its answers (if any) left aside.

    Args:
        path: JSON, CSV, TSV or Parquet; ``-`` is standard input.
        columns: ``data.columns`` of the run; names the input where it cannot be recognised.

    Returns:
        ``(id, input)`` per row: a bare user text, or message dicts.

    Raises:
        DataError: The file or some of its rows cannot be read; every such row is named.
    """
    shown = "stdin" if str(path) == "-" else str(path)
    found: ReadFile = read_bytes(sys.stdin.buffer.read(), shown) if shown == "stdin" else read_file(path, shown)
    problems = [Problem(broken.code, broken.reason, broken.location) for broken in found.broken]
    inputs: list[tuple[str, Input]] = []
    for row in found.rows:
        try:
            inputs.append((str(row.location), _input(row.value, columns)))
        except RowError as error:
            problems.append(Problem(error.code, error.reason, row.location))
    if problems:
        raise DataError(
            say("{shown}: {problems} rows cannot be read; nothing was predicted.", shown=shown, problems=len(problems)),
            findings_of(problems),
        )
    return inputs


def _input(row: Mapping[str, Any], columns: Mapping[str, str]) -> Input:
    if columns.get("input") in row:
        return _turns({**row, columns["output"]: "-"}, columns)
    text = next((row[key] for key in TEXT_KEYS if isinstance(row.get(key), str)), None)
    if text is not None and text.strip() and not OTHER_KEYS & row.keys():
        return str(text)
    return _turns(_with_answer(row))


def _turns(row: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """The prompt of a complete row; an empty system message is left to the artifact."""
    prompt = convert_row(row, columns).prompt
    turns = [{"role": message.role, "content": message.content} for message in prompt]
    return turns if turns[0]["content"] else turns[1:]


def _with_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as a complete one, so that the training formats read it."""
    filled = dict(row)
    for key, role, text in (("messages", "role", "content"), ("conversations", "from", "value")):
        turns = filled.get(key)
        if isinstance(turns, list) and turns and isinstance(turns[-1], Mapping):
            answered = ROLES.get(str(turns[-1].get(role))) == "assistant"
            filled[key] = [*(turns[:-1] if answered else turns), {role: "assistant", text: "-"}]
    for format in FORMATS.values():
        *asked, answer = format.keys
        if format.rejected is None and asked and all(key in filled for key in asked):
            filled[answer] = "-"
    if "instruction" in filled:
        filled["output"] = "-"
    return filled
