"""The command line: one verb per stage. Each command parses, then calls the plain function of the same name."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from exactune import ranks
from exactune.cli.check import check
from exactune.cli.compare import compare
from exactune.cli.diagnose import diagnose
from exactune.cli.env import env
from exactune.cli.eval import eval_
from exactune.cli.explain import explain
from exactune.cli.export import export
from exactune.cli.init import init
from exactune.cli.lang import chosen, taken_out, translate_help
from exactune.cli.mine import mine
from exactune.cli.predict import predict
from exactune.cli.report import report
from exactune.cli.screen import fail
from exactune.cli.train import train
from exactune.errors import ExactuneError, Interrupted
from exactune.language import say, speaking
from exactune.quiet import quiet_libraries
from exactune.stop import StopNow, StopRequest, listening

__all__ = ["app", "main"]

app = typer.Typer(
    help="Fine-tune a language model for a task that has a right answer, and prove that the result works.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: Mapping[str, Callable[..., None]] = {
    "init": init,
    "check": check,
    "explain": explain,
    "train": train,
    "eval": eval_,
    "predict": predict,
    "diagnose": diagnose,
    "report": report,
    "mine": mine,
    "compare": compare,
    "export": export,
    "env": env,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


@app.callback()
def _global(
    lang: Annotated[
        str | None, typer.Option(help="Language of what people read: en or zh-TW (also EXACTUNE_LANG).", metavar="LANG")
    ] = None,
) -> None:
    # `main` has taken it out of the arguments by now; here it only stands in the help.
    del lang


def main() -> None:
    """The ``exactune`` command. Exit codes: 0 done, 1 the answer is no, 2 the user must change something."""
    quiet_libraries()
    try:
        language = chosen(sys.argv[1:], os.environ)
    except ExactuneError as error:
        fail(str(error))
    with speaking(language), listening() as stop, ranks.leaving():
        _run(language, stop)


def _run(language: str, stop: StopRequest) -> None:
    command = typer.main.get_command(app)
    translate_help(command, language)
    try:
        command(args=taken_out(sys.argv[1:])[1])
    except Interrupted as interrupted:
        fail(str(interrupted), code=128 + interrupted.signal_number)
    except StopNow:
        fail(say("Stopped."), code=128 + (stop.signal_number or signal.SIGINT))
    except ExactuneError as error:
        fail(str(error), getattr(error, "findings", ()))
