"""The language of the command line: ``--lang``, else the environment, else English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from exactune.errors import ConfigError
from exactune.language import ENGLISH, LANGUAGES, Text, find_language, language_of, say, translate

__all__ = ["chosen", "named", "translate_help"]

OPTION = "--lang"


def chosen(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """The language of a command line. ``EXACTUNE_LANG`` wins over the locale, as POSIX orders its variables.

    It is read before typer sees the arguments, so that help texts speak it too. What click itself says (`Usage`,
    `Missing argument`) stays English.

    Raises:
        ConfigError: ``--lang`` or ``EXACTUNE_LANG`` names no language that is known.
    """
    if asked := _asked(arguments):
        return named(asked, OPTION)
    if wanted := environ.get("EXACTUNE_LANG"):
        return named(wanted, "EXACTUNE_LANG")
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return language_of(locale)


def _asked(arguments: Sequence[str]) -> str | None:
    """The value of ``--lang`` where it stands before the command."""
    for option, value in zip(arguments, [*arguments[1:], None], strict=True):
        if not option.startswith("-"):
            return None
        if option == OPTION:
            return value
        if option.startswith(f"{OPTION}="):
            return option.partition("=")[2]
    return None


def named(name: str, source: str = OPTION) -> str:
    """The language that a user names.

    Raises:
        ConfigError: There is none of this name.
    """
    language = find_language(name)
    if language is None:
        known = ", ".join(LANGUAGES)
        raise ConfigError(
            say("{source}: there is no language {name!r}. Known: {known}.", source=source, name=name, known=known)
        )
    return language


def translate_help(command: Any, language: str) -> None:
    """Put the help of a command and all below it into a language; typer has built it in English."""
    if language == ENGLISH:
        return
    for part in (command, *command.params, command.get_help_option(typer.Context(command))):
        if getattr(part, "help", None):
            part.help = translate(Text(part.help), language)
    for inner in getattr(command, "commands", {}).values():
        translate_help(inner, language)
