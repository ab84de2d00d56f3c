"""How long each phase lasts and how the learning rate goes: warm-up, stable, decay (WSD), measured in tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The budget in tokens.

    The rate is level through the text phase, which may therefore be cut or prolonged between runs. It decays over the
    chat phase: the decay is when a model keeps most of what it reads (Hu et al., 2024, MiniCPM).

    Attributes:
        text_tokens: Phase 1, next-token prediction.
        chat_tokens: Phase 2, tasks in chat format and a share of text.
        warmup_tokens: Linear from zero.
        long_from: Share of phase 1 after which rows are long.
        decay_from: Share of phase 2 after which the rate falls, linearly, to `floor`.
        floor: Last scale.
    """

    text_tokens: int
    chat_tokens: int
    warmup_tokens: int = 150_000
    long_from: float = 0.6
    decay_from: float = 0.25
    floor: float = 0.02

    @property
    def total(self) -> int:
        """Tokens of both phases."""
        return self.text_tokens + self.chat_tokens

    def in_chat(self, tokens: int) -> bool:
        """Whether phase 2 has begun."""
        return tokens >= self.text_tokens

    def length(self, tokens: int) -> int:
        """Row length of plain text: short rows first, for they cost less and teach the frequent things as well."""
        return 128 if tokens < self.long_from * self.text_tokens else 256

    def scale(self, tokens: int) -> float:
        """Multiplies the peak learning rate."""
        if tokens < self.warmup_tokens:
            return (tokens + 1) / self.warmup_tokens
        start = self.text_tokens + self.decay_from * self.chat_tokens
        if tokens < start:
            return 1.0
        return max(self.floor, (self.total - tokens) / (self.total - start))
