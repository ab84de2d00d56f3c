"""A JSON schema inferred from values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exactune.tasks.shape import Shape
from exactune.types import JsonValue

__all__ = ["infer_schema", "schema_of"]

ENUM_COPIED = 0.9
"""An enumeration has fewer than this share of its values copied from the input."""


def infer_schema(values: Sequence[JsonValue], inputs: Sequence[str]) -> dict[str, Any]:
    """The schema that the values satisfy, and that leaves little room for others.

    Objects allow the keys seen and no more; keys present in every one are required. Strings that recur become an
    enumeration unless they are copied from the input. A rare slip does not widen it: another type where nearly all
    values have one, a key that 1 % of at least 100 objects lack, a misspelt key.

    Args:
        values: JSON values, one per row.
        inputs: What each was the answer to.
    """
    shape = Shape()
    for value, text in zip(values, inputs, strict=True):
        shape.add(value, text)
    return schema_of(shape)


def schema_of(shape: Shape, strict: bool = False) -> dict[str, Any]:
    """The schema of the values that a shape has counted.

    Args:
        shape: What was counted.
        strict: What nearly all values satisfy, to find the others: keys that 95 % have are required, rare keys beside
            them are not allowed, any number is as good as another, and there are no enumerations.
    """
    types = {"number" if strict and kind == "integer" else kind for kind in shape.kinds}
    schema: dict[str, Any] = {"type": next(iter(types)) if len(types) == 1 else sorted(types)}
    if "object" in types:
        schema |= _object(shape, strict)
    if "array" in types and shape.items is not None:
        schema["items"] = schema_of(shape.items, strict)
    copied = shape.copied >= ENUM_COPIED * shape.types["string"]
    if types == {"string"} and shape.labels and not strict and not copied:
        schema["enum"] = shape.labels
    return schema


def _object(shape: Shape, strict: bool) -> dict[str, Any]:
    if shape.free_keys:
        return {"additionalProperties": schema_of(shape.pooled(), strict)}
    stray = shape.stray_keys if strict else shape.misnamed_keys
    properties = {key: schema_of(field, strict) for key, field in shape.fields.items() if key not in stray}
    required = list(shape.firm_keys if strict else shape.required_keys)
    return {"properties": properties, "required": required, "additionalProperties": False}
