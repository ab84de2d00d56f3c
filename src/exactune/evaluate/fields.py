"""JSON answers without a model: each field by the rule that served the training rows best.

Of a field either its most frequent value is given, or what stands in the input between two texts that enclosed it in
training: ``法規名稱：`` before and a line break behind. Which one, and which texts, the training rows decide.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from exactune.evaluate.evaluation import Baseline, read_texts
from exactune.tasks import Task
from exactune.tasks.jsontext import parse_json
from exactune.types import Example, JsonValue

__all__ = ["fields"]

LEARNT_ROWS = 1000
"""So many training rows, spread evenly, are learned from."""

LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
"""Characters before a value that a rule may look for."""

CANDIDATES = 30
"""So many of the most frequent pairs of texts are tried for each field."""

Path = tuple[str, ...]

ABSENT = "absent"
"""Stands for a field that an answer does not have; no JSON text."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What to give for one field.

    Attributes:
        usual: Its most frequent value as JSON, or :data:`ABSENT`.
        before: The text that a copied value follows; empty where none is copied.
        behind: The character that ends it.
        form: An example of what copied values are: a text, a number, or a list of one of them.
    """

    usual: str
    before: str = ""
    behind: str = ""
    form: JsonValue = ""

    def give(self, text: str) -> str:
        """The value for an input framed by line breaks, as JSON."""
        copied = _between(text, self.before, self.behind) if self.before else None
        value = None if copied is None else _shaped(copied, self.form)
        return self.usual if value is None else value


def fields(task: Task, train: Sequence[Example]) -> Baseline:
    """Learn a rule for each field of the training answers.

    Args:
        task: Reads the answers.
        train: The training rows. Where none of their answers is an object, the most frequent answer is given.
    """
    # Going through rows in order is fast wherever they lie.
    step = max(1, -(-len(train) // LEARNT_ROWS))
    rows = [(_framed(row.input), task.parse(row.answer).value) for row in train[::step]]
    objects = [(text, dict(_leaves(value))) for text, value in rows if isinstance(value, dict)]
    if not objects:
        usual = Counter(json.dumps(value, ensure_ascii=False) for _, value in rows).most_common(1)[0][0]
        return lambda asked: read_texts(task, [usual] * len(asked))
    paths = dict.fromkeys(path for _, leaves in objects for path in leaves)
    rules = {path: _learn([(text, leaves.get(path, ABSENT)) for text, leaves in objects]) for path in paths}
    return lambda asked: read_texts(task, [_answer(rules, _framed(row.input)) for row in asked])


def _framed(text: str) -> str:
    return f"\n{text}\n"


def _leaves(value: Mapping[str, JsonValue], above: Path = ()) -> Iterator[tuple[Path, str]]:
    """Path and JSON of everything that is no object with keys."""
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, (*above, key))
        else:
            yield (*above, key), json.dumps(inner, ensure_ascii=False)


def _learn(rows: Sequence[tuple[str, str]]) -> _Rule:
    """The best rule for one field, from inputs with its value as JSON."""
    usual = Counter(value for _, value in rows).most_common(1)[0][0]
    contexts: Counter[tuple[str, str]] = Counter()
    forms: dict[tuple[str, str], JsonValue] = {}
    for text, value in rows:
        form = "" if value == ABSENT else json.loads(value)
        written = _written(form)
        start = text.find(written, 1) if written else -1
        if start < 0:
            continue
        end = start + len(written)
        for length in LENGTHS:
            if length <= start:
                context = (text[start - length : start], text[end : end + 1])
                contexts[context] += 1
                forms.setdefault(context, form)
    rules = [_Rule(usual)]
    rules += [
        _Rule(usual, *context, forms[context]) for context, times in contexts.most_common(CANDIDATES) if times > 1
    ]
    # Of rules that are right equally often the simplest.
    return max(rules, key=lambda rule: sum(rule.give(text) == value for text, value in rows))


def _written(value: JsonValue) -> str:
    """How a value stands in the input; empty if it cannot."""
    if isinstance(value, list) and len(value) == 1:
        return _written(value[0])
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _between(text: str, before: str, behind: str) -> str | None:
    start = text.find(before)
    if start < 0:
        return None
    end = text.find(behind, start + len(before) + 1)
    return None if end < 0 else text[start + len(before) : end]


def _shaped(text: str, form: JsonValue) -> str | None:
    """A copied text as JSON of the same form as another value; None if it cannot have it."""
    if isinstance(form, list):
        inner = _shaped(text, form[0])
        return None if inner is None else f"[{inner}]"
    if isinstance(form, str):
        return json.dumps(text, ensure_ascii=False)
    try:
        number = parse_json(text)
    except ValueError:
        return None
    return json.dumps(number) if isinstance(number, int | float) and not isinstance(number, bool) else None


def _answer(rules: Mapping[Path, _Rule], text: str) -> str:
    answer: dict[str, JsonValue] = {}
    for path, rule in rules.items():
        given = rule.give(text)
        inner = answer
        # Objects stay where all their fields are absent: most schemas want them.
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                break
        else:
            if given != ABSENT:
                inner.setdefault(path[-1], json.loads(given))
    return json.dumps(answer, ensure_ascii=False)
