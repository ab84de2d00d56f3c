"""What was found, one sentence each: for the head of the page and for the screen."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from exactune.data.expand import turn_note
from exactune.data.words import count, places
from exactune.draft.survey import Survey
from exactune.rules import Severity

__all__ = ["described_files", "described_findings", "described_tokens", "typed"]

USES = {"train": "training", "eval": "eval", "test": "test", "mix": "general"}


def described_files(survey: Survey) -> Iterator[str]:
    """Rows, use and format of each file, and what is held out."""
    for file in survey.loaded.files:
        format = f"format {file.format}" if file.format else "none usable"
        yield f"{file.path}: {count(file.rows, USES[file.split] + ' row')}, {format}"
    if not survey.config.data.eval:
        yield f"no eval file: {count(len(survey.splits.eval), 'training row')} held out"
    if turns := turn_note(survey.splits.train):
        yield turns.rstrip(".")


def described_tokens(survey: Survey) -> Iterator[str]:
    """How long the rows are, where the model's tokenizer could be had."""
    if found := survey.tokens:
        yield (
            f"{found.mean:,.0f} a row by {survey.base.name}'s tokenizer; longest row {found.row:,}, "
            f"prompt {found.prompt:,}, answer {found.answer:,}"
        )


def described_findings(survey: Survey) -> Iterator[str]:
    """Errors and warnings by number."""
    for finding in survey.findings:
        if finding.severity is not Severity.INFO:
            where = places(finding.locations, 2)
            number = f" in {count(len(finding.locations), 'place')}" if len(finding.locations) > 1 else ""
            yield f"{finding.severity} {finding.code} {finding.name}{number}: {where}"


def typed(path: str | Path) -> str:
    """A path as one would type it in a shell."""
    text = str(path)
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else shlex.quote(text)
