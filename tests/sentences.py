"""Every sentence that exactune can say, found in its source: what the catalogue must hold."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from jinja2 import Environment, nodes

import exactune
from exactune import checks, diagnose
from exactune.cli import app
from exactune.language import FOREIGN
from exactune.layers import PYDANTIC
from exactune.rules import Rule

ROOT = Path(exactune.__file__).parent
UNCONVERTED = ("draft/page.py",)
"""Modules that still speak English only. This list may only get shorter."""
EXPLAINED: tuple[Rule[Any], ...] = checks.RULES + diagnose.RULES
"""Rules of the data and of runs."""


def names() -> Iterator[str]:
    """Of the modules that speak."""
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(UNCONVERTED):
            yield name


def module(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def in_python() -> Iterator[str]:
    """Templates of ``say``, ``said`` and ``join``, and nouns of ``count``."""
    for module_name in names():
        for node in ast.walk(module(module_name)):
            if not isinstance(node, ast.Call):
                continue
            name, first = called(node), node.args[0] if node.args else None
            if name in ("say", "said", "join") and isinstance(first, ast.Constant) and isinstance(node.func, ast.Name):
                yield first.value
            if name == "count" and len(node.args) == 2 and isinstance(noun := node.args[1], ast.Constant):
                yield f"{{number:,}} {noun.value}"


def in_templates() -> Iterator[str]:
    """Templates of ``_`` and nouns of ``counted`` in the report."""
    for path in sorted((ROOT / "report" / "templates").glob("*.j2")):
        tree = Environment(autoescape=True).parse(path.read_text(encoding="utf-8"))
        for call in tree.find_all(nodes.Call):
            name = getattr(call.node, "name", "")
            if name == "_":
                assert isinstance(call.args[0], nodes.Const), f"{path.name}:{call.lineno}: a template is a literal"
                yield call.args[0].value
            if name == "counted":
                yield f"{{number:,}} {call.args[1].value}"


def in_rules() -> Iterator[str]:
    """What ``explain`` prints; an example that is data and places alone needs no translation."""
    for rule in EXPLAINED:
        for heading, text in rule.sections:
            words = re.sub(r"\{.*|`[^`]*`|\S+\.\w+", "", text)
            if heading != "Example" or re.search(r"[a-z]{3}", words):
                yield text


def in_help() -> Iterator[str]:
    def below(command: Any) -> Iterator[str]:
        parts = (command, *command.params, command.get_help_option(typer.Context(command)))
        yield from (part.help for part in parts if getattr(part, "help", None))
        for name, inner in getattr(command, "commands", {}).items():
            if f"cli/{name}.py" not in UNCONVERTED:
                yield from below(inner)

    return below(typer.main.get_command(app))


def in_data() -> Iterator[str]:
    """Sentences of data tables and of libraries."""
    table = yaml.safe_load((ROOT / "recipes.yaml").read_text(encoding="utf-8"))
    yield from (band["note"] for band in table["expected"])
    yield from (*FOREIGN, *PYDANTIC.values())


def used() -> set[str]:
    """Every template that is more than a line break."""
    found = {*in_python(), *in_templates(), *in_rules(), *in_help(), *in_data()}
    return {template for template in found if template.strip()}


def placeholders(template: str) -> set[str]:
    try:
        return {name.partition(".")[0] for _, name, _, _ in string.Formatter().parse(template) if name}
    except ValueError:  # a sentence without values may hold braces as they are
        return set()


PROSE = re.compile(r"(?<![\w.-])[A-Za-z][a-z']+(?: +[A-Za-z'][a-z']*){2,}(?![\w/=.-])")
"""Three or more Latin words in a row."""


def prose(text: str) -> str:
    """The first English that is left in a text, apart from code and quoted data; empty if there is none."""
    without = re.sub(r"`[^`]*`|\{[^{}]*\}|\"[^\"]*\"|(?<![a-z])'[^'\n]*'", " · ", text)
    found = PROSE.search(without)
    return found[0] if found else ""
