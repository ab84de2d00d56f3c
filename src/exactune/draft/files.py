"""Which file is for what, and how a config beside them names them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exactune.data.files import DataFile, name_files, split_of
from exactune.draft.doubts import Doubt, Option
from exactune.errors import DataError
from exactune.language import join, say

__all__ = ["Named", "name_splits"]

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""Files that are taken from a folder; a file that is named itself may have any suffix."""

WORDS = {
    "train": ("train", "training", "訓練", "训练"),
    "eval": ("eval", "evaluation", "dev", "valid", "validation", "val", "驗證", "验证", "評估", "评估"),
    "test": ("test", "testing", "測試", "测试"),
}
"""Words in a file's name that say what it is for."""


@dataclass(frozen=True, slots=True)
class Named:
    """The files of a config.

    Attributes:
        data: ``data.train``, ``data.eval`` and ``data.test``, relative to the config.
        name: What the rows are called, for the run folder.
        doubts: About files whose use was guessed.
    """

    data: dict[str, Any]
    name: str
    doubts: tuple[Doubt, ...]


def name_splits(paths: Sequence[str], folder: Path) -> Named:
    """The use of each file.

    Args:
        paths: Files, or folders of files.
        folder: The config's.

    Raises:
        DataError: A path leads nowhere, or no file is left to train on.
    """
    files = name_files([file for path in paths for file in _files_of(path)])
    guesses = _guesses(files)
    splits = {file: file.split for file in files} | guesses
    if "train" not in splits.values():
        found = join(
            ", ", (say("{file} is for {split}", file=file.shown, split=split) for file, split in splits.items())
        )
        raise DataError(say("there is no training file: {found}. Name one, for example train.jsonl.", found=found))
    doubts = (_doubt(guesses, splits, folder),) if guesses else ()
    return Named(_data(splits, folder), _name(files), doubts)


def _files_of(path: str) -> list[str]:
    """The file itself, or the data files of a folder: those whose names say their split, if there are such."""
    if not Path(path).is_dir():
        return [path]
    entries = sorted(entry for entry in Path(path).iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    named = [file for file in files if _word_split(file)]
    if not files:
        below = ", ".join(f"{entry}" for entry in entries if entry.is_dir())
        hint = say("Name one of the folders in it ({below}).", below=below) if below else say("Name the data files.")
        raise DataError(
            say(
                "{path}: no data file ({names}) lies in this folder. {hint}",
                path=path,
                names=", ".join(SUFFIXES),
                hint=hint,
            )
        )
    return [str(file) for file in named or files]


def _word_split(path: Path) -> str | None:
    """The split that a word in the file's name says, at its end rather than its start."""
    stem = path.stem.lower()
    found = [
        (match.start(), split)
        for split, words in WORDS.items()
        for word in words
        for match in re.finditer(rf"(?<![a-z]){word}(?![a-z])", stem)
    ]
    return max(found)[1] if found else None


def _guesses(files: Sequence[DataFile]) -> dict[DataFile, str]:
    """Files that would be training data by default though a word in their names says otherwise."""
    if len(files) < 2:
        return {}
    words = {file: _word_split(file.path) for file in files if file.split == "train"}
    guesses = {file: split for file, split in words.items() if split not in (None, split_of(file.path))}
    return {file: split for file, split in guesses.items() if split} if len(guesses) < len(words) else {}


def _doubt(guesses: Mapping[DataFile, str], splits: Mapping[DataFile, str], folder: Path) -> Doubt:
    taken = join(", ", (say("{file} as {split} rows", file=file.shown, split=split) for file, split in guesses.items()))
    names = say("its name") if len(guesses) == 1 else say("their names")
    other = _data({**splits, **dict.fromkeys(guesses, "train")}, folder)
    return Doubt(
        say("files: took {taken} because of {names}", taken=taken, names=names),
        say("What is to be learned belongs under `data.train`."),
        say("What are they for?"),
        (Option(say("as their names say"), _data(splits, folder)), Option(say("all for training"), other)),
        ("data.train",),
    )


def _data(splits: Mapping[DataFile, str], folder: Path) -> dict[str, Any]:
    """All three keys, so that a later answer also empties what an earlier one filled."""
    data: dict[str, Any] = {}
    for split in ("train", "eval", "test"):
        paths = [_written(file, folder) for file, own in splits.items() if own == split]
        data[f"data.{split}"] = paths[0] if len(paths) == 1 else paths
    return data


def _written(file: DataFile, folder: Path) -> str:
    """The file or data set as the config names it."""
    return file.dataset.written(str(folder.resolve())) if file.dataset else _relative(file.path, folder)


def _relative(path: Path, folder: Path) -> str:
    try:
        relative = os.path.relpath(path.absolute(), folder.absolute())
        if not ((folder / relative).exists() and os.path.samefile(folder / relative, path)):
            # `..` out of a linked folder leads elsewhere than it reads.
            relative = os.path.relpath(path.parent.resolve() / path.name, folder.resolve())
    except ValueError:  # another drive
        return str(path.resolve())
    return f"./{relative}" if relative.startswith("~") else Path(relative).as_posix()


def _name(files: Sequence[DataFile]) -> str:
    """The name of the first data set or file if it says anything, else that of its folder."""
    first = files[0]
    if first.dataset:
        telling = Path(first.dataset.location).name
    elif len(files) == 1 and not _word_split(first.path):
        telling = first.path.stem
    else:
        telling = first.path.resolve().parent.name
    return re.sub(r"[^\w.-]+", "-", telling).strip("-.") or "default"
