"""A rule about data that supervised fine-tuning is not made for (D701)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from math import log1p
from statistics import StatisticsError, correlation, median

from exactune.checks.dataset import Dataset
from exactune.data.words import unique
from exactune.language import say
from exactune.rules import Finding, Rule
from exactune.tasks import TextTask
from exactune.types import Example, Location

__all__ = ["open_ended"]

# The bounds lie between what task data and instruction data measure: chats with tool calls have answers of 15 to 36
# words in the middle, general instructions and preference pairs 75 to 300, of which a tenth stands in the prompt.
LONG = 50
"""Words of an answer that is a text of its own; a Chinese character counts as a word."""
SPOKEN = 10
"""Words of a turn in a dialogue."""
TURNS = 3
"""Answers of the assistant in a dialogue."""
DIFFERENT = 0.9
"""Share of answers that stand only once."""
COPIED = 0.3
"""Share of an answer's word pairs that stand in the prompt; extracts and summaries have more."""
FOLLOWS = 0.8
"""From this correlation of log lengths on, answers are as long as their inputs: a translation, a correction."""
ROWS = 50
LOOKED_AT = 1000
"""So many rows, spread evenly, tell."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one row's answer is like: words of answer and input, share copied, answers in the chat, tools in it."""

    words: int
    asked: int
    copied: float
    turns: int
    tools: bool


def _look(example: Example) -> _Answer:
    words = _WORD.findall(example.answer.casefold())
    prompt = [word for turn in example.prompt for word in _WORD.findall(turn.content.casefold())]
    pairs, known = _pairs(words), _pairs(prompt)
    return _Answer(
        words=len(words),
        asked=len(_WORD.findall(example.input)),
        copied=len(pairs & known) / len(pairs) if pairs else 0.0,
        turns=1 + sum(turn.role == "assistant" for turn in example.prompt),
        tools=any(turn.role == "tool" for turn in example.prompt),
    )


def _pairs(words: Sequence[str]) -> set[tuple[str, str]]:
    return set(pairwise(words))


def open_ended(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Answers that have no one right form.

    What it does:
        Where the training answers are neither labels nor JSON, looks at up to 1,000 rows. Fires where nearly all of
        their answers are different, little of them stands in the prompt, their length does not follow the input's (as
        it would in a translation), and they are long (half of them 50 words or more) or turns of a long dialogue
        without tools.

    Why it matters:
        The guide lists preference alignment, open creative writing and complex dialogue as what supervised fine-tuning
        does not suit. There is no right answer to compare with: `exact_match` and `token_f1` say little, and the model
        copies one way of writing among many good ones.

    Example:
        {"instruction": "Write a story about a library.", "output": "Once upon a time, …"}

    Fix:
        If there is no one right answer, look at preference methods (ORPO, DPO), which learn from a better and a worse
        answer to each prompt: `training.method: orpo` or `dpo`, in versions that have them. If there is one, write
        answers that hold it and nothing else. General rows to keep what the model knows belong in `data.mix`.
    """
    train = dataset.splits.train
    if len(train) < ROWS or not isinstance(dataset.task, TextTask):
        return
    rows = list(islice(train, 0, None, -(-len(train) // LOOKED_AT)))
    answers = [_look(example) for example in rows]
    different = len({example.answer for example in rows}) / len(rows)
    words, copied = median(one.words for one in answers), median(one.copied for one in answers)
    turns, tools = median(one.turns for one in answers), sum(one.tools for one in answers) / len(answers)
    long = words >= LONG or (turns >= TURNS and words >= SPOKEN and tools < 1 / 2)
    if different >= DIFFERENT and copied <= COPIED and long and _follows(answers) < FOLLOWS:
        yield rule.finding(
            say(
                "the answers look open-ended: half of them have {words:,} words or more, {different:.0%} are "
                "different, and {copied:.0%} of their wording stands in the prompt",
                words=int(words),
                different=different,
                copied=copied,
            ),
            locations=unique(Location(example.location.file, None) for example in train),
            evidence={
                "rows": len(rows),
                "words": int(words),
                "different": round(different, 4),
                "copied": round(copied, 4),
                "turns": int(turns),
            },
        )


def _follows(answers: Sequence[_Answer]) -> float:
    """How closely the length of answers follows that of their inputs, from -1 to 1; 0 where all are of one length."""
    try:
        return correlation([log1p(one.words) for one in answers], [log1p(one.asked) for one in answers])
    except StatisticsError:
        return 0.0
