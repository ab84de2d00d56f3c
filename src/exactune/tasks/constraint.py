"""What answers are held to: the labels of a classification, or a grammar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from exactune.errors import ConfigError
from exactune.language import say
from exactune.tasks.base import Task
from exactune.tasks.classification import ClassificationTask
from exactune.tasks.grammar import answer_grammar, copying_grammar
from exactune.tasks.layout import Layout, find_layout
from exactune.types import Status

__all__ = ["choose_constraint"]


def choose_constraint(
    task: Task,
    answers: Sequence[str],
    setting: Literal["auto", True, False],
    *,
    copied_from: Sequence[str] | None = None,
) -> Mapping[str, Any] | None:
    """What the answers of a run are held to.

    Args:
        task: The task.
        answers: Training answers as they are.
        setting: ``constrain``. ``auto`` holds classifications to their labels, and nothing else to anything.
        copied_from: ``task.copy_spans``: the training inputs, if texts copied from them are to be nothing else.

    Returns:
        ``{"labels": [answer of each label, ...]}``, ``{"grammar": text}``, the same with ``"copy"`` as
        :func:`~exactune.tasks.grammar.copying_grammar` gives it, or ``None``; JSON either way.

    Raises:
        ConfigError: A constraint is asked for, and there is none for this task.
    """
    if copied_from is not None:
        return _copying(task, answers, copied_from, setting)
    if setting is False:
        return None
    if isinstance(task, ClassificationTask):
        return {"labels": _label_answers(task, answers)}
    # Several labels of a closed set are no less a classification.
    if setting == "auto" and not task.config().get("multi_label"):
        return None
    grammar = answer_grammar(task, answers)
    if grammar is None and setting == "auto":
        return None
    if grammar is None:
        raise ConfigError(
            say(
                "`constrain: true`: there is nothing to hold answers of a {type} task to. Use `auto` or `false`.",
                type=task.type,
            )
        )
    return {"grammar": grammar}


def _copying(
    task: Task, answers: Sequence[str], inputs: Sequence[str], setting: Literal["auto", True, False]
) -> Mapping[str, Any]:
    if setting is False:
        raise ConfigError(
            say("`task.copy_spans` holds answers to a grammar, and `constrain: false` to none. Remove one.")
        )
    if task.type in ("classification", "text"):
        raise ConfigError(
            say("`task.copy_spans`: answers of a {type} task have no fields to copy into. Remove it.", type=task.type)
        )
    found = copying_grammar(task, answers, inputs)
    if found is None:
        raise ConfigError(
            say(
                "`task.copy_spans`: no field of the training answers is copied from the inputs word for word, or the "
                "schema says more than types, keys and enumerations. Remove it."
            )
        )
    return found


def _label_answers(task: ClassificationTask, answers: Sequence[str]) -> list[str]:
    """The answer that means each label: as most training rows write it, or, for labels they lack, would."""
    written: dict[str, Counter[str]] = {label: Counter() for label in task.labels}
    for answer in answers:
        parsed = task.parse(answer)
        if parsed.status is Status.OK:
            written[parsed.value][answer] += 1
    layout = find_layout(answers) or Layout()
    return [
        max(counts, key=lambda text: counts[text]) if counts
        else label if task.field is None else layout.dump({task.field: label})
        for label, counts in written.items()
    ]  # fmt: skip
