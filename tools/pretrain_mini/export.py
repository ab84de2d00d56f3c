"""Writing a Hugging Face model folder that loads with `from_pretrained`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import Qwen3ForCausalLM

from .files import replace_files
from .vocabulary import END, PAD, save_tokenizer


def export(model: Qwen3ForCausalLM, tokenizer: Tokenizer, folder: Path, facts: dict[str, object], card: str) -> None:
    """Replaces the files of `folder`: config, bfloat16 weights, tokenizer, template, `exactune.json`, model card."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    config = model.config.to_dict()
    config.update(architectures=["Qwen3ForCausalLM"], dtype="bfloat16")
    config.pop("_name_or_path", None)
    _json(staged / "config.json", config)
    # Tied: the output head is the embedding and is not stored twice.
    tensors = {
        name: tensor.to("cpu", torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(tensors, str(staged / "model.safetensors"), metadata={"format": "pt"})
    save_tokenizer(tokenizer, staged, model.config.max_position_embeddings)
    end, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    _json(staged / "generation_config.json", {"eos_token_id": end, "pad_token_id": pad, "do_sample": False})
    _json(staged / "exactune.json", facts)
    (staged / "README.md").write_text(card, encoding="utf-8")
    replace_files(staged, folder)


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
