"""Which files a config or a command line names."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exactune.data.hub import DatasetName, dataset_name
from exactune.errors import ConfigError, DataError
from exactune.language import join, say

__all__ = ["DataFile", "find_files", "name_files", "shown_path", "split_of"]

_EVAL = re.compile(r"(eval|dev|valid|val(?![a-z]))")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file to read.

    Attributes:
        path: Where it is.
        shown: Its name in places and messages.
        split: ``train``, ``eval``, ``test``, ``mix`` or ``general``.
        source: How the config named it.
        dataset: The data set it is instead of a file.
    """

    path: Path
    shown: str
    split: str
    source: str
    dataset: DatasetName | None = None


def shown_path(path: Path) -> str:
    """The path as one would type it: relative to the working directory unless that is longer or leads far up."""
    absolute = os.path.abspath(path)
    try:
        relative = os.path.relpath(absolute)
    except ValueError:  # another drive
        return absolute
    far = relative.split(os.sep).count("..") > 2
    return absolute if far or len(relative) >= len(absolute) else relative


def find_files(named: Mapping[str, Sequence[str]], base: Path) -> list[DataFile]:
    """The files that paths, globs and data set ids of a config name, relative to its folder.

    Args:
        named: Split -> paths, globs and ids.
        base: The config's folder.

    Raises:
        DataError: Files are missing or a glob matches none; all of them are named.
        ConfigError: A file stands in two splits.
    """
    files: list[DataFile] = []
    missing: list[str] = []
    for split, patterns in named.items():
        for pattern in patterns:
            if dataset := dataset_name(pattern, base, split):
                files.append(_of_dataset(dataset, split, pattern))
                continue
            paths = _matches(pattern, base)
            if not paths:
                missing.append(say("`{key}`: {reason}", key=_key(split), reason=_missing(pattern, base)))
            files += [DataFile(path, shown_path(path), split, pattern) for path in paths]
    if missing:
        raise DataError(join("\n", missing))
    return _once(files)


def _key(split: str) -> str:
    """Where the config names the files of a use."""
    return "evaluate.general" if split == "general" else f"data.{split}"


def _of_dataset(dataset: DatasetName, split: str, source: str) -> DataFile:
    # Two splits of one data set are two files.
    return DataFile(Path(f"{dataset.location}/{dataset.shown}"), dataset.shown, split, source, dataset)


def _matches(pattern: str, base: Path) -> list[Path]:
    path = base / Path(pattern).expanduser()
    if path.exists():
        return [path]
    if not _GLOB.search(pattern):
        return []
    # `root_dir` is taken literally, whatever characters the folder's name has.
    found = sorted(glob.glob(os.path.expanduser(pattern), root_dir=base, recursive=True))
    return [base / name for name in found if (base / name).is_file()]


def _missing(pattern: str, base: Path) -> str:
    path = base / Path(pattern).expanduser()
    if _GLOB.search(pattern):
        return say(
            "no file matches {pattern} in {folder}. Paths are relative to the config.",
            pattern=pattern,
            folder=shown_path(base),
        )
    if not path.parent.is_dir():
        return say(
            "{path}: no such file (there is no folder {folder}).",
            path=shown_path(path),
            folder=shown_path(path.parent),
        )
    near = difflib.get_close_matches(path.name, sorted(entry.name for entry in path.parent.iterdir()), 1)
    hint = say("Did you mean {near}?", near=near[0]) if near else say("Paths are relative to the config.")
    return say("{path}: no such file. {hint}", path=shown_path(path), hint=hint)


def _once(files: Iterable[DataFile]) -> list[DataFile]:
    """Each file once; ids are ``file:line``, so a file can have one use only."""
    seen: dict[str, DataFile] = {}
    for file in files:
        known = seen.setdefault(os.path.realpath(file.path), file)
        if known.split != file.split or (known is not file and file.split == "mix"):
            raise ConfigError(
                say(
                    "{shown} stands in both `{key}` ({source}) and `{other}` ({other_source}). Give each file one use.",
                    shown=file.shown,
                    key=_key(known.split),
                    source=known.source,
                    other=_key(file.split),
                    other_source=file.source,
                )
            )
    return list(seen.values())


def split_of(path: Path) -> str:
    """The split that a file's name says: ``train*``, ``eval*|dev*|valid*|val``, ``test*``; otherwise ``train``."""
    stem = path.stem.lower()
    if _EVAL.match(stem):
        return "eval"
    return "test" if stem.startswith("test") else "train"


def name_files(paths: Sequence[str]) -> list[DataFile]:
    """The files of a command line; one file alone is training data, several take their split from their names.

    Raises:
        DataError: Files are missing; all of them are named.
        ConfigError: Two paths lead to one file under different splits.
    """
    datasets = {path: found for path in paths if (found := dataset_name(path, Path(), "train"))}
    missing = [
        say("{shown}: no such file. Check the path.", shown=path)
        for path in paths
        if path not in datasets and not Path(path).exists()
    ]
    if missing:
        raise DataError(join("\n", missing))
    one = len(paths) == 1
    files = []
    for path in paths:
        dataset = datasets.get(path)
        split = "train" if one else split_of(Path(dataset.split if dataset else path))
        files.append(_of_dataset(dataset, split, path) if dataset else DataFile(Path(path), path, split, path))
    return _once(files)
