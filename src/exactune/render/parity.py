"""Parity: the ids an artifact was trained with, kept beside it and compared wherever it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exactune.errors import TemplateError
from exactune.language import say
from exactune.render.template import Template
from exactune.types import Example, Message

__all__ = ["BATTERY", "golden", "verify"]

BATTERY = (
    "台積電股價大漲 3.5%，創下歷史新高！",
    '{"sentiment": "正面", "score": 0.98, "tags": ["a", "b"]}',
    "  two  spaces,\ttab\nnewline  ",
    "🙂👨‍👩‍👧 ﬁ ① ｆｕｌｌ　ｗｉｄｔｈ é é",
    "1234567890 2026-01-31 NT$1,234.50",
)
"""Texts on which tokenizer versions are known to differ: CJK, JSON, whitespace, emoji, normalisation, digits."""


def golden(template: Template, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Prompts and answers with their ids: the first examples and the battery."""
    rows = [(example.prompt, example.answer) for example in examples[:3]]
    rows += [((Message("system", ""), Message("user", text)), text) for text in BATTERY]
    return [
        {
            "prompt": [{"role": message.role, "content": message.content} for message in prompt],
            "answer": answer,
            "prompt_ids": template.prompt_ids(prompt),
            "answer_ids": template.answer_ids(answer),
        }
        for prompt, answer in rows
    ]


def verify(template: Template, records: Sequence[Mapping[str, Any]]) -> None:
    """Make the golden ids again.

    Raises:
        TemplateError: They differ: the tokenizer, its template or a library behaves differently now.
    """
    for record in records:
        prompt = tuple(Message(turn["role"], turn["content"]) for turn in record["prompt"])
        same = (
            template.prompt_ids(prompt) == record["prompt_ids"]
            and template.answer_ids(record["answer"]) == record["answer_ids"]
        )
        if not same:
            raise TemplateError(
                say(
                    "the artifact's tokenizer no longer gives the ids it was trained with ({answer!r}). Use "
                    "the library versions in the run's env.json, or train again.",
                    answer=record["answer"][:40],
                )
            )
