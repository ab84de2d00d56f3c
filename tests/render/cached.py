"""Rows for the cache of token ids, and whether it was read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exactune.render import cache
from exactune.render.cache import encode_all
from exactune.render.template import Encoded, Template
from exactune.types import Example, Location, Message

Cached = Callable[[], list[Path]]
"""Gives the files in the cache."""


def examples(count: int = 12) -> list[Example]:
    """Rows with and without a system text, with earlier turns, and texts that tokenizers are known to stumble over."""
    texts = ["台積電大漲", "  two  spaces\t\n", "🙂👨‍👩‍👧 ﬁ ① é", '{"a": [1, "\\n"]}', "<|im_end|>", "x"]
    made = []
    for number in range(count):
        text = texts[number % len(texts)]
        turns = [Message("system", "" if number % 2 else text), Message("user", f"{number} {text}")]
        turns += [Message("assistant", text), Message("user", text * 2)] * (number % 3)
        made.append(Example(f"t:{number}", tuple(turns), text, Location("t", number), "chat"))
    return made


def plainly(template: Template, rows: list[Example]) -> list[Encoded]:
    return [template.encode(row) for row in rows]


def is_read(template: Template, rows: list[Example], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the ids come from the cache, all of them but those that are compared."""
    made = 0
    encode = Template.encode

    def counting(self: Template, example: Example) -> Encoded:
        nonlocal made
        made += 1
        return encode(self, example)

    with monkeypatch.context() as patch:
        patch.setattr(Template, "encode", counting)
        patch.setattr(cache, "FRESH", 2)
        assert encode_all(template, rows) == plainly(template, rows)
    return made - len(rows) < len(rows)
