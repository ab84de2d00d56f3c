"""What a tokenizer makes of rows (D5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exactune.checks import Probe
from exactune.types import Example

from cases import Build, Case, Pairs, dataset, ready


def probed(pairs: Pairs, tokens: Callable[[Example], Probe]) -> Build:
    return ready(replace(dataset(pairs), tokens=tokens))


def _long(example: Example) -> Probe:
    return Probe(len(example.input), 3, example.answer)


def _lower(example: Example) -> Probe:
    return Probe(1, 3, example.answer.lower())


def _marked(example: Example) -> Probe:
    return Probe(1, 3, example.answer, ("<s>",) * (example.input == "y"))


CASES = {
    "D501": Case(probed([("x", "a"), ("long", "b")], _long), [2], probed([("x", "a"), ("lon", "b")], _long)),
    "D505": Case(probed([("x", "a"), ("y", "B")], _lower), [2], probed([("x", "a"), ("y", "b")], _lower)),
    "D506": Case(probed([("x", "a"), ("y", "B")], _marked), [2], probed([("x", "a"), ("z", "B")], _marked)),
}
