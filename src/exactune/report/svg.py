"""SVG elements: everything that enters is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

__all__ = ["percent", "svg", "tag"]


def tag(name: str, *body: str | Markup, **attributes: object) -> Markup:
    """One element with everything escaped; ``kind`` is its class, and ``_`` in names stands for ``-``."""
    # Markup.format would take a third of a report's time.
    written = "".join(
        f' {"class" if key == "kind" else key.replace("_", "-")}="{escape(value)}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{''.join(map(escape, body))}</{name}>")  # noqa: S704 - escaped one by one


def svg(key: str, title: str, description: str, body: Iterable[Markup], **attributes: object) -> Markup:
    """An image with an accessible name; ``key`` is unique in the page."""
    names = [tag("title", title, id=f"{key}-t")]
    if description:
        names.append(tag("desc", description, id=f"{key}-d"))
    labelled = " ".join(f"{key}-{letter}" for letter in "td"[: len(names)])
    return tag("svg", *names, *body, role="img", aria_labelledby=labelled, **attributes)


def percent(value: float) -> str:
    """A length as a percentage of a track; beyond its ends it is cut."""
    return f"{100 * min(max(value, 0.0), 1.0):.2f}%"
