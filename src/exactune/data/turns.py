"""Turns of a conversation: reading their content, checking their order, taking the answer off the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from exactune.data.problems import RowError
from exactune.data.words import excerpt, kind_of
from exactune.types import Message

__all__ = ["Turn", "answer_text", "is_messages", "prompt_text", "read_turns", "split_answer"]

ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
"""Role names of the chat and ShareGPT formats, and ours."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn whose content is not text yet."""

    role: Literal["system", "user", "assistant"]
    content: Any


def answer_text(value: Any) -> str:
    """A text byte for byte; anything else as JSON with the guide's spacing (``", "`` and ``": "``)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def prompt_text(value: Any, name: str) -> str:
    """A text, ``null`` as an empty one, a list of text parts joined, a number or truth value as JSON.

    Raises:
        RowError: It is an object, or a list with other parts than text.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        return _joined_parts(value, name)
    if isinstance(value, dict):
        raise RowError("D102", f"{name} is a text, found an object")
    return json.dumps(value)


def _is_parts(value: Any) -> bool:
    """Whether a value is a list of content parts: each holds its content under the name of its type.

    A list of entities (``{"text": "Bob", "type": "person"}``) is an answer, not parts.
    """
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) and part["type"] in part for part in value)
    )


def _joined_parts(parts: Sequence[Any], name: str) -> str:
    texts = []
    for part in parts:
        if not isinstance(part, dict):
            raise RowError("D102", f"{name} is a text or a list of text parts, found a list with {kind_of(part)}")
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = excerpt(str(part.get("type")))
            raise RowError("D102", f"{name} has a part of type {kind!r}; only text can be used")
        texts.append(part["text"])
    return "".join(texts)


def is_messages(value: Any) -> bool:
    """Whether a value is a list of chat messages and not, for example, a list that is an answer."""
    return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) and "role" in turn for turn in value)


def read_turns(value: Any, name: str, role_key: str = "role", content_key: str = "content") -> list[Turn]:
    """The turns of a list of messages.

    Raises:
        RowError: It is no list of messages, a role is unknown, or a message carries tool calls.
    """
    if not isinstance(value, list):
        raise RowError("D102", f"`{name}` is a list of messages, found {kind_of(value)}")
    turns = []
    for number, message in enumerate(value):
        where = f"{name}[{number}]"
        if not isinstance(message, dict):
            found = kind_of(message)
            raise RowError("D102", f"{where} is an object with `{role_key}` and `{content_key}`, found {found}")
        role = message.get(role_key)
        if role_key not in message:
            raise RowError("D102", f"{where} has no `{role_key}`; its keys are {_names(message)}")
        if not isinstance(role, str) or role not in ROLES:
            raise RowError("D103", f"{where} has the unknown role {excerpt(str(role))!r}; known: {', '.join(ROLES)}")
        if message.get("tool_calls") or message.get("function_call"):
            raise RowError("D102", f"{where} calls a tool, which cannot be trained on yet")
        if content_key not in message:
            raise RowError("D102", f"{where} has no `{content_key}`; its keys are {_names(message)}")
        turns.append(Turn(ROLES[role], message[content_key]))
    return turns


def _names(mapping: Mapping[str, Any]) -> str:
    return excerpt(", ".join(f"`{name}`" for name in mapping), 120) or "none"


def split_answer(turns: Sequence[Turn]) -> tuple[tuple[Message, ...], str]:
    """Prompt and answer of a conversation; the prompt starts with a system message, empty if there is none.

    Raises:
        RowError: The conversation does not end with an answer, its turns are out of order, or a side is empty.
    """
    if not turns or turns[-1].role != "assistant":
        found = turns[-1].role if turns else "no turns"
        raise RowError("D104", f"the last turn is the answer (assistant), found {found}")
    _check_order([turn.role for turn in turns])
    *before, last = turns
    if last.content is None:
        raise RowError("D104", "the last assistant turn has the content null")
    prompt = tuple(Message(turn.role, prompt_text(turn.content, f"the {turn.role} turn")) for turn in before)
    answer = _joined_parts(last.content, "the answer") if _is_parts(last.content) else answer_text(last.content)
    if not answer.strip():
        raise RowError("D105", "the answer is empty")
    if not any(message.content.strip() for message in prompt if message.role == "user"):
        raise RowError("D106", "no user turn has any text")
    return (prompt if prompt[0].role == "system" else (Message("system", ""), *prompt)), answer


def _check_order(roles: Sequence[str]) -> None:
    if roles.count("system") > 1:
        raise RowError("D103", "two system turns; join them")
    if "system" in roles[1:]:
        raise RowError("D103", "the system turn is not the first")
    if "user" not in roles or roles.index("assistant") < roles.index("user"):
        raise RowError("D103", "an assistant turn stands before any user turn")
    if ("assistant", "assistant") in pairwise(roles):
        raise RowError("D103", "two assistant turns in a row; join them or add the user turn between")
