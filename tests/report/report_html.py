"""A small reader of reports: what a browser and a screen reader would rely on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "wbr", "hr", "img", "link", "input"}
"""Elements without an end tag."""

BLOCKS = {"td", "th", "dt", "dd", "p", "li", "small"}
"""Elements whose text stands apart."""


@dataclass
class Element:
    """One element with its attributes and children."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def find(self, tag: str) -> list[Element]:
        """Descendants with a tag, in order."""
        inner = [child for child in self.children if isinstance(child, Element)]
        return [hit for child in inner for hit in ([child] if child.tag == tag else []) + child.find(tag)]

    @property
    def text(self) -> str:
        """All text below, with spaces as one."""
        return re.sub(r"[ \n]+", " ", self._text()).strip()

    def _text(self) -> str:
        inner = "".join(child if isinstance(child, str) else child._text() for child in self.children)
        return f" {inner} " if self.tag in BLOCKS else inner


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.stack[-1].children.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(data)


def parse(html: str) -> Element:
    """The document; a tag that is not closed where it should be fails."""
    tree = _Tree()
    tree.feed(html)
    tree.close()
    assert len(tree.stack) == 1, f"<{tree.stack[-1].tag}> is not closed"
    return tree.stack[0]


def sections(document: Element) -> dict[str, str]:
    """Section id -> text."""
    return {section.attributes["id"]: section.text for section in document.find("section")}
