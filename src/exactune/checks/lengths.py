"""Rows that are too long, counted in tokens; without a tokenizer, estimated from their characters (D501)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from exactune.checks.dataset import Dataset
from exactune.config import TrainingConfig
from exactune.data.words import count, excerpt, unique
from exactune.language import join, say
from exactune.rules import Finding, Rule, Severity
from exactune.tasks import ClassificationTask
from exactune.types import Example, Status

__all__ = ["row_too_long"]

SHOWN = 5
"""Labels that a message names."""

WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
"""Chinese, Japanese and Korean characters and their punctuation."""

WIDE_PER_TOKEN = 2.0
"""Such characters per token, at most. Qwen's documentation says 1.5 to 1.8 (getting started, key concepts)."""

OTHER_PER_TOKEN = 5.0
"""Other characters per token, at most. On English of cc-100 the largest vocabularies reach 4.4 (the hub's Tokenizer
Arena); code, digits, JSON and most other scripts have fewer."""

REPEATED = re.compile(r"(\W)\1+")
"""Blanks, dashes and dots in a row: large vocabularies have a token for many of them."""


def row_too_long(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A row with more tokens than the limit.

    What it does:
        Counts each row's tokens (prompt, answer and stop token) and finds those above `training.max_seq_length` or the
        model's own limit; in a classification, it says which labels lose rows. Without a model it estimates from the
        characters which rows are above the usual 2,048 tokens, and only warns.

    Why it matters:
        Cutting such a row would cut its answer: the model would learn to stop in the middle. So it is never cut. Where
        the long rows are those of one label, leaving them out takes that label away.

    Example:
        train.jsonl:88 has 2,310 tokens, the limit is 2,048

    Fix:
        Raise `training.max_seq_length` if the model allows it, shorten the input, or leave the rows out with
        `check: {on_error: skip}`.
    """
    return _estimated(dataset, rule) if dataset.tokens is None else _counted(dataset, rule)


def _counted(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    long = [(example, probe) for example, probe in dataset.probes if probe.tokens > probe.limit]
    if not long:
        return
    example, probe = max(long, key=lambda pair: pair[1].tokens)
    message = say(
        "{rows} longer than {limit:,} tokens; the longest has {tokens:,} ({place})",
        rows=count(len(long), "row"),
        limit=probe.limit,
        tokens=probe.tokens,
        place=example.location,
    )
    evidence: dict[str, Any] = {"limit": probe.limit, "longest": probe.tokens, "rows": len(long)}
    if lost := _lost_labels(dataset, [example for example, _ in long]):
        first = list(lost.items())[:SHOWN]
        named = (say("{label!r} {rows:,} of {all:,}", label=excerpt(label), **figures) for label, figures in first)
        more = ", …" if len(lost) > SHOWN else ""
        message = say(
            "{message}; labels that lose rows: {labels}{more}", message=message, labels=join(", ", named), more=more
        )
        evidence["labels"] = lost
    yield rule.finding(message, locations=unique(example.location for example, _ in long), evidence=evidence)


def _lost_labels(dataset: Dataset, long: Sequence[Example]) -> dict[str, dict[str, int]]:
    """Label -> how many of its rows are too long, and how many it has; those that lose most first."""
    task = dataset.task
    if not isinstance(task, ClassificationTask):
        return {}
    rows: Counter[str] = Counter()
    for _, examples in dataset.named_splits:
        rows.update(example.answer for example in examples)
    label_of = {answer: parsed.value for answer in rows if (parsed := task.parse(answer)).status is Status.OK}
    own = {example.id for _, examples in dataset.named_splits for example in examples}
    lost = Counter(label_of[row.answer] for row in long if row.id in own and row.answer in label_of)
    total: Counter[str] = Counter()
    for answer, label in label_of.items():
        total[label] += rows[answer]
    return {label: {"rows": number, "all": total[label]} for label, number in lost.most_common()}


def _estimated(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    limit = TrainingConfig().max_seq_length
    parts = (dataset.splits.train, dataset.splits.eval, dataset.splits.test, dataset.splits.mix)
    sizes = ((row, _least_tokens(row, limit)) for rows in parts for row in rows)
    long = [(row, tokens) for row, tokens in sizes if tokens > limit]
    if long:
        row, tokens = max(long, key=lambda pair: pair[1])
        finding = rule.finding(
            say(
                "{rows} probably longer than {limit:,} tokens, by an estimate from the characters: without a model "
                "they cannot be counted. The longest has about {tokens:,} or more ({place})",
                rows=count(len(long), "row"),
                limit=limit,
                tokens=tokens,
                place=row.location,
            ),
            locations=unique(row.location for row, _ in long),
            evidence={"limit": limit, "longest": tokens, "rows": len(long), "estimated": True},
            fix=say(
                "Name the model in a config and check that (`exactune check task.yaml`): its tokenizer counts exactly. "
                "Rows above the limit are never cut: raise `training.max_seq_length`, or shorten the input."
            ),
        )
        yield replace(finding, severity=Severity.WARNING)


def _least_tokens(example: Example, limit: int) -> int:
    """About how many tokens a row has at least; rows that are far from the limit are not looked at closely."""
    texts = [*(message.content for message in example.prompt), example.answer]
    if sum(map(len, texts)) <= limit * WIDE_PER_TOKEN:
        return 0
    texts = [REPEATED.sub(r"\1", text) for text in texts]
    wide = sum(len(WIDE.findall(text)) for text in texts)
    return int(wide / WIDE_PER_TOKEN + (sum(map(len, texts)) - wide) / OTHER_PER_TOKEN)
