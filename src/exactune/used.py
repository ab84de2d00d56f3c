"""The rows of a run, found again by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exactune.config import Config
from exactune.data.load import Loaded
from exactune.data.load import load as load_rows
from exactune.data.store import Gathered
from exactune.errors import RunError
from exactune.language import say
from exactune.layers import read_patch, resolve
from exactune.rundir import Run, read_json
from exactune.types import Example, Splits

__all__ = ["IN_MEMORY", "Used", "changed_files", "parent_rows", "run_of", "scored_as_parent", "used_rows"]

IN_MEMORY = 1000
"""More rows than this are read from a file when their turn comes, so that memory does not grow with them."""


@dataclass(frozen=True, slots=True)
class Used:
    """Rows of a run.

    Attributes:
        splits: As it used them.
        known: Those that taught it its task: of a run that goes on from another one, what that was trained on.
    """

    splits: Splits
    known: Sequence[Example]


def changed_files(run: Run, loaded: Loaded) -> list[str]:
    """Files that are not what they were when the run began, by name: changed, new, gone or used for another split."""
    then = {(file["split"], file["sha256"]): file["path"] for file in read_json(run.data)["files"]}
    now = {(file.split, file.sha256): file.path for file in loaded.files}
    return sorted({{**then, **now}[key] for key in then.keys() ^ now.keys()})


def used_rows(run: Run, config: Config) -> Used:
    """The rows of a run, as they were used.

    Args:
        run: Whose rows.
        config: Its config.

    Raises:
        RunError: A data file is not what it was, or the run that it goes on from, whose rows it is scored on, is gone.
    """
    record = read_json(run.data)
    loaded = load_rows(config, run.path, in_memory=IN_MEMORY)
    changed = changed_files(run, loaded)
    if changed:
        raise RunError(
            say(
                "{names} changed since the run, so its figures cannot be repeated. Restore the file, or "
                "score the new rows with `exactune eval --data FILE`.",
                names=", ".join(changed),
            )
        )
    ids = {name: part["ids"] for name, part in record["splits"].items()}
    files, theirs = loaded.splits, parent_rows(run.path, config)
    train = _kept(files.train, ids["train"])
    if theirs and scored_as_parent(config):
        evals, tests = theirs.splits.eval, files.test or theirs.splits.test
    else:
        # They may have been held out of the training rows.
        evals, tests = files.eval or files.train, files.test or files.train
    try:
        splits = Splits(train, _kept(evals, ids["eval"]), _kept(tests, ids["test"]))
    except RunError as error:
        if theirs or not scored_as_parent(config):
            raise
        raise RunError(
            say(
                "`start_from`: {path} is no run any more, and the rows of that run are those that {run} is scored on. "
                "Put it back, or score other rows with `exactune eval --data FILE`.",
                path=config.start_from,
                run=run.path,
            )
        ) from error
    return Used(splits, theirs.known if theirs else train)


def scored_as_parent(config: Config) -> bool:
    """Whether rows of the run that it goes on from choose a run's weights, and test them if it names no test rows.

    Rows held out of its own would be no test of it: pairs are mined from rows that the other run was trained on.
    """
    return config.start_from is not None and not config.data.eval


def run_of(folder: Path) -> Run | None:
    """The run that a folder is, or whose artifact it is; None for an artifact that lies elsewhere."""
    return next((Run(place) for place in (folder, folder.parent) if Run(place).config.is_file()), None)


def parent_rows(base: Path, config: Config) -> Used | None:
    """The rows of the run in ``start_from`` (relative to ``base``); None where there is no such run.

    Raises:
        RunError: A data file of it is not what it was.
    """
    parent = run_of(base / Path(config.start_from).expanduser()) if config.start_from else None
    return used_rows(parent, resolve([read_patch(parent.config)]).config) if parent else None


def _kept(rows: Iterable[Example], ids: Sequence[str]) -> Sequence[Example]:
    """The rows of these ids, in the order of both.

    Raises:
        RunError: One is not there: files of the same content have other names now.
    """
    kept, wanted = Gathered(IN_MEMORY), iter(ids)
    name = next(wanted, None)
    for row in rows:
        if row.id == name:
            kept.append(row)
            name = next(wanted, None)
    if name is not None:
        raise RunError(
            say(
                "row {name} of the run is not there any more, though no file has other content: one was renamed, added "
                "or taken away. Put the files back as they were, or score the rows with `exactune eval --data FILE`.",
                name=name,
            )
        )
    return kept.rows()
