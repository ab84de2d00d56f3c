"""Sentences in the language of whoever reads them: English, or Traditional Chinese as it is written in Taiwan.

A sentence is written in English where it arises, by :func:`say`. The result is a :class:`Text`: an ordinary string, the
English sentence, that remembers its template and the values in it. So machine output, run files and ``str(error)`` are
English whatever the language, and only what puts a sentence before people calls :func:`translate`. Run files keep the
template beside the sentence (:func:`stored`), so a run made in one language can be reported in another.

The catalogue is ``catalogue/zh-TW.json``, English template -> translation. Gettext would need a compiled file, Babel to
make it, and numbered plural forms that Chinese does not have; a JSON object is read at once by people, by translators'
tools and by the test that holds it against the source: every template is there, with the same placeholders.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "ENGLISH",
    "FOREIGN",
    "LANGUAGES",
    "Text",
    "count",
    "find_language",
    "join",
    "language_of",
    "restored",
    "said",
    "say",
    "speaking",
    "spoken",
    "stored",
    "translate",
    "translated_template",
]

ENGLISH = "en"
LANGUAGES: Mapping[str, str] = {ENGLISH: "English", "zh-TW": "繁體中文（台灣）"}
"""Tag -> own name."""

FOREIGN = (
    "Expecting value",
    "Expecting ',' delimiter",
    "Expecting ':' delimiter",
    "Expecting property name enclosed in double quotes",
    "Illegal trailing comma before end of object",
    "Illegal trailing comma before end of array",
    "Unterminated string starting at",
    "Invalid control character at",
    "Invalid \\escape",
    "Invalid \\uXXXX escape",
    "No such file or directory",
    "Is a directory",
    "Not a directory",
    "File exists",
    "Permission denied",
    "Read-only file system",
    "No space left on device",
    "Field required",
    "Extra inputs are not permitted",
    "Input should be a valid string",
    "Input should be a valid integer",
    "Input should be a valid integer, unable to parse string as an integer",
    "Input should be a valid number",
    "Input should be a valid number, unable to parse string as a number",
    "Input should be a valid boolean, unable to interpret input",
    "Input should be a valid list",
    "Input should be a valid dictionary",
)
"""What Python, the operating system and pydantic say inside our sentences, where the catalogue has it."""

_spoken: ContextVar[str] = ContextVar("language", default=ENGLISH)


class Text(str):
    """An English sentence that can be said in another language.

    Attributes:
        template: What the catalogue knows it by.
        values: Name -> what stands at the placeholder: a number, a string of the user's, or another text. A list is an
            enumeration, with the template between its items.
    """

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, Any] | list[Any]

    def __new__(cls, english: str, template: str = "", values: Mapping[str, Any] | list[Any] | None = None) -> Text:
        """``english`` alone is its own template."""
        made = super().__new__(cls, english)
        made.template, made.values = template or english, {} if values is None else values
        return made

    def __str__(self) -> Text:
        """Itself, so that ``str(error)`` can still be translated."""
        return self


def say(template: str, /, **values: object) -> Text:
    """The English sentence: the template with its values, or just as it is if there are none."""
    kept = {name: _kept(value) for name, value in values.items()}
    return Text(template.format(**kept) if kept else template, template, kept)


def join(separator: str, items: Iterable[str]) -> Text:
    """Texts one after another; ``", "`` and ``"; "`` have their own form in other languages."""
    kept = [_kept(item) for item in items]
    return Text(separator.join(map(str, kept)), separator, kept)


def count(number: int, noun: str) -> Text:
    """``1 row``, ``2 rows``, ``2 training rows``; the catalogue knows it by the singular."""
    english = f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
    return Text(english, f"{{number:,}} {noun}", {"number": number})


def _kept(value: object) -> Any:
    """What a run file can hold: places, paths and exceptions become what they say."""
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


@cache
def _catalogue(language: str) -> Mapping[str, str]:
    path = Path(__file__).parent / "catalogue" / f"{language}.json"
    entries: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def translated_template(template: str, language: str | None = None) -> str:
    """A template in a language; one that the catalogue lacks stays English."""
    language = language or spoken()
    return template if language == ENGLISH else _catalogue(language).get(template, template)


def translate(text: str, language: str | None = None) -> str:
    """A text in a language, by default the one spoken; any other string stays as it is."""
    language = language or spoken()
    if not isinstance(text, Text) or language == ENGLISH:
        return text
    if isinstance(text.values, list):
        return translated_template(text.template, language).join(translate(item, language) for item in text.values)
    template = _catalogue(language).get(text.template)
    if template is None or not text.values:
        return template or text
    # A sentence stored by another version may lack a value; English is better than none.
    with contextlib.suppress(LookupError, ValueError, TypeError, AttributeError):
        return template.format(**{name: translate(value, language) for name, value in text.values.items()})
    return text


def said(template: str, /, **values: object) -> str:
    """:func:`say` in the language spoken, for what goes to the screen at once."""
    return translate(say(template, **values))


def spoken() -> str:
    """The language of the moment; English unless the command line chose another."""
    return _spoken.get()


@contextlib.contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak a language within a block."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def find_language(name: str) -> str | None:
    """The language of a tag however it is written (``zh-TW``, ``zh_tw``), or ``None``."""
    return next((tag for tag in LANGUAGES if tag.casefold() == name.replace("_", "-").casefold()), None)


def language_of(locale: str) -> str:
    """The language for a POSIX locale such as ``zh_TW.UTF-8``.

    Taiwan, Hong Kong, Macau and anything marked as Traditional get Traditional Chinese. Simplified locales get English,
    as gettext has it too: other characters and other words (數據, 默認) make ours a foreign text there, and whoever
    prefers it can ask for it.
    """
    return "zh-TW" if re.match(r"(?i)zh[_-](TW|HK|MO|Hant)", locale) else ENGLISH


def stored(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The document with, under ``said``, how its texts under some keys are said in another language."""
    found = dict.fromkeys(text for key in keys for text in _texts(document[key]))
    return {**document, "said": [_to_json(text) for text in found]}


def restored(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A document as :func:`stored` was given it; one without ``said``, or with a broken one, stays as it is."""
    entries = document.get("said")
    texts = map(_from_json, entries) if isinstance(entries, list) else ()
    known = {str.__str__(text): text for text in texts if isinstance(text, Text)}
    return {key: _recalled(value, known) for key, value in document.items() if key != "said"}


def _texts(value: Any) -> Iterator[Text]:
    if isinstance(value, Text):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for inner in value.values() for text in _texts(inner))
    elif isinstance(value, (list, tuple)):
        yield from (text for inner in value for text in _texts(inner))


def _recalled(value: Any, known: Mapping[str, Text]) -> Any:
    if isinstance(value, Mapping):
        return {key: _recalled(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [_recalled(inner, known) for inner in value]
    return known.get(value, value) if isinstance(value, str) else value


def _to_json(value: Any) -> Any:
    if not isinstance(value, Text):
        return value
    if isinstance(value.values, list):
        values: Any = [_to_json(inner) for inner in value.values]
    else:
        values = {name: _to_json(inner) for name, inner in value.values.items()}
    return {"text": value, "template": value.template, "values": values}


def _from_json(value: Any) -> Any:
    """A text, or the value itself where it is none."""
    if not isinstance(value, Mapping):
        return value
    values = value.get("values")
    if isinstance(values, list):
        kept: Any = [_from_json(inner) for inner in values]
    else:
        kept = {str(name): _from_json(inner) for name, inner in values.items()} if isinstance(values, Mapping) else {}
    return Text(str(value.get("text", "")), str(value.get("template", "")), kept)
