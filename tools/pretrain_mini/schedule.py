"""How long each phase lasts and how the learning rate goes: warm-up, stable, decay (WSD), measured in tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The budget in tokens.

    The rate is level through phase 1, which may therefore be cut or prolonged between runs. It decays over phase 2,
    which has more chat tasks: the decay is when a model keeps most of what it reads (Hu et al., 2024, MiniCPM).

    Attributes:
        level_tokens: Phase 1, mostly next-token prediction.
        decay_tokens: Phase 2, mostly tasks in chat format.
        warmup_tokens: Linear from zero.
        long_after: From then on, rows of plain text are long.
        floor: Last scale of the linear decay.
    """

    level_tokens: int
    decay_tokens: int
    warmup_tokens: int = 150_000
    long_after: int = 6_000_000
    floor: float = 0.02

    @property
    def total(self) -> int:
        """Tokens of both phases."""
        return self.level_tokens + self.decay_tokens

    def in_decay_phase(self, tokens: int) -> bool:
        """Whether phase 2 has begun."""
        return tokens >= self.level_tokens

    def length(self, tokens: int) -> int:
        """Row length of plain text: short rows first, for they cost less and teach the frequent things as well."""
        return 128 if tokens < self.long_after else 256

    def scale(self, tokens: int) -> float:
        """Multiplies the peak learning rate."""
        if tokens < self.warmup_tokens:
            return (tokens + 1) / self.warmup_tokens
        if tokens < self.level_tokens:
            return 1.0
        return max(self.floor, (self.total - tokens) / self.decay_tokens)
