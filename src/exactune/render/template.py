"""The template: the only place where token ids are made, for training and for inference alike.

Ids are made by parts: the prompt as the chat template renders it up to the assistant's turn, then the answer, then the
stop token. The parts are tokenized apart, so no token spans the border, and the prompt's ids in training are the very
ids the model is given when it answers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError as JinjaError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from exactune.bases import Base
from exactune.errors import ModelError, TemplateError
from exactune.language import say
from exactune.render.hub import hub_options
from exactune.types import Example, Message

__all__ = ["PLAIN_CHAT_TEMPLATE", "Encoded", "Template"]

PLAIN_CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message.content %}{{ message.role }}: {{ message.content }}\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
"""For tokenizers that bring no chat template."""

IGNORED = -100
"""Label of a position without loss, as torch's cross entropy has it."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row as ids.

    Attributes:
        id: The example's id.
        prompt_ids: Ids of everything before the answer.
        answer_ids: Ids of the answer, ending in the stop token.
    """

    id: str
    prompt_ids: list[int]
    answer_ids: list[int]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids)

    @property
    def input_ids(self) -> list[int]:
        """Prompt and answer, ``[tokens]``."""
        return self.prompt_ids + self.answer_ids

    @property
    def labels(self) -> list[int]:
        """``input_ids`` with the prompt ignored: loss at the answer and its stop token only, ``[tokens]``."""
        return [IGNORED] * len(self.prompt_ids) + self.answer_ids


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """All special tokens, also those without a role of their own: Llama 3 names no `<|start_header_id|>`."""
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    return tuple(sorted({*tokenizer.all_special_tokens, *added}))


class Template:
    """A tokenizer, its chat template and its stop tokens.

    A system message is always rendered, even an empty one, so that no default is injected; where the template rejects
    or drops it, it is folded into the first user turn. Where it does so with what a tool gave back, that becomes a user
    turn. Thinking is off: a template that opens a thinking block in the prompt gets it closed there.

    Args:
        tokenizer: A fast tokenizer; one without a chat template gets :data:`PLAIN_CHAT_TEMPLATE`.
        generation_stop_ids: Stop ids of the model's generation config.

    Raises:
        TemplateError: The tokenizer has no end-of-sequence token, or its template renders no conversation.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, generation_stop_ids: Sequence[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.has_own_template = bool(tokenizer.chat_template)
        if not self.has_own_template:
            # A template decides alone about BOS, so ours writes the one the tokenizer is used to.
            tokenizer.chat_template = ("{{ bos_token }}" if self._adds_bos() else "") + PLAIN_CHAT_TEMPLATE
        self.folds_system = self._folds_system()
        self.folds_tools = self._folds_tools()
        self.stop_id = self._turn_stop()
        extra = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
        self.stop_ids: tuple[int, ...] = tuple(dict.fromkeys([self.stop_id, *extra, *generation_stop_ids]))
        self.control_tokens: tuple[str, ...] = _control_tokens(tokenizer)
        self._refuse_double_bos()

    @classmethod
    def load(cls, base: Base, generation_stop_ids: Sequence[int] = ()) -> Template:
        """The template of a base model or artifact folder.

        Raises:
            ModelError: There is no such model, or it has no tokenizer.
        """
        return cls(load_tokenizer(base.location, base.label, base.revision), generation_stop_ids)

    def encode(self, example: Example) -> Encoded:
        """Ids of one row; never cut."""
        return Encoded(example.id, self.prompt_ids(example.prompt), self.answer_ids(example.answer))

    def prompt_ids(self, prompt: Sequence[Message]) -> list[int]:
        """Ids of the turns before the answer, up to where the assistant starts to write.

        Raises:
            TemplateError: The chat template refuses the conversation.
        """
        return self._ids(self.prompt_text(prompt))

    def answer_ids(self, answer: str) -> list[int]:
        """Ids of an answer and the stop token after it."""
        return [*self._ids(answer), self.stop_id]

    def text_ids(self, text: str) -> list[int]:
        """Ids of a text as it is, with nothing around it."""
        return self._ids(text)

    @property
    def start_id(self) -> int:
        """What stands before a text: the begin-of-text token, or the end-of-text token where there is none."""
        tokens = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.stop_id)
        return int(next(token for token in tokens if token is not None))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids, up to the first stop token."""
        stops = set(self.stop_ids)
        end = next((index for index, token in enumerate(ids) if token in stops), len(ids))
        text = self.tokenizer.decode(ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def offsets(self, ids: Sequence[int], text: str) -> list[tuple[int, int]]:
        """Which characters of a generated text each of its tokens has a part in: the first, and the one after the last.

        Args:
            ids: As generated, stop token included.
            text: What :meth:`decode` makes of them.
        """
        own = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        count = len(own.ids)
        if [*ids[:count]] == own.ids and set(ids[count:]) <= set(self.stop_ids):
            return [*own.offsets, *[(len(text), len(text))] * (len(ids) - count)]
        # Generated tokens need not be those that the tokenizer makes of their text.
        found, start = [], 0
        for place in range(1, len(ids) + 1):
            before = self.decode(ids[:place])
            end = len(os.path.commonprefix([before, text]))  # noqa: RUF071 - by characters
            # A character of several tokens is not there before its last one.
            found.append((start, min(end + (len(before) > end), len(text))))
            start = end
        return found

    def prompt_text(self, prompt: Sequence[Message]) -> str:
        """The rendered prompt, special tokens written out."""
        messages = _fold_tools(prompt) if self.folds_tools else prompt
        messages = _fold_system(messages) if self.folds_system else messages
        return _close_thinking(self._render(messages, add_generation_prompt=True))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            # transformers renders in jinja's immutable sandbox.
            text = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=add_generation_prompt, enable_thinking=False
            )
        except (JinjaError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            roles = ", ".join(message.role for message in messages)
            raise TemplateError(
                say("the model's chat template refuses a conversation of {roles}: {error}", roles=roles, error=error)
            ) from error
        return str(text)

    def _folds_system(self) -> bool:
        probe = (Message("system", "exactune-system"), Message("user", "exactune-user"))
        try:
            return "exactune-system" not in self._render(probe, add_generation_prompt=True)
        except TemplateError:
            return True

    def _folds_tools(self) -> bool:
        turns = [Message("system", ""), Message("user", "q"), Message("assistant", "a")]
        turns.append(Message("tool", "exactune-tool"))
        try:
            probe = _fold_system(turns) if self.folds_system else turns
            return "exactune-tool" not in self._render(probe, add_generation_prompt=True)
        except TemplateError:
            return True

    def _turn_stop(self) -> int:
        """The special token the template writes after an answer; else the end-of-sequence token."""
        turns = [Message("system", ""), Message("user", "q"), Message("assistant", "exactune-answer")]
        turns = _fold_system(turns) if self.folds_system else turns
        _, found, tail = self._render(turns, add_generation_prompt=False).rpartition("exactune-answer")
        special = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
        stops = [token for token in self._ids(tail) if token in special] if found else []
        stop = stops[0] if stops else self.tokenizer.eos_token_id
        if stop is None:
            raise TemplateError(say("the tokenizer has no end-of-sequence token, so no answer could ever end."))
        return int(stop)

    def _adds_bos(self) -> bool:
        start = self.tokenizer.bos_token_id
        return start is not None and self.tokenizer("a")["input_ids"][:1] == [start]

    def _refuse_double_bos(self) -> None:
        start = self.tokenizer.bos_token_id
        ids = self.prompt_ids((Message("system", ""), Message("user", "q")))
        if start is not None and ids[:2] == [start, start]:
            raise TemplateError(say("the chat template starts with two begin-of-sequence tokens."))

    def describe(self) -> dict[str, Any]:
        """What an artifact records of its template."""
        return {
            "stop_ids": list(self.stop_ids),
            "stop_token": self.tokenizer.convert_ids_to_tokens(self.stop_id),
            "system": "folded into the user turn" if self.folds_system else "own turn",
            "tools": "user turns" if self.folds_tools else "own turns",
            "thinking": False,
            "own_template": self.has_own_template,
        }


def load_tokenizer(location: str | Path, name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a folder or hub id; remote code stays off.

    Raises:
        ModelError: It is not there or cannot be read.
    """
    try:
        return AutoTokenizer.from_pretrained(str(location), **hub_options(str(location), revision))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(model_not_loaded(name, error)) from error


def model_not_loaded(name: str, error: Exception) -> str:
    """One message for a model or tokenizer that cannot be loaded."""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return say(
        "model `{name}` cannot be loaded: {reason}\n"
        "Check the name and the network (HF_TOKEN for gated models), or use `model: mini`, which works offline.",
        name=name,
        reason=reason[:300],
    )


def _fold_system(prompt: Sequence[Message]) -> list[Message]:
    """The same turns with the system text at the head of the first user turn."""
    system = "\n\n".join(message.content for message in prompt if message.role == "system" and message.content)
    turns = [message for message in prompt if message.role != "system"]
    if system and turns:
        turns[0] = Message(turns[0].role, f"{system}\n\n{turns[0].content}")
    return turns


def _fold_tools(prompt: Sequence[Message]) -> list[Message]:
    """The same turns with each stretch of tool turns as one user turn, so that user and assistant still alternate."""
    turns: list[Message] = []
    for before, message in zip([None, *prompt], prompt, strict=False):
        if message.role != "tool":
            turns.append(message)
        elif before is not None and before.role == "tool":
            turns[-1] = Message("user", f"{turns[-1].content}\n{message.content}")
        else:
            turns.append(Message("user", message.content))
    return turns


def _close_thinking(text: str) -> str:
    """A prompt that ends inside an open thinking block, with the block closed and empty."""
    return re.sub(r"<think>\s*$", "<think>\n\n</think>\n\n", text)
