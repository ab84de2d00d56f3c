"""Tools in chats, as text: the calls an assistant makes, and the list of tools a row brings.

A call is written as the JSON object ``{"name": …, "arguments": {…}}``, several as a list of them. So every template can
carry it, and what is trained, generated and scored is the same text. A row's tools stand at the end of its system
message.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from exactune.data.problems import RowError
from exactune.data.words import excerpt, kind_of
from exactune.language import say
from exactune.types import Message

__all__ = ["calls_text", "with_tools"]

HEADING = "Available tools: "
INSTRUCTION = (
    'To call a tool answer with one JSON object {"name": ..., "arguments": {...}} and nothing else; to call several, '
    "with a list of them."
)


def calls_text(message: Mapping[str, Any], where: str) -> str:
    """The calls of an assistant message (``tool_calls``, or the older ``function_call``) as text; empty if it has none.

    Raises:
        RowError: A call has no name.
    """
    calls = message.get("tool_calls") or message.get("function_call")
    if not calls:
        return ""
    if isinstance(calls, str):
        calls = _json(calls, f"{where}.tool_calls")
    calls = [_call(call, where) for call in (calls if isinstance(calls, list) else [calls])]
    return json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)


def _call(call: Any, where: str) -> dict[str, Any]:
    """``{"name", "arguments"}`` of ``{"function": {"name", "arguments"}}`` or of such an object itself."""
    inner = call.get("function", call) if isinstance(call, Mapping) else call
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise RowError(
            "D102",
            say("{where} has a tool call without a `name`: {call}", where=where, call=excerpt(json.dumps(call), 60)),
        )
    arguments = inner.get("arguments", {})
    if isinstance(arguments, str):
        # The usual interface carries arguments as JSON text; what is no JSON stays the text it is.
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.loads(arguments, parse_constant=_refuse) if arguments.strip() else {}
    return {"name": inner["name"], "arguments": arguments}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RowError(
            "D102", say("`{name}` is a list or its JSON text, found {text!r}", name=name, text=excerpt(text))
        ) from error


def with_tools(prompt: Sequence[Message], tools: Any) -> tuple[Message, ...]:
    """The prompt with a row's ``tools`` (a list, one tool, or the JSON text of either) in its system message.

    Raises:
        RowError: It is something else.
    """
    if isinstance(tools, str) and tools.strip():
        tools = _json(tools, "tools")
    if not tools or (isinstance(tools, str) and not tools.strip()):
        return tuple(prompt)
    tools = [tools] if isinstance(tools, Mapping) else tools
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise RowError(
            "D102", say("`tools` is a list of objects or its JSON text, found {found}", found=kind_of(tools))
        )
    # The wrapper {"type": "function", "function": {…}} says nothing that the list does not.
    specs = [tool["function"] if isinstance(tool.get("function"), Mapping) else tool for tool in tools]
    text = f"{HEADING}{json.dumps(specs, ensure_ascii=False)}\n{INSTRUCTION}"
    system = prompt[0].content
    return (replace(prompt[0], content=f"{system}\n\n{text}" if system.strip() else text), *prompt[1:])
