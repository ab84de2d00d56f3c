"""JSON output: the answer is a JSON value of a given schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from exactune.errors import ConfigError
from exactune.language import Text, count, join, say
from exactune.tasks.base import Counts, Parsed, Score, rate
from exactune.tasks.f1 import micro_f1, tallies
from exactune.tasks.jsontext import READABLE, canonical, leaves, parse_answer
from exactune.tasks.moments import FORMATS, with_moments
from exactune.tasks.pairing import shared_leaves
from exactune.types import JsonValue, Status

__all__ = ["JsonTask"]

SHOWN = 8
"""How many fields :meth:`JsonTask.describe` lists."""


@dataclass(frozen=True)
class JsonTask:
    """A JSON value of a schema.

    An answer that is JSON but breaks the schema still earns ``exact_match`` and ``field_f1`` for what is right in it.

    Values are compared as JSON, so ``1`` is ``1.0`` and not ``"1"``; the order of keys never matters, that of items
    for ``exact_match`` only. Where the schema has the ``format`` ``date``, ``time`` or ``date-time``, texts are
    compared as the moments they mean: ``2024-01-05T08:00:00+08:00`` is ``2024-01-05T00:00:00Z``. All other texts are
    compared character by character, also those that look like numbers or dates.

    Attributes:
        schema: JSON Schema, draft 2020-12; references only within itself.
    """

    type: ClassVar[str] = "json"
    primary: ClassVar[str] = "field_f1"
    metrics: ClassVar[tuple[str, ...]] = ("field_f1", "exact_match", "valid_json", "valid_schema")

    schema: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse a schema that could fail at the first answer.

        Raises:
            ConfigError: It is no JSON schema, or it refers to something outside or missing.
        """
        # Takes a tenth of a second, which commands on other tasks need not spend.
        from jsonschema import Draft202012Validator  # type: ignore[import-untyped, unused-ignore]
        from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped, unused-ignore]
        from referencing.exceptions import Unresolvable

        try:
            Draft202012Validator.check_schema(self.schema)
            for reference in _mentioned(self.schema, "$ref", "$dynamicRef"):
                if isinstance(reference, str):
                    self._resolver.lookup(reference)
            self._validator.is_valid(None)
        except SchemaError as error:
            raise ConfigError(
                say(
                    "`task.schema` is not a JSON schema: at {json_path}, {message}.",
                    json_path=error.json_path,
                    message=error.message,
                )
            ) from error
        except Unresolvable as error:
            raise ConfigError(
                say("`task.schema` refers to `{ref}`, which is not in it. Define it there.", ref=error.ref)
            ) from error
        except RecursionError as error:
            raise ConfigError(
                say("`task.schema` refers to itself without end. Remove the circle of references.")
            ) from error

    @cached_property
    def _resolver(self) -> Any:
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        return Registry().resolver_with_root(DRAFT202012.create_resource(self.schema))

    @cached_property
    def _has_moments(self) -> bool:
        return any(isinstance(name, str) and name in FORMATS for name in _mentioned(self.schema, "format"))

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator
        from referencing import Registry

        # An explicit registry: the default one fetches remote references.
        return Draft202012Validator(self.schema, registry=Registry())

    def __getstate__(self) -> dict[str, Any]:
        """Without the compiled validator, which cannot be pickled."""
        return {"schema": self.schema}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> JsonTask:
        """The task of a complete ``task`` block.

        Raises:
            ConfigError: ``schema`` is missing or unusable.
        """
        if not isinstance(config.get("schema"), Mapping):
            raise ConfigError(say("`task.schema` is missing. Write a JSON schema, or use `type: auto`."))
        return cls(config["schema"])

    def config(self) -> dict[str, Any]:
        """``type`` and ``schema``."""
        return {"type": self.type, "schema": dict(self.schema)}

    def describe(self) -> Text:
        """For example "json, 5 fields: 法規性質, 主管機關, 首次發布日期, 最近異動日期, 是否廢止"."""
        fields = list(self.schema.get("properties", {}))
        if not fields:
            return say("json, {type}", type=self.schema.get("type", say("any value")))
        listed = join(", ", [*fields[:SHOWN], *["…"] * (len(fields) > SHOWN)])
        return say("json, {fields}: {listed}", fields=count(len(fields), "field"), listed=listed)

    def parse(self, text: str) -> Parsed:
        """The JSON value, also where it breaks the schema (``INVALID_SCHEMA``)."""
        parsed = parse_answer(text)
        if parsed.status is Status.OK and not self._validator.is_valid(parsed.value):
            return Parsed(parsed.value, Status.INVALID_SCHEMA)
        return parsed

    def score(self, gold: Parsed, predicted: Parsed, source: str | None = None) -> Score:
        """Counts of leaves by top-level field."""
        readable = predicted.status in READABLE
        right, given = self._compared(gold), self._compared(predicted)
        counts: Counter[tuple[str, ...]] = Counter()
        for side, answer, value in (("gold", gold, right), ("predicted", predicted, given)):
            if answer.status in READABLE:
                counts.update((side, path[0] if path else "") for path, _ in leaves(value))
        correct = False
        if readable and gold.status in READABLE:
            correct = canonical(right) == canonical(given)
            counts.update({("both", field): shared for field, shared in shared_leaves(right, given).items()})
        counts["n",] = 1
        counts["exact_match",] = int(correct)
        counts["valid_json",] = int(readable)
        counts["valid_schema",] = int(predicted.status is Status.OK)
        return Score(correct, counts)

    def _compared(self, answer: Parsed) -> JsonValue:
        """What an answer says, dates and times written in one way."""
        if not self._has_moments or answer.status not in READABLE:
            return answer.value
        return with_moments(answer.value, self.schema, lambda reference: self._resolver.lookup(reference).contents)

    def aggregate(self, totals: Counts) -> dict[str, float]:
        """``field_f1`` is micro F1 over the leaves, see :func:`~exactune.tasks.pairing.shared_leaves`.

        The rest are shares of the rows.
        """
        n = totals.get(("n",), 0)
        shares = {name: rate(totals.get((name,), 0), n) for name in self.metrics[1:]}
        return {"field_f1": micro_f1(tallies(totals)), **shares}

    def per_label(self, totals: Counts) -> dict[str, dict[str, float]]:
        """By top-level field; an answer that is no object has the one field ``""``."""
        return {field: tally.to_row() for field, tally in tallies(totals).items()}

    def confusion(self, totals: Counts) -> None:
        """Meaningless here."""


def _mentioned(schema: JsonValue, *keys: str) -> Iterator[JsonValue]:
    """What stands under these keys anywhere in a schema, also where only rare answers reach it."""
    if isinstance(schema, Mapping):
        yield from (schema[key] for key in keys if key in schema)
        schema = list(schema.values())
    if isinstance(schema, list):
        for child in schema:
            yield from _mentioned(child, *keys)
