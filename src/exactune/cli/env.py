"""``exactune env``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any

import typer

from exactune.cli.screen import out, print_json
from exactune.language import said, say, translate

__all__ = ["env"]


def env(as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """Versions, devices, the embedded base, what is missing and how to get it."""
    from exactune.bases import find_base
    from exactune.environment import EXTRAS, cache, versions

    mini = dict(find_base("mini").declared)
    document: dict[str, Any] = {**versions(), "device": _device(), "mini": mini, "cache": cache()}
    if as_json:
        print_json(document)
        return
    for name in ("exactune", "python", "platform", "device"):
        out.print(f"{name:14} {translate(document[name])}", markup=False)
    for name, version in document["packages"].items():
        missing = (
            said("missing; pip install 'exactune[{extra}]'", extra=EXTRAS[name]) if name in EXTRAS else said("missing")
        )
        out.print(f"{name:14} {version or missing}", markup=False)
    out.print("mini           " + ", ".join(f"{key} {value}" for key, value in document["mini"].items()), markup=False)
    out.print("cache          {folder}, {bytes:,} bytes".format(**document["cache"]), markup=False)


def _device() -> str:
    if find_spec("torch") is None:
        return say("unknown: torch is not installed")
    from exactune.infer.model import default_device, describe_device

    return describe_device(default_device())
