"""Rows as the run's tokenizer has them: their ids, and what the token rules ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, islice

from exactune.checks import Probe
from exactune.data.expand import expand
from exactune.render.behaviour import Pieces, find_behaviour, frame, unknown_id
from exactune.render.cache import encode_all
from exactune.render.template import Encoded, Template
from exactune.types import Example, Splits

__all__ = ["encode_rejected", "encode_rows", "token_probe"]


def encode_rows(template: Template, splits: Splits) -> dict[str, tuple[Encoded, ...]]:
    """Row id -> the ids of each of its turns that is trained or scored, the last being the row's own answer."""
    ids: dict[str, tuple[Encoded, ...]] = {}
    for rows, trained in ((splits.train, True), (splits.mix, True), (splits.eval, False), (splits.test, False)):
        turns = [expand(row) if trained else (row,) for row in rows]
        made = iter(encode_all(template, [turn for own in turns for turn in own]))
        ids |= {row.id: tuple(islice(made, len(own))) for row, own in zip(rows, turns, strict=True)}
    return ids


def encode_rejected(template: Template, rows: Sequence[Example]) -> dict[str, Encoded]:
    """Row id -> the ids of its worse answer, after the very prompt of the better one; rows without one are left out."""
    pairs = [row for row in rows if row.rejected is not None]
    made = encode_all(template, [replace(row, answer=row.rejected or "") for row in pairs])
    return {row.id: ids for row, ids in zip(pairs, made, strict=True)}


def token_probe(
    template: Template,
    ids: Mapping[str, tuple[Encoded, ...]],
    limit: int,
    known_stops: Sequence[int] = (),
    rejected: Mapping[str, Encoded] | None = None,
) -> Callable[[Example], Probe]:
    """What token rules ask of a row: its length, the limit, the answer decoded from its own ids, what is not known.

    Args:
        template: The template that made the ids.
        ids: See :func:`encode_rows`.
        limit: How many tokens a row may have.
        known_stops: Ids at which the model's generation config ends an answer.
        rejected: See :func:`encode_rejected`; neither side of a pair is ever cut.
    """
    worse = rejected or {}
    decode = lru_cache(10_000)(template.decode)  # labels come again and again
    pieces, unknown, around = Pieces(template), unknown_id(template), frame(template)
    chats = any(len(turns) > 1 for turns in ids.values())
    # The longest first, where one token begins another; a tokenizer without any finds nothing.
    marks = re.compile("|".join(map(re.escape, sorted(template.control_tokens, key=len, reverse=True))) or r"(?!)")
    behaviour = find_behaviour(template, known_stops, chats=chats)

    def probe(example: Example) -> Probe:
        *earlier, row = ids[example.id]
        texts = [*(message.content for message in example.prompt), example.answer]
        control = tuple(sorted({token for text in texts for token in marks.findall(text)}))
        answers = [turn.answer for turn in expand(example)[:-1]] if earlier else []
        turns = tuple((answer, decode(tuple(turn.answer_ids))) for answer, turn in zip(answers, earlier, strict=True))
        plain = all(map(str.isascii, texts))
        return Probe(
            tokens=max(map(len, (*ids[example.id], *([worse[example.id]] if example.id in worse else ())))),
            limit=limit,
            decoded=decode(tuple(row.answer_ids)),
            control=control,
            turns=turns,
            answer_ids=row.answer_ids,
            own=max(1, len(row) - around),
            unknown=0 if unknown is None else row.prompt_ids.count(unknown) + row.answer_ids.count(unknown),
            pieces=0 if plain else sum(map(pieces.__getitem__, chain(row.prompt_ids, row.answer_ids))),
            behaviour=behaviour,
        )

    return probe
