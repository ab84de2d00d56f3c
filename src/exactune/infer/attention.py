"""Which models compute the same when rows share what they begin with."""

from __future__ import annotations

from exactune.language import Text, say

__all__ = ["obstacle_to_sharing"]

BY_POSITION = {
    "gemma", "gemma2", "gemma3_text", "granite", "llama", "mistral", "phi", "phi3", "qwen2", "qwen3",
}  # fmt: skip
"""Model types whose attention looks at position ids and the mask alone. Others go by the place of a token in the cache
(ALiBi of MPT, local windows of GPT-Neo), carry a state along, or have not been tried."""


def obstacle_to_sharing(config: object, longest: int) -> Text | None:
    """Why rows of this model may not share a prefix, or None.

    Args:
        config: The text part of the model's config.
        longest: Tokens of the longest row, its answer included.
    """
    kind = getattr(config, "model_type", None)
    if kind not in BY_POSITION:
        return say("sharing prefixes has not been proved for models of type {kind!r}", kind=kind)
    scaling = getattr(config, "rope_parameters", None) or {}
    if scaling.get("rope_type") in ("dynamic", "longrope"):
        return say("its positions are scaled by the length of what is read")
    window = _window(config)
    if window is not None and window < longest:
        return say(
            "its attention window of {window} tokens is shorter than the longest row ({longest})",
            window=window,
            longest=longest,
        )
    return None


def _window(config: object) -> int | None:
    window: int | None = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    slides = getattr(config, "use_sliding_window", True) and (kinds is None or "sliding_attention" in kinds)
    return window if slides else None
