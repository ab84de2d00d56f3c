"""Rules about what loading found: rows it had to reject, and files that are not UTF-8 (D1xx, D603)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exactune.checks.dataset import Dataset
from exactune.rules import Finding, Rule

__all__ = [
    "cut_last_line",
    "duplicate_keys",
    "empty_answer",
    "empty_prompt",
    "file_encoding",
    "no_answer",
    "prompts_differ",
    "unknown_format",
    "unreadable_row",
    "wrong_roles",
]


def _rejected(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    for found in dataset.rejected:
        if found.code == rule.code:
            finding = rule.finding(found.message, locations=found.locations, evidence=found.evidence)
            yield replace(finding, severity=found.severity)


def unreadable_row(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A row that is not strict JSON, or does not fit its table.

    What it does:
        Lists every row that could not be read, each with its reason: broken JSON, NaN, half a surrogate pair, a value
        that is no object, a CSV record with too many or too few fields.

    Why it matters:
        Other tools stop at the first broken line, or leave such rows out without a word.

    Example:
        {"text": "台積電大漲", "label": "正面"
        is reported as: not JSON: Expecting ',' delimiter

    Fix:
        Write each row as one strict JSON object, or quote the CSV fields; the reason beside each place says what is
        wrong there.
    """
    return _rejected(dataset, rule)


def unknown_format(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A row whose input and answer cannot be recognised.

    What it does:
        Lists the rows that are in none of the known formats, or hold something else than text where text belongs. Where
        all rows of a file show plainly which column is a label and which the text, they are taken, and the run says so.

    Why it matters:
        A guess at which column is the answer trains the wrong thing.

    Example:
        {"title": "好吃", "body": "還會再來", "stars": 5, "useful": 1}
        has two columns that could be the input, and two that could be the answer.

    Fix:
        Use one of the formats chat, sharegpt, prompt_completion, instruction, query_response, text_label,
        preference, or name your columns: `data: {columns: {input: sentence, output: label}}`.
    """
    return _rejected(dataset, rule)


def wrong_roles(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A conversation whose turns are out of order.

    What it does:
        Lists the rows with an unknown role, two system turns or one that is not first, an assistant turn before any
        user turn, two assistant turns in a row, or a tool turn that no assistant turn calls for.

    Why it matters:
        Chat templates drop, merge or reject such turns, each in its own way, and not the same way in serving.

    Example:
        {"messages": [{"role": "assistant", "content": "正面"}, {"role": "user", "content": "好吃"}, …]}

    Fix:
        Write at most one system turn, first, then user and assistant turns, and tool turns behind the assistant turn
        that calls them; the last assistant turn is the answer.
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
        Add the answer as the last assistant turn, `output`, `completion`, `response` or `label`, or remove the row.
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


def file_encoding(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Bytes that are no text, or a file that is not UTF-8.

    What it does:
        Lists the rows with bytes that cannot be decoded: an error. Names each file that was read as UTF-16 or UTF-32,
        by its first bytes (info), or as Big5 or GB18030, told from its characters (warning); nothing is lost in these.

    Why it matters:
        Other tools put replacement characters into the text and train on them. Big5 and GB18030 share most of their
        bytes, so the wrong choice gives well-formed nonsense.

    Example:
        train.jsonl:12 holds the byte 0xE9: é as Latin-1 has it

    Fix:
        Save the file as UTF-8 from the program that made it, or take it again from its source.
    """
    return _rejected(dataset, rule)


def cut_last_line(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A last row that is not complete.

    What it does:
        Fires when a JSON file ends within a row and without a newline.

    Why it matters:
        A copy or download stopped there, so more rows than this one may be missing.

    Example:
        {"text": "台積電大漲", "lab

    Fix:
        Copy or download the file again, or remove its last line.
    """
    return _rejected(dataset, rule)


def duplicate_keys(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A JSON object with two values for one key.

    What it does:
        Lists the rows in which a key stands twice in one object, at any depth.

    Why it matters:
        Every other reader takes the last value without a word, and which one is meant cannot be known.

    Example:
        {"text": "好吃", "label": "正面", "label": "負面"}

    Fix:
        Keep the value that is meant, or rename one of the keys.
    """
    return _rejected(dataset, rule)


def prompts_differ(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A preference pair whose answers belong to different prompts.

    What it does:
        Lists the preference rows in which `chosen` and `rejected` are conversations that differ before their last
        turns, or ask something else than `prompt`.

    Why it matters:
        A preference is between two answers to one prompt. Here it cannot be known which prompt the model should see,
        and the difference between the prompts would be learned as a difference between the answers.

    Example:
        {"chosen": [user "2 + 2?", assistant "4"], "rejected": [user "2 + 3?", assistant "6"]}

    Fix:
        Write the prompt once, as `prompt`, and only the two answers as `chosen` and `rejected`; remove pairs whose
        answers belong to different prompts.
    """
    return _rejected(dataset, rule)
