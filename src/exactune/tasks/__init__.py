"""What a right answer is: tasks parse answers, score them and aggregate the scores.

To add a task, write a class that satisfies :class:`Task`, list it in :data:`TASKS`, and teach ``infer.py`` its shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exactune.errors import ConfigError
from exactune.language import say
from exactune.tasks.base import METRICS, Counts, Parsed, Score, Task, better
from exactune.tasks.classification import ClassificationTask
from exactune.tasks.entities import EntitiesTask
from exactune.tasks.infer import infer_task
from exactune.tasks.jsontask import JsonTask
from exactune.tasks.multilabel import MultiLabelTask
from exactune.tasks.relations import RelationsTask
from exactune.tasks.text import TextTask

__all__ = [
    "METRICS",
    "TASKS",
    "ClassificationTask",
    "Counts",
    "EntitiesTask",
    "JsonTask",
    "MultiLabelTask",
    "Parsed",
    "RelationsTask",
    "Score",
    "Task",
    "TextTask",
    "better",
    "infer_task",
    "task_from_config",
]

TASKS: Mapping[str, type[Task]] = {
    "classification": ClassificationTask,
    "json": JsonTask,
    "entities": EntitiesTask,
    "relations": RelationsTask,
    "text": TextTask,
}
"""Every task, by its ``type``; a classification with several labels per answer is a :class:`MultiLabelTask`."""


def task_from_config(config: Mapping[str, Any]) -> Task:
    """The task of a complete ``task`` block, as :meth:`Task.config` writes it.

    Raises:
        ConfigError: The type is unknown, or the block lacks something.
    """
    kind = str(config.get("type"))
    if kind not in TASKS:
        raise ConfigError(
            say("`task.type` is `{kind}`; a resolved task is one of {names}.", kind=kind, names=", ".join(TASKS))
        )
    if kind == "classification" and config.get("multi_label"):
        return MultiLabelTask.from_config(config)
    return TASKS[kind].from_config(config)
