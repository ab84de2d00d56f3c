"""What ``train --auto`` leaves on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from exactune.cli.screen import out
from exactune.language import said
from exactune.layers import flow

__all__ = ["MOST", "show_loop"]

MOST = 4
"""Runs, where nobody says how many."""


def show_loop(document: Mapping[str, Any]) -> None:
    """What was tried and what it brought; of ``auto.json``."""
    title = said("{runs} runs, chosen on the eval rows", runs=len(document["tries"]))
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in (said("run"), said("for"), said("changed")):
        table.add_column(name)
    for name in (document["primary"], said("95% interval"), said("difference"), said("95% interval")):
        table.add_column(name, justify="right")
    table.add_column("")
    for one in document["tries"]:
        changes = "\n".join(f"{key}={flow(value)}" for key, value in one["patch"].items())
        table.add_row(
            one["run"], one["code"], Text(changes), *_cells(one["eval"], ".3f"), *_cells(one["difference"], "+.3f"),
            _outcome(one, document["kept"]),
        )  # fmt: skip
    out.print(table)


def _cells(figure: Mapping[str, float] | None, form: str) -> tuple[str, str]:
    if figure is None:
        return "", ""
    return f"{figure['value']:{form}}", f"{figure['low']:{form}} - {figure['high']:{form}}"


def _outcome(one: Mapping[str, Any], kept: str) -> str:
    words = {
        "first": "", "better": said("real: better"), "worse": said("real: worse"), "level": said("noise"),
        "failed": said("failed"),
    }  # fmt: skip
    parts = [words[one["verdict"]], said("kept") if one["run"] == kept else ""]
    return ", ".join(filter(None, parts))
