"""A text as windows of tokens, each of which is predicted exactly once."""

from __future__ import annotations

from collections.abc import Iterator

from exactune.render.template import Encoded, Template

__all__ = ["text_windows"]


def text_windows(template: Template, text: str, length: int) -> Iterator[Encoded]:
    """The windows of a text, as rows whose answer is the window.

    The text is tokenized whole, without chat template. Windows follow each other without overlap; each is preceded by
    the token before it, which is given and not predicted: for the first window the tokenizer's begin-of-text token or,
    where it has none, its end-of-text token (as the rolling log-likelihood of lm-evaluation-harness does it).

    Args:
        template: Makes the ids.
        text: Any text; an empty one has no windows.
        length: Tokens of a window, the one before it included.
    """
    before, ids = template.start_id, template.text_ids(text)
    for start in range(0, len(ids), length - 1):
        window = ids[start : start + length - 1]
        yield Encoded(str(start), [before], window)
        before = window[-1]
