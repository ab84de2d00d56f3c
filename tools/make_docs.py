"""Write docs/rules.md and docs/config.md from the docstrings, docs/recipes.md and docs/remedies.md from their tables.

``--check`` only says whether they are current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from exactune import checks, diagnose
from exactune.config import Config, config_keys
from exactune.layers import ALIASES
from exactune.mend import MENDED
from exactune.rules import Rule

DOCS = Path(__file__).parents[1] / "docs"


def rules() -> str:
    """Every rule with the sections of its docstring, below a table of them all."""
    known: tuple[Rule[Any], ...] = checks.RULES + diagnose.RULES
    parts = ["# Rules\n\nMade from the docstrings by `make docs`. On the command line: `exactune explain D205`, and in "
             "Traditional Chinese: `exactune --lang zh-TW explain D205`.\n\n"
             "D rules look at data (`exactune check`); their errors stop a training run, and `exactune check --fix -o "
             "DIR` mends in copies what is marked so. R rules look at a finished run (`exactune diagnose`).\n\n"
             "| code | name | severity | | mended by `--fix` |\n| --- | --- | --- | --- | --- |\n"]  # fmt: skip
    for rule in known:
        link = f"{rule.code} {rule.name} ({rule.severity})".lower().replace(" ", "-").translate({40: None, 41: None})
        mended = "yes" if rule.code in MENDED else ""
        summary = _plain(rule.sections[0][1]).replace("|", "\\|")
        parts.append(f"| [{rule.code}](#{link}) | {rule.name} | {rule.severity} | {summary} | {mended} |\n")
    for rule in known:
        parts.append(f"\n## {rule.code} {rule.name} ({rule.severity})\n")
        parts += [_section(heading, text) for heading, text in rule.sections]
    return "".join(parts)


def _section(heading: str, text: str) -> str:
    if heading == "Example":
        return f"\n**Example**\n\n```text\n{text}\n```\n"
    return f"\n**{heading}.** {_plain(text)}\n" if heading else f"\n{_plain(text)}\n"


def _plain(text: str) -> str:
    """A text whose angle brackets are no tags; code in backquotes needs no care."""
    parts = text.split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def config() -> str:
    """Every config key with its default and docstring."""
    lines = ["# Config\n\nMade from the docstrings by `make docs`. Data paths are relative to the config file.\n"]
    lines += _block(Config, "")
    lines.append("\n## Names of other tools\n\nAccepted, and the run says so.\n\n| written | means |\n| --- | --- |\n")
    lines += [f"| `{alias}` | `{path}` |\n" for alias, path in sorted(ALIASES.items())]
    return "".join(lines)


def _block(model: type[BaseModel], prefix: str) -> Iterator[str]:
    nodes, _ = config_keys()
    inner = []
    title, about = prefix.rstrip(".") or "top level", (model.__doc__ or "").strip()
    yield f"\n## `{title}`\n\n{about}\n\n| key | default | |\n| --- | --- | --- |\n"
    for name, info in model.model_fields.items():
        path = prefix + (info.alias or name)
        if path in nodes:
            inner.append(path)
            continue
        text = " ".join((info.description or "").split()).replace("``", "`").replace("|", "\\|")
        yield f"| `{path}` | `{info.get_default(call_default_factory=True)}` | {text} |\n"
    for path in inner:
        yield from _block(nodes[path], path + ".")


def recipes() -> str:
    """The tables of recipes.yaml between the words of recipes.template.md."""
    table = yaml.safe_load(files("exactune").joinpath("recipes.yaml").read_text(encoding="utf-8"))
    words = Path(__file__).with_name("recipes.template.md").read_text(encoding="utf-8")
    rows = [(one["name"], one["values"]["training.num_epochs"], one["values"]["training.learning_rate"])
            for one in table["rows"]]  # fmt: skip
    expected = [(_band(one, low), f"{one['low']:.0%}-{one['high']:.0%}", one["note"])
                for one, low in zip(table["expected"], _lower_ends(table), strict=True)]  # fmt: skip
    for name, body in {
        "rows": "".join(f"| {name} | {epochs} | {rate:g} |\n" for name, epochs, rate in rows),
        "base": "".join(f"| `{key}` | `{_shown(value)}` |\n" for key, value in table["base"].items()),
        "expected": "".join(f"| {rows} | {band} | {note} |\n" for rows, band, note in expected),
        "minimum": str(table["minimum_rows"]),
    }.items():
        words = words.replace(f"@{name}@\n" if body.endswith("\n") else f"@{name}@", body)
    return words


def remedies() -> str:
    """What doctor.yaml knows: thresholds, remedies and what explains what."""
    names = {rule.code: rule.name for rule in diagnose.RULES}
    known = yaml.safe_load(files("exactune.diagnose").joinpath("doctor.yaml").read_text(encoding="utf-8"))
    lines = ["# What the diagnosis knows\n\nMade from `doctor.yaml` by `make docs`; [Diagnosis](diagnosis.md) says how "
             "it is used.\n\n## Remedies\n\nRelative to what the run used. Of a finding without a line here no config "
             "value is the cause.\n\n| finding | key | change |\n| --- | --- | --- |\n"]  # fmt: skip
    for code, operations in known["remedies"].items():
        lines += [f"| {code} {names[code]} | `{one['key']}` | {_change(one)} |\n" for one in operations]
    lines.append("\n## What explains what\n\nThe left one is listed, the right ones are named in it.\n\n"
                 "| finding | explains |\n| --- | --- |\n")  # fmt: skip
    for code, others in known["explains"].items():
        lines.append(f"| {code} {names[code]} | {', '.join(f'{other} {names[other]}' for other in others)} |\n")
    lines.append("\n## Thresholds\n\n| name | value | source |\n| --- | --- | --- |\n")
    lines += [f"| {name} | {one['value']:g} | {one['source']} |\n" for name, one in known["thresholds"].items()]
    return "".join(lines)


def _change(operation: Mapping[str, Any]) -> str:
    """One operation of a remedy in words."""
    if operation.get("beyond"):
        rest = {name: value for name, value in operation.items() if name != "beyond"}
        return f"where none of these changes anything: {_change(rest)}"
    if "value" in operation:
        return f"`{_shown(operation['value'])}`"
    if "recipe" in operation:
        way = {"up": "the recipe's where it was less", "down": "the recipe's where it was more", "same": "the recipe's"}
        other = operation.get("else", 1)
        return (
            way[operation["recipe"]]
            + (f", else times {other:g}" if other != 1 else "")
            + (f", at most {operation['most']:g}" if "most" in operation else "")
        )
    if "fewer" in operation:
        return f"the recipe's where it was more, else {operation['fewer']}, or as many as the eval loss was falling for"
    if "times" in operation and "at_least" not in operation:
        return f"times {operation['times']:g}" + (f", at most {operation['most']:g}" if "most" in operation else "")
    times = f", or {operation['times']:g} times as many" if "times" in operation else ""
    return (
        f"at least {operation['at_least']:g}{times}" if "at_least" in operation else f"at most {operation['at_most']:g}"
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)


def _lower_ends(table: Mapping[str, Any]) -> list[int]:
    return [table["minimum_rows"], *(one["below"] for one in table["expected"][:-1])]


def _band(entry: Mapping[str, Any], low: int) -> str:
    return f"{low}-{entry['below']}" if entry["below"] else f"{low} and more"


def main() -> int:
    """Write the pages, or compare them."""
    pages = {
        DOCS / "rules.md": rules(), DOCS / "config.md": config(), DOCS / "recipes.md": recipes(),
        DOCS / "remedies.md": remedies(),
    }  # fmt: skip
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        print("\n".join(f"{path.name} is not current: run `make docs`" for path in stale))
        return bool(stale)
    DOCS.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
