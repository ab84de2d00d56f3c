"""``exactune compare``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from exactune.cli.screen import TrainingScreen, err, out, print_json
from exactune.errors import ConfigError
from exactune.language import count, restored, said, say, translate
from exactune.rundir import read_json
from exactune.stop import held

__all__ = ["compare"]


def compare(
    config: Annotated[Path, typer.Argument(help="The config file.", metavar="CONFIG")],
    assignments: Annotated[list[str], typer.Option("--set", help="key=value; wins over the file.")] = [],  # noqa: B006
    patch: Annotated[list[Path], typer.Option(help="A file with values that win over the config's.")] = [],  # noqa: B006
    output: Annotated[
        str | None, typer.Option(help="Folder of all runs, instead of output_dir.", metavar="DIR")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparison in the folder.")] = False,
    resume_anyway: Annotated[
        bool, typer.Option("--resume-anyway", help="Go on though versions or the device have changed.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the comparison in the folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be trained.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print compare.json and nothing else.")] = False,
) -> None:
    """Train SFT, SFT + DPO and ORPO on the same rows, and say which one to keep. Exit code 1 if a run failed."""
    if dry_run and as_json:
        raise ConfigError(say("--dry-run has no JSON. Leave one of the two out."))
    with held():
        from exactune.studies.agenda import describe, make_agenda
        from exactune.studies.compare_methods import compare as compare_methods

    layers: dict[str, Any] = {"patch_files": patch, "assignments": assignments, "output": output}
    if dry_run:
        for line in describe(make_agenda(config, patch, assignments, output)):
            out.print(translate(line), markup=False)
        return

    def tell(line: str) -> None:
        screen.pause()
        (err if as_json else out).print(translate(line), markup=False)

    with TrainingScreen() as screen:
        folder = compare_methods(
            config, **layers, resume=resume, resume_anyway=resume_anyway, overwrite=overwrite, say=tell, display=screen
        )
    document = read_json(folder.file)
    if as_json:
        print_json({**restored(document), "runs": [restored(one) for one in document["runs"]]})
    else:
        show_methods(document)
        out.print(said("runs    {path}\nreport  {report}", path=folder.path, report=folder.report), markup=False)
    if any(one["state"] == "failed" for one in document["runs"]):
        raise typer.Exit(1)


def show_methods(document: Mapping[str, Any]) -> None:
    """A line for each method; of ``compare.json``."""
    primary = document["primary"]
    title = said("Means over {seeds}; * is the method to take", seeds=count(len(document["seeds"]), "seed"))
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(said("method"), no_wrap=True)
    for name in (primary, said("against SFT"), said("minutes"), said("peak MB")):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    words = {"better": said("real: better"), "worse": said("real: worse"), "level": said("noise")}
    for one in document["methods"]:
        difference = one["difference"] and one["difference"][primary]
        minutes, most = one["before"] + one["minutes"], one["peak_memory_mb"]
        table.add_row(
            one["method"] + (" *" if one["method"] == document["keep"] else ""),
            _cell(one["metrics"].get(primary), ".3f", ".2f"), _cell(difference, "+.3f", "+.2f"),
            f"{minutes:.1f}" if minutes else "", "" if most is None else f"{most:,.0f}",
            words[difference["verdict"]] if difference else "",
        )  # fmt: skip
    out.print(table)


def _cell(figure: Mapping[str, float] | None, form: str, ends: str) -> str:
    """A figure with its interval."""
    return f"{figure['value']:{form}} ({figure['low']:{ends}}, {figure['high']:{ends}})" if figure else ""
