"""Rules that look at rows with the run's tokenizer (D5xx)."""

from __future__ import annotations

from collections.abc import Iterator

from exactune.checks.dataset import Dataset
from exactune.data.words import count, excerpt, unique
from exactune.language import say
from exactune.rules import Finding, Rule

__all__ = ["answer_not_reproduced", "control_token_in_text", "row_too_long"]

EVIDENCE = 20


def row_too_long(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A row with more tokens than the limit.

    What it does:
        Counts each row's tokens (prompt, answer and stop token) and finds those above `training.max_seq_length` or the
        model's own limit.

    Why it matters:
        Cutting such a row would cut its answer: the model would learn to stop in the middle. So it is never cut.

    Example:
        train.jsonl:88 has 2,310 tokens, the limit is 2,048

    Fix:
        Raise `training.max_seq_length` if the model allows it, shorten the input, or leave the rows out with
        `check: {on_error: skip}`.
    """
    long = [(example, probe) for example, probe in dataset.probes if probe.tokens > probe.limit]
    if long:
        example, probe = max(long, key=lambda pair: pair[1].tokens)
        yield rule.finding(
            say(
                "{rows} longer than {limit:,} tokens; the longest has {tokens:,} ({place})",
                rows=count(len(long), "row"),
                limit=probe.limit,
                tokens=probe.tokens,
                place=example.location,
            ),
            locations=unique(example.location for example, _ in long),
            evidence={"limit": probe.limit, "longest": probe.tokens, "rows": len(long)},
        )


def answer_not_reproduced(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An answer that the tokenizer cannot give back.

    What it does:
        Turns each answer into tokens and back into text, and finds those that come back changed.

    Why it matters:
        Tokenizers that lower-case, apply NFKC or lack characters can never produce such an answer, whatever the
        training: each of these rows counts as wrong.

    Example:
        the answer `ＡＢＣ` comes back as `ABC`

    Fix:
        Write the answers as the tokenizer writes them (for example half-width), or choose another base model.
    """
    changed = [
        (example, answer, decoded)
        for example, probe in dataset.probes
        for answer, decoded in (*probe.turns, (example.answer, probe.decoded))
        if decoded != answer
    ]
    if changed:
        first, answer, decoded = changed[0]
        yield rule.finding(
            say(
                "{answers} changed by the tokenizer: at {place} {answer!r} comes back as {decoded!r}",
                answers=count(len(changed), "answer"),
                place=first.location,
                answer=excerpt(answer),
                decoded=excerpt(decoded),
            ),
            locations=unique(example.location for example, *_ in changed),
            evidence={
                "rows": len(changed),
                "answers": [
                    {"row": str(example.location), "answer": answer, "decoded": decoded}
                    for example, answer, decoded in changed[:EVIDENCE]
                ],
            },
        )


def control_token_in_text(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A control token of the model's template inside a row's text.

    What it does:
        Looks in system, user and answer texts for the tokens by which the model's chat template marks turns.

    Why it matters:
        In the rendered prompt they are not text: a user who writes `<|im_end|>` ends the turn and can open another.

    Example:
        train.jsonl:5 {"text": "thanks <|im_end|> bye", "label": "closing"}

    Fix:
        Remove the token from the text or write it differently, here and wherever the model will be asked.
    """
    marked = [(example, probe) for example, probe in dataset.probes if probe.control]
    if marked:
        example, probe = marked[0]
        yield rule.finding(
            say(
                "{rows} with control tokens in the text: at {place} {token!r}",
                rows=count(len(marked), "row"),
                place=example.location,
                token=probe.control[0],
            ),
            locations=unique(example.location for example, _ in marked),
            evidence={"rows": len(marked), "tokens": sorted({token for _, probe in marked for token in probe.control})},
        )
