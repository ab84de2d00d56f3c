"""Rows of Parquet files and of data sets that the ``datasets`` library loads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from exactune.data.rows import Broken, Item
from exactune.data.source import Source
from exactune.errors import DataError, MissingExtra
from exactune.language import say

__all__ = ["named_rows", "read_parquet"]

BATCH = 1024
"""Rows turned into Python objects at a time."""

Classes = Mapping[str, Sequence[str]]
"""Column -> the names of the classes whose numbers it holds."""


def read_parquet(source: Source) -> Callable[[], Iterator[Item]]:
    """What gives the rows of a Parquet file, numbered from 1.

    Raises:
        DataError: It cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import dataset
    except ImportError as error:
        raise MissingExtra(
            say("{shown}: Parquet needs pyarrow. Run `pip install pyarrow`.", shown=source.shown)
        ) from error

    def rows() -> Iterator[Item]:
        with source.open() as file:
            try:
                table = dataset.ParquetFileFormat().make_fragment(file)
                classes = _classes(table.physical_schema.metadata or {})
                parts = table.to_batches(batch_size=BATCH, batch_readahead=1, use_threads=False)
                yield from named_rows((row for part in parts for row in part.to_pylist()), classes)
            except (pyarrow.ArrowException, ValueError, OSError) as error:
                reason = str(error).partition("\n")[0]
                raise DataError(
                    say(
                        "{shown}: cannot be read as Parquet: {reason} Write the file again, or as JSONL.",
                        shown=source.shown,
                        reason=reason,
                    )
                ) from error

    return rows


def _classes(metadata: Mapping[bytes, bytes]) -> Classes:
    """The class names that the ``datasets`` library notes in a file it writes."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: feature["names"] for name, feature in features.items() if feature.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def named_rows(rows: Iterable[Mapping[str, Any]], classes: Classes) -> Iterator[Item]:
    """Rows as JSON values, numbered from 1; a class number becomes the class's name, for a number is no answer."""
    for number, row in enumerate(rows, 1):
        yield number, _named(row, classes)


def _named(row: Mapping[str, Any], classes: Classes) -> dict[str, Any] | Broken:
    try:
        plain = {name: _plain(value) for name, value in row.items()}
        return {name: _class(value, classes.get(name)) for name, value in plain.items()}
    except _NotText as error:
        return Broken(str(error))


class _NotText(ValueError):
    """A value that has no place in a row of texts."""


def _plain(value: Any) -> Any:
    """A value as JSON has it: dates and decimals as text, a missing number as ``None``."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise _NotText(say("it holds bytes (an image, a sound?); only text can be used"))
    return str(value) if isinstance(value, Decimal) or hasattr(value, "isoformat") else _refused(value)


def _refused(value: Any) -> Any:
    raise _NotText(
        say("it holds a {kind}; only text, numbers, lists and objects can be used", kind=type(value).__name__)
    )


def _class(value: Any, names: Sequence[str] | None) -> Any:
    if names is None or not isinstance(value, int) or isinstance(value, bool):
        return value
    # -1 is how the library writes a label that is missing.
    return names[value] if 0 <= value < len(names) else None
