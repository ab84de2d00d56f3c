"""Which column is the input and which the answer, where their names are in no format.

Told from all rows of a file: a short value that keeps coming back is a label, and what differs from row to row is the
text. Only where exactly one reading is left is it taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _Column:
    """What a column's values look like.

    Attributes:
        given: How many rows have a value.
        different: Hashes of the different values: what they are does not matter, and a million texts are large.
        nested: Whether one is an object or a list.
        short: Whether all could be labels.
        numbers: Whether all are numbers.
    """

    given: int = 0
    different: set[int] = field(default_factory=set)
    nested: bool = False
    short: bool = True
    numbers: bool = True

    def add(self, value: Any) -> None:
        """Take in one row's value."""
        if isinstance(value, (dict, list)):
            self.nested = True
            return
        text = "" if value is None else str(value).strip()
        if text:
            self.given += 1
            self.different.add(hash(text))
            self.short = self.short and len(text) <= LABEL_LENGTH and "\n" not in text
            self.numbers = self.numbers and re.fullmatch(r"[-+]?[\d.,]+", text) is not None

    def is_plain(self, rows: int) -> bool:
        """Whether nearly every row has a value, and none an object."""
        return not self.nested and rows - self.given <= BLANK * rows

    def is_label(self, rows: int) -> bool:
        """Whether short values keep coming back."""
        return self.is_plain(rows) and self.short and 2 <= len(self.different) <= self.given / 2

    def is_text(self, rows: int) -> bool:
        """Whether most values differ."""
        return self.is_plain(rows) and not self.numbers and len(self.different) > self.given / 2


def recognise(rows: Iterable[Row]) -> dict[str, str] | None:
    """``{"input", "output"}`` as ``data.columns`` has it, or ``None`` where it is not plain.

    Args:
        rows: All rows of one file. Neither their order nor that of their columns matters.
    """
    columns: dict[str, _Column] = {}
    number = 0
    for row in rows:
        number += 1
        for name, value in row.items():
            if name not in columns:
                columns[name] = _Column()
            columns[name].add(value)
    if number < FEWEST_ROWS:
        return None
    names = sorted(name for name in columns if not _ASIDE.fullmatch(name.strip()))
    texts = [name for name in names if columns[name].is_text(number)]
    labels = [name for name in names if columns[name].is_label(number)]
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
