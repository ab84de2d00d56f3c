"""``exactune mine``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from exactune.cli.screen import TrainingScreen, err, out
from exactune.language import join, restored, said, translate
from exactune.stop import held

if TYPE_CHECKING:
    from exactune.studies.mine import Mined

__all__ = ["mine"]

SHOWN = 5
"""Lines of the table of errors."""


def mine(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write here, not to mine/pairs.jsonl in the run.", metavar="FILE"),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Folds of the training rows; 0: the run's own model, which has seen them.", min=0)
    ] = None,
    max_pairs: Annotated[int | None, typer.Option(help="At most so many pairs.", min=1, metavar="N")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Write the rows without a pair, too.")] = False,
    runner_up: Annotated[
        bool, typer.Option("--runner-up", help="Reject the second label where the first one was right.")
    ] = False,
    keep_doubtful: Annotated[
        bool, typer.Option("--keep-doubtful", help="Keep rows whose own label is probably wrong.")
    ] = False,
) -> None:
    """Make preference pairs of a run's own mistakes. Exit code 1 if it makes none."""
    with held():
        from exactune.layers import read_patch, resolve
        from exactune.rundir import Run
        from exactune.studies.mine import mine as mine_run

    opened = Run.open(run)
    options = {"folds": folds, "max_pairs": max_pairs, "all": all_, "runner_up": runner_up,
               "keep_doubtful": keep_doubtful}  # fmt: skip
    settings = resolve([read_patch(opened.config)]).config.mine.model_copy(
        # 0 folds are as good as any, though 0 is False to Python.
        update={name: value for name, value in options.items() if value is not None and value is not False}
    )

    def tell(line: str) -> None:
        screen.pause()
        out.print(translate(line), markup=False)

    with TrainingScreen() as screen:
        mined = mine_run(opened, settings=settings, output=output, say=tell, display=screen)
    for line in _lines(mined):
        out.print(line, markup=False)
    if not mined.pairs:
        err.print(said("nothing to learn from: no mistake of this run makes a pair, so nothing was written."))
        raise typer.Exit(1)
    _show_errors(mined.document["errors"])
    out.print(
        said("pairs   {file}\nto learn from them, in a config:", file=mined.file)
        + f"\n  start_from: {mined.run.path}\n  training: {{method: dpo}}\n  data: {{train: {mined.file}}}",
        markup=False,
    )


def _lines(mined: Mined) -> Iterator[str]:
    """What was asked, what was wrong, what became of it."""
    document = restored(mined.document)
    yield said(
        "rows    {answered} of {rows} training rows answered, {wrong} wrongly",
        **{name: document[name] for name in ("answered", "rows", "wrong")},
    )  # fmt: skip
    if not document["folds"]:
        yield said(
            "        by the model that has learned them: it gets fewer of them wrong than rows that it has not seen"
        )
    for name, counts in (("labels", document["labels"]), ("kinds", document["kinds"])):
        listed = join(", ", (f"{key} {number}" for key, number in counts.items()))
        if counts and name == "labels":
            yield said("labels  {listed}", listed=listed)
        elif counts:
            yield said("kinds   {listed}", listed=listed)
    yield said("made    {pairs} pairs, {plain} rows without one", pairs=mined.pairs, plain=document["plain"])
    for one in document["left_out"]:
        yield said("without {rows}: {reason}", rows=one["rows"], reason=one["reason"])
    for one in document["doubtful"][:SHOWN]:
        yield said("doubt   {id}: {gold}, or rather {suggested}?", **one)


def _show_errors(errors: Mapping[str, Any]) -> None:
    """The commonest confusions; of lists and objects also what was missed and invented."""
    table = Table(box=None, pad_edge=False)
    for name in (said("wrong"), said("right answer"), said("given"), said("times")):
        table.add_column(name, justify="right" if name == said("times") else "left")
    for one in errors.get("confused", ())[:SHOWN]:
        times = said("{count} of {of}", count=one["count"], of=one["of"])
        table.add_row(said("confused"), Text(_named(one, "gold")), Text(one["predicted"]), times)
    for one in errors.get("missed", ())[:SHOWN]:
        table.add_row(said("missed"), Text(_named(one, "text")), "", str(one["count"]))
    for one in errors.get("invented", ())[:SHOWN]:
        table.add_row(said("invented"), "", Text(_named(one, "text")), str(one["count"]))
    if table.row_count:
        out.print(table)


def _named(one: Mapping[str, Any], key: str) -> str:
    return " ".join(filter(None, (one.get("label", ""), one[key])))
