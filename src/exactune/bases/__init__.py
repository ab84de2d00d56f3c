"""The embedded base models, and where a model's name leads.

An embedded base is a folder beside this file in the Hugging Face layout, plus ``exactune.json``: what the base declares
of itself (learning-rate factor, which layers its adapters need).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exactune.errors import ModelError
from exactune.language import say

__all__ = ["EMBEDDED", "Base", "find_base"]

EMBEDDED: Mapping[str, str] = {"mini": "mini-1", "mini-1": "mini-1"}
"""Names that lead to a folder here. ``mini`` follows the newest generation; a run records the exact one."""


@dataclass(frozen=True, slots=True)
class Base:
    """Where a base model is and what it declares.

    Attributes:
        name: As recorded in runs and artifacts: ``mini-1``, a hub id or an absolute folder.
        location: What ``from_pretrained`` takes: a folder or a hub id.
        declared: The content of its ``exactune.json``, or of that of the base it was made of; empty for other models.
        revision: Branch, tag or commit of a hub model; ``None`` for its default branch, and for folders.
    """

    name: str
    location: str
    declared: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None

    def learning_rate_factor(self, *, full: bool = False) -> float:
        """What a recipe's learning rate is multiplied by: for adapters, or for ``full`` fine-tuning."""
        return float(self.declared.get("full_learning_rate_factor" if full else "learning_rate_factor", 1.0))

    @property
    def label(self) -> str:
        """Name and revision for messages, as in ``owner/name@v1``."""
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def folder(self) -> Path | None:
        """The local folder, or ``None`` for a hub id."""
        path = Path(self.location)
        return path if path.is_dir() else None


def find_base(model: str, revision: str | None = None) -> Base:
    """What a config's ``model:`` names.

    Args:
        model: ``mini``, a local folder or a hub id.
        revision: ``model_revision``; hub models alone have revisions.

    Raises:
        ModelError: It is a local folder that holds no base model (a LoRA adapter, for example), or no name at all, or a
            revision of something that has none.
    """
    path = Path(model).expanduser()
    if revision is not None and (model in EMBEDDED or path.is_dir()):
        raise ModelError(
            say(
                "`model_revision`: only a model of the hub has revisions, and `{model}` is a folder. Remove it.",
                model=model,
            )
        )
    if model in EMBEDDED:
        folder = Path(__file__).parent / EMBEDDED[model]
        return Base(EMBEDDED[model], str(folder), json.loads((folder / "exactune.json").read_text(encoding="utf-8")))
    if path.is_dir():
        return _local(path.absolute(), model)
    if not model.strip() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ModelError(
            say("model `{model}`: no such folder (from the working directory). {known}", model=model, known=_KNOWN)
        )
    return Base(model, model, revision=revision)


_KNOWN = say("Give `mini` (embedded, works offline), a local model folder, or a hub id such as Qwen/Qwen3-4B.")


def _local(path: Path, model: str) -> Base:
    if (path / "config.json").is_file():
        return Base(str(path), str(path), _declared(path))
    if (path / "adapter_config.json").is_file():
        raise ModelError(
            say(
                "model `{model}` is a LoRA adapter, not a base model. Name the base it was trained on; to go on with "
                "the adapter, write `start_from: {model}`.",
                model=model,
            )
        )
    raise ModelError(
        say("model `{model}`: the folder has no config.json, so it holds no model. {known}", model=model, known=_KNOWN)
    )


def _declared(path: Path) -> Mapping[str, Any]:
    """What a model's folder says; a whole model that left a run hands on what the base of that run declares."""
    file = path / "exactune.json"
    own: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if "base" not in own:
        return own
    name = own["base"]["name"]
    try:
        # Moved to where its base was, it would ask itself.
        return find_base(name).declared if name != str(path) else {}
    except ModelError:
        return {}
