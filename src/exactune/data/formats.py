"""The formats a row can be written in: one small pure function each, from the row to its turns.

The formats of the guide are ``chat`` (recommended) and ``instruction``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from exactune.data.problems import RowError
from exactune.data.turns import Turn, is_messages, prompt_text, read_turns, split_answer
from exactune.data.words import excerpt, kind_of
from exactune.types import Message

__all__ = ["FORMATS", "Converted", "Format", "check_columns", "convert_row"]

Row = Mapping[str, Any]
COLUMNS = ("input", "output", "system")


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a row.

    Attributes:
        keys: A row that has them all is in this format; the last one holds the answer.
        turns: The row's turns, the answer last.
    """

    keys: tuple[str, ...]
    turns: Callable[[Row], list[Turn]]

    def matches(self, row: Row) -> bool:
        """Whether the row is written in this format."""
        return all(key in row for key in self.keys)

    def convert(self, row: Row) -> tuple[tuple[Message, ...], str]:
        """Prompt and answer.

        Raises:
            RowError: The row cannot be used.
        """
        return split_answer(self.turns(row))


@dataclass(frozen=True, slots=True)
class Converted:
    """A row as prompt and answer, with the name of its format."""

    format: str
    prompt: tuple[Message, ...]
    answer: str


def _system(row: Row) -> list[Turn]:
    """The turn of a top-level ``system`` text, if the row has one."""
    text = prompt_text(row.get("system"), "`system`")
    return [Turn("system", text)] if text.strip() else []


def chat(row: Row) -> list[Turn]:
    """``{"messages": [{"role", "content"}, …]}``."""
    return _system(row) + read_turns(row["messages"], "messages")


def sharegpt(row: Row) -> list[Turn]:
    """``{"conversations": [{"from": "human", "value"}, …], "system"?}``."""
    return _system(row) + read_turns(row["conversations"], "conversations", "from", "value")


def prompt_completion(row: Row) -> list[Turn]:
    """``{"prompt", "completion"}``, each a text or a list of messages; a completion may be any JSON value."""
    prompt, completion = row["prompt"], row["completion"]
    asked = read_turns(prompt, "prompt") if isinstance(prompt, list) else [Turn("user", prompt)]
    told = read_turns(completion, "completion") if is_messages(completion) else [_answer(completion)]
    return _system(row) + asked + told


def instruction(row: Row) -> list[Turn]:
    """``{"instruction", "input"?, "output", "system"?, "history"?: [[question, answer], …]}``."""
    parts = [prompt_text(row[key], f"`{key}`") for key in ("instruction", "input") if key in row]
    text = "\n".join(part for part in parts if part.strip())
    return [*_system(row), *_history(row.get("history")), Turn("user", text), _answer(row["output"])]


def _history(value: Any) -> list[Turn]:
    if not value:
        return []
    if not isinstance(value, list):
        raise RowError("D102", f"`history` is a list of [question, answer] pairs, found {kind_of(value)}")
    turns = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError("D102", f"`history` holds [question, answer] pairs, found {excerpt(str(pair))!r} in it")
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    return turns


def text_label(row: Row) -> list[Turn]:
    """``{"text", "label"}``."""
    return [*_system(row), Turn("user", row["text"]), _answer(row["label"])]


def _answer(value: Any) -> Turn:
    # Table tools write null where a label is missing; training on the text "null" would hide that.
    if value is None:
        raise RowError("D104", 'the answer is null; where null is the right answer, write the text "null"')
    return Turn("assistant", value)


FORMATS: Mapping[str, Format] = {
    "chat": Format(("messages",), chat),
    "sharegpt": Format(("conversations",), sharegpt),
    "prompt_completion": Format(("prompt", "completion"), prompt_completion),
    "instruction": Format(("instruction", "output"), instruction),
    "text_label": Format(("text", "label"), text_label),
}
"""Tried in this order; the first that matches is taken, row by row."""


def check_columns(columns: Mapping[str, str]) -> str | None:
    """What is wrong with ``data.columns``, or ``None``."""
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        return f"`{unknown[0]}` is unknown; name `input`, `output` and, if there is one, `system`"
    missing = [name for name in COLUMNS[:2] if columns and name not in columns]
    return f"`{missing[0]}` is missing; name both `input` and `output`" if missing else None


def _named_columns(row: Row, columns: Mapping[str, str]) -> list[Turn]:
    for use, name in columns.items():
        if name not in row:
            raise RowError("D102", f"no column `{name}` (`data.columns.{use}`); it has {_keys(row)}")
    named = {use: row[name] for use, name in columns.items()}
    return [*_system(named), Turn("user", named["input"]), _answer(named["output"])]


def convert_row(row: Row, columns: Mapping[str, str] | None = None, instruction: str = "") -> Converted:
    """The row as prompt and answer.

    Args:
        row: As it was read.
        columns: ``data.columns``; wins over recognition.
        instruction: System message for a row that brings none.

    Raises:
        RowError: The row cannot be used.
    """
    if columns:
        name, (prompt, answer) = "columns", split_answer(_named_columns(row, columns))
    else:
        name = next((name for name, format in FORMATS.items() if format.matches(row)), "")
        if not name:
            raise _unknown(row)
        prompt, answer = FORMATS[name].convert(row)
    if instruction and not prompt[0].content.strip():
        prompt = (replace(prompt[0], content=instruction), *prompt[1:])
    return Converted(name, prompt, answer)


def _unknown(row: Row) -> RowError:
    if "chosen" in row and "rejected" in row:
        return RowError("D102", "a preference pair (`chosen`, `rejected`); supervised fine-tuning needs one answer")
    for name, format in FORMATS.items():
        *asked, answer = format.keys
        if asked and all(key in row for key in asked):
            return RowError("D104", f"no `{answer}`, which holds the answer in the format {name}; it has {_keys(row)}")
    return RowError("D102", f"it has {_keys(row)}")


def _keys(row: Row) -> str:
    return "the columns " + excerpt(", ".join(f"`{key}`" for key in row), 120) if row else "no columns"
