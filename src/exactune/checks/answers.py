"""Rules about the answers as a whole (D3xx), and about JSON answers with something else in them (D401, D408, D409)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache

from exactune.checks.dataset import MOSTLY, Dataset
from exactune.checks.slips import why_not_json
from exactune.data.strict_json import scan
from exactune.data.words import count, excerpt, unique
from exactune.language import join, say
from exactune.rules import Finding, Rule
from exactune.types import Example

__all__ = ["not_json", "prose_around_json", "thinking_in_answer"]


SHOWN = 3
EVIDENCE = 20

_TAGS = r"think|thinking|thought|thoughts|reasoning|reasoning_process|reflection|scratchpad|seed:think"
THINKING = re.compile(
    rf"<\s*/?\s*({_TAGS})\s*>|\[/?THINK\]|◁/?think▷|<\|(?:begin|end)_of_thought\|>|<\|channel\|>\s*analysis", re.I
)
"""How models mark what they think: ``<think>`` (DeepSeek-R1, Qwen3), ``<reasoning>`` and ``<reflection>`` (prompts of
GRPO recipes), ``<seed:think>`` (Seed-OSS), ``[THINK]`` (Magistral), ``◁think▷`` (Kimi), ``<|begin_of_thought|>``
(Sky-T1), the analysis channel of gpt-oss; as their chat templates and model cards have them."""

THOUGHT = re.compile(
    rf"<\s*({_TAGS})\s*>.*?(?:<\s*/\s*\1\s*>|\Z)|\A.*?<\s*/\s*(?:{_TAGS})\s*>|\[THINK\].*?(?:\[/THINK\]|\Z)"
    r"|◁think▷.*?(?:◁/think▷|\Z)|<\|begin_of_thought\|>.*?(?:<\|end_of_thought\|>|\Z)",
    re.I | re.S,
)
"""The marks with what stands between them; without its end, all that follows, and without its beginning, all before."""

FENCED = re.compile(r"```[^\n`]*\n(.*?)\n?\s*```", re.S)


# The same few answers come again and again where they are labels.
@lru_cache(10_000)
def _is_container(text: str) -> bool:
    if text[:1] not in ("{", "["):
        return False
    found = scan(text, 0)
    return found.reason is None and isinstance(found.value, (dict, list)) and not text[found.end :].strip()


def _said(answer: str) -> str:
    """The answer without what it thinks aloud."""
    return (THOUGHT.sub("", answer) if THINKING.search(answer) else answer).strip()


@lru_cache(10_000)
def _embedded(text: str) -> str | None:
    """The JSON value inside prose or a fence; ``None`` where there is none, or nothing around it."""
    # What begins and ends with a bracket has nothing around it.
    if ("{" not in text and "[" not in text) or (text[0] in "{[" and text[-1] in "}]"):
        return None
    fence = FENCED.search(text)
    if fence and _is_container(fence[1].strip()):
        return fence[1].strip()
    starts = [text.find(bracket) for bracket in "[{"]
    # A list first, as in "see [1]: {…}", may be no part of the answer; within broken JSON a smaller value is none.
    for start in sorted({place for place in starts if place >= 0} if text[0] not in "[{" else {0}):
        found = scan(text, start)
        if found.reason is None and isinstance(found.value, (dict, list)) and found.end is not None:
            before, after = text[:start], text[found.end :].strip()
            if after[:1] in ("{", "[") and not before:
                return None
            if any(letter.isalnum() for letter in before + after) or "```" in before + after:
                return text[start : found.end]
    return None


def _meant_as_json(dataset: Dataset) -> bool:
    """Whether most training answers hold a JSON object or list, bare or within other text, or try to."""
    if dataset.shape is not None:
        return True
    texts = [_said(row.answer) for row in dataset.splits.train]
    held = sum(_is_container(text) or _embedded(text) is not None for text in texts)
    tried = sum(text[:1] in ("{", "[") or _embedded(text) is not None for text in texts)
    return 2 * held > len(texts) and tried >= MOSTLY * len(texts)


def _rows(dataset: Dataset, wanted: Callable[[Example], bool]) -> list[Example]:
    return [example for _, examples in dataset.named_splits for example in examples if wanted(example)]


def _broken(example: Example) -> bool:
    text = _said(example.answer)
    return bool(text) and not _is_container(text) and _embedded(text) is None


def not_json(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An answer that is not JSON where most are.

    What it does:
        Where at least 80% of the training answers begin as JSON objects or arrays do, and most are, finds the answers
        that are not, in every split, and says why: a trailing comma, single quotes, NaN, a key that stands twice.

    Why it matters:
        The model learns to write broken JSON some of the time, and a right answer in evaluation counts as wrong.

    Example:
        train.jsonl:40 has the answer {"sentiment": "正面"
        all others look like {"sentiment": "正面"}

    Fix:
        Write the answer as one strict JSON value.
    """
    if not _meant_as_json(dataset):
        return
    broken = _rows(dataset, _broken)
    if broken:
        shown = [(example, why_not_json(_said(example.answer))) for example in broken[:EVIDENCE]]
        named = join(
            "; ",
            (
                say("{place} {answer!r} ({reason})", place=row.location, answer=excerpt(row.answer), reason=reason)
                for row, reason in shown[:SHOWN]
            ),
        )
        yield rule.finding(
            say(
                "{answers} not JSON where the others are: {named}{more}",
                answers=count(len(broken), "answer"),
                named=named,
                more="; …" if len(broken) > SHOWN else "",
            ),
            locations=unique(example.location for example in broken),
            evidence={
                "rows": len(broken),
                "samples": [{"row": str(row.location), "why": reason} for row, reason in shown],
            },
        )


def prose_around_json(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Text or a code fence around a JSON answer.

    What it does:
        Where at least 80% of the training answers hold a JSON object or array, finds those, in every split, with
        something around it: a sentence before or behind, or a fence of three backquotes.

    Why it matters:
        The model learns to write the text, too. A program that reads the answer then fails, and so does every score
        that compares JSON.

    Example:
        Here is the result: {"sentiment": "正面"}

    Fix:
        Keep the JSON value alone as the answer.
    """
    if not _meant_as_json(dataset):
        return
    around = _rows(dataset, _surrounded)
    if around:
        kinds = Counter("fence" if "```" in example.answer else "prose" for example in around)
        first = around[0]
        yield rule.finding(
            say(
                "{answers} with text or a code fence around the JSON: {place} {answer!r}",
                answers=count(len(around), "answer"),
                place=first.location,
                answer=excerpt(first.answer, 60),
            ),
            locations=unique(example.location for example in around),
            evidence={
                "rows": len(around),
                "kinds": dict(kinds),
                "samples": [{"row": str(row.location), "answer": excerpt(row.answer, 80)} for row in around[:EVIDENCE]],
            },
        )


def _surrounded(example: Example) -> bool:
    text = _said(example.answer)
    return bool(text) and _embedded(text) is not None


def thinking_in_answer(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """What a model thought, left in the answer.

    What it does:
        Finds answers with the marks that reasoning models put around their thoughts, such as `<think>` or
        `<reasoning>`, also where one of the two is missing. Marks that the input has too, or that stand inside a JSON
        value, are taken for data.

    Why it matters:
        The model learns to think aloud before each answer: many more tokens, and an answer that is not the one the
        scores and your program compare with. Rows that another model wrote often bring such a block, even an empty one.

    Example:
        <think>The customer is pleased.</think>正面

    Fix:
        Remove the block from the answers. The chat template adds what the model needs.
    """
    thinking = [(row, mark) for _, rows in dataset.named_splits for row in rows if (mark := _mark(row))]
    if thinking:
        first, mark = thinking[0]
        yield rule.finding(
            say(
                "{answers} with thoughts in them: at {place} {mark!r} in {answer!r}",
                answers=count(len(thinking), "answer"),
                place=first.location,
                mark=mark,
                answer=excerpt(first.answer),
            ),
            locations=unique(row.location for row, _ in thinking),
            evidence={"rows": len(thinking), "marks": dict(Counter(mark for _, mark in thinking).most_common())},
        )


def _mark(example: Example) -> str | None:
    found = THINKING.search(example.answer)
    if found is None or found[0] in example.input or _is_container(example.answer.strip()):
        return None
    return found[0]
