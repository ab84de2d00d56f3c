"""Base models as torch modules."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PretrainedConfig, PreTrainedModel

from exactune.bases import Base
from exactune.errors import ModelError
from exactune.infer.quantize import four_bits, refuse_misread, refuse_missing_extra, steady
from exactune.language import say
from exactune.render.hub import hub_options
from exactune.render.template import Template, model_not_loaded

__all__ = [
    "context_length",
    "default_device",
    "describe_device",
    "evaluating",
    "generation_stops",
    "load_base",
    "pin",
    "weights_digest",
    "weights_sha256",
]


def default_device() -> torch.device:
    """CUDA, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes in it, else float32; never float16, which overflows."""
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def describe_device(device: torch.device) -> str:
    """One line for people."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({torch.get_num_threads()} threads)" if device.type == "cpu" else device.type


def load_base(base: Base, *, full: bool = False, quantization: str = "none") -> tuple[PreTrainedModel, Template]:
    """A base model on the default device, in evaluation mode, and its template.

    Args:
        base: Where it is.
        full: Whether its own weights are (or were) trained. They are then float32: in bfloat16 most updates of a
            fine-tuning learning rate round to nothing.
        quantization: ``4bit`` for weights in NF4.

    Raises:
        MissingExtra: What quantizes is not installed.
        ModelError: There is no such model, it is broken, its weights do not fit its config, or in 4 bits they are
            read wrongly on this machine.
    """
    refuse_missing_extra(quantization)
    device = default_device()
    dtype = torch.float32 if full else default_dtype(device)
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            base.location,
            dtype=dtype,
            output_loading_info=True,
            use_safetensors=True,
            **(four_bits(dtype) if quantization == "4bit" else {}),
            **hub_options(base.location, base.revision),
        )
    # An import: of what a base was quantized with.
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, ImportError) as error:
        raise ModelError(model_not_loaded(base.label, error)) from error
    steady(model)
    refuse_misread(model)
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:5])
        raise ModelError(
            say(
                "model `{name}` lacks weights ({missing}); they would be random. Fetch it again.",
                name=base.name,
                missing=missing,
            )
        )
    template = Template.load(base, _stop_ids(model.generation_config))
    return model.to(device).eval(), template


def _stop_ids(config: GenerationConfig | PretrainedConfig | None) -> list[int]:
    value = getattr(config, "eos_token_id", None)
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def generation_stops(base: Base) -> list[int]:
    """The ids at which the model's generation config ends an answer, as whatever serves the model reads it.

    Raises:
        ModelError: There is no such model.
    """
    try:
        return _stop_ids(GenerationConfig.from_pretrained(base.location, **hub_options(base.location, base.revision)))
    except OSError:  # models without one: transformers then makes it of the model's own config
        return _stop_ids(_config(base).get_text_config())


def context_length(base: Base) -> int | None:
    """The longest sequence the model has positions for, as its config says; ``None`` if it does not.

    Raises:
        ModelError: There is no such model.
    """
    return getattr(_config(base).get_text_config(), "max_position_embeddings", None)


def pin(base: Base) -> Base:
    """The base at the very commit that its revision leads to now: a branch moves on, a run must not.

    Raises:
        ModelError: There is no such model or revision.
    """
    if base.folder is not None:
        return base
    _config(base)
    found = try_to_load_from_cache(base.location, "config.json", revision=base.revision)
    # Files of a commit lie in the cache in a folder of its name.
    return replace(base, revision=Path(found).parent.name) if isinstance(found, str) else base


def _config(base: Base) -> PretrainedConfig:
    try:
        return AutoConfig.from_pretrained(base.location, **hub_options(base.location, base.revision))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(model_not_loaded(base.label, error)) from error


def weights_digest(base: Base) -> dict[str, Any]:
    """What identifies a base's weights: sha256 of the files of a local folder, or the hub commit."""
    if base.folder is None:
        return {"revision": base.revision}
    return {"sha256": weights_sha256(base.folder)}


def weights_sha256(folder: Path) -> dict[str, str]:
    """File -> sha256 of the weights in a folder."""
    return {path.name: _sha256(path) for path in sorted(folder.glob("*.safetensors"))}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode for the block."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
