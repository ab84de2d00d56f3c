"""An adapter folded into the weights of its base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

from exactune.errors import ModelError
from exactune.language import say
from exactune.render.batch import dtype_of

__all__ = ["merge"]

PLAIN: Mapping[str, Any] = {
    "peft_type": "LORA", "bias": "none", "lora_bias": False, "use_dora": False, "modules_to_save": None,
    "trainable_token_indices": None, "layer_replication": None,
}  # fmt: skip
"""Settings of an adapter that is nothing but a product ``B A`` added to weights."""


def merge(model: PeftModel, dtype: torch.dtype) -> PreTrainedModel:
    """The base with ``W + scale B A`` for each adapted weight ``W``: summed in float32, rounded once.

    A base in 4 bits is read back into numbers first, all of it, since the adapter was trained beside these very
    numbers. To add to the 4 bits instead would quantize the sum anew, and lose part of what was learned.

    Args:
        model: A base with one LoRA adapter, which it loses.
        dtype: Of the merged model.

    Raises:
        ModelError: The adapter has other parts.
    """
    _refuse_other_parts(model.peft_config["default"])
    adapted = dict(_adapted(model))
    base: PreTrainedModel = model.unload()
    if base.__dict__.get("is_loaded_in_4bit"):
        base = base.dequantize(dtype_of(base))
        base.is_loaded_in_4bit = False
    shared = base.get_output_embeddings().weight is base.get_input_embeddings().weight
    with torch.no_grad():
        for name, layer in adapted.items():
            module = base.get_submodule(name)
            # A new tensor: a weight that others share stays theirs.
            module.weight = torch.nn.Parameter(
                (module.weight.float() + layer.get_delta_weight("default").float()).to(dtype)
            )
    if shared and base.get_output_embeddings().weight is not base.get_input_embeddings().weight:
        base.config.get_text_config().tie_word_embeddings = base.config.tie_word_embeddings = False
    return base.to(dtype)


def _adapted(model: PeftModel) -> Iterator[tuple[str, LoraLayer]]:
    """The adapted layers, by their names in the base."""
    for name, module in model.get_base_model().named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def _refuse_other_parts(config: PeftConfig) -> None:
    odd = [name for name, plain in PLAIN.items() if (getattr(config, name, plain) or None) != (plain or None)]
    if odd:
        raise ModelError(
            say(
                "the adapter has more than products added to weights ({names}), which cannot be folded into its base. "
                "Use it as an adapter: `--to adapter`.",
                names=", ".join(f"{name}: {getattr(config, name)}" for name in odd),
            )
        )
