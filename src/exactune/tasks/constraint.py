"""What answers are held to: the labels of a classification, or a grammar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from exactune.errors import ConfigError
from exactune.language import say
from exactune.tasks.base import Task
from exactune.tasks.classification import ClassificationTask
from exactune.tasks.grammar import answer_grammar
from exactune.tasks.layout import Layout, find_layout
from exactune.types import Status

__all__ = ["choose_constraint"]


def choose_constraint(
    task: Task, answers: Sequence[str], setting: Literal["auto", True, False]
) -> Mapping[str, Any] | None:
    """What the answers of a run are held to.

    Args:
        task: The task.
        answers: Training answers as they are.
        setting: ``constrain``. ``auto`` holds classifications to their labels, and nothing else to anything.

    Returns:
        ``{"labels": [answer of each label, ...]}``, ``{"grammar": text}``, or ``None``; JSON either way.

    Raises:
        ConfigError: A constraint is asked for, and there is none for this task.
    """
    if setting is False:
        return None
    if isinstance(task, ClassificationTask):
        return {"labels": _label_answers(task, answers)}
    if setting == "auto":
        return None
    grammar = answer_grammar(task, answers)
    if grammar is None:
        raise ConfigError(
            say(
                "`constrain: true`: there is nothing to hold answers of a {type} task to. Use `auto` or `false`.",
                type=task.type,
            )
        )
    return {"grammar": grammar}


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
