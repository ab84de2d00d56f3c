"""The run that another one goes on from, and what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exactune.bases import Base, find_base
from exactune.config import Config
from exactune.errors import ConfigError
from exactune.infer.artifact import base_of, read_card
from exactune.infer.model import weights_sha256
from exactune.language import say
from exactune.layers import parse_mapping
from exactune.rundir import Run, read_json
from exactune.types import Patch

__all__ = ["Parent", "find_parent"]

SHAPE = ("lora.r", "lora.lora_alpha", "lora.target_modules", "quantization")
"""Of an adapter: what cannot change while it is trained further. Beside other weights it is another model."""


@dataclass(frozen=True, slots=True)
class Parent:
    """What a run starts from.

    Attributes:
        folder: Its artifact.
        card: The content of that folder's ``exactune.json``.
        patch: What it decides: base model, task, what answers are held to, the adapter's shape.
    """

    folder: Path
    card: Mapping[str, Any]
    patch: Patch

    @property
    def base(self) -> Base:
        """The base of its adapter; itself, where it is a whole model.

        Raises:
            ModelError: The base of its adapter is missing.
        """
        return base_of(self.folder, self.card) if self.card["adapter"] else find_base(str(self.folder))

    @property
    def adapter(self) -> Path | None:
        """The folder of its adapter, if it has one."""
        return self.folder if self.card["adapter"] else None

    def lineage(self) -> list[dict[str, Any]]:
        """For the card of what is trained from it: itself, then all that it was trained from itself."""
        own = {"path": str(self.folder), "method": self.card["method"], "sha256": weights_sha256(self.folder)}
        return [own, *self.card.get("parents", [])]

    def refuse_other_shape(self, config: Config) -> None:
        """An adapter keeps its shape, and its base as it was trained beside it.

        Raises:
            ConfigError: The user's layers say otherwise; names the first key.
        """
        lora = config.lora.model_dump() if config.lora else {}
        wanted = {"quantization": config.quantization, **{f"lora.{key}": value for key, value in lora.items()}}
        found = {"model": config.model, **{key: wanted.get(key) for key in SHAPE if self.card["adapter"]}}
        for key, value in found.items():
            theirs = self.patch.values[key]
            if value != theirs and not (key == "model" and find_base(str(value)).name == find_base(str(theirs)).name):
                raise ConfigError(
                    say(
                        "`{key}`: {value}, but what training starts from ({folder}) has {theirs}. Leave the key out, "
                        "or train without `start_from`.",
                        key=key,
                        value=value,
                        folder=self.folder,
                        theirs=theirs,
                    )
                )


def find_parent(path: str, base: Path) -> Parent:
    """What ``start_from`` names.

    Args:
        path: A run, or an artifact folder.
        base: What it is relative to.

    Raises:
        ConfigError: There is no such folder.
        RunError: There is no artifact in it.
        ModelError: It is of another format.
    """
    named = base / Path(path).expanduser()
    if not named.is_dir():
        raise ConfigError(
            say(
                "`start_from`: there is no folder {path}. Name a run or an artifact folder, relative to the config.",
                path=named,
            )
        )
    Run(named).refuse_several()
    folder = Run(named).artifact if Run(named).config.is_file() else named
    card = read_card(folder)
    return Parent(folder, card, parse_mapping(_decided(folder, card), say("start_from {path}", path=path)))


def _decided(folder: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    held = card.get("constraint") or {}
    copies = {"copy_spans": True} if "copy" in held else {}
    tree: dict[str, Any] = {"task": {**card["task"], **copies}}
    # Else `auto` might hold its answers to less, or to more, and the two could not be compared.
    if "grammar" in held and not card["task"].get("multi_label"):
        tree["constrain"] = True
    elif not held and card["task"]["type"] == "classification":
        tree["constrain"] = False
    if not card["adapter"]:
        # Into a merged model an adapter has gone, so it gets another one, as the recipe has it.
        merged = card.get("export", {}).get("to") == "merged"
        return {**tree, "model": str(folder.resolve()), **({} if merged else {"lora": "none"})}
    adapter = read_json(folder / "adapter_config.json")
    modules = adapter["target_modules"]
    shape = {
        "r": adapter["r"], "lora_alpha": adapter["lora_alpha"], "lora_dropout": adapter["lora_dropout"],
        "target_modules": modules if isinstance(modules, str) else sorted(modules),
    }  # fmt: skip
    revision = card["base"].get("revision")
    base = {
        "model": card["base"]["name"],
        "quantization": card.get("quantization", "none"),
        **({"model_revision": revision} if revision else {}),
    }
    return {**tree, **base, "lora": shape}
