"""The training forward of a Qwen3 model: the same parameters and names, less bookkeeping than the library's class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM


def rotary(length: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Returns the cosine and sine tables, float32 [length, head_dim], in the half-split layout that Qwen3 uses."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def hidden_states(model: Qwen3ForCausalLM, ids: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Runs the trunk over full rows; padding is harmless on the right, for attention is causal.

    Args:
        model: Owns the parameters; its own forward is not called.
        ids: int64 [batch, time].
        cos: float32 [time, head_dim].
        sin: float32 [time, head_dim].

    Returns:
        float32 [batch, time, hidden], after the final norm.
    """
    config: Qwen3Config = model.config
    x = F.embedding(ids, model.model.embed_tokens.weight)
    for layer in model.model.layers:
        normed = _norm(x, layer.input_layernorm.weight, config.rms_norm_eps)
        x = x + _attention(layer.self_attn, normed, cos, sin, config)
        normed = _norm(x, layer.post_attention_layernorm.weight, config.rms_norm_eps)
        mlp = layer.mlp
        x = x + mlp.down_proj(F.silu(mlp.gate_proj(normed)) * mlp.up_proj(normed))
    return _norm(x, model.model.norm.weight, config.rms_norm_eps)


def _attention(attention: nn.Module, x: Tensor, cos: Tensor, sin: Tensor, config: Qwen3Config) -> Tensor:
    batch, time, _ = x.shape
    shape = (batch, time, -1, config.head_dim)
    q = _norm(attention.q_proj(x).view(shape), attention.q_norm.weight, config.rms_norm_eps).transpose(1, 2)
    k = _norm(attention.k_proj(x).view(shape), attention.k_norm.weight, config.rms_norm_eps).transpose(1, 2)
    v = attention.v_proj(x).view(shape).transpose(1, 2)
    q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return attention.o_proj(mixed.transpose(1, 2).reshape(batch, time, -1))


def entries_for(targets: Tensor, size: int, others: int, seed: int) -> tuple[Tensor, Tensor]:
    """Chooses the vocabulary entries that a batch is scored against: all its targets and a few others.

    The others stand for all that are left out, so their logits are raised by the log of how many each one stands for;
    the estimate of the softmax's sum is unbiased (Jean et al., 2015, with every target of the batch kept for sure).

    Returns:
        int64 [entries] and what to add to their logits, float32 [entries].
    """
    missing = torch.ones(size, dtype=torch.bool)
    missing[targets] = False
    present, absent = (~missing).nonzero()[:, 0], missing.nonzero()[:, 0]
    drawn = absent[torch.randperm(len(absent), generator=torch.Generator().manual_seed(seed))[:others]]
    bias = torch.zeros(len(present) + len(drawn))
    if len(drawn):
        bias[len(present) :] = torch.tensor(len(absent) / len(drawn)).log()
    return torch.cat((present, drawn)), bias


class ChunkedCrossEntropy(torch.autograd.Function):
    """Weighted sum of a linear head's cross-entropies, some rows at a time, with gradients made during the forward.

    The logits of a whole batch (4096 x 8192 floats) would leave the cache three times over; a chunk does not, and is
    never kept for the backward.
    """

    CHUNK = 256

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        bias: Tensor,
        weights: Tensor,
    ) -> Tensor:
        """Takes float32 [rows, hidden], [entries, hidden], int64 [rows], float32 [entries], [rows]; gives a scalar."""
        total = hidden.new_zeros(())
        grad_hidden, grad_head = torch.empty_like(hidden), torch.zeros_like(head)
        for start in range(0, len(hidden), ChunkedCrossEntropy.CHUNK):
            rows = slice(start, start + ChunkedCrossEntropy.CHUNK)
            logits = torch.addmm(bias, hidden[rows], head.T)
            target = targets[rows, None]
            picked = logits.gather(1, target)
            peak = logits.amax(1, keepdim=True)
            logits.sub_(peak).exp_()
            norm = logits.sum(1, keepdim=True)
            total += weights[rows].dot((norm.log() + peak - picked)[:, 0])
            logits.div_(norm)
            logits.scatter_add_(1, target, torch.full_like(picked, -1.0))
            logits.mul_(weights[rows, None])
            torch.mm(logits, head, out=grad_hidden[rows])
            grad_head.addmm_(logits.T, hidden[rows])
        ctx.save_for_backward(grad_hidden, grad_head)
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Scales the gradients made in the forward."""
        grad_hidden, grad_head = ctx.saved_tensors
        return grad_hidden * grad, grad_head * grad, None, None, None
