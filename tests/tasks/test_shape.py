"""What many JSON values have in common, and what a rare slip leaves of it."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from exactune.tasks.schema import infer_schema, schema_of
from exactune.tasks.shape import MOST_KEYS, Shape


def shape(values: list[Any], texts: list[str] | None = None) -> Shape:
    counted = Shape()
    for value, text in zip(values, texts or [""] * len(values), strict=True):
        counted.add(value, text)
    return counted


def records(number: int) -> list[dict[str, Any]]:
    return [{"name": f"n{n}", "price": n} for n in range(number)]


def test_a_rare_type_does_not_widen_the_schema() -> None:
    values = [*records(40), {"name": "x", "price": "12"}, {"name": "x", "price": ["12"]}]
    schema = infer_schema(values, [""] * 42)
    assert schema["properties"]["price"] == {"type": "integer"}
    valid = [Draft202012Validator(schema).is_valid(value) for value in values]
    assert valid == [True] * 40 + [False] * 2
    # Two types with a reason to be there stay, and so does null.
    mixed = [*records(20), *({"name": "x", "price": "12"} for _ in range(2))]
    assert infer_schema(mixed, [""] * 22)["properties"]["price"]["type"] == ["integer", "string"]
    assert infer_schema([*records(40), {"name": "x", "price": None}], [""] * 41)["properties"]["price"]["type"] == [
        "integer",
        "null",
    ]


def test_a_misspelt_key_does_not_widen_the_schema() -> None:
    values = [*records(199), {"name": "x", "prise": 12}]
    schema = infer_schema(values, [""] * 200)
    assert list(schema["properties"]) == schema["required"] == ["name", "price"]
    # One more key beside all others may be meant: only the strict schema leaves it out.
    noted = shape([*records(199), {"name": "x", "price": 12, "note": "y"}])
    assert list(schema_of(noted)["properties"]) == ["name", "price", "note"]
    assert list(schema_of(noted, strict=True)["properties"]) == ["name", "price"]


def test_few_rows_decide_nothing() -> None:
    values = [*records(19), {"name": "x"}]
    assert infer_schema(values, [""] * 20)["required"] == ["name"]
    assert schema_of(shape(values), strict=True)["required"] == ["name", "price"]


def test_optional_keys_stay_optional() -> None:
    values = [{**record, "note": "x"} if n % 10 == 0 else record for n, record in enumerate(records(200))]
    for strict in (False, True):
        schema = schema_of(shape(values), strict)
        assert (list(schema["properties"]), schema["required"]) == (["name", "price", "note"], ["name", "price"])


def test_the_order_of_most_objects() -> None:
    values = [*records(6), *({"price": 1, "name": "x"} for _ in range(4))]
    assert shape(values).order == ("name", "price")
    assert shape(values[:4] + values[6:]).order == ()


def test_what_is_copied_is_counted() -> None:
    counted = shape([{"a": "Ann"}, {"a": "Bob"}, {"a": ""}], ["Ann came", "nobody", "x"]).fields["a"]
    assert (counted.copied, counted.blank) == (2, 1)


def test_free_keys_take_bounded_memory() -> None:
    counted = shape([{f"k{n}": n, f"l{n}": "x"} for n in range(MOST_KEYS)])
    assert len(counted.fields) == MOST_KEYS
    assert len(counted.signatures) <= MOST_KEYS
    assert schema_of(counted) == {"type": "object", "additionalProperties": {"type": ["integer", "string"]}}
    assert counted.pooled().count == 2 * MOST_KEYS
