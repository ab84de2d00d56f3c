"""What the rows do not settle: each doubt says what was taken for granted and what to write if that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from exactune.data.normalise import normalise
from exactune.data.words import count, excerpt
from exactune.draft.survey import LENGTH, Survey
from exactune.language import Text, join, say
from exactune.layers import flow
from exactune.tasks import ClassificationTask
from exactune.tasks.entities import entity_items
from exactune.tasks.jsontext import parse_answer

__all__ = ["Doubt", "Option", "find_doubts"]

SHORT = 30
"""Answers of fewer characters, as a rule, may be labels."""

FEW_EVAL_ROWS = 50
"""Fewer eval rows choose a checkpoint by chance."""

SHOWN = 5
"""At most so many labels are named."""


@dataclass(frozen=True, slots=True)
class Option:
    """An answer to a doubt.

    Attributes:
        label: For people.
        values: What the config then says, dotted.
    """

    label: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that the rows do not settle.

    Attributes:
        found: What was seen and what it was taken for.
        otherwise: What to do if that is wrong.
        question: For a person.
        options: The first is what was taken for granted; without any there is nothing to ask.
        about: The keys that settle it, where the config says them.
    """

    found: str
    otherwise: str
    question: str = ""
    options: tuple[Option, ...] = ()
    about: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.otherwise:
            return say("{found}. {otherwise}", found=self.found, otherwise=self.otherwise)
        # A note of loading is a whole sentence already.
        return self.found if self.found.endswith(".") else say("{found}.", found=self.found)


def find_doubts(survey: Survey, known: Sequence[Doubt] = ()) -> list[Doubt]:
    """What is unsure about a data set, except where the config says it.

    Args:
        survey: What was seen.
        known: Doubts about the files and their columns.
    """
    doubts = [doubt for doubt in known if not any(survey.says(path) for path in doubt.about)]
    doubts += [Doubt(note, "") for note in survey.loaded.notes]
    finders = _GENERAL if survey.says("task") else (*_ABOUT_TASK, *_GENERAL)
    return [*doubts, *(doubt for finder in finders for doubt in finder(survey))]


def _text_or_labels(survey: Survey) -> Iterator[Doubt]:
    answers = list(survey.answers)
    if survey.task.type != "text" or len(answers) < 2 or median(map(len, answers)) >= SHORT:
        return
    if any("\n" in answer for answer in answers):
        return
    rows = count(len(survey.splits.train), "training row")
    yield Doubt(
        say("task: {answers:,} different answers over {rows}, taken as text", answers=len(answers), rows=rows),
        say("If they are labels, write `task: {type: classification}`."),
        say("What are answers like {named}?", named=_named(answers)),
        (Option(say("text, compared word by word"), {"task.type": "text"}),
         Option(say("labels of a closed set"), {"task.type": "classification"})),
    )  # fmt: skip


def _json_or_labels(survey: Survey) -> Iterator[Doubt]:
    """``{"topic": "…"}`` with too many different texts to be labels."""
    values = _json_answers(survey)
    fields = {tuple(value) if isinstance(value, dict) else () for value in values}
    if survey.task.type != "json" or len(fields) != 1 or len(next(iter(fields))) != 1:
        return
    ((field,),) = fields
    texts = [value[field] for value in values]
    if not all(isinstance(text, str) and text.strip() for text in texts) or median(map(len, texts)) >= SHORT:
        return
    yield Doubt(
        say("task: {texts:,} different texts under `{field}` over {rows}, taken as json",
            texts=len(set(texts)), field=field, rows=count(len(survey.splits.train), "training row")),
        say("If they are labels, write `task: {setting}`.", setting=flow({"type": "classification", "field": field})),
        say("What are texts like {named} under `{field}`?", named=_named(list(dict.fromkeys(texts))), field=field),
        (Option(say("any text"), {"task.type": "json"}),
         Option(say("labels of a closed set"), {"task.type": "classification", "task.field": field})),
    )  # fmt: skip


def _json_or_entities(survey: Survey) -> Iterator[Doubt]:
    values = _json_answers(survey)
    pairs = [entity_items(value) for value in values]
    kinds = {kind for items in pairs for kind, _ in items or ()}
    if survey.task.type != "json" or None in pairs or len(kinds) < 2:
        return
    yield Doubt(
        say("task: the answers hold texts under {named}, taken as json, whose fields are compared",
            named=_named(sorted(kinds))),
        say("If the texts are spans of the input, write `task: {type: entities}`."),
        say("What are the texts under {named}?", named=_named(sorted(kinds))),
        (Option(say("fields of a JSON object"), {"task.type": "json"}),
         Option(say("named entities, copied from the input"), {"task.type": "entities"})),
    )  # fmt: skip


def _json_answers(survey: Survey) -> list[Any]:
    return [parse_answer(answer).value for answer in survey.answers] if survey.task.type == "json" else []


def _twin_labels(survey: Survey) -> Iterator[Doubt]:
    """Labels that differ in case, width or spaces only."""
    labels = survey.task.labels if isinstance(survey.task, ClassificationTask) else ()
    twins: dict[str, list[str]] = {}
    for label in labels:
        twins.setdefault(normalise(label).casefold(), []).append(label)
    for same in twins.values():
        if len(same) > 1:
            yield Doubt(
                say(
                    "labels: {named} differ in case or spacing only, taken as {labels} labels",
                    named=_named(same),
                    labels=len(same),
                ),
                say("If they are one, write it one way in every row."),
            )


def _rare_labels(survey: Survey) -> Iterator[Doubt]:
    labels = survey.counts if isinstance(survey.task, ClassificationTask) else {}
    once = [label for label, number in labels.items() if number == 1]
    if once:
        taken = say("a label") if len(once) == 1 else say("labels")
        yield Doubt(
            say("labels: {named} in one training row only, taken as {taken}", named=_named(once), taken=taken),
            say("If misspelled, correct the row; else add rows."),
        )


def _numbers(survey: Survey) -> Iterator[Doubt]:
    labels = survey.task.labels if isinstance(survey.task, ClassificationTask) else ()
    if len(labels) > 2 and all(_is_number(label) for label in labels):
        yield Doubt(
            say("labels: numbers ({named}), taken as names", named=_named(sorted(labels, key=float))),
            say("A near miss counts like any other; words instead of numbers are easier to learn."),
        )


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def _errors(survey: Survey) -> Iterator[Doubt]:
    if not survey.errors or survey.says("check.on_error"):
        return
    places = {place for finding in survey.errors for place in finding.locations}
    codes = ", ".join(f"{finding.code} {finding.name}" for finding in survey.errors)
    yield Doubt(
        say("errors in {places} ({codes}), so training stops at them", places=count(len(places), "place"), codes=codes),
        say("Correct the rows, or leave them out with `check: {on_error: skip}`."),
        say("What is to be done about errors in {places} ({codes})?", places=count(len(places), "place"), codes=codes),
        (Option(say("training stops until they are corrected"), {"check.on_error": "stop"}),
         Option(say("training leaves these rows out and lists them"), {"check.on_error": "skip"})),
    )  # fmt: skip


def _longer_rows(survey: Survey) -> Iterator[Doubt]:
    if survey.resolved.sources.get(LENGTH) == "init":
        usual, raised = survey.recipe.patch.values[LENGTH], survey.config.training.max_seq_length
        yield Doubt(
            say(
                "rows are longer than the usual {usual:,} tokens, so `{key}` is raised to {raised:,}",
                usual=usual,
                key=LENGTH,
                raised=raised,
            ),
            say(
                "If memory does not allow that, remove the line and leave such rows out with `check: {on_error: skip}`."
            ),
        )


def _few_eval_rows(survey: Survey) -> Iterator[Doubt]:
    rows = len(survey.splits.eval)
    if rows < FEW_EVAL_ROWS:
        yield Doubt(
            say("1 eval row chooses the checkpoint, too few for a steady choice")
            if rows == 1
            else say("{rows} choose the checkpoint, too few for a steady choice", rows=count(rows, "eval row")),
            say(
                "Take {rows} or more: a larger eval file, or a larger `data.eval_fraction`.",
                rows=FEW_EVAL_ROWS,
            ),
        )


def _model(survey: Survey) -> Iterator[Doubt]:
    if survey.unseen:
        yield Doubt(
            say("model: not looked at, so tokens were not counted ({unseen})", unseen=survey.unseen),
            say("Run `exactune check` on this file where the model is at hand."),
        )


_ABOUT_TASK = (_text_or_labels, _json_or_labels, _json_or_entities, _twin_labels, _rare_labels, _numbers)
_GENERAL = (_errors, _longer_rows, _few_eval_rows, _model)


def _named(labels: Sequence[str]) -> Text:
    named, more = join(", ", (f"`{excerpt(label)}`" for label in labels[:SHOWN])), len(labels) - SHOWN
    return say("{named} and {more:,} more", named=named, more=more) if more > 0 else named
