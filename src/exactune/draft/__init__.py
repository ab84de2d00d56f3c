"""From data files to a first config: look at the rows, say what is unsure, write it down with the reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exactune.data.load import Loaded, load
from exactune.draft.columns import SAY_COLUMNS, columns_taken, columns_unknown, recognised_columns
from exactune.draft.doubts import Doubt, find_doubts
from exactune.draft.facts import described_files, described_findings, described_tokens
from exactune.draft.files import name_splits
from exactune.draft.page import write_page
from exactune.draft.survey import Survey, look
from exactune.durable import write_text
from exactune.errors import ConfigError, DataError, ExactuneError
from exactune.language import Text, say
from exactune.layers import parse_assignment, resolve
from exactune.types import Patch

__all__ = ["Doubt", "Draft", "Survey", "init"]

Ask = Callable[[Doubt], Mapping[str, Any]]
"""Puts a doubt to a person and returns the values of the option that was chosen."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A config that was drafted.

    Attributes:
        path: Where it is; ``None`` if it was not written.
        text: The commented YAML.
        survey: What was seen in the rows.
        doubts: What stayed unsure.
    """

    path: Path | None
    text: str
    survey: Survey
    doubts: tuple[Doubt, ...]

    def summary(self) -> Iterator[str]:
        """What was decided, for people."""
        yield from (say("data    {note}", note=line) for line in described_files(self.survey))
        yield say("task    {task}", task=self.survey.task.describe())
        yield from (say("tokens  {line}", line=line) for line in described_tokens(self.survey))
        yield say("recipe  {reason}", reason=self.survey.recipe.patch.reason)
        yield from (say("found   {line}", line=line) for line in described_findings(self.survey))
        yield from (say("unsure  {doubt}", doubt=str(doubt)) for doubt in self.doubts)


def init(
    data: Sequence[str | Path],
    *,
    output: str | Path | None = "task.yaml",
    model: str = "mini",
    assignments: Sequence[str] = (),
    overwrite: bool = False,
    ask: Ask | None = None,
) -> Draft:
    """Draft a config from data files.

    Args:
        data: Files, or folders of files; several take their split from their names.
        output: Where to write it; ``None`` writes nothing.
        model: The base model.
        assignments: ``key=value`` texts that become part of the config.
        overwrite: Replace the file.
        ask: Decides what is unsure; without it the likeliest is taken and the doubt written down.

    Raises:
        ExactuneError: The file is there already, or no config can be made of these rows; nothing is written.
    """
    path = None if output is None else Path(output)
    if path is not None:
        _refuse_place(path, overwrite=overwrite)
    folder = Path() if path is None else path.parent
    named = name_splits([str(item) for item in data], folder)
    first = Patch({**named.data, "model": model, "output_dir": f"runs/{named.name}"}, "init")
    patches = [first, *map(parse_assignment, assignments)]
    # Before anything that brings torch with it: rows that cannot be used are told at once.
    loaded = load(resolve(patches).config, folder)
    known = named.doubts
    if not loaded.splits.train:
        patches += _asked_columns(patches, folder, loaded, ask)
    elif columns := recognised_columns(patches, folder, loaded):
        patches.insert(1, Patch({"data.columns": columns}, "init"))
        known = (*known, columns_taken(columns, patches, folder))
    survey = _settle(patches, folder, known, ask)
    doubts = find_doubts(survey, known)
    text = write_page(survey, doubts, [str(item) for item in data], path or Path("task.yaml"))
    if path is not None:
        _write(path, text)
    return Draft(path, text, survey, tuple(doubts))


def _refuse_place(path: Path, *, overwrite: bool) -> None:
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(
            say("{path}: a config's name ends in .yaml, which tells it from data. Write {path}.yaml.", path=path)
        )
    if not path.parent.is_dir():
        raise ConfigError(
            say("{path} cannot be written: there is no folder {parent}. Make it first.", path=path, parent=path.parent)
        )
    if path.exists() and not overwrite:
        raise ConfigError(
            say("{path} is there already. Write another file with -o, or replace it with --overwrite.", path=path)
        )


def _asked_columns(patches: Sequence[Patch], folder: Path, loaded: Loaded, ask: Ask | None) -> list[Patch]:
    """The columns as the person names them, where no row can be used without.

    Raises:
        DataError: That is not what is wrong, or there is nobody to ask.
    """
    doubts = columns_unknown(patches, folder, loaded)
    if doubts and ask:
        return [Patch(ask(doubt), "answer") for doubt in doubts]
    hint = f"\n{SAY_COLUMNS}" if doubts else ""
    raise DataError(
        say("no training row can be used, so there is nothing to write a config for.{hint}", hint=hint), loaded.rejected
    )


def _settle(patches: list[Patch], folder: Path, known: Sequence[Doubt], ask: Ask | None) -> Survey:
    """What is in the rows, once every doubt was put to the person, if there is one to ask."""
    survey = look(patches, folder)
    while ask and (doubt := next((doubt for doubt in find_doubts(survey, known) if doubt.options), None)):
        patches = [*patches, Patch(ask(doubt), "answer")]
        survey = look(patches, folder)
    return survey


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise ExactuneError(
            say("{output} cannot be written: {reason}.", output=path, reason=Text(error.strerror or str(error)))
        ) from error
