"""Which column is the input and which the answer, where their names are in no format.

Told from all rows of a file: a short value that keeps coming back is a label, and what differs from row to row is the
text. Only where exactly one reading is left is it taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["columns_line", "recognise", "suggest"]

Row = Mapping[str, Any]

FEWEST_ROWS = 4
LABEL_LENGTH = 80
"""A label is one line of at most so many characters."""

BLANK = 0.1
"""Share of the rows that may lack a value."""

INPUT_NAMES = frozenset((
    "text", "sentence", "content", "review", "comment", "question", "query", "input", "prompt", "utterance", "message",
    "document", "body", "tweet", "passage",
    "句子", "文本", "文字", "內容", "内容", "評論", "评论", "問題", "问题", "輸入", "输入",
))  # fmt: skip
ANSWER_NAMES = frozenset((
    "label", "labels", "category", "class", "intent", "sentiment", "emotion", "tag", "target", "topic", "rating",
    "stars", "answer", "output", "response", "completion", "relation",
    "標籤", "标签", "類別", "类别", "分類", "分类", "情感", "答案", "輸出", "输出",
))  # fmt: skip
_ASIDE = re.compile(
    r"(?i)(.*[\W_])?(id|idx|index|uuid|guid|number|date|time|timestamp|url|link|split|source|lang|language|unnamed.*)|"
    "編號|编号|序號|序号|日期|時間|时间|來源|来源"
)
"""Names of columns that are neither."""


def _hint(name: str) -> str:
    """``input``, ``output`` or nothing: what a name says; ``label_text`` is a label."""
    words = set(re.split(r"[\W_]+", name.casefold()))
    if words & ANSWER_NAMES:
        return "output"
    return "input" if words & INPUT_NAMES else ""


@dataclass(frozen=True, slots=True)
class _Column:
    """What a column's values look like."""

    name: str
    is_label: bool
    is_text: bool


def recognise(rows: Sequence[Row]) -> dict[str, str] | None:
    """``{"input", "output"}`` as ``data.columns`` has it, or ``None`` where it is not plain.

    Args:
        rows: All rows of one file. Neither their order nor that of their columns matters.
    """
    if len(rows) < FEWEST_ROWS:
        return None
    names = sorted({name for row in rows for name in row if not _ASIDE.fullmatch(name.strip())})
    columns = [_column(name, rows) for name in names]
    texts = [column.name for column in columns if column.is_text]
    labels = [column.name for column in columns if column.is_label]
    if len(texts) == 2 and not labels:
        # Free answers: only the names can tell them from the inputs.
        labels = [name for name in texts if _hint(name) == "output"]
        texts = [name for name in texts if _hint(name) == "input"]
    asked, told = _only(texts, "input"), _only(labels, "output")
    rivals = [name for name in texts if name != asked and _hint(name) == "output"]
    if asked is None or told is None or rivals or _hint(asked) == "output" or _hint(told) == "input":
        return None
    return {"input": asked, "output": told}


def _only(names: Sequence[str], use: str) -> str | None:
    """The one candidate, or the one whose name says what it is."""
    named = names if len(names) == 1 else [name for name in names if _hint(name) == use]
    return named[0] if len(named) == 1 else None


def _column(name: str, rows: Sequence[Row]) -> _Column:
    values = [row.get(name) for row in rows]
    if any(isinstance(value, (dict, list)) for value in values):
        return _Column(name, False, False)
    given = [text for value in values if value is not None and (text := str(value).strip())]
    different = len(set(given))
    if len(values) - len(given) > BLANK * len(values):
        return _Column(name, False, False)
    recurs = 2 <= different <= len(given) / 2
    short = all(len(text) <= LABEL_LENGTH and "\n" not in text for text in given)
    numbers = all(re.fullmatch(r"[-+]?[\d.,]+", text) for text in given)
    return _Column(name, recurs and short, different > len(given) / 2 and not numbers)


_YAML_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def columns_line(columns: Mapping[str, str]) -> str:
    """``data: {columns: {input: review, output: stars}}``, as YAML."""
    inner = ", ".join(f"{use}: {_yaml(name)}" for use, name in columns.items())
    return f"data: {{columns: {{{inner}}}}}"


def _yaml(name: str) -> str:
    # Words that YAML reads as something else, or punctuation of its own, need quotes.
    plain = re.fullmatch(r"[^\W\d][\w-]*", name) and name.casefold() not in _YAML_WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)


def suggest(row: Row) -> str | None:
    """The line to write for a row like this, to be corrected by who knows; ``None`` if it has too few columns."""
    fit = [name for name, value in row.items() if not isinstance(value, (dict, list)) and not _ASIDE.fullmatch(name)]
    if len(fit) < 2:
        return None
    asked = max(fit, key=lambda name: (_hint(name) == "input", _hint(name) != "output", len(str(row[name]))))
    rest = [name for name in fit if name != asked]
    told = max(rest, key=lambda name: (_hint(name) == "output", -len(str(row[name]))))
    return columns_line({"input": asked, "output": told})
