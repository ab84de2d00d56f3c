"""Row problems: why a row cannot be used, and the findings they add up to.

Data loading must go on after a bad row, so a problem is collected with its place and becomes part of one finding per
code. The codes are those of the rules in :mod:`exactune.checks`, which report these findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exactune.data.words import count
from exactune.language import Text, join, say
from exactune.rules import Finding, Severity
from exactune.types import Location

__all__ = ["KINDS", "Kind", "Problem", "RowError", "encoding_finding", "findings_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of row problem.

    Attributes:
        name: Short, hyphenated.
        what: Follows the number of rows in the message.
        fix: What to do.
    """

    name: str
    what: Text
    fix: Text


KINDS: Mapping[str, Kind] = {
    "D101": Kind(
        "unreadable-row",
        say("cannot be read"),
        say(
            "Write each row as one strict JSON object, or quote the CSV fields; the reason beside each place says "
            "what is wrong there."
        ),
    ),
    "D102": Kind(
        "unknown-format",
        say("in no known format"),
        say(
            "Use one of the formats chat, sharegpt, prompt_completion, instruction, query_response, text_label, "
            "preference, or name your columns: `data: {columns: {input: sentence, output: label}}`."
        ),
    ),
    "D103": Kind(
        "wrong-roles",
        say("with turns in a wrong order"),
        say(
            "Write at most one system turn, first, then user and assistant turns, and tool turns behind the assistant "
            "turn that calls them; the last assistant turn is the answer."
        ),
    ),
    "D104": Kind(
        "no-answer",
        say("without an answer"),
        say(
            "Add the answer as the last assistant turn, `output`, `completion`, `response` or `label`, or remove the "
            "row."
        ),
    ),
    "D105": Kind(
        "empty-answer",
        say("with an empty answer"),
        say(
            "Write what the model should say; where nothing is to be found, an explicit answer such as `{}`, `[]` or a "
            "label of its own."
        ),
    ),
    "D106": Kind(
        "empty-prompt",
        say("with an empty prompt"),
        say("Add the input text, or remove the row."),
    ),
    "D107": Kind(
        "file-encoding",
        say("with bytes that are no text"),
        say("Save the file as UTF-8 from the program that made it, or take it again from its source."),
    ),
    "D108": Kind(
        "cut-last-line",
        say("cut off by the end of the file"),
        say("Copy or download the file again, or remove its last line."),
    ),
    "D109": Kind(
        "duplicate-keys",
        say("with two values for one key"),
        say("Keep the value that is meant, or rename one of the keys."),
    ),
    "D603": Kind(
        "prompts-differ",
        say("whose two answers have different prompts"),
        say(
            "Write the prompt once, as `prompt`, and only the two answers as `chosen` and `rejected`; remove pairs "
            "whose answers belong to different prompts."
        ),
    ),
}


class RowError(ValueError):
    """A row that a format cannot convert.

    Args:
        code: One of :data:`KINDS`.
        reason: What was found in this row.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Problem:
    """A row problem with its place."""

    code: str
    reason: str
    location: Location


def findings_of(problems: Iterable[Problem], shown: int = 3) -> tuple[Finding, ...]:
    """One error finding per code; ``evidence["reasons"][i]`` belongs to ``locations[i]``."""
    by_code: dict[str, list[Problem]] = {}
    for problem in problems:
        by_code.setdefault(problem.code, []).append(problem)
    findings = []
    for code, group in sorted(by_code.items()):
        kind = KINDS[code]
        named = join("; ", (say("{place}: {reason}", place=one.location, reason=one.reason) for one in group[:shown]))
        more = say("; and {more:,} more", more=len(group) - shown) if len(group) > shown else ""
        findings.append(
            Finding(
                code,
                kind.name,
                Severity.ERROR,
                say(
                    "{rows} {what}: {named}{more}",
                    rows=count(len(group), "row"),
                    what=kind.what,
                    named=named,
                    more=more,
                ),
                kind.fix,
                {"reasons": [problem.reason for problem in group]},
                None,
                tuple(problem.location for problem in group),
            )
        )
    return tuple(findings)


def encoding_finding(file: str, encoding: str, *, guessed: bool) -> Finding:
    """That a file was read in another encoding than UTF-8; a warning where the encoding was told from the text."""
    kind = KINDS["D107"]
    how = (
        say("told from its characters: look whether its texts read well") if guessed else say("as its first bytes say")
    )
    return Finding(
        "D107",
        kind.name,
        Severity.WARNING if guessed else Severity.INFO,
        say(
            "{file} is {encoding}, not UTF-8 ({how}); it was read as such and nothing was lost",
            file=file,
            encoding=encoding,
            how=how,
        ),
        kind.fix,
        {"encoding": encoding},
        None,
        (Location(file, None),),
    )
