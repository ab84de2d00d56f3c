"""Relations: the answer lists triples of two spans and what holds between them, alone or beside the entities."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from exactune.errors import ConfigError
from exactune.language import Text, count, join, say
from exactune.tasks.base import Counts, Parsed, Score, rate
from exactune.tasks.entities import TEXT_KEYS, TYPE_KEYS
from exactune.tasks.f1 import Tally, macro_f1, micro_f1, overlap, tallies
from exactune.tasks.items import ID_KEYS, Entity, Items, read_nothing_else
from exactune.tasks.jsontext import READABLE, parse_answer
from exactune.tasks.spans import Span, count_invented, count_shared, span_of
from exactune.types import JsonValue, Status

__all__ = ["RelationsTask", "relation_value"]

SHOWN = 12
"""How many types :meth:`RelationsTask.describe` lists."""


@dataclass(frozen=True)
class RelationsTask:
    """Triples as ``{"head", "type", "tail"}`` or ``{"subject", "relation", "object"}`` items, with or without entities.

    A triple is right if the texts of both ends and the relation are, in their order; for ``typed_triple_f1`` the types
    of both ends, too ("Boundaries" and "Strict" of Taillé et al., 2020, where a span is known by its text). All are
    multisets. An end has the type that it is given, else those of all listed entities of that text.

    Attributes:
        relation_types: The relations that the training rows know.
        entity_types: The types of entities or ends that they know; empty where answers have none.
    """

    type: ClassVar[str] = "relations"
    primary: ClassVar[str] = "triple_f1"

    relation_types: tuple[str, ...]
    entity_types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse no relations, or a list with one twice.

        Raises:
            ConfigError: There is such a list.
        """
        if not self.relation_types:
            raise ConfigError(
                say("`task.relation_types` is empty. List the types, or leave it out to take those of the rows.")
            )
        for key in ("relation_types", "entity_types"):
            for name, times in Counter(getattr(self, key)).items():
                if times > 1:
                    raise ConfigError(
                        say("`task.{key}` lists `{name}` {times} times. Keep one.", key=key, name=name, times=times)
                    )

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those with entities only where answers have them."""
        typed = ("typed_triple_f1", "entity_f1") if self.entity_types else ()
        return ("triple_f1", *typed, "triple_macro_f1", "exact_match", "valid_json", "invented_spans")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> RelationsTask:
        """The task of a complete ``task`` block.

        Raises:
            ConfigError: ``relation_types`` is missing or unusable.
        """
        return cls(tuple(config.get("relation_types") or ()), tuple(config.get("entity_types") or ()))

    def config(self) -> dict[str, Any]:
        """``type``, ``relation_types`` and, where there are any, ``entity_types``."""
        block: dict[str, Any] = {"type": self.type, "relation_types": list(self.relation_types)}
        return {**block, "entity_types": list(self.entity_types)} if self.entity_types else block

    def describe(self) -> Text:
        """For example "relations, 2 types: Kill, Live_In; 4 types of entities: Peop, Org, Loc, Other"."""
        types = self.relation_types
        told = say(
            "{task}, {types}: {listed}", task=say("relations"), types=count(len(types), "type"), listed=_cut(types)
        )
        if not self.entity_types:
            return told
        entities = count(len(self.entity_types), "type")
        return say("{told}; {types} of entities: {listed}", told=told, types=entities, listed=_cut(self.entity_types))

    def parse(self, text: str) -> Parsed:
        """The triples, and the entities where the answer lists them, in one way of writing.

        ``{"relations": [{"head", "type", "tail"}, …], "entities": [{"type", "text"}, …]}``; ends that the answer names
        by id or place are texts, and have ``head_type`` and ``tail_type`` where the relation itself tells them.
        """
        parsed = parse_answer(text)
        if parsed.status is not Status.OK:
            return parsed
        value = relation_value(parsed.value)
        return Parsed(None, Status.INVALID_SCHEMA) if value is None else Parsed(value, Status.OK)

    def score(self, gold: Parsed, predicted: Parsed, source: str | None = None) -> Score:
        """Counts of triples by relation, of those whose ends have the right types, of entities and invented spans."""
        right, given = _Reading.of(gold), _Reading.of(predicted)
        counts = overlap(_by_type(right.triples), _by_type(given.triples))
        typed = (Counter(right.typed) & Counter(given.typed)).total()
        # Where the right answer lists its entities, naming one in a relation is not enough.
        entities, found = (right.entities, given.entities) if right.listed else (right.ends, given.ends)
        both = sum(times for key, times in count_shared(entities, found).items() if key[0] == "both")
        correct = gold.status is predicted.status is Status.OK and Counter(right.triples) == Counter(given.triples)
        if self.entity_types:
            correct &= typed == len(right.typed) and both == len(entities) == len(found)
            counts.update({
                ("typed",): typed,
                ("entities", "gold"): len(entities),
                ("entities", "predicted"): len(found),
                ("entities", "both"): both,
            })  # fmt: skip
        if source is not None:
            texts = given.texts
            counts["spans",] = len(texts)
            counts["invented",] = count_invented(texts, set(right.texts), source)
        counts["n",] = 1
        counts["exact_match",] = int(correct)
        counts["valid_json",] = int(predicted.status in READABLE)
        return Score(correct, counts)

    def aggregate(self, totals: Counts) -> dict[str, float]:
        """Pooled and by relation.

        ``triple_f1`` and ``typed_triple_f1`` pool all triples, ``entity_f1`` all entities: those listed, or, where
        answers list none, the different ends. ``triple_macro_f1`` is the mean over relations that occur on either side;
        ``invented_spans`` the share of the different ends and the entities given that stand neither in the input nor in
        the right answer.
        """
        n, found = totals.get(("n",), 0), tallies(totals)
        gold, predicted = (sum(getattr(tally, side) for tally in found.values()) for side in ("gold", "predicted"))
        entities = Tally(*(totals.get(("entities", side), 0) for side in ("gold", "predicted", "both")))
        values = {
            "triple_f1": micro_f1(found),
            "typed_triple_f1": Tally(gold, predicted, totals.get(("typed",), 0)).f1,
            "entity_f1": entities.f1,
            "triple_macro_f1": macro_f1(found),
            **{name: rate(totals.get((name,), 0), n) for name in ("exact_match", "valid_json")},
            "invented_spans": rate(totals.get(("invented",), 0), totals.get(("spans",), 0)),
        }
        return {name: values[name] for name in self.metrics}

    def per_label(self, totals: Counts) -> dict[str, dict[str, float]]:
        """Relations that occurred, in the order of ``relation_types``, then unknown ones."""
        found = tallies(totals)
        order = dict.fromkeys([*(kind for kind in self.relation_types if kind in found), *found])
        return {kind: found[kind].to_row() for kind in order}

    def confusion(self, totals: Counts) -> None:
        """Meaningless here."""


def _cut(names: Sequence[str]) -> Text:
    return join(", ", [*names[:SHOWN], *["…"] * (len(names) > SHOWN)])


def relation_value(value: JsonValue) -> dict[str, JsonValue] | None:
    """What :meth:`RelationsTask.parse` makes of a JSON value; ``None`` if it is not written as relations."""
    items = read_nothing_else(value)
    if items is None and isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
        items = read_nothing_else(value)
    if items is None:
        return None
    known = _known(items)
    triples: list[JsonValue] = []
    for relation in items.relations:
        ends = [_end(argument, items, known) for argument in relation.arguments]
        triple: dict[str, JsonValue] = {"head": None, "type": relation.type, "tail": None}
        for side, end, kind in zip(("head", "tail"), ends, relation.types, strict=True):
            if end is None:
                return None
            triple[side] = end.text
            if kind or end.type:
                triple[f"{side}_type"] = kind or end.type
        triples.append(triple)
    parts = [*value.values()] if isinstance(value, dict) else [value]
    # A relation that stands alone has parts, too, but no list of entities.
    if not items.entities and not (len(parts) > 1 and any(isinstance(part, list) for part in parts)):
        return {"relations": triples}
    entities: list[JsonValue] = [span_of(one.type, one.text, one.item).to_json() for one in items.entities]
    return {"relations": triples, "entities": entities}


def _known(items: Items) -> dict[JsonValue, Entity]:
    """Id -> entity, where entities have them."""
    ids = ((entity.item.get(key), entity) for entity in reversed(items.entities) for key in ID_KEYS)
    return {key: entity for key, entity in ids if isinstance(key, str | int)}


def _end(argument: JsonValue, items: Items, known: Mapping[JsonValue, Entity]) -> Entity | None:
    """What an argument names, with its type only where the argument itself tells which entity it is."""
    if isinstance(argument, dict):
        text = next((argument[key] for key in TEXT_KEYS if isinstance(argument.get(key), str)), None)
        kind = next((argument[key] for key in TYPE_KEYS if isinstance(argument.get(key), str)), "")
        if text is not None:
            return Entity(text, kind)
        argument = next((argument[key] for key in ID_KEYS if key in argument), None)
    if not isinstance(argument, str | int) or isinstance(argument, bool):
        return None
    if argument in known:
        return known[argument]
    if isinstance(argument, str):
        return Entity(argument, "")
    return items.entities[argument] if 0 <= argument < len(items.entities) else None


Triple = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a parsed answer says.

    Attributes:
        triples: Head, relation, tail.
        typed: The same with the types of head and tail.
        entities: Those listed.
        listed: Whether it lists entities, be it none.
    """

    triples: list[Triple]
    typed: list[tuple[Triple, str, str]]
    entities: list[Span]
    listed: bool

    @classmethod
    def of(cls, answer: Parsed) -> _Reading:
        value: Mapping[str, Any] = answer.value if answer.status is Status.OK else {"relations": []}
        entities = [span_of(item["type"], item["text"], item) for item in value.get("entities", [])]
        types: defaultdict[str, set[str]] = defaultdict(set)
        for span in entities:
            types[span.text].add(span.type)
        triples: list[Triple] = [(item["head"], item["type"], item["tail"]) for item in value["relations"]]
        kinds = (
            [item.get(f"{side}_type") or " | ".join(sorted(types[item[side]])) for side in ("head", "tail")]
            for item in value["relations"]
        )
        typed = [(triple, head, tail) for triple, (head, tail) in zip(triples, kinds, strict=True)]
        return cls(triples, typed, entities, "entities" in value)

    @property
    def ends(self) -> list[Span]:
        """The different ends with their types."""
        both = (((one, head), (other, tail)) for (head, _, tail), one, other in self.typed)
        return [Span(kind, text) for kind, text in dict.fromkeys(pair for pairs in both for pair in pairs)]

    @property
    def texts(self) -> list[str]:
        """Of the entities, and of the ends that are none of them."""
        listed = [span.text for span in self.entities]
        ends = dict.fromkeys(end for head, _, tail in self.triples for end in (head, tail))
        return [*listed, *(end for end in ends if end not in listed)]


def _by_type(triples: Iterable[Triple]) -> dict[str, Counter[Triple]]:
    types: defaultdict[str, Counter[Triple]] = defaultdict(Counter)
    for triple in triples:
        types[triple[1]][triple] += 1
    return dict(types)
