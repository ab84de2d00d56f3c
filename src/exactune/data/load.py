"""From a config, or from files, to examples: the entry of this package."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from exactune.config import Config, MixSource
from exactune.data.files import DataFile, find_files, name_files
from exactune.data.formats import check_columns, convert_row
from exactune.data.mix import sample_mix
from exactune.data.problems import Problem, RowError, findings_of
from exactune.data.read import RawRow, read_file
from exactune.errors import ConfigError, DataError
from exactune.rules import Finding
from exactune.types import Example, Splits

__all__ = ["FileInfo", "Loaded", "load", "load_paths"]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file that was read.

    Attributes:
        path: As shown in places and messages.
        split: ``train``, ``eval``, ``test`` or ``mix``; as the file was named.
        rows: Rows found in it, those rejected included.
        sha256: Of the bytes.
        format: Names of the row formats in it, the most frequent first, joined by ``+``; empty if no row is usable.
    """

    path: str
    split: str
    rows: int
    sha256: str
    format: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that loading found.

    Attributes:
        splits: The usable examples.
        files: What was read, in the order train, eval, test, mix.
        rejected: Why rows are not among the examples: one finding per code, with all places.
        notes: What was decided on the way, one sentence each.
    """

    splits: Splits
    files: tuple[FileInfo, ...]
    rejected: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _FileRows:
    file: DataFile
    info: FileInfo
    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def load(config: Config, base: Path) -> Loaded:
    """Read and convert the rows that a config names, and draw the rows to mix in.

    Without ``data.eval`` there are no eval rows yet: :func:`~exactune.data.split.hold_out` takes them.

    Args:
        config: The resolved config.
        base: Folder of the config file; data paths are relative to it.

    Raises:
        ConfigError: No training file is named, ``data.columns`` is wrong, or a file has two uses.
        DataError: A file is missing or no data file. Bad rows do not raise.
    """
    data = config.data
    if not data.train:
        raise ConfigError("`data.train` names no file. Write `data: {train: train.jsonl}`.")
    if wrong := check_columns(data.columns):
        raise ConfigError(f"`data.columns`: {wrong}. For example {{input: sentence, output: label}}.")
    named = {"train": data.train, "eval": data.eval, "test": data.test, "mix": [source.path for source in data.mix]}
    read = _read_all(find_files(named, base), data.columns, data.instruction)
    rejected = findings_of(problem for part in read for problem in part.problems)
    train, notes = _of(read, "train"), [note for part in read for note in part.notes]
    staying = len(train) if data.eval else round(len(train) * (1 - data.eval_fraction))
    staying = min(staying, data.limit.get("train", staying))
    mix, mix_notes = _mix(read, data.mix, staying, config.training.seed)
    splits = Splits(train, _of(read, "eval"), _of(read, "test"), mix)
    return Loaded(splits, tuple(part.info for part in read), rejected, (*notes, *mix_notes))


def load_paths(paths: Sequence[str]) -> Loaded:
    """Read files without a config; their split comes from their names, and nothing is held out.

    Raises:
        DataError: A file is missing or no data file. Bad rows do not raise.
        ConfigError: Two paths lead to one file under different splits.
    """
    if not paths:
        raise DataError("No data file named. Name a JSONL, CSV or TSV file.")
    read = _read_all(name_files(paths), {}, "")
    return Loaded(
        Splits(_of(read, "train"), _of(read, "eval"), _of(read, "test")),
        tuple(part.info for part in read),
        findings_of(problem for part in read for problem in part.problems),
        tuple(note for part in read for note in part.notes),
    )


def _of(read: Sequence[_FileRows], split: str) -> tuple[Example, ...]:
    return tuple(example for part in read if part.file.split == split for example in part.examples)


def _read_all(files: Sequence[DataFile], columns: Mapping[str, str], instruction: str) -> list[_FileRows]:
    # Columns and instruction describe the task's rows; mixed-in rows are general ones and keep their own shape.
    names = _short_names(files)
    return [
        _read_one(file, name, {}, "") if file.split == "mix" else _read_one(file, name, columns, instruction)
        for file, name in zip(files, names, strict=True)
    ]


def _short_names(files: Sequence[DataFile]) -> list[str]:
    """The shortest ends of the paths that tell the files apart.

    Ids are made of these: a path as shown depends on the working directory, and the ids of a run must not.
    """
    parts = [Path(os.path.realpath(file.path)).parts for file in files]
    depth = 1
    while len({path[-depth:] for path in parts}) < len(set(parts)):
        depth += 1
    return ["/".join(path[-depth:]) for path in parts]


def _read_one(file: DataFile, name: str, columns: Mapping[str, str], instruction: str) -> _FileRows:
    read = read_file(file.path, file.shown)
    examples: list[Example] = []
    problems = [Problem("D101", broken.reason, broken.location) for broken in read.broken]
    for row in read.rows:
        try:
            examples.append(_example(row, name, columns, instruction))
        except RowError as error:
            problems.append(Problem(error.code, error.reason, row.location))
    formats = Counter(example.format for example in examples).most_common()
    total = len(read.rows) + len(read.broken)
    info = FileInfo(file.shown, file.split, total, read.sha256, "+".join(name for name, _ in formats))
    mixed = ", ".join(f"{name} ({number:,})" for name, number in formats)
    notes = (f"{file.shown} mixes formats: {mixed}.",) if len(formats) > 1 else ()
    return _FileRows(file, info, _distinct(examples), tuple(problems), notes)


def _example(row: RawRow, name: str, columns: Mapping[str, str], instruction: str) -> Example:
    converted = convert_row(row.value, columns, instruction)
    return Example(f"{name}:{row.location.line}", converted.prompt, converted.answer, row.location, converted.format)


def _distinct(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Rows of an array written on one line share a place; the second and later get a number behind it."""
    seen: Counter[str] = Counter()
    distinct = []
    for example in examples:
        seen[example.id] += 1
        again = seen[example.id]
        distinct.append(example if again == 1 else replace(example, id=f"{example.id}#{again}"))
    return tuple(distinct)


def _mix(
    read: Sequence[_FileRows], sources: Sequence[MixSource], train_rows: int, seed: int
) -> tuple[tuple[Example, ...], list[str]]:
    """Rows of every source, each drawn from all the files that its path or glob names."""
    mixed: list[Example] = []
    notes: list[str] = []
    for source in sources:
        own = [part for part in read if part.file.split == "mix" and part.file.source == source.path]
        rows = [example for part in own for example in part.examples]
        drawn, note = sample_mix(rows, source.path, source.ratio, train_rows, seed)
        mixed += drawn
        notes += [note] if note else []
    return tuple(mixed), notes
