"""What a model's chat template and tokenizer do whatever the row is, where that can surprise."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Sequence
from datetime import datetime

from exactune.render.template import Template
from exactune.types import Behaviour, Message

__all__ = ["Pieces", "find_behaviour", "frame", "unknown_id"]

DAYS = (datetime(2001, 2, 3, 4, 5, 6), datetime(2012, 11, 20, 19, 18, 17))
"""Two times that differ in whatever a template may take of them."""

FORMATS = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1""")
"""The formats that a template asks for."""

SYSTEM, QUESTION, ANSWER = "exactune-system", "exactune-question", "exactune-answer"
THOUGHT = "<think>\nexactune-thought\n</think>\n\n"


class Pieces(dict[int, bool]):
    """Token id -> whether it stands for a part of a character only; filled as ids come.

    A tokenizer writes a character it has no token for as two to four of them, whether it is byte-level (GPT-2, Qwen,
    Llama 3) or falls back to bytes (SentencePiece: ``<0xE5>``). Alone, such a token decodes to U+FFFD.
    """

    def __init__(self, template: Template) -> None:
        super().__init__()
        self.tokenizer = template.tokenizer

    def __missing__(self, token: int) -> bool:
        self[token] = "\ufffd" in self.tokenizer.decode([token])
        return self[token]


def unknown_id(template: Template) -> int | None:
    """The id of text that the tokenizer does not know; ``None`` where every text has ids.

    GPT-2's family names its end token as the unknown one too, and never writes it for text.
    """
    tokenizer = template.tokenizer
    others = {*template.stop_ids, tokenizer.bos_token_id, tokenizer.pad_token_id}
    return None if tokenizer.unk_token_id in others else tokenizer.unk_token_id


def frame(template: Template) -> int:
    """How many tokens of a row are not its own text: what the template writes around a question and its answer."""
    return len(template.prompt_ids(_asked(""))) - len(template.answer_ids(QUESTION)) + 2  # both have a stop token


def find_behaviour(template: Template, known_stops: Sequence[int] = (), *, chats: bool = True) -> Behaviour:
    """What the template does to every row.

    Args:
        template: The template.
        known_stops: Ids at which the model's generation config ends an answer.
        chats: Whether there are chats of several turns; without them what becomes of earlier answers is not looked at.

    Raises:
        TemplateError: There are chats, and the chat template takes none.
    """
    stop, *known = (str(template.tokenizer.convert_ids_to_tokens(token)) for token in (template.stop_id, *known_stops))
    return Behaviour(
        dated=_dated_lines(template),
        injected=_injected_system(template),
        rewrites=chats and not _keeps(template, ANSWER),
        drops_thought=chats and not _keeps(template, THOUGHT + ANSWER),
        doubles_start=_doubles_start(template),
        stop=stop,
        known_stops=tuple(known),
    )


def _dated_lines(template: Template) -> tuple[str, ...]:
    """A line of every prompt as it is on one day and on another; empty if all lines are the same."""
    if "strftime_now" not in str(template.tokenizer.chat_template):
        return ()
    days = [_on(template, day) for day in DAYS]
    for system in ("", SYSTEM):
        lines = (day.prompt_text(_asked(system)).splitlines() for day in days)
        for one, other in zip(*lines, strict=False):
            if one != other:
                return (one.strip(), other.strip())
    return ()


def _on(template: Template, day: datetime) -> Template:
    """The same template on another day.

    ``strftime_now`` is the one clock that transformers gives to templates. No function can be passed in its place, but
    a macro of the same name hides it.
    """
    tokenizer = copy.copy(template.tokenizer)
    source = str(tokenizer.get_chat_template())
    dates = json.dumps({found[2]: day.strftime(found[2]) for found in FORMATS.finditer(source)})
    tokenizer.chat_template = (
        f"{{%- macro strftime_now(format) -%}}{{{{ {dates}.get(format, format) }}}}{{%- endmacro -%}}{source}"
    )
    return Template(tokenizer)


def _injected_system(template: Template) -> str:
    """What the chat template says in place of an empty system message; mostly nothing."""
    bare = template.prompt_text(_asked(""))
    told = template.prompt_text(_asked(SYSTEM)).replace(SYSTEM, "")
    # What is in the one and not in the other, between their common beginning and end.
    rest = bare[len(os.path.commonprefix([bare, told])) :]  # noqa: RUF071 - by characters
    tail = os.path.commonprefix([rest[::-1], told[::-1]])  # noqa: RUF071 - by characters
    words = rest[: len(rest) - len(tail)].strip()
    return words if re.search(r"\w", words) else ""


def _keeps(template: Template, answer: str) -> bool:
    """Whether an answer stands in a longer chat just as the model has written it."""
    first = _asked(SYSTEM)
    later = (*first, Message("assistant", answer), Message("user", QUESTION))
    return template.prompt_text(later).startswith(template.prompt_text(first) + answer)


def _doubles_start(template: Template) -> bool:
    """Whether a rendered prompt gets a second begin-of-sequence token where it is tokenized like any other text."""
    start = template.tokenizer.bos_token_id
    ids = template.tokenizer(template.prompt_text(_asked(SYSTEM)))["input_ids"]
    return start is not None and ids[:2] == [start, start]


def _asked(system: str) -> tuple[Message, ...]:
    return (Message("system", system), Message("user", QUESTION))
