"""The turns of a chat that are trained: one example for each assistant turn.

An earlier turn is not marked inside the longer chat, because chat templates write a turn differently once others
follow: Qwen3's drops its thinking block. As an example of its own, each turn is trained on the very ids that the model
is given when it is that turn's time to answer. The price is that the beginning of a chat is read once for each turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from exactune.data.formats import FORMATS
from exactune.language import say
from exactune.types import Example

__all__ = ["expand", "learns_history", "turn_note"]


def learns_history(example: Example) -> bool:
    """Whether the earlier assistant turns of a row are to be learned: in a chat, not in a prompt."""
    return example.format in FORMATS and FORMATS[example.format].every_turn


def expand(example: Example) -> tuple[Example, ...]:
    """One example per assistant turn, in order, the last being the row itself; empty turns teach nothing.

    Evaluation takes the row alone: its last turn.
    """
    if not learns_history(example):
        return (example,)
    earlier = [
        replace(example, prompt=example.prompt[:index], answer=message.content)
        for index, message in enumerate(example.prompt)
        if message.role == "assistant" and message.content.strip()
    ]
    # Ids with a `#` are rows that share a line.
    numbered = (replace(turn, id=f"{turn.id} turn {number}") for number, turn in enumerate(earlier, 1))
    return (*numbered, example)


def turn_note(examples: Sequence[Example]) -> str | None:
    """What is trained of chats with several assistant turns, or ``None`` if there are none."""
    turns = [len(expand(example)) for example in examples]
    chats = [number for number in turns if number > 1]
    if not chats:
        return None
    return say(
        "{chats:,} of {rows:,} training rows are chats of several assistant turns: each of their {turns:,} turns is "
        "trained, the last is what evaluation asks for",
        chats=len(chats),
        rows=len(examples),
        turns=sum(chats),
    )
