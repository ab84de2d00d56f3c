"""Which columns hold input and answer, where the rows are in no known format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exactune.data.files import find_files
from exactune.data.formats import format_of
from exactune.data.hub import open_dataset
from exactune.data.load import Loaded, load
from exactune.data.read import open_file
from exactune.data.rows import Broken
from exactune.data.turns import answer_text
from exactune.data.words import excerpt
from exactune.draft.doubts import Doubt, Option
from exactune.language import join, say
from exactune.layers import resolve
from exactune.types import Patch, Splits

__all__ = ["SAY_COLUMNS", "columns_taken", "columns_unknown", "recognised_columns"]

SAY_COLUMNS = say("Say which column is what: --set data.columns='{input: review, output: stars}' with your names.")


def recognised_columns(patches: Sequence[Patch], folder: Path, loaded: Loaded) -> dict[str, str]:
    """The columns that loading recognised, where naming them reads the same rows; else empty."""
    if not loaded.columns:
        return {}
    columns = dict(loaded.columns)
    named = load(resolve([*patches, Patch({"data.columns": columns}, "init")]).config, folder)
    return columns if _sizes(named.splits) == _sizes(loaded.splits) else {}


def _sizes(splits: Splits) -> tuple[int, ...]:
    return len(splits.train), len(splits.eval), len(splits.test)


def _first_row(patches: Sequence[Patch], folder: Path) -> Mapping[str, Any]:
    """The first row of the first training file that can be read; empty if there is none."""
    file = find_files({"train": resolve(patches).config.data.train}, folder)[0]
    stream = open_dataset(file.dataset) if file.dataset else open_file(file.path, file.shown)
    return next((found for _, found in stream.items() if not isinstance(found, Broken)), {})


def columns_taken(columns: Mapping[str, str], patches: Sequence[Patch], folder: Path) -> Doubt:
    """The doubt about columns that were recognised from their values."""
    row = _first_row(patches, folder)
    others = [name for name in row if name not in columns.values()]
    listed = join(", ", (f"`{excerpt(name)}`" for name in others))
    unused = say("; not used: {names}", names=listed) if others else ""
    answers = [columns["output"], *others]
    return Doubt(
        say(
            "columns: `{input}` is the input and `{output}` the answer, by their values{unused}",
            input=columns["input"],
            output=columns["output"],
            unused=unused,
        ),
        say("If not, correct `data.columns`."),
        say("Which column is the answer?"),
        tuple(Option(_shown(name, row), {"data.columns": {**columns, "output": name}}) for name in answers),
        ("data.columns",),
    )


def columns_unknown(patches: Sequence[Patch], folder: Path, loaded: Loaded) -> list[Doubt]:
    """The questions where no row can be used because its columns are not known."""
    if resolve(patches).config.data.columns or not any(finding.code == "D102" for finding in loaded.rejected):
        return []
    row = _first_row(patches, folder)
    names = list(row)
    if len(names) < 2 or format_of(row):
        return []
    found = say("the columns do not tell which of them is the input and which the answer")
    return [
        Doubt(found, "", question, tuple(Option(_shown(name, row), {f"data.columns.{use}": name}) for name in order))
        for use, question, order in (
            ("input", say("Which column is the input?"), names),
            ("output", say("Which column is the answer?"), [*names[1:], names[0]]),
        )
    ]


def _shown(name: str, row: Mapping[str, Any]) -> str:
    """A column with its first value."""
    return f"{name}: {excerpt(answer_text(row.get(name)))}"
