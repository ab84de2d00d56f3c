"""The page of ``exactune compare``: the methods side by side, and which one to take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exactune.durable import write_text
from exactune.language import restored, spoken, translate
from exactune.report.forest import Held, forest_plot
from exactune.report.page import rendered
from exactune.report.scores import Estimate
from exactune.rundir import COMPARISON, Run, read_json
from exactune.verdicts import method_name

__all__ = ["write_compare_page"]

REFERENCE = "sft"


@dataclass(frozen=True, slots=True)
class Method:
    """One line of the table.

    Attributes:
        facts: As ``compare.json`` has it.
        name: For people.
        figures: Metric -> mean over the seeds with its interval.
        difference: Of the primary metric to ``sft``.
        verdict: ``better``, ``worse`` or ``level``.
    """

    facts: Mapping[str, Any]
    name: str
    figures: Mapping[str, Estimate]
    difference: Estimate | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Made:
    """One run: as ``compare.json`` has it, its name for people, and whether it has a report to link to."""

    facts: Mapping[str, Any]
    name: str
    report: bool


def write_compare_page(folder: Path, language: str | None = None) -> Path:
    """Write ``compare.html`` from the ``compare.json`` of a folder; finished or not.

    Args:
        folder: Of the comparison.
        language: Of the page; by default the one spoken.

    Returns:
        The path of the page.

    Raises:
        RunError: There is no ``compare.json``, or a broken one.
    """
    language = language or spoken()
    known = restored(read_json(folder / COMPARISON))
    runs = [*_made(folder, known, language)]
    methods = [_method(known, restored(one), language) for one in known["methods"]]
    page = rendered(
        "compare.html.j2", language, name=folder.resolve().name, known=known, runs=runs, methods=methods,
        plot=lambda title, description: forest_plot(
            "differences", [*_held(known, methods)], _name(REFERENCE, language), title, description
        ),
        files=list(dict.fromkeys(file for one in methods for file in one.facts["general"])),
        kept=_name(known["keep"], language), paired=any(one.facts["pairs"] for one in methods),
    )  # fmt: skip
    path = folder / "compare.html"
    write_text(path, page)
    return path


def _name(method: str, language: str) -> str:
    return translate(method_name(method), language)


def _made(folder: Path, known: Mapping[str, Any], language: str) -> Iterator[Made]:
    for one in known["runs"]:
        facts = restored(one)
        report = facts["state"] == "done" and facts["method"] != "pairs" and Run(folder / facts["run"]).report.is_file()
        yield Made(facts, _name(facts["method"], language), report)


def _method(known: Mapping[str, Any], facts: Mapping[str, Any], language: str) -> Method:
    difference = facts["difference"] and facts["difference"][known["primary"]]
    return Method(
        facts,
        _name(facts["method"], language),
        {name: _estimate(figure) for name, figure in facts["metrics"].items()},
        _estimate(difference) if difference else None,
        difference["verdict"] if difference else "",
    )


def _held(known: Mapping[str, Any], methods: Sequence[Method]) -> Iterator[Held]:
    """The methods on the plot, with the difference under each seed."""
    primary = known["primary"]
    own = {(one["method"], one["seed"]): one["metrics"].get(primary) for one in known["runs"]}
    for method in methods:
        if method.difference is None:
            continue
        name = method.facts["method"]
        pairs = [
            (own.get((name, None if name == "base" else seed)), own.get((REFERENCE, seed))) for seed in known["seeds"]
        ]  # fmt: skip
        single = [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
        yield Held(method.name, method.difference, single)


def _estimate(figure: Mapping[str, float]) -> Estimate:
    return Estimate(figure["value"], figure["low"], figure["high"])
