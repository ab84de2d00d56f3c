"""A base in 4 bits, as QLoRA has it (Dettmers et al., 2023, arXiv 2305.14314)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from peft.utils.integrations import dequantize_module_weight
from transformers import BitsAndBytesConfig

from exactune.errors import MissingExtra, ModelError
from exactune.language import Text, say
from exactune.render.batch import dtype_of

__all__ = ["describe_quantized", "four_bits", "refuse_misread", "refuse_missing_extra", "size", "steady"]

LEAST = (0, 50)
"""Of bitsandbytes: with earlier versions nothing was tried."""
PROBED = 64
"""Rows of a layer that are read by hand. From the second on a kernel that loses count of the blocks is found out."""


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


def refuse_misread(model: torch.nn.Module) -> None:
    """Make sure that a layer of each shape is read as it was written.

    With AVX-512, bitsandbytes 0.50 counts the scales of a layer row by row, as if each row began a block. Where a row
    does not fill its blocks (its length is a multiple of 16, not of 64), weights get the scales of others.

    Raises:
        ModelError: A layer is read wrongly; training and answers would be of other weights.
    """
    probed: set[tuple[int, ...]] = set()
    for name, layer in model.named_modules():
        state = getattr(getattr(layer, "weight", None), "quant_state", None)
        if state is None or tuple(state.shape) in probed:
            continue
        probed.add(tuple(state.shape))
        found, written = dequantize_module_weight(layer)[:PROBED].float(), _read_by_hand(layer.weight)
        # A product in bfloat16 is within 2^-8 of itself.
        if not torch.allclose(found, written, rtol=2**-7, atol=0):
            raise ModelError(
                say(
                    "bitsandbytes reads the 4-bit weights of `{layer}` wrongly on this {device}: a row of it has "
                    "{length} weights, and on CPUs only multiples of {block} are safe. Set `quantization: none`, or "
                    "use a GPU.",
                    layer=name,
                    device=layer.weight.device.type,
                    length=state.shape[-1],
                    block=state.blocksize,
                )
            )


def _read_by_hand(weight: torch.Tensor) -> torch.Tensor:
    """The first rows of a weight, float32 ``[rows, in]``: each code's level times the scale of its block."""
    from bitsandbytes.functional import dequantize_blockwise

    state = weight.quant_state
    # Quantized once more or, in bases that were published in 4 bits, as they are.
    scales = dequantize_blockwise(state.absmax, state.state2) + state.offset if state.nested else state.absmax
    count = min(PROBED, state.shape[0]) * state.shape[1]
    packed = weight.data.reshape(-1).view(torch.uint8)[: -(-count // 2)].long()
    levels = state.code.float()[torch.stack((packed >> 4, packed & 15), dim=1).reshape(-1)[:count]]
    blocks = torch.arange(count, device=levels.device) // state.blocksize
    return (levels * scales[blocks]).reshape(-1, state.shape[1])


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
