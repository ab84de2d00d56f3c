"""The command line: one verb per stage. Each command parses, then calls the plain function of the same name."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from exactune import ranks
from exactune.cli.check import check
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
    _quiet_libraries()
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


def _quiet_libraries() -> None:
    """Progress bars and advice of libraries would drown ours; a user's own setting wins."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # They tell each other of names that will go; a user can do nothing about it.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft|accelerate|datasets)\.")
    # Where it is installed, it advises at every start to fetch a kernel from the hub, which nothing of ours would use.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
