"""From a config, or from files, to examples: the entry of this package."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exactune.config import Config, MixSource
from exactune.data.files import DataFile, find_files, name_files
from exactune.data.formats import check_columns, convert_row, format_of
from exactune.data.general import GeneralFile, read_general
from exactune.data.hub import open_dataset
from exactune.data.mix import sample_mix
from exactune.data.problems import Problem, RowError, encoding_finding, findings_of
from exactune.data.read import broken_row, open_file
from exactune.data.recognise import recognise
from exactune.data.rows import Broken, RowStream
from exactune.data.store import Gathered
from exactune.data.words import count
from exactune.errors import ConfigError, DataError
from exactune.language import Text, join, say
from exactune.rules import Finding
from exactune.types import Example, Location, Splits

__all__ = ["FileInfo", "Loaded", "load", "load_paths"]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file that was read.

    Attributes:
        path: As shown in places and messages.
        split: ``train``, ``eval``, ``test``, ``mix`` or ``general``; as the file was named.
        rows: Rows found in it, those rejected included; a plain text is one.
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
        files: What was read, in the order train, eval, test, mix, general.
        rejected: Why rows are not among the examples: one finding per code, with all places.
        notes: What was decided on the way, one sentence each.
        noticed: Findings about files that were read all the same.
        columns: The columns that the first training file was found to have, as ``data.columns`` has them; empty if
            they are named in the config or by their format.
        general: What is measured of the files for forgetting.
    """

    splits: Splits
    files: tuple[FileInfo, ...]
    rejected: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    noticed: tuple[Finding, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    general: tuple[GeneralFile, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that loading has to report."""
        return (*self.rejected, *self.noticed)


@dataclass(frozen=True, slots=True)
class _FileRows:
    """What is known of a file beside its examples, which are gathered by use."""

    file: DataFile
    info: FileInfo
    pairs: int
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    noticed: tuple[Finding, ...]
    columns: Mapping[str, str]


class _Uses(dict[str, Gathered]):
    """Examples by split; mixed-in ones by their source."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.most = most

    def of(self, file: DataFile) -> Gathered:
        """Where a file's examples belong."""
        return self.setdefault(f"mix {file.source}" if file.split == "mix" else file.split, Gathered(self.most))

    def rows(self, use: str) -> Sequence[Example]:
        """The examples of a split, or of ``mix`` and a source."""
        return self[use].rows() if use in self else ()


def load(config: Config, base: Path, known: Mapping[str, str] | None = None, *, in_memory: int | None = None) -> Loaded:
    """Read and convert the rows that a config names, and draw the rows to mix in.

    Without ``data.eval`` there are no eval rows yet: :func:`~exactune.data.split.hold_out` takes them.

    Args:
        config: The resolved config.
        base: Folder of the config file; data paths are relative to it.
        known: Columns that were recognised before, for files that have them.
        in_memory: A use of more rows than this lies in a file; see :mod:`exactune.data.store`.

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
    found = find_files({**named, "general": config.evaluate.general}, base)
    uses = _Uses(in_memory)
    files = [file for file in found if file.split != "general"]
    read = _read_all(files, data.columns, data.instruction, known or {}, uses)
    general, unusable = read_general([file for file in found if file.split == "general"], config)
    rejected = findings_of([*(problem for part in read for problem in part.problems), *unusable])
    train, notes = uses.rows("train"), _notes(read)
    pairs = sum(part.pairs for part in read if part.file.split == "train")
    if pairs and config.training.method == "sft":
        notes.append(
            say(
                "{pairs}: supervised fine-tuning learns the chosen answers and leaves the rejected ones aside.",
                pairs=count(pairs, "preference pair"),
            )
        )
    staying = len(train) if data.eval else round(len(train) * (1 - data.eval_fraction))
    staying = min(staying, data.limit.get("train", staying))
    mix, mix_notes = _mix(uses, data.mix, staying, config.training.seed)
    splits = Splits(train, uses.rows("eval"), uses.rows("test"), mix)
    return Loaded(
        splits,
        (*(part.info for part in read), *map(_general_info, general)),
        rejected,
        (*notes, *mix_notes),
        tuple(found for part in read for found in part.noticed),
        _train_columns(read),
        tuple(general),
    )


def _general_info(file: GeneralFile) -> FileInfo:
    return FileInfo(file.shown, "general", 1 if file.is_plain else file.all, file.sha256, file.format)


def load_paths(paths: Sequence[str]) -> Loaded:
    """Read files without a config; their split comes from their names, and nothing is held out.

    Raises:
        DataError: A file is missing or no data file. Bad rows do not raise.
        ConfigError: Two paths lead to one file under different splits.
    """
    if not paths:
        raise DataError(say("No data file named. Name a JSONL, CSV, TSV or Parquet file."))
    uses = _Uses()
    read = _read_all(name_files(paths), {}, "", {}, uses)
    return Loaded(
        Splits(uses.rows("train"), uses.rows("eval"), uses.rows("test")),
        tuple(part.info for part in read),
        findings_of(problem for part in read for problem in part.problems),
        tuple(_notes(read)),
        tuple(found for part in read for found in part.noticed),
        _train_columns(read),
    )


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
    files: Sequence[DataFile],
    columns: Mapping[str, str],
    instruction: str,
    known: Mapping[str, str],
    uses: _Uses,
) -> list[_FileRows]:
    names = _short_names(files)
    found = [open_dataset(file.dataset) if file.dataset else open_file(file.path, file.shown) for file in files]
    recognised = _recognised(files, found, columns, known)
    # Columns and instruction describe the task's rows; mixed-in rows are general ones and keep their own shape.
    return [
        _convert(
            file,
            name,
            stream,
            {} if file.split == "mix" else columns,
            own,
            "" if file.split == "mix" else instruction,
            uses.of(file),
        )
        for file, name, stream, own in zip(files, names, found, recognised, strict=True)
    ]


def _recognised(
    files: Sequence[DataFile], found: Sequence[RowStream], columns: Mapping[str, str], known: Mapping[str, str]
) -> list[Mapping[str, str]]:
    """Each file's columns where they are in no format and not named; empty for the others.

    Training files are looked at first, and what they were found to have holds for every file that has those columns:
    a small eval file must not be read another way.
    """
    decided: list[Mapping[str, str]] = [known] if known else []
    result: dict[int, Mapping[str, str]] = {}
    for index in sorted(range(len(files)), key=lambda index: files[index].split != "train"):
        stream = found[index]
        named = columns and files[index].split != "mix"
        # The first row of nearly every file answers this.
        if named or any(format_of(row) for row in _readable(stream)):
            continue
        keys = {key for row in _readable(stream) for key in row}
        own = next((one for one in decided if set(one.values()) <= keys), None)
        own = own or recognise(_readable(stream))
        if own:
            decided.append(own)
            result[index] = own
    return [result.get(index, {}) for index in range(len(files))]


def _readable(stream: RowStream) -> Iterator[dict[str, Any]]:
    return (found for _, found in stream.items() if not isinstance(found, Broken))


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
    stream: RowStream,
    columns: Mapping[str, str],
    recognised: Mapping[str, str],
    instruction: str,
    into: Gathered,
) -> _FileRows:
    """Turn a file's rows into examples and put them where they belong."""
    problems: list[Problem] = []
    formats: Counter[str] = Counter()
    total = pairs = 0
    ids = _Ids(name)
    for line, found in stream.items():
        total += 1
        if isinstance(found, Broken):
            broken = broken_row(found, line, stream)
            problems.append(Problem(broken.code, broken.reason, broken.location))
            continue
        try:
            row = convert_row(found, columns or recognised, instruction)
        except RowError as error:
            problems.append(Problem(error.code, error.reason, Location(file.shown, line)))
            continue
        formats[row.format] += 1
        pairs += row.rejected is not None
        place = Location(file.shown, line)
        into.append(Example(ids.of(line), row.prompt, row.answer, place, row.format, row.rejected))
    counted = formats.most_common()
    info = FileInfo(file.shown, file.split, total, stream.sha256, "+".join(name for name, _ in counted))
    mixed = join(", ", (f"{name} ({number:,})" for name, number in counted))
    mixes = say("{file} mixes formats: {formats}.", file=file.shown, formats=mixed)
    notes = (mixes,) if len(counted) > 1 else ()
    utf8 = stream.encoding == "UTF-8"
    noticed = () if utf8 else (encoding_finding(file.shown, stream.encoding, guessed=stream.guessed),)
    return _FileRows(file, info, pairs, tuple(problems), notes, noticed, recognised)


class _Ids:
    """Ids of rows. Those of an array written on one line share a place; the later ones get a number behind it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.line, self.rows = 0, 0

    def of(self, line: int) -> str:
        """The id of the next row; lines never fall."""
        self.rows = self.rows + 1 if line == self.line else 1
        self.line = line
        return f"{self.name}:{line}" if self.rows == 1 else f"{self.name}:{line}#{self.rows}"


def _mix(
    uses: _Uses, sources: Sequence[MixSource], train_rows: int, seed: int
) -> tuple[tuple[Example, ...], list[str]]:
    """Rows of every source, each drawn from all the files that its path or glob names."""
    mixed: list[Example] = []
    notes: list[str] = []
    for source in sources:
        rows = uses.rows(f"mix {source.path}")
        drawn, note = sample_mix(rows, source.path, source.ratio, train_rows, seed)
        mixed += drawn
        notes += [note] if note else []
    return tuple(mixed), notes
