"""What was found, one sentence each: for the head of the page and for the screen."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from exactune.data.expand import turn_note
from exactune.data.words import count, places
from exactune.draft.survey import Survey
from exactune.language import Text, say
from exactune.rules import Severity

__all__ = ["described_files", "described_findings", "described_tokens", "typed"]


def described_files(survey: Survey) -> Iterator[str]:
    """Rows, use and format of each file, and what is held out."""
    for file in survey.loaded.files:
        format = say("format {name}", name=file.format) if file.format else say("none usable")
        yield say("{file}: {rows}, {format}", file=file.path, rows=_rows(file.rows, file.split), format=format)
    if not survey.config.data.eval:
        yield say("no eval file: {rows} held out", rows=count(len(survey.splits.eval), "training row"))
    if turns := turn_note(survey.splits.train):
        yield turns.rstrip(".")


def _rows(number: int, split: str) -> Text:
    """``2 eval rows``."""
    counts = {
        "train": count(number, "training row"),
        "eval": count(number, "eval row"),
        "test": count(number, "test row"),
        "mix": count(number, "general row"),
    }
    return counts[split]


def described_tokens(survey: Survey) -> Iterator[str]:
    """How long the rows are, where the model's tokenizer could be had."""
    if found := survey.tokens:
        yield say(
            "{mean:,.0f} a row by {base}'s tokenizer; longest row {row:,}, prompt {prompt:,}, answer {answer:,}",
            mean=found.mean,
            base=survey.base.name,
            row=found.row,
            prompt=found.prompt,
            answer=found.answer,
        )


def described_findings(survey: Survey) -> Iterator[str]:
    """Errors and warnings by number."""
    for finding in survey.findings:
        if finding.severity is not Severity.INFO:
            where = places(finding.locations, 2)
            several = len(finding.locations) > 1
            number = say(" in {places}", places=count(len(finding.locations), "place")) if several else ""
            yield say(
                "{severity} {code} {name}{number}: {where}",
                severity=finding.severity.word,
                code=finding.code,
                name=finding.name,
                number=number,
                where=where,
            )


def typed(path: str | Path) -> str:
    """A path as one would type it in a shell."""
    text = str(path)
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else shlex.quote(text)
