"""Exports: what leaves a finished run, as an adapter or as one whole model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exactune.data.split import stratified_slice
from exactune.export.folder import Merged, export_copy, export_merged
from exactune.language import Text, say
from exactune.layers import read_patch, resolve
from exactune.rundir import Run
from exactune.used import used_rows

__all__ = ["export"]


def export(
    run: Run | str | Path,
    *,
    merged: bool,
    output: str | Path | None = None,
    say_line: Callable[[Text], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> Path:
    """Write a run's artifact as a folder of its own.

    A merged model answers the run's scored rows, at most ``evaluate.rows`` of them, beside its adapter.

    Args:
        run: A run or its folder.
        merged: One whole model instead of an adapter.
        output: Where to; ``export/merged`` or ``export/adapter`` of the run if not given.
        say_line: Told what was found, one line at a time.
        advance: Called with the number of rows just answered.

    Returns:
        The folder.

    Raises:
        ExactuneError: The run has no artifact, its rows have changed, or the merged model scores otherwise.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    target = Path(output) if output else run.path / "export" / ("merged" if merged else "adapter")
    if merged and run.artifact == run.adapter:
        config = resolve([read_patch(run.config)]).config
        split, rows = used_rows(run, config).splits.scored
        asked = stratified_slice(rows, config.evaluate.rows, config.training.seed)
        found = export_merged(
            run.artifact, target, split, asked, batch_size=config.evaluate.batch_size, advance=advance
        )
        say_line(_in_words(found))
    else:
        if merged:
            say_line(say("merged  all weights were trained, so there is nothing to merge: the model is copied"))
        export_copy(run.artifact, target)
    return target


def _in_words(found: Merged) -> Text:
    return say(
        "merged  {metric} {merged:.4f} on {rows} {split} rows, the adapter {adapter:.4f}; {differ} answers differ; "
        "weights in {dtype}",
        metric=found.metric,
        merged=found.merged,
        rows=found.rows,
        split=found.split,
        adapter=found.adapter,
        differ=found.differ,
        dtype=found.dtype,
    )
