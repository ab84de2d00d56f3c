"""Turns of a conversation: reading their content, checking their order, taking the answer off the end."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from exactune.data.problems import RowError
from exactune.data.tools import calls_text
from exactune.data.words import excerpt, kind_of
from exactune.language import say
from exactune.types import Message, Role

__all__ = ["ROLES", "Turn", "answer_text", "from_json_text", "is_messages", "prompt_text", "read_turns", "split_answer"]

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "tool_response": "tool",
}
"""Role names of the chat and ShareGPT formats, and ours: the assistant calls a tool, what that gives back is `tool`."""

_INVISIBLE = re.compile(r"[\s\u00ad\u180e\u200b-\u200f\u2060\ufeff]*")
"""Blanks, and characters that are not seen when they stand alone: soft hyphen, zero-width signs, byte-order mark."""


class Turn(NamedTuple):
    """One turn whose content is not text yet."""

    role: Role
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
        raise RowError("D102", say("{name} is a text, found an object", name=name))
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
            raise RowError(
                "D102",
                say(
                    "{name} is a text or a list of text parts, found a list with {found}",
                    name=name,
                    found=kind_of(part),
                ),
            )
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = excerpt(str(part.get("type")))
            raise RowError(
                "D102", say("{name} has a part of type {kind!r}; only text can be used", name=name, kind=kind)
            )
        texts.append(part["text"])
    return "".join(texts)


def is_messages(value: Any) -> bool:
    """Whether a value is a list of chat messages and not, for example, a list that is an answer."""
    return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) and "role" in turn for turn in value)


def from_json_text(value: Any) -> Any:
    """A list that a table holds as JSON text, as the list; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def read_turns(value: Any, name: str, role_key: str = "role", content_key: str = "content") -> list[Turn]:
    """The turns of a list of messages.

    Raises:
        RowError: It is no list of messages, a role is unknown, or a tool call has no name.
    """
    value = from_json_text(value)
    if not isinstance(value, list):
        raise RowError("D102", say("`{name}` is a list of messages, found {found}", name=name, found=kind_of(value)))
    turns = []
    for number, message in enumerate(value):
        if isinstance(message, dict) and "tool_calls" not in message and "function_call" not in message:
            role, content = message.get(role_key), message.get(content_key)
            # Nearly all messages are this plain, and there may be millions of them.
            if isinstance(role, str) and role in ROLES and isinstance(content, str):
                turns.append(Turn(ROLES[role], content))
                continue
        turns.append(_read_turn(message, f"{name}[{number}]", role_key, content_key))
    return turns


def _read_turn(message: Any, where: str, role_key: str, content_key: str) -> Turn:
    if not isinstance(message, dict):
        found = kind_of(message)
        raise RowError(
            "D102",
            say(
                "{where} is an object with `{role_key}` and `{content_key}`, found {found}",
                where=where,
                role_key=role_key,
                content_key=content_key,
                found=found,
            ),
        )
    role = message.get(role_key)
    if role_key not in message:
        raise _missing(message, where, role_key)
    if not isinstance(role, str) or role not in ROLES:
        raise RowError(
            "D103",
            say(
                "{where} has the unknown role {role!r}; known: {names}",
                where=where,
                role=excerpt(str(role)),
                names=", ".join(ROLES),
            ),
        )
    calls = calls_text(message, where)
    if content_key not in message and not calls:
        raise _missing(message, where, content_key)
    return Turn(ROLES[role], _with_calls(message.get(content_key), calls, where))


def _missing(message: Mapping[str, Any], where: str, key: str) -> RowError:
    return RowError(
        "D102",
        say("{where} has no `{key}`; its keys are {names}", where=where, key=key, names=_names(message)),
    )


def _with_calls(content: Any, calls: str, where: str) -> Any:
    """The content of a turn with its tool calls below; with nothing to call, the content as it is."""
    if not calls:
        return content
    said = prompt_text(content, where)
    return f"{said}\n{calls}" if said.strip() else calls


def _names(mapping: Mapping[str, Any]) -> str:
    return excerpt(", ".join(f"`{name}`" for name in mapping), 120) or say("none")


def split_answer(turns: Sequence[Turn]) -> tuple[tuple[Message, ...], str]:
    """Prompt and answer of a conversation; the prompt starts with a system message, empty if there is none.

    Raises:
        RowError: The conversation does not end with an answer, its turns are out of order, or a side is empty.
    """
    if not turns or turns[-1].role != "assistant":
        found = turns[-1].role if turns else say("no turns")
        raise RowError("D104", say("the last turn is the answer (assistant), found {found}", found=found))
    _check_order(tuple([turn.role for turn in turns]))
    *before, last = turns
    if last.content is None:
        raise RowError("D104", say("the last assistant turn has the content null"))
    prompt = tuple([Message(turn.role, _text_of(turn)) for turn in before])
    answer = _joined_parts(last.content, say("the answer")) if _is_parts(last.content) else answer_text(last.content)
    if _INVISIBLE.fullmatch(answer):
        raise RowError("D105", say("the answer is empty"))
    if all(_INVISIBLE.fullmatch(message.content) for message in prompt if message.role == "user"):
        raise RowError("D106", say("no user turn has any text"))
    return (prompt if prompt[0].role == "system" else (Message("system", ""), *prompt)), answer


def _text_of(turn: Turn) -> str:
    """The text of a turn before the answer; what a tool gives back, or an assistant said, may be any JSON value."""
    if isinstance(turn.content, str):
        return turn.content
    if turn.role in ("tool", "assistant") and isinstance(turn.content, (dict, list)) and not _is_parts(turn.content):
        return answer_text(turn.content)
    return prompt_text(turn.content, say("the {role} turn", role=turn.role))


@lru_cache(1024)  # most rows have the roles of the row before
def _check_order(roles: tuple[str, ...]) -> None:
    if roles.count("system") > 1:
        raise RowError("D103", say("two system turns; join them"))
    if "system" in roles[1:]:
        raise RowError("D103", say("the system turn is not the first"))
    if "user" not in roles or roles.index("assistant") < roles.index("user"):
        raise RowError("D103", say("an assistant turn stands before any user turn"))
    if ("assistant", "assistant") in pairwise(roles):
        raise RowError("D103", say("two assistant turns in a row; join them or add the user turn between"))
    if any(role == "tool" and before not in ("assistant", "tool") for before, role in pairwise(roles)):
        raise RowError("D103", say("a tool turn without the assistant turn before it that calls the tool"))
