"""From a config, or from files, to examples: the entry of this package."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from exactune.config import Config, MixSource
from exactune.data.files import DataFile, find_files, name_files
from exactune.data.formats import check_columns, convert_row, format_of
from exactune.data.hub import read_dataset
from exactune.data.mix import sample_mix
from exactune.data.problems import Problem, RowError, encoding_finding, findings_of
from exactune.data.read import RawRow, ReadFile, read_file
from exactune.data.recognise import recognise
from exactune.data.words import count
from exactune.errors import ConfigError, DataError
from exactune.language import Text, join, say
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
        sha256: Of the bytes; of the rows, for a data set of the hub.
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
        noticed: Findings about files that were read all the same.
        columns: The columns that the first training file was found to have, as ``data.columns`` has them; empty if
            they are named in the config or by their format.
    """

    splits: Splits
    files: tuple[FileInfo, ...]
    rejected: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    noticed: tuple[Finding, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that loading has to report."""
        return (*self.rejected, *self.noticed)


@dataclass(frozen=True, slots=True)
class _FileRows:
    file: DataFile
    info: FileInfo
    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    noticed: tuple[Finding, ...]
    columns: Mapping[str, str]


def load(config: Config, base: Path, known: Mapping[str, str] | None = None) -> Loaded:
    """Read and convert the rows that a config names, and draw the rows to mix in.

    Without ``data.eval`` there are no eval rows yet: :func:`~exactune.data.split.hold_out` takes them.

    Args:
        config: The resolved config.
        base: Folder of the config file; data paths are relative to it.
        known: Columns that were recognised before, for files that have them.

    Raises:
        ConfigError: No training file is named, ``data.columns`` is wrong, or a file has two uses.
        DataError: A file is missing or no data file. Bad rows do not raise.
    """
    data = config.data
    if not data.train:
        raise ConfigError(say("`data.train` names no file. Write `data: {train: train.jsonl}`."))
    if wrong := check_columns(data.columns):
        raise ConfigError(say("`data.columns`: {wrong}. For example {{input: sentence, output: label}}.", wrong=wrong))
    named = {"train": data.train, "eval": data.eval, "test": data.test, "mix": [source.path for source in data.mix]}
    read = _read_all(find_files(named, base), data.columns, data.instruction, known or {})
    rejected = findings_of(problem for part in read for problem in part.problems)
    train, notes = _of(read, "train"), _notes(read)
    pairs = sum(example.rejected is not None for example in train)
    if pairs and config.training.method == "sft":
        notes.append(
            say(
                "{pairs}: supervised fine-tuning learns the chosen answers and leaves the rejected ones aside.",
                pairs=count(pairs, "preference pair"),
            )
        )
    staying = len(train) if data.eval else round(len(train) * (1 - data.eval_fraction))
    staying = min(staying, data.limit.get("train", staying))
    mix, mix_notes = _mix(read, data.mix, staying, config.training.seed)
    splits = Splits(train, _of(read, "eval"), _of(read, "test"), mix)
    return Loaded(
        splits,
        tuple(part.info for part in read),
        rejected,
        (*notes, *mix_notes),
        tuple(found for part in read for found in part.noticed),
        _train_columns(read),
    )


def load_paths(paths: Sequence[str]) -> Loaded:
    """Read files without a config; their split comes from their names, and nothing is held out.

    Raises:
        DataError: A file is missing or no data file. Bad rows do not raise.
        ConfigError: Two paths lead to one file under different splits.
    """
    if not paths:
        raise DataError(say("No data file named. Name a JSONL, CSV, TSV or Parquet file."))
    read = _read_all(name_files(paths), {}, "", {})
    return Loaded(
        Splits(_of(read, "train"), _of(read, "eval"), _of(read, "test")),
        tuple(part.info for part in read),
        findings_of(problem for part in read for problem in part.problems),
        tuple(_notes(read)),
        tuple(found for part in read for found in part.noticed),
        _train_columns(read),
    )


def _of(read: Sequence[_FileRows], split: str) -> tuple[Example, ...]:
    return tuple(example for part in read if part.file.split == split for example in part.examples)


def _notes(read: Sequence[_FileRows]) -> list[str]:
    """What was decided: the same columns of several files in one sentence."""
    recognised: dict[Text, list[str]] = {}
    for part in read:
        if part.columns:
            recognised.setdefault(_taken(part.columns), []).append(part.file.shown)
    taken: list[str] = [
        say("{files}: {what}; set data.columns to choose otherwise.", files=join(", ", names), what=what)
        for what, names in recognised.items()
    ]
    return taken + [note for part in read for note in part.notes]


def _taken(columns: Mapping[str, str]) -> Text:
    return say("took `{input}` as the input and `{output}` as the answer", **columns)


def _train_columns(read: Sequence[_FileRows]) -> Mapping[str, str]:
    return next((part.columns for part in read if part.file.split == "train" and part.columns), {})


def _read_all(
    files: Sequence[DataFile], columns: Mapping[str, str], instruction: str, known: Mapping[str, str]
) -> list[_FileRows]:
    names = _short_names(files)
    found = [read_dataset(file.dataset) if file.dataset else read_file(file.path, file.shown) for file in files]
    recognised = _recognised(files, found, columns, known)
    # Columns and instruction describe the task's rows; mixed-in rows are general ones and keep their own shape.
    return [
        _convert(
            file, name, read, {} if file.split == "mix" else columns, own, "" if file.split == "mix" else instruction
        )
        for file, name, read, own in zip(files, names, found, recognised, strict=True)
    ]


def _recognised(
    files: Sequence[DataFile], found: Sequence[ReadFile], columns: Mapping[str, str], known: Mapping[str, str]
) -> list[Mapping[str, str]]:
    """Each file's columns where they are in no format and not named; empty for the others.

    Training files are looked at first, and what they were found to have holds for every file that has those columns:
    a small eval file must not be read another way.
    """
    decided: list[Mapping[str, str]] = [known] if known else []
    result: dict[int, Mapping[str, str]] = {}
    for index in sorted(range(len(files)), key=lambda index: files[index].split != "train"):
        rows = [row.value for row in found[index].rows]
        named = columns and files[index].split != "mix"
        if named or not rows or any(format_of(row) for row in rows):
            continue
        keys = {key for row in rows for key in row}
        own = next((one for one in decided if set(one.values()) <= keys), None) or recognise(rows)
        if own:
            decided.append(own)
            result[index] = own
    return [result.get(index, {}) for index in range(len(files))]


def _short_names(files: Sequence[DataFile]) -> list[str]:
    """The shortest ends of the paths that tell the files apart; a data set's own name.

    Ids are made of these: a path as shown depends on the working directory, and the ids of a run must not.
    """
    parts = [Path(os.path.realpath(file.path)).parts for file in files if file.dataset is None]
    depth = 1
    while len({path[-depth:] for path in parts}) < len(set(parts)):
        depth += 1
    short = iter("/".join(path[-depth:]) for path in parts)
    return [file.shown if file.dataset else next(short) for file in files]


def _convert(
    file: DataFile,
    name: str,
    read: ReadFile,
    columns: Mapping[str, str],
    recognised: Mapping[str, str],
    instruction: str,
) -> _FileRows:
    examples: list[Example] = []
    problems = [Problem(broken.code, broken.reason, broken.location) for broken in read.broken]
    for row in read.rows:
        try:
            examples.append(_example(row, name, columns or recognised, instruction))
        except RowError as error:
            problems.append(Problem(error.code, error.reason, row.location))
    formats = Counter(example.format for example in examples).most_common()
    total = len(read.rows) + len(read.broken)
    info = FileInfo(file.shown, file.split, total, read.sha256, "+".join(name for name, _ in formats))
    mixed = join(", ", (f"{name} ({number:,})" for name, number in formats))
    mixes = say("{file} mixes formats: {formats}.", file=file.shown, formats=mixed)
    notes = (mixes,) if len(formats) > 1 else ()
    noticed = () if read.encoding == "UTF-8" else (encoding_finding(file.shown, read.encoding, guessed=read.guessed),)
    return _FileRows(file, info, _distinct(examples), tuple(problems), notes, noticed, recognised)


def _example(row: RawRow, name: str, columns: Mapping[str, str], instruction: str) -> Example:
    converted = convert_row(row.value, columns, instruction)
    return Example(
        f"{name}:{row.location.line}",
        converted.prompt,
        converted.answer,
        row.location,
        converted.format,
        converted.rejected,
    )


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
