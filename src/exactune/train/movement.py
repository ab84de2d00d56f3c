"""How far training has taken the weights from where it began."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from peft.tuners.lora import LoraLayer
from peft.utils.integrations import dequantize_module_weight

__all__ = ["Movement", "trained"]


def trained(model: torch.nn.Module) -> Iterable[tuple[str, torch.nn.Parameter]]:
    """Name and tensor of all that has a gradient."""
    return ((name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad)


class Movement:
    """What training has done to the weights so far.

    ``changed`` is the share of trained weights that differ from where they began, on up to 1,024 of each tensor. Next
    to zero after an epoch it means that updates are lost, as those too small for a bfloat16 weight are.

    ``moved`` is the length of the change to that of the weights it is made to, ``|dW| / |W|`` (Frobenius): of LoRA,
    ``|scale (B A - B0 A0)|`` over the adapted layers; else over the same samples of each tensor.

    Args:
        model: As it is before the first step.
    """

    SAMPLE = 1024

    def __init__(self, model: torch.nn.Module) -> None:
        self.start = {name: self._sample(tensor).clone() for name, tensor in trained(model)}
        # Of an adapter that is trained further; one that starts has a product of nothing.
        self.factors = [
            {name: (down.clone(), up.clone()) for name, (down, up) in _factors(layer).items()}
            for layer in _adapted(model)
        ]
        adapted = [_square(dequantize_module_weight(layer.get_base_layer())) for layer in _adapted(model)]
        self.before = _root(adapted or self._squares(model, self.start))

    def _sample(self, tensor: torch.Tensor) -> torch.Tensor:
        flat = tensor.detach().flatten()
        return flat[:: max(1, flat.numel() // self.SAMPLE)]

    def figures(self, model: torch.nn.Module) -> dict[str, float]:
        """``changed``, between 0 and 1, and ``moved``, which is not below 0."""
        return {"changed": self._changed(model), "moved": self._moved(model)}

    def _changed(self, model: torch.nn.Module) -> float:
        """Tensors count by their size."""
        changed = total = 0.0
        for name, tensor in trained(model):
            changed += float((self._sample(tensor) != self.start[name]).double().mean()) * tensor.numel()
            total += tensor.numel()
        return changed / total

    def _moved(self, model: torch.nn.Module) -> float:
        squares = [_product_square(layer, start) for layer, start in zip(_adapted(model), self.factors, strict=True)]
        if not squares:
            samples = {name: self._sample(tensor) for name, tensor in trained(model)}
            squares = self._squares(model, {name: now - self.start[name] for name, now in samples.items()})
        return _root(squares) / self.before if self.before else 0.0

    @staticmethod
    def _squares(model: torch.nn.Module, samples: Mapping[str, torch.Tensor]) -> list[float]:
        """The squared length of each tensor, as its sample has it."""
        sizes = {name: tensor.numel() for name, tensor in trained(model)}
        return [_square(sample) * sizes[name] / sample.numel() for name, sample in samples.items()]


def _adapted(model: torch.nn.Module) -> Iterable[LoraLayer]:
    return (module for module in model.modules() if isinstance(module, LoraLayer) and module.lora_A)


def _root(squares: Iterable[float]) -> float:
    # Rounding may leave the square of nothing below it.
    return math.sqrt(max(0.0, math.fsum(squares)))


def _square(tensor: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.detach(), dtype=torch.float32)) ** 2


def _factors(layer: LoraLayer) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Adapter -> ``A`` ``[r, in]`` and ``B`` ``[out, r]``, float32."""
    return {
        name: (down.weight.detach().float(), layer.lora_B[name].weight.detach().float())
        for name, down in layer.lora_A.items()
    }


def _product_square(layer: LoraLayer, start: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> float:
    """``|scale (B A - B0 A0)|^2`` as ``tr((B^T B)(A A^T))`` of the stacked factors: products of ``2 r`` by ``2 r``,
    never one as large as the weight."""
    square = 0.0
    for name, (down, up) in _factors(layer).items():
        first, second = torch.cat([down, start[name][0]]), torch.cat([up, -start[name][1]], 1)
        square += layer.scaling[name] ** 2 * float(((second.T @ second) * (first @ first.T)).sum())
    return square
