"""The page of ``train --auto``: what was tried, why, and what it brought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exactune.durable import write_text
from exactune.language import restored, spoken
from exactune.report.page import rendered
from exactune.report.scores import Estimate
from exactune.rundir import LOOP, Run, read_json

__all__ = ["write_loop_page"]


@dataclass(frozen=True, slots=True)
class Row:
    """One try.

    Attributes:
        facts: As ``auto.json`` has it.
        estimate: The primary metric on the eval rows; None where the run failed or is under way.
        difference: Of it to the run kept until then; None where there was none.
        report: Whether the run has a report to link to.
        final: Whether it is the kept one.
    """

    facts: Mapping[str, Any]
    estimate: Estimate | None
    difference: Estimate | None
    report: bool
    final: bool


def write_loop_page(folder: Path, language: str | None = None) -> Path:
    """Write ``report.html`` of a folder of ``train --auto`` from its ``auto.json``; finished or not.

    Args:
        folder: Of the loop.
        language: Of the page; by default the one spoken.

    Returns:
        The path of the page.

    Raises:
        RunError: There is no ``auto.json``, or a broken one.
    """
    known = restored(read_json(folder / LOOP))
    rows = list(_rows(folder, known))
    final = known["final"]
    page = rendered(
        "loop.html.j2", language or spoken(), name=folder.resolve().name, known=known, rows=rows,
        figures={name: _estimate(figure) for name, figure in final["metrics"].items()} if final else {},
    )  # fmt: skip
    path = folder / "report.html"
    write_text(path, page)
    return path


def _rows(folder: Path, known: Mapping[str, Any]) -> Iterator[Row]:
    for one in known["tries"]:
        facts = restored(one)
        report = Run(folder / facts["run"]).report.is_file()
        yield Row(
            facts, _estimate(facts["eval"]), _estimate(facts["difference"]), report, facts["run"] == known["kept"]
        )


def _estimate(figure: Mapping[str, float] | None) -> Estimate | None:
    return None if figure is None else Estimate(figure["value"], figure["low"], figure["high"])
