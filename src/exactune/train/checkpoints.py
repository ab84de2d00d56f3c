"""Checkpoints: ``checkpoints/step-NNNNNN``, complete or absent, safetensors and JSON only.

::

    weights.safetensors     the trained tensors by name
    optimizer.safetensors   the optimizer's tensors, ``<parameter index>.<name>``
    state.json              optimizer groups, scheduler, random generators of each rank, what the run remembers
    trainer_state.json      the trainer's counters
    manifest.json           size and sha256 of each file

A process killed at any moment leaves the last complete checkpoint; going on from it gives the weights that an
undisturbed run would have given, on the same machine and versions.
"""

from __future__ import annotations

import base64
import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors.torch import load_file, save_file

from exactune import ranks
from exactune.durable import damage, sealed_dir
from exactune.errors import RunError
from exactune.language import say

__all__ = ["Checkpoints", "newest_checkpoint", "remembered", "step_of"]

KEEP = 2
WEIGHTS, OPTIMIZER, STATE, TRAINER_STATE = (
    "weights.safetensors", "optimizer.safetensors", "state.json", "trainer_state.json",
)  # fmt: skip


class Checkpoints:
    """A mixin for transformers trainers: the four methods that write a checkpoint and read one.

    Attributes:
        memory: JSON values that the run wants back, see :func:`remembered`.
    """

    memory: Callable[[], Mapping[str, Any]] = staticmethod(lambda: {})
    # What transformers' trainer has.
    args: Any
    state: Any
    model: Any
    optimizer: Any
    lr_scheduler: Any
    _newest: tuple[int, Mapping[str, Any]] | None = None

    def _save_checkpoint(self, model: torch.nn.Module, trial: object) -> None:
        # Every rank draws its own dropout.
        generators = ranks.gathered(_generators())
        if not ranks.is_first():
            return
        memory = self.memory()
        # A request to stop and the end of an epoch may ask for the same one.
        if self._newest == (self.state.global_step, memory):
            return
        folder = Path(self.args.output_dir)
        target = folder / f"step-{self.state.global_step:06d}"
        tensors, plain = _optimizer_state(self.optimizer)
        document = {
            "optimizer": plain,
            "scheduler": self.lr_scheduler.state_dict(),
            "generators": generators,
            "memory": memory,
        }
        with sealed_dir(target) as staged:
            save_file(_trained(self.model), staged / WEIGHTS)
            save_file(tensors, staged / OPTIMIZER)
            (staged / STATE).write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
            self.state.save_to_json(str(staged / TRAINER_STATE))
        _drop_old(folder, target)
        self._newest = (self.state.global_step, memory)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        found = load_file(Path(resume_from_checkpoint) / WEIGHTS)
        wanted = _trained(self.model)
        _same_shapes(resume_from_checkpoint, found, wanted)
        with torch.no_grad():
            for name, tensor in wanted.items():
                tensor.copy_(found[name])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        document = _read_state(checkpoint)
        state: dict[int, dict[str, Any]] = {
            int(index): dict(values) for index, values in document["optimizer"]["state"].items()
        }
        for key, tensor in load_file(Path(checkpoint) / OPTIMIZER).items():
            index, _, name = key.partition(".")
            # A copy: the tensors read are the file itself, which would be held until training ends.
            state.setdefault(int(index), {})[name] = tensor.clone()
        groups = [
            {key: tuple(value) if key == "betas" else value for key, value in group.items()}
            for group in document["optimizer"]["param_groups"]
        ]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.lr_scheduler.load_state_dict(document["scheduler"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        _set_generators(_read_state(checkpoint)["generators"][ranks.index()])


def _trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Name -> tensor of all that an optimizer changes; tied tensors once."""
    return {name: tensor.detach() for name, tensor in model.named_parameters() if tensor.requires_grad}


def _same_shapes(folder: str, found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    differing = sorted(
        name
        for name in {**found, **wanted}
        if name not in found or name not in wanted or found[name].shape != wanted[name].shape
    )
    if differing:
        raise RunError(
            say(
                "{folder} holds other tensors than this run trains, first {name}. Start again with --overwrite or "
                "another --output.",
                folder=folder,
                name=differing[0],
            )
        )


def _optimizer_state(optimizer: Any) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Its tensors under flat names, and the rest as JSON."""
    document = optimizer.state_dict()
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for index, values in document["state"].items():
        plain[str(index)] = {}
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.contiguous()
            else:
                plain[str(index)][name] = value
    return tensors, {"state": plain, "param_groups": document["param_groups"]}


def _generators() -> dict[str, Any]:
    """The state of every generator that training draws from, as JSON."""
    version, words, gauss = random.getstate()
    legacy = numpy.random.get_state(legacy=True)
    assert isinstance(legacy, tuple)
    return {
        "python": [version, list(words), gauss],
        "numpy": [legacy[0], legacy[1].tolist(), *legacy[2:]],
        "torch": _text(torch.get_rng_state()),
        "cuda": [_text(state) for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
        "mps": _text(torch.mps.get_rng_state()) if torch.backends.mps.is_available() else "",
    }


def _set_generators(stored: Mapping[str, Any]) -> None:
    version, words, gauss = stored["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = stored["numpy"]
    numpy.random.set_state((kind, numpy.array(keys, dtype=numpy.uint32), *rest))
    torch.set_rng_state(_tensor(stored["torch"]))
    if stored["cuda"]:
        torch.cuda.set_rng_state_all([_tensor(text) for text in stored["cuda"]])
    if stored["mps"]:
        torch.mps.set_rng_state(_tensor(stored["mps"]))


def _text(state: torch.Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode()


def _tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)


def _read_state(checkpoint: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((Path(checkpoint) / STATE).read_text(encoding="utf-8"))
    return document


def remembered(checkpoint: Path) -> dict[str, Any]:
    """What :attr:`Checkpoints.memory` gave when the checkpoint was written."""
    memory: dict[str, Any] = _read_state(checkpoint)["memory"]
    return memory


def step_of(checkpoint: Path) -> int:
    """The optimizer step a checkpoint was taken after."""
    return int(checkpoint.name.removeprefix("step-"))


def _sealed(folder: Path) -> list[Path]:
    # Copies that people made are theirs.
    return sorted((path for path in folder.glob("step-*") if path.name[5:].isdecimal()), key=step_of)


def _drop_old(folder: Path, newest: Path) -> None:
    """Keep the newest ones, once the one just written is known to be whole.

    Raises:
        RunError: It is not: the disk gives back something else than was written.
    """
    if reason := damage(newest):
        raise RunError(
            say(
                "{path} was written, but reads back otherwise ({reason}). The checkpoint before it is kept; look "
                "after the disk, then go on with --resume.",
                path=newest,
                reason=reason,
            )
        )
    # One from a step that is still to come is left over from before a damaged one was passed over.
    done = [path for path in _sealed(folder) if step_of(path) <= step_of(newest)]
    for old in done[:-KEEP]:
        # Some file systems keep what another process has open; that is no reason to stop.
        shutil.rmtree(old, ignore_errors=True)


def newest_checkpoint(folder: Path) -> tuple[Path | None, list[tuple[Path, str]]]:
    """The newest checkpoint that is as it was written, and the newer ones that are not, with the reason.

    What a killed run left half written is cleared away.
    """
    for replaced in folder.glob(".step-*.old"):
        # Killed just before its successor took its place.
        if not (target := folder / replaced.name[1:].removesuffix(".old")).exists():
            replaced.rename(target)
    for leftover in (*folder.glob(".step-*"), *folder.glob("checkpoint-*")):
        shutil.rmtree(leftover)
    damaged: list[tuple[Path, str]] = []
    for checkpoint in reversed(_sealed(folder)):
        reason = damage(checkpoint)
        if reason is None:
            return checkpoint, damaged
        damaged.append((checkpoint, reason))
    return None, damaged
