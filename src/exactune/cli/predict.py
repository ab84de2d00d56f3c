"""``exactune predict``."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TextIO

import typer

from exactune.language import Text, say
from exactune.stop import held

__all__ = ["predict"]


def predict(
    run: Annotated[Path, typer.Argument(help="A run or artifact folder.", metavar="RUN")],
    file: Annotated[str, typer.Argument(help="A data file, or - for standard input.", metavar="FILE")] = "-",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write here.", metavar="FILE")] = None,
    batch_size: Annotated[int, typer.Option(help="Rows answered together.", min=1)] = 32,
    abstain_below: Annotated[
        float | None,
        typer.Option(help="Give no prediction (null) where the confidence is below this.", min=0, max=1, metavar="P"),
    ] = None,
) -> None:
    """Answer new rows; one JSON line per row."""
    with held():
        from exactune.apply import predict as run_predict

    with _target(output) as target:
        rows = "-" if file == "-" else Path(file)
        for row in run_predict(run, rows, batch_size=batch_size, abstain_below=abstain_below):
            target.write(json.dumps(row, ensure_ascii=False) + "\n")
            target.flush()


@contextlib.contextmanager
def _target(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is complete or absent."""
    if output is None:
        yield sys.stdout
        return
    from exactune.errors import ExactuneError, RunError

    staged = output.with_name(f".{output.name}.tmp")
    try:
        with staged.open("w", encoding="utf-8", newline="\n") as target:
            yield target
        staged.replace(output)
    except ExactuneError:
        raise
    except OSError as error:
        raise RunError(
            say("{output} cannot be written: {reason}.", output=output, reason=Text(error.strerror or str(error)))
        ) from error
    finally:
        staged.unlink(missing_ok=True)
