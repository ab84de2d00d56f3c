"""First weights that already copy: two attention layers wired to find what followed an earlier occurrence.

Copying a span is what every extraction task needs, and gradients discover the two-layer circuit behind it (Elhage et
al., 2021; Olsson et al., 2022, "induction heads") late. Its form is known, so it is written down:

1. In the first layer, heads look one and two tokens back, by position alone, and note what they see in coordinates of
   the residual stream that embeddings leave free.
2. In the second layer, heads look for a place whose note of the token before (of the two tokens before) is the current
   token (and the one before it), and add what stands there to the stream, where the tied head reads the next token.

Everything is learned from there on; a learning rate that is too high forgets it within fifty updates.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

NOTE_ONE, NOTE_TWO = 28, 14
"""Coordinates for the notes of the token before and of the one before that. Together with the constant coordinate they
are taken from the embeddings' width."""

_CONSTANT_SHARE = 0.1
"""Of an embedding's squared length. A coordinate that is the same in every token lets a head look at a distance."""

_ENERGY = (3.0, 2.0, 1.5, 1.0, 1.0, 1.0, 0.7, 0.5, 0.5)
"""Weights of the fastest rotary pairs in a head that looks at a distance: the fastest tell neighbours apart, the others
tell the near from the far. The slower pairs barely turn within a row and are left to heads that look for content."""


def content_width(hidden: int) -> int:
    """Coordinates that an initial embedding may use."""
    return hidden - 1 - NOTE_ONE - NOTE_TWO


@torch.no_grad()
def wire(model: Qwen3ForCausalLM, content: Tensor, std: float, seed: int) -> None:
    """Sets the embeddings and the first two layers' attention.

    Args:
        model: Freshly drawn; at least two layers and two key heads, with a slow half of the rotary pairs.
        content: float32 [vocabulary, content_width(hidden)].
        std: Of the entries of an embedding.
        seed: Of the random directions.
    """
    generator = torch.Generator().manual_seed(seed + 11)
    config, length = model.config, std * model.config.hidden_size**0.5
    width = content.shape[1]
    content = content / content.norm(dim=1, keepdim=True) * length * (1 - _CONSTANT_SHARE) ** 0.5
    table = model.model.embed_tokens.weight
    table.zero_()
    table[:, :width] = content
    table[:, width] = length * _CONSTANT_SHARE**0.5
    keys = _distinguishing(content, config.head_dim, generator)
    _look_back(model.model.layers[0].self_attn, config, keys, length)
    _look_for_followers(model.model.layers[1].self_attn, config, keys, length, generator)


def _distinguishing(content: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Directions that tell tokens apart, [count, width]: whitened, so that the few large ones of the table do not drown
    the others; a token's image has length one on average."""
    centred = (content - content.mean(0)).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    whitening = (vectors / (values + 0.05 * values.mean()).sqrt()).T.float()
    chosen = (_rotation(content.shape[1], generator) @ whitening)[:count]
    return chosen / (content @ chosen.T).norm(dim=1).mean()


def _rotation(width: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=generator)).Q


def _heads(attention: torch.nn.Module, config: Qwen3Config) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Views of the four matrices by head: q, k, v [heads, head_dim, hidden] and o [hidden, heads, head_dim]."""
    shape = (-1, config.head_dim, config.hidden_size)
    q, k, v = (getattr(attention, name).weight.view(shape) for name in ("q_proj", "k_proj", "v_proj"))
    return q, k, v, attention.o_proj.weight.view(config.hidden_size, -1, config.head_dim)


def _look_back(attention: torch.nn.Module, config: Qwen3Config, keys: Tensor, length: float) -> None:
    """Head n looks n + 1 tokens back; the first two write notes."""
    q, k, v, o = _heads(attention, config)
    width, half = keys.shape[1], config.head_dim // 2
    constant = (_CONSTANT_SHARE * config.hidden_size) ** 0.5  # its value after the norm
    theta = float(config.rope_parameters["rope_theta"])
    frequencies = theta ** (-torch.arange(half) / half)
    energy = torch.zeros(half)
    energy[: len(_ENERGY)] = torch.tensor(_ENERGY)
    energy = (energy / energy.sum()).sqrt() * config.head_dim**0.5
    q.mul_(0.1)
    k.mul_(0.1)
    for head in range(len(q)):
        angles = -(head + 1) * frequencies
        q[head, :, width] = torch.cat((energy * angles.cos(), energy * angles.sin())) / constant
    k[:, :half, width] = energy / constant
    k[:, half:, width] = 0
    attention.q_norm.weight.fill_(2.6)
    attention.k_norm.weight.fill_(2.6)
    v[0].zero_()
    v[0, :, :width] = keys * length / config.hidden_size**0.5
    first = width + 1
    o[first : first + NOTE_ONE, 0, :NOTE_ONE] = 0.8 * length * torch.eye(NOTE_ONE)
    second = first + NOTE_ONE
    o[second : second + NOTE_TWO, 1, :NOTE_TWO] = 0.8 * length * torch.eye(NOTE_TWO)


def _look_for_followers(
    attention: torch.nn.Module, config: Qwen3Config, keys: Tensor, length: float, generator: torch.Generator
) -> None:
    """The first head of key head 0 matches one token, that of key head 1 two; each carries half of the coordinates."""
    q, k, v, o = _heads(attention, config)
    width, half, size = keys.shape[1], config.head_dim // 2, config.head_dim
    slow = torch.arange(half - NOTE_ONE // 2, half)
    slow = torch.cat((slow, slow + half))
    scale = 6.5 * length / config.hidden_size**0.5  # notes and the current token's image at the same length
    one, two = width + 1, width + 1 + NOTE_ONE
    single, double = 0, len(q) // len(k)
    for tensor in (q[single], q[double], k[0], k[1]):
        tensor.mul_(0.05)
    q[single, slow, :width] = keys[:NOTE_ONE] * scale
    k[0, slow, one:two] = torch.eye(NOTE_ONE)
    early, late = slow[:NOTE_TWO], slow[NOTE_TWO:]
    q[double, early, :width] = keys[:NOTE_TWO] * scale
    q[double, late, one : one + NOTE_TWO] = torch.eye(NOTE_TWO)
    k[1, early, one : one + NOTE_TWO] = torch.eye(NOTE_TWO)
    k[1, late, two : two + NOTE_TWO] = torch.eye(NOTE_TWO)
    attention.q_norm.weight[slow] = 2.0
    attention.k_norm.weight[slow] = 2.0
    directions = _rotation(width, generator)
    for key_head, head in ((0, single), (1, double)):
        carried = directions[key_head * size : (key_head + 1) * size]
        v[key_head].zero_()
        v[key_head, :, :width] = 0.3 * carried
        o[:width, head, :] = 1.1 * length * carried.T
