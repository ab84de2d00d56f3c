"""The architecture: a Qwen3 of about three million parameters."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from transformers import Qwen3Config, Qwen3ForCausalLM

from .vocabulary import END, PAD

STD = 0.02
"""Standard deviation of freshly drawn weights."""

EMBEDDING_STD = 0.1
"""Of the entries of the initial embeddings. They are the library's 0.02 times five: what the counts have found out is
not washed away by the first updates, and the tied head can be sure of a token."""


def new_model(tokenizer: Tokenizer, seed: int, *, hidden: int = 192, layers: int = 4) -> Qwen3ForCausalLM:
    """Draws a model. A head has 48 dimensions, two query heads share a key head, the MLP is 8/3 of the width.

    The rotary base is Qwen3's and high for such short training rows: its slow half barely turns within 256 tokens, so
    those dimensions meet nothing new in the longer rows of a user's task.
    """
    heads = hidden // 48
    config = Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=hidden,
        intermediate_size=64 * round(hidden * 8 / 3 / 64),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        head_dim=48,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
        initializer_range=STD,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:
            # Branches start at nothing, so that a fresh model is the identity on its embeddings.
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return model
