"""Strict JSON: what Python's decoder lets through and a data row must not hold."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from exactune.data.words import excerpt
from exactune.language import Text, say

__all__ = ["Scan", "is_open", "plain_object", "scan"]

MAX_DEPTH = 100
MAX_DIGITS = 1000
_INK = re.compile(r"\S")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _Refused(ValueError):
    """Readable, but not strict JSON."""

    def __init__(self, reason: str, code: str = "D101") -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Scan:
    """One JSON value read from a text.

    Attributes:
        value: The value, if ``reason`` is ``None``.
        reason: Why the value cannot be used.
        end: Index behind the value; ``None`` where its end could not be found.
        stopped_at: Index of a syntax error.
        code: Of the rule that reports the reason.
    """

    value: Any = None
    reason: str | None = None
    end: int | None = None
    stopped_at: int | None = None
    code: str = "D101"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(say('key "{key}" stands twice in one object', key=excerpt(twice)), "D109")
    return value


def _constant(name: str) -> NoReturn:
    raise _Refused(say("{name} is not JSON; write null or a text", name=name))


def _integer(digits: str) -> int:
    # Python itself refuses at a limit that a caller can change; ours is fixed.
    if len(digits) > MAX_DIGITS:
        raise _Refused(say("a number of {digits:,} digits; write it as a text", digits=len(digits)))
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Refused(say("number {digits} is out of range; write it as a text", digits=excerpt(digits, 20)))
    return number


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float, strict=True
)
_LAX = json.JSONDecoder(parse_int=len, parse_float=len)
"""Finds the end of a value that was refused."""


def scan(text: str, start: int) -> Scan:
    """Read the JSON value that starts at ``start``. Never raises."""
    try:
        value, end = _STRICT.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return Scan(reason=Text(error.msg), stopped_at=error.pos)
    except RecursionError:
        return Scan(reason=say("nested more than {levels} levels deep", levels=MAX_DEPTH))
    except _Refused as refusal:
        return Scan(reason=str(refusal), end=_end(text, start), code=refusal.code)
    return Scan(value, _fault(value, text, start, end), end)


def plain_object(line: str) -> dict[str, Any] | None:
    """The object that a line is, where nothing is to be said of it; else ``None``, and :func:`scan` says why.

    It takes the same decoder as :func:`scan` and no result that a walk through the value could refuse.
    """
    if line.count("{") + line.count("[") > MAX_DEPTH or _ESCAPED_SURROGATE.search(line) is not None:
        return None
    try:
        value, end = _STRICT.raw_decode(line)
    except (ValueError, RecursionError):
        return None
    return value if end == len(line) and type(value) is dict else None


def is_open(text: str, start: int) -> bool:
    """Whether the value that starts at ``start`` could go on behind the text, which ends with a whole line."""
    try:
        _LAX.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return _INK.search(text, error.pos) is None
    except RecursionError:
        return False
    return False


def _end(text: str, start: int) -> int | None:
    try:
        return _LAX.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return None


def _fault(value: Any, text: str, start: int, end: int) -> str | None:
    """What only a walk through the value shows; taken where the raw text gives cause."""
    deep = text.count("{", start, end) + text.count("[", start, end) > MAX_DEPTH
    if not deep and _ESCAPED_SURROGATE.search(text, start, end) is None:
        return None
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            return say("nested more than {levels} levels deep", levels=MAX_DEPTH)
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                below += [*node, *node.values()]
            elif isinstance(node, list):
                below += node
            elif isinstance(node, str) and (half := _SURROGATE.search(node)):
                return say(
                    "half a surrogate pair (\\u{code:04x}) is not a character; write the whole pair", code=ord(half[0])
                )
        level = below
    return None
