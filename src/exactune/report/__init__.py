"""The report: one HTML file per run, made from the run folder alone.

It needs no network and no torch, so it can be mailed, archived next to the model or opened years later. Its one script
filters the table of answers and copies patches; without JavaScript all else is there, and the first rows of that table.
:mod:`~exactune.report.view` reads the folder into facts, the templates hold every sentence, and
:mod:`~exactune.report.charts` draws.
"""

from __future__ import annotations

from pathlib import Path

from exactune.durable import write_text
from exactune.language import spoken
from exactune.report.page import to_html
from exactune.report.view import read_view
from exactune.rundir import Run

__all__ = ["write_report"]


def write_report(run: Run, language: str | None = None) -> Path:
    """Write ``report.html`` from what the run folder holds; stages that have not run are left out.

    The same folder and language always give the same bytes.

    Args:
        run: The run.
        language: ``en`` or ``zh-TW``, whatever the run was made in; by default the one spoken.

    Returns:
        The path of the report.
    """
    write_text(run.report, to_html(read_view(run), language or spoken()))
    return run.report
