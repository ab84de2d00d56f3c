"""A base in 4 bits, as QLoRA has it (Dettmers et al., 2023, arXiv 2305.14314)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from exactune.errors import MissingExtra
from exactune.language import Text, say
from exactune.render.batch import dtype_of

__all__ = ["describe_quantized", "four_bits", "refuse_missing_extra", "size", "steady"]

LEAST = (0, 50)
"""Of bitsandbytes: with earlier versions nothing was tried."""


def refuse_missing_extra(quantization: str) -> None:
    """Say early that what quantizes is not installed.

    Raises:
        MissingExtra: bitsandbytes is missing or too old.
    """
    try:
        found = version("bitsandbytes")
    except PackageNotFoundError:
        found = "0"
    if quantization == "4bit" and tuple(map(int, found.split(".")[:2])) < LEAST:
        raise MissingExtra(
            say(
                "`quantization: 4bit` needs bitsandbytes {least} or newer. Run `pip install 'exactune[qlora]'`.",
                least=".".join(map(str, LEAST)),
            )
        )


def four_bits(dtype: torch.dtype) -> dict[str, Any]:
    """Arguments for ``from_pretrained``: NF4 in blocks of 64, whose scales are quantized once more.

    Every linear layer but the output layer is quantized; embeddings, norms and biases stay as they are.

    Args:
        dtype: In which products are computed.
    """
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": settings}


def _quantized(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    return (module for module in model.modules() if hasattr(getattr(module, "weight", None), "quant_state"))


def steady(model: torch.nn.Module) -> None:
    """Keep bitsandbytes from packing weights anew where a model is evaluated on a CPU with AVX512-BF16.

    It would answer in bfloat16, other than it trains, and leave weights through which no gradient flows.
    """
    for layer in _quantized(model):
        layer.support_avx512bf16_for_cpu = False


def size(tensor: torch.Tensor) -> int:
    """How many weights a parameter has; of those in 4 bits, a byte holds two."""
    state = getattr(tensor, "quant_state", None)
    return tensor.numel() if state is None else math.prod(state.shape)


def describe_quantized(model: torch.nn.Module) -> Text:
    """What is in 4 bits, in a line for people."""
    weights = [layer.weight for layer in _quantized(model)]
    return say(
        "4-bit   {layers} linear layers hold {share:.0%} of the weights in NF4; embeddings and the output layer stay "
        "in {dtype}",
        layers=len(weights),
        share=sum(map(size, weights)) / sum(map(size, model.parameters())),
        dtype=str(dtype_of(model)).removeprefix("torch."),
    )
