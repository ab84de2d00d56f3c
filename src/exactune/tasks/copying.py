"""Answers whose texts are copied from the input: where they are, and a grammar rule that allows nothing else there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exactune.tasks.shape import Shape, nearly_all
from exactune.types import JsonValue

__all__ = ["COPIED", "COPY", "copied_texts", "copy_rule", "ends_between_words", "mark_copied", "pieces"]

COPIED = "x-exactune-copied"
"""A keyword of string schemas: what stands there is copied from the input."""

COPY = "COPY"
"""The terminal that each row's own grammar defines: a JSON string of a piece of its input."""

WHOLE = 0.995
"""Share of the copied training texts that have to begin and end between words for only such pieces to be allowed."""

_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[^\W_{_CJK}]+|.", re.DOTALL)
"""A word, or a character that is none; Han characters and kana are each on their own."""


def pieces(text: str, *, words: bool) -> list[str]:
    """What pieces of a text are made of: words and single characters, or characters alone."""
    return WORD.findall(text) if words else [*text]


def copy_rule(text: str, *, words: bool, escapes: bool) -> str:
    """The terminal :data:`COPY` for one input, in llguidance's variant of Lark's syntax.

    The pieces are escaped one by one, so that none ends in the middle of an escape. Of an empty input only the empty
    text is a piece, else only others.
    """
    chunks = [json.dumps(piece, ensure_ascii=escapes)[1:-1] for piece in pieces(text, words=words)]
    if not chunks:
        return f'{COPY}: "\\"\\""\n'
    piece = json.dumps({"substring_chunks": chunks}, ensure_ascii=False)
    return f'{COPY}: "\\"" (PIECE & /(.|\\n)+/) "\\""\nPIECE: %regex {piece}\n'


def mark_copied(schema: Any, shape: Shape | None) -> Any:
    """The same schema with :data:`COPIED` where nearly all texts that are not empty stand in the input word for word.

    A key that no training answer has is taken for one of its kind where those beside it are copied.

    Args:
        schema: A JSON schema.
        shape: What the training answers have there; ``None`` marks every text.
    """
    if not isinstance(schema, Mapping) or "enum" in schema or "const" in schema:
        return schema
    marked = dict(schema)
    if schema.get("type") == "string" and (shape is None or _is_copied(shape)):
        marked[COPIED] = True
    if "properties" in schema:
        fields = {} if shape is None else shape.fields
        seen = {key: mark_copied(item, fields[key]) for key, item in schema["properties"].items() if key in fields}
        alike = shape is None or any(item != schema["properties"][key] for key, item in seen.items())
        marked["properties"] = {
            key: seen.get(key) or (mark_copied(item, None) if alike else item)
            for key, item in schema["properties"].items()
        }
    elif isinstance(schema.get("additionalProperties"), Mapping):
        pool = None if shape is None else shape.pooled()
        marked["additionalProperties"] = mark_copied(schema["additionalProperties"], pool)
    if "items" in schema and (shape is None or shape.items is not None):
        marked["items"] = mark_copied(schema["items"], shape and shape.items)
    return marked


def _is_copied(shape: Shape) -> bool:
    return nearly_all(shape.copied - shape.blank, shape.types["string"] - shape.blank)


def copied_texts(schema: Any, value: JsonValue) -> Iterator[str]:
    """The texts of a value where its schema says :data:`COPIED`."""
    if not isinstance(schema, Mapping):
        return
    if isinstance(value, str) and schema.get(COPIED):
        yield value
    elif isinstance(value, dict):
        properties, other = schema.get("properties", {}), schema.get("additionalProperties")
        for key, item in value.items():
            yield from copied_texts(properties.get(key, other), item)
    elif isinstance(value, list):
        for item in value:
            yield from copied_texts(schema.get("items"), item)


def ends_between_words(copies: Sequence[tuple[str, str]]) -> bool:
    """Whether copied texts are made of whole words.

    Args:
        copies: Texts, each with its input; those that do not stand in it count for nothing.
    """
    found = [(text, source) for text, source in copies if text and text in source]
    return sum(_is_whole(*copy) for copy in found) >= WHOLE * len(found)


def _is_whole(text: str, source: str) -> bool:
    starts, place = {0}, 0
    for piece in pieces(source, words=True):
        place += len(piece)
        starts.add(place)
    place = source.find(text)
    while place >= 0:
        if place in starts and place + len(text) in starts:
            return True
        place = source.find(text, place + 1)
    return False
