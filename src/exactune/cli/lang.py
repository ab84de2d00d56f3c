"""The language of the command line: ``--lang``, else the environment, else English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from exactune.errors import ConfigError
from exactune.language import ENGLISH, LANGUAGES, Text, find_language, language_of, say, translate

__all__ = ["chosen", "named", "taken_out", "translate_help"]

OPTION = "--lang"


def chosen(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """The language of a command line. ``EXACTUNE_LANG`` wins over the locale, as POSIX orders its variables.

    It is read before typer sees the arguments, so that help texts speak it too. What click itself says (`Usage`,
    `Missing argument`) stays English.

    Raises:
        ConfigError: ``--lang`` or ``EXACTUNE_LANG`` names no language that is known.
    """
    asked, _ = taken_out(arguments)
    if asked:
        return named(asked, OPTION)
    if wanted := environ.get("EXACTUNE_LANG"):
        return named(wanted, "EXACTUNE_LANG")
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return language_of(locale)


def taken_out(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of ``--lang``, before the command or after it, and the other arguments."""
    asked: str | None = None
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word.startswith(f"{OPTION}="):
            asked = word.partition("=")[2]
        elif word == OPTION and (value := next(words, None)) is not None:
            asked = value
        else:
            rest.append(word)
    return asked, rest


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
