"""Files on which forgetting is measured: plain text, rows of text, or instruction rows; as much of them as is measured.

A file of any size is read once and only the part that is measured is kept.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from exactune.config import Config
from exactune.data.digests import earliest, keys_of
from exactune.data.encoding import decoded_pieces, find_encoding
from exactune.data.files import DataFile, find_files
from exactune.data.formats import convert_row, format_of
from exactune.data.hub import open_dataset
from exactune.data.problems import Problem, RowError
from exactune.data.read import broken_row, open_file
from exactune.data.rows import Broken, not_utf8
from exactune.data.source import Source
from exactune.errors import DataError
from exactune.language import Text, say
from exactune.types import Example, Location

__all__ = ["MOST_BYTES", "MOST_ROWS", "GeneralFile", "load_general", "read_general", "trained_too"]

MOST_BYTES = 128_000
"""UTF-8 bytes of text that are measured of one file: some 30,000 to 60,000 tokens, read twice."""

MOST_ROWS = 100
"""Rows that are measured of one file: instruction rows are answered twice, and their answers are long."""

PLAIN = ".txt"
"""How the name of a plain text ends; of what is in it, no other sign tells prose from a table."""

TEXT_KEYS = ("text", "content")
"""A row in no format holds its text under one of these."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class GeneralFile:
    """What is measured of one file.

    Attributes:
        name: The shortest end of its path that tells the files apart; the same from any folder.
        shown: Its name in places and messages.
        sha256: Of its bytes; of the rows, for a data set of the hub.
        format: ``plain``, ``text``, or the formats of its instruction rows joined by ``+``.
        all: How many rows it has, or, where it is plain, how many UTF-8 bytes.
        texts: The texts measured; empty for instruction rows.
        rows: The instruction rows measured.
    """

    name: str
    shown: str
    sha256: str
    format: str
    all: int
    texts: tuple[str, ...] = ()
    rows: tuple[Example, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it is one text rather than rows."""
        return self.format == "plain"


class _Sample(Generic[Item]):
    """At most ``most`` of the items that come by, each equally likely (reservoir sampling, Vitter's algorithm R)."""

    def __init__(self, most: int, seed: str) -> None:
        self.most, self.chance, self.seen = most, random.Random(seed), 0
        self.kept: list[tuple[int, Item]] = []

    def add(self, item: Item) -> None:
        place = len(self.kept) if self.seen < self.most else self.chance.randrange(self.seen + 1)
        if place < self.most:
            self.kept[place : place + 1] = [(self.seen, item)]
        self.seen += 1

    def items(self) -> list[Item]:
        """In the order in which they came."""
        return [item for _, item in sorted(self.kept, key=lambda pair: pair[0])]


def load_general(config: Config, base: Path) -> list[GeneralFile]:
    """What is measured of the files that ``evaluate.general`` names.

    Args:
        config: The resolved config.
        base: Folder of the config file; the paths are relative to it.

    Raises:
        DataError: A file is missing, empty or no data file. Bad rows are left out; :func:`read_general` lists them.
    """
    return read_general(find_files({"general": config.evaluate.general}, base), config)[0]


def read_general(files: Sequence[DataFile], config: Config) -> tuple[list[GeneralFile], list[Problem]]:
    """What is measured of some files, and the rows in them that cannot be used.

    Raises:
        DataError: A file is missing, empty or no data file.
    """
    most, seed = min(config.evaluate.rows, MOST_ROWS), config.training.seed
    problems: list[Problem] = []
    found = [
        _plain(file, name)
        if file.dataset is None and file.path.suffix.lower() == PLAIN
        else _rows(file, name, most, f"{seed} {name}", problems)
        for file, name in zip(files, _short_names(files), strict=True)
    ]
    return found, problems


def _short_names(files: Sequence[DataFile]) -> list[str]:
    parts = [Path(os.path.realpath(file.path)).parts for file in files]
    depth = 1
    while len({path[-depth:] for path in parts}) < len(set(parts)):
        depth += 1
    return [
        file.shown if file.dataset else "/".join(path[-depth:]) for file, path in zip(files, parts, strict=True)
    ]  # fmt: skip


def _plain(file: DataFile, name: str) -> GeneralFile:
    """A file that is one text; measured is its beginning, up to the end of a line."""
    source = Source(file.shown, file.path)
    encoding = find_encoding(source.blocks(), source.blocks())
    kept: list[str] = []
    size = 0
    for piece in decoded_pieces(source.blocks(), encoding):
        if broken := not_utf8(piece):
            raise DataError(say("{shown}: {reason}.", shown=file.shown, reason=Text(broken.reason)))
        if size <= MOST_BYTES:
            kept.append(piece)
        size += len(piece.encode())
    text = _beginning("".join(kept), MOST_BYTES)
    if not text.strip():
        raise DataError(say("{shown}: no text in it.", shown=file.shown))
    return GeneralFile(name, file.shown, source.sha256(), "plain", size, (text,))


def _beginning(text: str, most: int) -> str:
    """At most so many UTF-8 bytes of a text, whole lines if that leaves any."""
    if len(text) <= most and len(data := text.encode()) <= most:
        return text
    data = text[:most].encode()[:most]
    cut = data.decode("utf-8", "ignore")
    return cut[: cut.rfind("\n") + 1] or cut


def _rows(file: DataFile, name: str, most: int, seed: str, problems: list[Problem]) -> GeneralFile:
    """A file of rows, all of text or all of instructions; measured is a seeded sample."""
    stream = open_dataset(file.dataset) if file.dataset else open_file(file.path, file.shown)
    sample = _Sample[str | Example](most, seed)
    formats: dict[str, None] = {}
    is_text: bool | None = None
    number = 0
    for number, (line, found) in enumerate(stream.items(), 1):
        if isinstance(found, Broken):
            broken = broken_row(found, line, stream)
            problems.append(Problem(broken.code, broken.reason, broken.location))
            continue
        place = Location(file.shown, line)
        try:
            item = _item(found, f"{name}:{number}", place)
        except RowError as error:
            problems.append(Problem(error.code, error.reason, place))
            continue
        is_text = isinstance(item, str) if is_text is None else is_text
        if isinstance(item, str) is not is_text:
            reason = say("text and instruction rows in one file; give each a file of its own in `evaluate.general`")
            problems.append(Problem("D102", reason, place))
            continue
        formats["text" if isinstance(item, str) else item.format] = None
        sample.add(item)
    kept = sample.items()
    texts = _within([item for item in kept if isinstance(item, str)], MOST_BYTES, seed)
    rows = tuple(item for item in kept if isinstance(item, Example))
    if not rows and not any(map(str.strip, texts)) and not problems:
        raise DataError(say("{shown}: no text in it.", shown=file.shown))
    return GeneralFile(name, file.shown, stream.sha256, "+".join(formats), number, texts, rows)


def _item(row: Mapping[str, Any], name: str, place: Location) -> str | Example:
    """A row's text, or the row as an example.

    Raises:
        RowError: It is neither.
    """
    if format_of(row) is None:
        text = next((row[key] for key in TEXT_KEYS if isinstance(row.get(key), str)), None)
        if text is not None:
            return str(text)
    converted = convert_row(row)
    return Example(name, converted.prompt, converted.answer, place, converted.format)


def _within(texts: Sequence[str], most: int, seed: str) -> tuple[str, ...]:
    """Texts drawn one by one while they fit, in their order; of a first one that does not, the beginning."""
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    kept: dict[int, str] = {}
    room = most
    for index in order:
        text = texts[index] if kept else _beginning(texts[index], most)
        if len(text.encode()) > room:
            break
        kept[index] = text
        room -= len(text.encode())
    return tuple(kept[index] for index in sorted(kept))


def trained_too(file: GeneralFile, trained: Sequence[Sequence[Example]]) -> int:
    """How many of a file's rows are also learned, so that they show nothing of what is forgotten."""
    if not file.rows:
        return 0
    own = keys_of(file.rows).pairs
    known = keys_of(chain.from_iterable(trained), turns_too=True)
    learned = np.vstack([known.pairs, np.hstack([known.turn_inputs, known.turn_answers])])
    first = earliest(np.vstack([learned, own]))[len(learned) :]
    return int((first < len(learned)).sum())
