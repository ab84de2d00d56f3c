"""What is trained: a LoRA adapter over the base, or every weight."""

from __future__ import annotations

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel, set_seed

from exactune.config import LoraSettings
from exactune.errors import ConfigError
from exactune.infer.quantize import size
from exactune.language import say

__all__ = ["make_trainable", "parameter_counts", "set_dropout"]


def make_trainable(model: PreTrainedModel, lora: LoraSettings | None, seed: int) -> torch.nn.Module:
    """The model with a new adapter, or with every weight trainable.

    Seeds are set right before the adapter draws its random half, so equal seeds give equal adapters.

    Raises:
        ConfigError: ``lora.target_modules`` names a layer that the model does not have, or all weights were to be
            trained, and they are quantized.
    """
    set_seed(seed)
    if lora is None:
        if getattr(model, "hf_quantizer", None) or not all(one.is_floating_point() for one in model.parameters()):
            raise ConfigError(
                say(
                    "`lora: none`: the base comes in fewer bits, which have no room for the small steps of training. "
                    "Train an adapter beside it, or take the base that it was made of."
                )
            )
        return model.requires_grad_(True)
    _refuse_unknown_modules(model, lora.target_modules)
    settings = LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )
    try:
        adapted = get_peft_model(model, settings)
    except ValueError as error:
        raise ConfigError(say("lora: {error}", error=error)) from error
    # PEFT keeps names in a set, whose order in adapter_config.json would change from process to process.
    for config in adapted.peft_config.values():
        if isinstance(config.target_modules, set):
            config.target_modules = sorted(config.target_modules)
    return adapted


def set_dropout(model: torch.nn.Module, dropout: float, seed: int) -> torch.nn.Module:
    """An adapter that is trained further, with the dropout of this run; draws begin with its seed."""
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.lora_dropout.update(
                {name: torch.nn.Dropout(dropout) if dropout else torch.nn.Identity() for name in module.lora_dropout}
            )
    set_seed(seed)
    return model


def _refuse_unknown_modules(model: torch.nn.Module, targets: list[str] | str) -> None:
    """PEFT is content if one name matches; every name must, or part of the adapter is silently absent."""
    if isinstance(targets, str):
        return
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    for target in targets:
        if not any(name == target or name.endswith("." + target) for name in linear):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise ConfigError(
                say(
                    "lora.target_modules: the model has no linear layer `{target}`. It has: {known}.",
                    target=target,
                    known=known,
                )
            )


def parameter_counts(model: torch.nn.Module) -> dict[str, int]:
    """All and trainable parameters."""
    sizes = [(size(parameter), parameter.requires_grad) for parameter in model.parameters()]
    return {
        "parameters": sum(count for count, _ in sizes),
        "trainable_parameters": sum(count for count, trainable in sizes if trainable),
    }
