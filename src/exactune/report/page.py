"""Facts into HTML: the template environment and its filters."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import datetime
from functools import cache, partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exactune.language import count as count_of
from exactune.language import translate, translated_template
from exactune.report import bars, charts
from exactune.report.curves import Point
from exactune.report.files import UNPRINTABLE
from exactune.report.matrix import clustered, zoomed
from exactune.report.mistakes import as_text, clip
from exactune.report.view import View

__all__ = ["inlined", "rendered", "to_html"]


PARTS = ("swing", "falling", "gain_last")
"""Evidence that is a part of something, besides what is called a share."""


def to_html(view: View, language: str) -> str:
    """The report of a view as one HTML document, in a language of :mod:`exactune.language`."""
    script, digest = inlined("report.js")
    return rendered("report.html.j2", language, view=view, script=script, digest=digest)


def inlined(name: str) -> tuple[Markup, str]:
    """A script of the house as it stands in a page, and its SHA-256 for the content security policy, in base64."""
    script = files("exactune.report").joinpath("templates", name).read_text(encoding="utf-8")
    return Markup(script), base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()  # noqa: S704 - ours


def embedded(value: Any) -> Markup:
    """A value as JSON that can stand in a script element: nothing in it ends the element or a line of JavaScript."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "&<>\u2028\u2029":
        written = written.replace(char, f"\\u{ord(char):04x}")
    return Markup(written)  # noqa: S704 - without a character that markup is made of


def rendered(template: str, language: str, **values: object) -> str:
    """A template of the house with its values."""
    page = _environment(language).get_template(template).render(**values)
    return UNPRINTABLE.sub("\ufffd", page)


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("exactune.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"charts": charts, "Line": charts.Line, "Point": Point, "clip": clip, "language": language}
    environment.globals |= {"clustered": clustered, "zoomed": zoomed, "bars": bars}
    environment.globals |= {"_": partial(phrase, language), "counted": partial(counted, language)}
    environment.filters |= {
        "embedded": embedded,
        "figure": figure,
        "signed": signed,
        "points": points,
        "count": count,
        "compact": compact,
        "share": share,
        "fact": fact,
        "moment": moment,
        "setting": setting,
        "as_text": as_text,
        "breakable": breakable,
        "said": lambda text: translate(text, language),
    }
    return environment


def phrase(language: str, template: str, /, **values: object) -> Markup:
    """A sentence of a template, which may hold markup; the values are escaped."""
    translated = Markup(translated_template(template, language))  # noqa: S704 - ours, from the source or the catalogue
    return translated.format(**values) if values else translated


def counted(language: str, number: int, noun: str) -> str:
    """``2 rows``."""
    return translate(count_of(number, noun), language)


def figure(value: float | None) -> str:
    """A metric or loss: three decimals."""
    return "–" if value is None else f"{value:.3f}"


def signed(value: float) -> str:
    """A difference of metrics: three decimals and its sign."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def points(value: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * value:.1f}"


def share(value: float | None) -> str:
    """A share as a percentage; tiny ones keep two digits."""
    if value is None:
        return "–"
    return f"{100 * value:.2g}%" if 0 < value < 0.01 else f"{100 * value:.0f}%"


def count(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return "–" if value is None else f"{value:,.0f}"


def compact(value: float | None) -> str:
    """A large number by its three first digits: ``4.02 B``."""
    if value is None:
        return "–"
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            digits = f"{value / size:.3g}" if value < 999.5 * size else f"{value / size:.0f}"
            return f"{digits}\u202f{unit}"
    return f"{value:.0f}"


def fact(value: float, key: str) -> str:
    """A figure of a finding: shares in percent, whole numbers as such, small ones as ``2e-5``, others by decimals."""
    if key.endswith("share") or key in PARTS:
        return share(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) >= 2):
        return count(value)
    whole = charts.written(float(f"{value:.3g}")) if 0 < abs(value) < 1e-3 else figure(value)
    return whole if value >= 0 else f"\N{MINUS SIGN}{whole.removeprefix('-')}"


def moment(value: str) -> str:
    """An ISO 8601 time without its seconds; what is none stays as it is."""
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return value
    zone = parsed.strftime("%Z")
    return f"{parsed:%Y-%m-%d %H:%M} {zone}".strip()


def setting(value: Any) -> str:
    """A config value as it would be written in YAML."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, float):
        return re.sub(r"e([+-])0*(\d)", r"e\1\2", f"{value:g}").replace("e+", "e")
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(setting(item) for item in value)
    return as_text(value)


def breakable(value: str) -> Markup:
    """A dotted path or file name that may be broken after its separators."""
    return Markup("<wbr>").join(re.findall(r"[^./_:-]*[./_:-]+|[^./_:-]+", value))
