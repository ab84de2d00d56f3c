"""What a tokenizer makes of rows (D306, D5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerFast

from exactune.checks import Dataset, Probe
from exactune.data.expand import expand
from exactune.probing import token_probe
from exactune.render.template import Template
from exactune.types import Example, Splits

import tiny
from cases import Build, Case, Pairs, dataset, ready


def probed(pairs: Pairs, tokens: Callable[[Example], Probe]) -> Build:
    return ready(replace(dataset(pairs), tokens=tokens))


def tokenized(
    splits: Splits, tokenizer: PreTrainedTokenizerFast, *, limit: int = 512, stops: Sequence[int] = ()
) -> Dataset:
    """Rows with a real tokenizer, as a run looks at them."""
    template = Template(tokenizer)
    rows = (*splits.train, *splits.eval, *splits.test, *splits.mix)
    ids = {row.id: tuple(template.encode(turn) for turn in expand(row)) for row in rows}
    return Dataset(splits, tokens=token_probe(template, ids, limit, stops))


def real(pairs: Pairs, tokenizer: PreTrainedTokenizerFast, stops: Sequence[int] = ()) -> Build:
    return lambda _: tokenized(dataset(pairs).splits, tokenizer, stops=stops)


def _long(example: Example) -> Probe:
    return Probe(len(example.input), 3, example.answer)


def _lower(example: Example) -> Probe:
    return Probe(1, 3, example.answer.lower())


def _marked(example: Example) -> Probe:
    return Probe(1, 3, example.answer, ("<s>",) * (example.input == "y"))


DATED = "{{ 'Today: ' + strftime_now('%d %b %Y') + '\n' }}" + tiny.CHATML
ENGLISH = [("good food", "yes"), ("bad food", "no")] * 4
LABELS = [("x", "card"), ("y", "card_arrival"), ("z", "pin")] * 3

CASES = {
    "D306": Case(
        real(LABELS, tiny.byte_bpe()),
        [None],
        real([(text, {"card": "limit"}.get(label, label)) for text, label in LABELS], tiny.byte_bpe()),
    ),
    "D501": Case(probed([("x", "a"), ("long", "b")], _long), [2], probed([("x", "a"), ("lon", "b")], _long)),
    "D502": Case(real(ENGLISH, tiny.byte_bpe(DATED)), [], real(ENGLISH, tiny.byte_bpe())),
    "D503": Case(real(ENGLISH, tiny.byte_bpe(), [0]), [], real(ENGLISH, tiny.byte_bpe(), [0, 2])),
    "D504": Case(
        # Without a single merge: whatever is not ASCII is written byte by byte.
        real([*ENGLISH, ("還會再來，很好吃", "yes")], tiny.byte_bpe(vocab=259)),
        [9],
        real([*ENGLISH, ("will come again, really tasty", "yes")], tiny.byte_bpe(vocab=259)),
    ),
    "D505": Case(probed([("x", "a"), ("y", "B")], _lower), [2], probed([("x", "a"), ("y", "b")], _lower)),
    "D506": Case(probed([("x", "a"), ("y", "B")], _marked), [2], probed([("x", "a"), ("z", "B")], _marked)),
}
