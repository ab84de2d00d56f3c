"""Everything before the first gradient: clean documents, tokenizer, token arrays, initial embeddings; kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .corpus import Documents, read_corpus
from .embeddings import initial_embeddings
from .files import write_array, write_json
from .leakage import ShingleSet, texts_to_exclude
from .tokens import encode_corpus, load
from .vocabulary import sample, train_tokenizer

SAMPLE_CHARACTERS = {"en": 8_000_000, "zh_tw": 4_000_000, "zh_cn": 2_000_000}
"""What the tokenizer is trained on: about 8 MB of English, 11 MB of zh-TW and 6 MB of zh-CN."""


def clean_corpus(corpus: Path, exclude: Path | None, work: Path) -> list[Documents]:
    """Reads the corpus without leaked documents; the counts go to `leakage.json`."""
    documents = read_corpus(corpus)
    if exclude is None:
        return documents
    shingles = ShingleSet(texts_to_exclude(exclude))
    report: dict[str, object] = {"shingles": len(shingles)}
    cleaned = []
    for item in documents:
        leaked, held = shingles.leaked(item.train), shingles.leaked(item.held_out)
        report[item.language] = {"documents": len(item.train) + len(item.held_out), "dropped": len(leaked) + len(held)}
        cleaned.append(Documents(item.language, _without(item.train, leaked), _without(item.held_out, held)))
    write_json(work / "leakage.json", report)
    return cleaned


def _without(documents: list[str], dropped: set[int]) -> list[str]:
    return [text for index, text in enumerate(documents) if index not in dropped]


def prepare_tokenizer(documents: list[Documents], size: int, seed: int, work: Path) -> Tokenizer:
    """Loads the tokenizer, or trains it on a sample."""
    path = work / "tokenizer.json"
    if not path.exists():
        texts = [text for item in documents for text in sample(item.train, SAMPLE_CHARACTERS[item.language], seed)]
        train_tokenizer(texts, size).save(str(path))
    return Tokenizer.from_file(str(path))


def prepare_tokens(documents: list[Documents], tokenizer: Tokenizer, work: Path) -> None:
    """Encodes the corpus, once."""
    encode_corpus(documents, tokenizer, work)


def prepare_embeddings(languages: list[str], size: int, width: int, seed: int, work: Path) -> np.ndarray:
    """Loads the initial embeddings, or makes them; float32 [size, width]."""
    path = work / f"embeddings-{width}.npy"
    if not path.exists():
        streams = [load(work, language, "train") for language in languages]
        write_array(path, initial_embeddings(streams, size, width, seed).numpy())
    return np.load(path)
