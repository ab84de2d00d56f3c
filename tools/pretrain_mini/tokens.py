"""The corpus as token ids on disk: one uint16 array per language and split, documents ended by `<|endoftext|>`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .corpus import Documents
from .files import write_array
from .vocabulary import PAD

SPLITS: tuple[str, ...] = ("train", "held_out")


def encode_corpus(corpus: list[Documents], tokenizer: Tokenizer, folder: Path) -> None:
    """Writes `<language>.<split>.npy`, skipping those that exist."""
    for documents in corpus:
        for split in SPLITS:
            path = folder / f"{documents.language}.{split}.npy"
            if not path.exists():
                write_array(path, _encode(getattr(documents, split), tokenizer))


def _encode(documents: list[str], tokenizer: Tokenizer, batch: int = 2000) -> np.ndarray:
    end = tokenizer.token_to_id(PAD)
    parts: list[np.ndarray] = []
    for start in range(0, len(documents), batch):
        for encoding in tokenizer.encode_batch_fast(documents[start : start + batch], add_special_tokens=False):
            parts.append(np.asarray([*encoding.ids, end], dtype=np.uint16))
    return np.concatenate(parts)


def load(folder: Path, language: str, split: str) -> np.ndarray:
    """Opens one array without reading it, uint16 [tokens]."""
    return np.load(folder / f"{language}.{split}.npy", mmap_mode="r")
