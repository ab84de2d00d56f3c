"""Rules that look at rows and labels with the run's tokenizer (D306, D504 to D506)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exactune.checks.dataset import Dataset
from exactune.data.words import count, excerpt, unique
from exactune.language import join, say
from exactune.rules import Finding, Rule
from exactune.tasks import ClassificationTask
from exactune.types import Example, Location, Status

__all__ = ["answer_not_reproduced", "control_token_in_text", "prefix_labels", "unknown_tokens"]

EVIDENCE = 20

MOSTLY = 0.5
"""Share of a row's tokens that are parts of a character from which it counts as written in an unknown script."""

COMMON = 0.05
"""Share of such rows from which the tokenizer does not fit the data; fewer are emoji, or names in another script."""

UNREAD = 0.1
"""Share of a row's tokens that are unknown from which it is named: unlike parts of a character they tell nothing, but
a rare sign in a long text does no harm."""


def prefix_labels(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A label whose tokens are how another label begins.

    What it does:
        In a classification, compares the tokens of the answers without their stop tokens. Without a tokenizer nothing
        is said: whether `card` begins `cards` is for the tokens to say, not for the letters.

    Why it matters:
        Exactune scores each label with its stop token, which tells them apart. Tools that compare the first tokens
        alone, or cut an answer at a known label, take the shorter one for both.

    Example:
        {"label": "card"}
        {"label": "card_arrival"}

    Fix:
        Nothing, unless other tools are to score the labels as well: then name them so that none begins another.
    """
    pairs = _prefixes(_label_ids(dataset))
    if pairs:
        shown = (say("{short!r} begins {long!r}", short=short, long=long) for short, long in pairs[:3])
        yield rule.finding(
            say(
                "{labels} with the tokens that another begins with: {pairs}{more}. Exactune tells them apart by the "
                "stop token",
                labels=count(len({short for short, _ in pairs}), "label"),
                pairs=join(", ", shown),
                more=", …" if len(pairs) > 3 else "",
            ),
            locations=unique(Location(example.location.file, None) for example in dataset.splits.train),
            evidence={"pairs": [{"label": short, "begins": long} for short, long in pairs[:EVIDENCE]]},
        )


def _label_ids(dataset: Dataset) -> dict[str, tuple[int, ...]]:
    """Label -> the ids of its answer without the stop token, as the first row with it has them."""
    task = dataset.task if dataset.probes else None
    if not isinstance(task, ClassificationTask):
        return {}
    answers: dict[str, tuple[int, ...]] = {}
    for example, probe in dataset.probes:
        if example.answer not in answers:
            answers[example.answer] = tuple(probe.answer_ids[:-1])
    parsed = ((task.parse(answer), ids) for answer, ids in answers.items())
    labels: dict[str, tuple[int, ...]] = {}
    for answer, ids in parsed:
        if answer.status is Status.OK and ids:
            labels.setdefault(answer.value, ids)
    return labels


def _prefixes(labels: Mapping[str, tuple[int, ...]]) -> list[tuple[str, str]]:
    """Pairs of a label and one that begins with it; the shortest such label for each."""
    pairs: list[tuple[str, str]] = []
    short: str | None = None
    # In the order of their ids, those that begin with one label stand right behind it.
    for label, ids in sorted(labels.items(), key=lambda item: item[1]):
        begun = labels[short] if short is not None else ()
        if short is not None and len(ids) > len(begun) and ids[: len(begun)] == begun:
            pairs.append((short, label))
        else:
            short = label
    return pairs


def unknown_tokens(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Text in a script that the tokenizer has hardly any tokens for.

    What it does:
        Finds rows in which most tokens are parts of a character only (where at least 5% of the rows are such: a few
        are emoji or names), and rows in which at least 10% stand for text that the tokenizer does not know.

    Why it matters:
        A tokenizer made for English writes a Chinese character as two or three bytes: rows get two to four times as
        long, training as slow, and the model has seen little of the script. What is unknown it cannot read at all.

    Example:
        好吃 as the six tokens E5 A5 BD E5 90 83

    Fix:
        Choose a base model whose tokenizer knows the language: Qwen3 for Chinese, for example.
    """
    pieces = [pair for pair in dataset.probes if pair[1].pieces > MOSTLY * pair[1].own]
    if pieces and len(pieces) >= COMMON * len(dataset.probes):
        share = sum(probe.pieces for _, probe in pieces) / sum(probe.own for _, probe in pieces)
        cost = sum(probe.own for _, probe in pieces) / max(1, sum(map(_characters, (row for row, _ in pieces))))
        yield rule.finding(
            say(
                "{rows} of {all:,} in a script that the tokenizer has hardly any tokens for: {share:.0%} of their "
                "tokens are parts of a character, {cost:.1f} tokens per character",
                rows=count(len(pieces), "row"),
                all=len(dataset.probes),
                share=share,
                cost=cost,
            ),
            locations=unique(example.location for example, _ in pieces),
            evidence={"rows": len(pieces), "share": round(share, 3), "tokens_per_character": round(cost, 2)},
        )
    unknown = [pair for pair in dataset.probes if pair[1].unknown >= UNREAD * pair[1].own and pair[1].unknown]
    if unknown:
        example, _ = max(unknown, key=lambda pair: pair[1].unknown / pair[1].own)
        share = sum(probe.unknown for _, probe in unknown) / sum(probe.own for _, probe in unknown)
        yield rule.finding(
            say(
                "{rows} of {all:,} with text that the tokenizer does not know: {share:.0%} of their tokens, most at "
                "{place}. The model cannot read it",
                rows=count(len(unknown), "row"),
                all=len(dataset.probes),
                share=share,
                place=example.location,
            ),
            locations=unique(example.location for example, _ in unknown),
            evidence={"rows": len(unknown), "share": round(share, 3)},
        )


def _characters(example: Example) -> int:
    return sum(len(message.content) for message in example.prompt) + len(example.answer)


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
