"""The formats a row can be written in: one small pure function each, from the row to its turns.

The formats of the guide are ``chat`` (recommended) and ``instruction``. ``docs/formats.md`` has an example of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from exactune.data.problems import RowError
from exactune.data.recognise import suggest
from exactune.data.tools import with_tools
from exactune.data.turns import Turn, answer_text, from_json_text, is_messages, prompt_text, read_turns, split_answer
from exactune.data.words import excerpt, kind_of
from exactune.language import say
from exactune.types import Message

__all__ = ["FORMATS", "Converted", "Format", "check_columns", "convert_row", "format_of"]

Row = Mapping[str, Any]
COLUMNS = ("input", "output", "system")


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a row.

    Attributes:
        keys: A row that has them all is in this format; the last one holds the answer.
        turns: The row's turns, the answer last.
        every_turn: Whether earlier assistant turns are to be learned too, and are not just part of a prompt.
        rejected: The answer that the row calls worse, for preference pairs.
        tools: Whether a ``tools`` key lists what the assistant may call.
    """

    keys: tuple[str, ...]
    turns: Callable[[Row], list[Turn]]
    every_turn: bool = False
    rejected: Callable[[Row], str | None] | None = None
    tools: bool = True

    def matches(self, row: Row) -> bool:
        """Whether the row is written in this format."""
        for key in self.keys:  # noqa: SIM110 - a generator takes three times as long
            if key not in row:
                return False
        return True


class Converted(NamedTuple):
    """A row as prompt and answer, with the name of its format and, in a preference pair, the rejected answer."""

    format: str
    prompt: tuple[Message, ...]
    answer: str
    rejected: str | None = None


def _system(row: Row) -> list[Turn]:
    """The turn of a top-level ``system`` text, if the row has one."""
    text = prompt_text(row.get("system"), "`system`")
    return [Turn("system", text)] if text.strip() else []


def chat(row: Row) -> list[Turn]:
    """``{"messages": [{"role", "content"}, …]}``."""
    turns = read_turns(row["messages"], "messages")
    return _system(row) + turns if "system" in row else turns


def sharegpt(row: Row) -> list[Turn]:
    """``{"conversations": [{"from": "human", "value"}, …], "system"?}``."""
    return _system(row) + read_turns(row["conversations"], "conversations", "from", "value")


def prompt_completion(row: Row) -> list[Turn]:
    """``{"prompt", "completion"}``, each a text or a list of messages; a completion may be any JSON value."""
    prompt, completion = row["prompt"], row["completion"]
    if row.get("label") is False:
        raise RowError("D102", say("`label` is false: a completion marked as bad is no answer to learn"))
    asked = read_turns(prompt, "prompt") if isinstance(prompt, list) else [Turn("user", prompt)]
    told = read_turns(completion, "completion") if is_messages(completion) else [_answer(completion)]
    return _system(row) + asked + told


def instruction(row: Row) -> list[Turn]:
    """``{"instruction", "input"?, "output", "system"?, "history"?: [[question, answer], …]}``."""
    return [*_instructed(row), _answer(row["output"])]


def _instructed(row: Row) -> list[Turn]:
    parts = [prompt_text(row[key], f"`{key}`") for key in ("instruction", "input") if key in row]
    text = "\n".join(part for part in parts if part.strip())
    return [*_system(row), *_history(row.get("history")), Turn("user", text)]


def query_response(row: Row) -> list[Turn]:
    """``{"query", "response", "system"?, "history"?: [[question, answer], …]}``."""
    return [*_system(row), *_history(row.get("history")), Turn("user", row["query"]), _answer(row["response"])]


def _history(value: Any) -> list[Turn]:
    value = from_json_text(value)
    if not value:
        return []
    if not isinstance(value, list):
        raise RowError(
            "D102", say("`history` is a list of [question, answer] pairs, found {found}", found=kind_of(value))
        )
    turns = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError(
                "D102", say("`history` holds [question, answer] pairs, found {pair!r} in it", pair=excerpt(str(pair)))
            )
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    return turns


def text_label(row: Row) -> list[Turn]:
    """``{"text", "label"}``."""
    return [*_system(row), Turn("user", row["text"]), _answer(row["label"])]


def preference(row: Row) -> list[Turn]:
    """``{"prompt", "chosen", "rejected"}``, each a text or messages; the prompt may also be ``conversations``,
    ``instruction`` with ``input``, or what ``chosen`` and ``rejected`` have in common."""
    chosen = _side(row, "chosen")
    if "prompt" in row:
        prompt = row["prompt"]
        asked = read_turns(prompt, "prompt") if isinstance(prompt, list) else [Turn("user", prompt)]
        # Some sets write the prompt twice: on its own, and at the head of both conversations.
        if len(chosen) > 1 and chosen[: len(asked)] == asked:
            return _system(row) + chosen
        if asked and asked[-1].role == chosen[0].role == "user":
            raise RowError("D603", say("`prompt` and `chosen` ask different things"))
        return _system(row) + asked + chosen
    if "conversations" in row:
        return sharegpt(row) + chosen
    if "instruction" in row:
        return _instructed(row) + chosen
    return _system(row) + chosen


def preference_rejected(row: Row) -> str | None:
    """The rejected answer of a ``preference`` row; ``None`` where it is null."""
    if row["rejected"] is None:
        return None
    *before, last = _side(row, "rejected")
    if before != _side(row, "chosen")[:-1]:
        raise RowError("D603", say("`chosen` and `rejected` differ before their last turns"))
    if last.role != "assistant":
        raise RowError("D104", say("`rejected` ends with a turn of {role}, not with an answer", role=last.role))
    return answer_text(last.content)


def _side(row: Row, key: str) -> list[Turn]:
    """The turns of ``chosen`` or ``rejected``: an answer, one message or a list of them."""
    value = row[key]
    messages = [value] if isinstance(value, Mapping) and ("role" in value or "from" in value) else value
    if is_messages(messages):
        return read_turns(messages, key)
    if isinstance(messages, list) and messages and all(isinstance(turn, dict) and "from" in turn for turn in messages):
        return read_turns(messages, key, "from", "value")
    return [_answer(value)]


def preference_chat_rejected(row: Row) -> str | None:
    """``rejected_response``: a text, or a list with one."""
    value = row["rejected_response"]
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    return None if value is None else answer_text(value)


def _answer(value: Any) -> Turn:
    # Table tools write null where a label is missing; training on the text "null" would hide that.
    if value is None:
        raise RowError("D104", say('the answer is null; where null is the right answer, write the text "null"'))
    return Turn("assistant", value)


FORMATS: Mapping[str, Format] = {
    "preference": Format(("rejected", "chosen"), preference, rejected=preference_rejected),
    "preference_chat": Format(("rejected_response", "messages"), chat, rejected=preference_chat_rejected),
    "chat": Format(("messages",), chat, every_turn=True),
    "sharegpt": Format(("conversations",), sharegpt, every_turn=True),
    "prompt_completion": Format(("prompt", "completion"), prompt_completion),
    "instruction": Format(("instruction", "output"), instruction, every_turn=True),
    "query_response": Format(("query", "response"), query_response, every_turn=True),
    "text_label": Format(("text", "label"), text_label, tools=False),
}
"""Tried in this order; the first that matches is taken, row by row."""


def check_columns(columns: Mapping[str, str]) -> str | None:
    """What is wrong with ``data.columns``, or ``None``."""
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        return say("`{name}` is unknown; name `input`, `output` and, if there is one, `system`", name=unknown[0])
    missing = [name for name in COLUMNS[:2] if columns and name not in columns]
    return say("`{name}` is missing; name both `input` and `output`", name=missing[0]) if missing else None


def _named_columns(row: Row, columns: Mapping[str, str]) -> list[Turn]:
    for use, name in columns.items():
        if name not in row:
            raise RowError(
                "D102",
                say("no column `{name}` (`data.columns.{use}`); it has {keys}", name=name, use=use, keys=_keys(row)),
            )
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
        prompt, answer = split_answer(_named_columns(row, columns))
        return Converted("columns", _instruct(prompt, instruction), answer)
    name = format_of(row)
    if name is None:
        raise _unknown(row)
    format = FORMATS[name]
    prompt, answer = split_answer(format.turns(row))
    prompt = _instruct(prompt, instruction)
    prompt = with_tools(prompt, row["tools"]) if format.tools and "tools" in row else prompt
    return Converted(name, prompt, answer, format.rejected(row) if format.rejected else None)


def format_of(row: Row) -> str | None:
    """Name of the format that a row is written in."""
    for name, format in FORMATS.items():
        if format.matches(row):
            return name
    return None


def _instruct(prompt: Sequence[Message], instruction: str) -> tuple[Message, ...]:
    """The prompt with the config's instruction as its system message, if the row brings none."""
    if not instruction or prompt[0].content.strip():
        return tuple(prompt)
    return (replace(prompt[0], content=instruction), *prompt[1:])


def _unknown(row: Row) -> RowError:
    for name, format in FORMATS.items():
        *asked, answer = format.keys
        if asked and all(key in row for key in asked):
            only = say("; a text alone teaches no task") if len(row) == 1 else ""
            found = say("it has {keys}{more}", keys=_keys(row), more=only)
            return RowError(
                "D104",
                say(
                    "no `{answer}`, which holds the answer in the format {name}; {found}",
                    answer=answer,
                    name=name,
                    found=found,
                ),
            )
    line = suggest(row)
    more = (
        say("; which is the input and which the answer cannot be told: write `{line}` with the right names", line=line)
        if line
        else ""
    )
    return RowError("D102", say("it has {keys}{more}", keys=_keys(row), more=more))


def _keys(row: Row) -> str:
    if len(row) == 1:
        return say("the column `{name}`", name=excerpt(next(iter(row))))
    names = excerpt(", ".join(f"`{key}`" for key in row), 120)
    return say("the columns {names}", names=names) if row else say("no columns")
