"""Rules about single rows that loading had to reject (D1xx)."""

from __future__ import annotations

from collections.abc import Iterator

from exactune.checks.dataset import Dataset
from exactune.rules import Finding, Rule

__all__ = ["empty_answer", "empty_prompt", "no_answer", "unknown_format", "unreadable_row", "wrong_roles"]


def _rejected(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    for found in dataset.rejected:
        if found.code == rule.code:
            yield rule.finding(found.message, locations=found.locations, evidence=found.evidence)


def unreadable_row(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A row that is not strict JSON, or does not fit its table.

    What it does:
        Lists every row that could not be read, each with its reason: broken JSON, a duplicate key, NaN, bytes that are
        not UTF-8, half a surrogate pair, a value that is no object, a CSV record with too many or too few fields.

    Why it matters:
        Other tools stop at the first broken line, or read a duplicate key as its last value without a word.

    Example:
        {"text": "台積電大漲", "label": "正面"
        is reported as: not JSON: Expecting ',' delimiter

    Fix:
        Write each row as one strict JSON object in UTF-8, or quote the CSV fields; the reason beside each place says
        what is wrong there.
    """
    return _rejected(dataset, rule)


def unknown_format(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A row whose input and answer cannot be recognised.

    What it does:
        Lists the rows that are in none of the known formats, or hold something else than text where text belongs.

    Why it matters:
        A guess at which column is the answer trains the wrong thing.

    Example:
        {"review": "好吃", "sentiment": 1}
        has no column that is known to be the input or the answer.

    Fix:
        Use one of the formats chat, sharegpt, prompt_completion, instruction or text_label, or name your columns:
        `data: {columns: {input: sentence, output: label}}`.
    """
    return _rejected(dataset, rule)


def wrong_roles(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A conversation whose turns are out of order.

    What it does:
        Lists the rows with an unknown role, two system turns or one that is not first, an assistant turn before any
        user turn, or two assistant turns in a row.

    Why it matters:
        Chat templates drop, merge or reject such turns, each in its own way, and not the same way in serving.

    Example:
        {"messages": [{"role": "assistant", "content": "正面"}, {"role": "user", "content": "好吃"}, …]}

    Fix:
        Write at most one system turn, first, then user and assistant turns; the last assistant turn is the answer.
    """
    return _rejected(dataset, rule)


def no_answer(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A row without anything to learn.

    What it does:
        Lists the rows that end before an answer or have no column for it.

    Why it matters:
        Fine-tuning learns the answer and nothing else of a row.

    Example:
        {"messages": [{"role": "user", "content": "好吃"}]}

    Fix:
        Add the answer as the last assistant turn, `output`, `completion` or `label`, or remove the row.
    """
    return _rejected(dataset, rule)


def empty_answer(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An answer that is empty or blank.

    What it does:
        Lists the rows whose answer has no visible character.

    Why it matters:
        The model learns to stop at once, and does so for other inputs too.

    Example:
        {"text": "沒有提到任何公司", "label": ""}

    Fix:
        Write what the model should say; where nothing is to be found, an explicit answer such as `{}`, `[]` or a label
        of its own.
    """
    return _rejected(dataset, rule)


def empty_prompt(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A row that asks nothing.

    What it does:
        Lists the rows in which no user turn has any text.

    Why it matters:
        An answer without an input teaches the model to answer without looking.

    Example:
        {"text": "", "label": "正面"}

    Fix:
        Add the input text, or remove the row.
    """
    return _rejected(dataset, rule)
