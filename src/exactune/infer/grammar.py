"""Answers held to a grammar: which token may come next, and which ones have to.

llguidance (https://github.com/guidance-ai/llguidance) keeps the state of each row. Where its grammar leaves one
continuation only, it gives the tokens of that text, cut where a longer token could still follow, so that they are the
ones the tokenizer makes of the whole answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from llguidance import LLExecutor, LLMatcher
from llguidance.hf import from_tokenizer

from exactune.errors import ModelError
from exactune.language import say
from exactune.render.template import Template
from exactune.tasks.copying import copy_rule

__all__ = ["Grammar", "Pen"]

KEPT = 512
"""Grammars of so many inputs are kept: training answers the same eval rows after each epoch."""

PROBE = '{"a": ["é 正", 1]}'

WAYS_OUT = ('"', "}", "]", "\n", ",")
"""What ends a text, and what ends an object or a list soonest, in that order: a line break stands before the brackets
of indented answers, a comma where more keys have to come."""

FORBIDDEN = torch.arange(256)[:, None] >> torch.arange(8) & 1 == 0
"""Byte of a mask -> which of its eight tokens may not come next, the first at the lowest bit."""


class Grammar:
    """A grammar for the tokens of one template.

    Args:
        text: In llguidance's variant of Lark's syntax, as :func:`exactune.tasks.grammar.answer_grammar` writes it.
        template: Whose tokens answers are made of, and whose stop tokens end them.
        copy: Where each input has a grammar of its own, the arguments of
            :func:`exactune.tasks.copying.copy_rule`, which completes the text.

    Raises:
        ModelError: Texts cannot be followed through this tokenizer, or the grammar is no grammar.
    """

    def __init__(self, text: str, template: Template, copy: Mapping[str, bool] | None = None) -> None:
        self.template, self.text, self.copy = template, text, copy
        try:
            tokenizer = from_tokenizer(template.tokenizer, eos_token=list(template.stop_ids))
            found = tokenizer.decode_str(template.answer_ids(PROBE)[:-1])
        except (ValueError, OverflowError) as error:
            raise ModelError(say("the model's tokenizer cannot be held to a grammar: {error}", error=error)) from error
        if found != PROBE or not tokenizer.is_canonical:
            raise ModelError(
                say(
                    "the model's tokenizer cannot be held to a grammar: it turns {text!r} into {found!r}",
                    text=PROBE,
                    found=found,
                )
            )
        self._tokenizer = tokenizer
        one = {text: tokenizer.tokenize_str(text) for text in WAYS_OUT}
        self._out_of_text = [ids[0] for text, ids in one.items() if text == '"' and len(ids) == 1]
        self._out = [template.stop_id, *(ids[0] for text, ids in one.items() if text != '"' and len(ids) == 1)]
        self._matcher_of = lru_cache(KEPT)(self._made)
        self._matcher_of("")
        self._executor = LLExecutor()
        self._words = (tokenizer.vocab_size + 31) // 32

    def _made(self, source: str) -> LLMatcher:
        text = self.text if self.copy is None else self.text + copy_rule(source, **self.copy)
        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(text), log_level=0)
        if matcher.is_error():
            raise ModelError(say("no grammar for answers: {error}", error=matcher.get_error()))
        return matcher

    def _matcher(self, source: str) -> LLMatcher:
        return self._matcher_of("" if self.copy is None else source).deep_copy()

    def forget(self) -> None:
        """Make the grammar of each input anew, for measurements."""
        self._matcher_of.cache_clear()

    def accepts(self, answer: str, source: str = "") -> bool:
        """Whether an answer to an input, with the tokens that training gives it, can be written and ended."""
        ids = self.template.answer_ids(answer)[:-1]
        matcher = self._matcher(source)
        return matcher.validate_tokens(ids) == len(ids) and matcher.consume_tokens(ids) and matcher.is_accepting()

    def pen(self, source: str = "") -> Pen:
        """A new answer to an input, with nothing written yet."""
        return Pen(self._matcher(source), self.template.stop_id)

    def restrict(self, logits: torch.Tensor, pens: Sequence[Pen | None]) -> None:
        """Take all probability from tokens that may not come next, in place.

        Args:
            logits: ``[rows, vocabulary]``.
            pens: One per row; ``None`` leaves a row as it is.
        """
        writing = [(pen.matcher, row) for row, pen in enumerate(pens) if pen is not None]
        if not writing:
            return
        bits = torch.full((len(pens), 4 * self._words), 255, dtype=torch.uint8)
        self._executor.unsafe_compute_mask_ptr(writing, bits.data_ptr(), 4 * self._words, len(pens))
        forbidden = FORBIDDEN.to(logits.device).index_select(0, bits.to(logits.device).flatten().int())
        width = min(logits.shape[1], 32 * self._words)
        logits[:, :width].masked_fill_(forbidden.view(len(pens), -1)[:, :width], -torch.inf)
        # Rows of the output layer that stand for no token.
        logits[:, width:] = -torch.inf

    def way_out(self, logprobs: torch.Tensor, ids: Sequence[int]) -> int | None:
        """The token by which an answer ends soonest; None where that is the model's to say.

        Args:
            logprobs: Of the next token, none for those that may not come; ``[vocabulary]``.
            ids: What is written.
        """
        ways = self._out_of_text if _in_text(self.template.decode(ids)) else self._out
        return next((token for token in ways if logprobs[token] > -torch.inf), None)


def _in_text(json: str) -> bool:
    """Whether the beginning of a JSON value ends within a text."""
    inside = escaped = False
    for character in json:
        if escaped:
            escaped = False
        elif inside and character == "\\":
            escaped = True
        elif character == '"':
            inside = not inside
    return inside


class Pen:
    """One answer while it is written.

    Attributes:
        matcher: Where in the grammar it is.
    """

    __slots__ = ("matcher", "stop_id")

    def __init__(self, matcher: LLMatcher, stop_id: int) -> None:
        self.matcher = matcher
        self.stop_id = stop_id

    def write(self, token: int) -> None:
        """Go on by a token that may come next.

        Raises:
            ModelError: It may not, or the answer has become too long for the grammar's parser.
        """
        if not self.matcher.consume_token(token):
            raise ModelError(say("an answer left its grammar: {error}", error=self.matcher.get_error()))

    def forced(self) -> list[int]:
        """Write what can only come next, and give its ids; the stop token last, where nothing but the end is left."""
        ids = self.matcher.compute_ff_tokens()
        for token in ids:
            self.write(token)
        return [*ids, self.stop_id] if self.matcher.is_stopped() else ids
