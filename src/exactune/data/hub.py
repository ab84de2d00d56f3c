"""Data sets of the hub, or in a folder one was downloaded to, through the ``datasets`` library."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exactune.data.arrow_rows import named_rows
from exactune.data.rows import Item, RowStream
from exactune.errors import DataError
from exactune.language import say

__all__ = ["DatasetName", "dataset_name", "open_dataset"]

_ID = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:/(?P<config>[\w.-]+))?")
_FILE = re.compile(r"\.(jsonl?|ndjson|csv|tsv|txt|parquet|xlsx|gz|zip)$", re.IGNORECASE)
_SPLITS = {"train": "train", "mix": "train", "eval": "validation", "test": "test", "general": "test"}
"""Use -> the split that is read where the name says none."""


@dataclass(frozen=True, slots=True)
class DatasetName:
    """One split of a data set.

    Attributes:
        location: Hub id or folder.
        config: Its configuration (subset), if one is named.
        split: Its split.
        folder: Whether ``location`` is a folder.
    """

    location: str
    config: str | None
    split: str
    folder: bool

    @property
    def shown(self) -> str:
        """``owner/name[train]``: in places, and in ids, so without the way to a folder."""
        name = "/".join(Path(os.path.realpath(self.location)).parts[-2:]) if self.folder else self.location
        return f"{name}{'/' + self.config if self.config else ''}[{self.split}]"

    def written(self, start: str) -> str:
        """As a config in the folder ``start`` names it."""
        name = os.path.relpath(os.path.realpath(self.location), start) if self.folder else self.location
        return f"{name}{'/' + self.config if self.config else ''}:{self.split}"


def dataset_name(pattern: str, base: Path, use: str) -> DatasetName | None:
    """The data set that ``owner/name``, ``owner/name/config`` or either with ``:split`` names; ``None`` for files.

    A file or folder that exists wins over the hub. A folder is one of ``datasets`` if it is written like an id or with
    a split; names that end like data files, and names in a folder that exists, are files that are missing.

    Args:
        pattern: As the config has it.
        base: The config's folder.
        use: ``train``, ``eval``, ``test``, ``mix`` or ``general``; decides about the split where the name says none.
    """
    written = re.fullmatch(r"(?P<head>.+?)(?::(?P<split>\w[\w.-]*))?", pattern)
    if written is None or (base / pattern).is_file():
        return None
    head, split = written["head"], written["split"] or _SPLITS[use]
    path, match = base / Path(head).expanduser(), _ID.fullmatch(head)
    if path.is_dir():
        return DatasetName(str(path), None, split, True) if match or written["split"] else None
    if path.exists() or _FILE.search(head):
        return None
    if path.parent.is_dir() and path.parent != base and (written["split"] or (match and match["config"])):
        return DatasetName(str(path.parent), path.name, split, True)
    if match is None or (base / head.split("/")[0]).exists():
        return None
    return DatasetName(match["name"], match["config"], split, False)


def open_dataset(name: DatasetName) -> RowStream:
    """The rows of a data set, numbered from 1.

    Raises:
        DataError: There is no such data set or split, or the hub cannot be reached.
    """
    import datasets

    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(name.location, name.config, split=name.split)
        classes = {column: found.names for column, found in loaded.features.items() if hasattr(found, "names")}

        def items() -> Iterator[Item]:
            return named_rows(loaded, classes)

        digest = _digest(items())
    except Exception as error:  # The library lets through whatever its file readers and its client raise.
        raise DataError(
            say(
                "{shown}: cannot be loaded: {reason}\n{advice}",
                shown=name.shown,
                reason=_reason(error),
                advice=_advice(name),
            )
        ) from error
    finally:
        if not bars:
            datasets.enable_progress_bars()
    if not len(loaded):
        raise DataError(
            say(
                "{shown}: no rows in it. Name another split: `{location}:SPLIT`.",
                shown=name.shown,
                location=name.location,
            )
        )
    return RowStream(name.shown, "dataset", digest, items)


def _digest(items: Iterator[Item]) -> str:
    """Of the rows as JSON lines."""
    digest, newline = hashlib.sha256(), b""
    for _, found in items:
        if isinstance(found, dict):
            digest.update(newline + json.dumps(found, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            newline = b"\n"
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300] if text.endswith((".", "!", "?")) else f"{text[:300]}."


def _advice(name: DatasetName) -> str:
    if name.folder:
        return say("Name a split that it has (`folder:split`), or the files themselves, for example with a glob.")
    return say(
        "No file or folder here has this name. Check the id (`owner/name`, `owner/name/config`, either with `:split`) "
        "and the network (HF_TOKEN for private ones), or download it to a folder or a file and name that."
    )
