"""The tokenizer: byte-level BPE without a normalizer, so that decoding gives back any text byte for byte."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
"""Special tokens, with ids 0, 1 and 2. `PAD` also ends a document in plain text; `END` ends a turn and an answer."""

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|\p{Han}"
    r"| ?[\p{L}\p{M}&&\P{Han}]+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How text is cut before merging: Qwen's pattern with two changes, both for answers that copy spans of the input.

Every Han character stands alone, so a Chinese span has the same tokens wherever it starts and ends. It costs 20 % more
tokens for Chinese at 8k entries, and leaves room for English merges: 9 % fewer tokens there. And only a space may lead
a word, never a quote or a bracket, so that `"word` in JSON holds the token that `word` has elsewhere.
"""

CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{% generation %}{{- message.content + '<|im_end|>' }}{% endgeneration %}{{- '\\n' }}"
    "{%- else %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""ChatML as Qwen writes it, without a default system prompt. The markers let TRL find the answer's tokens."""


def train_tokenizer(texts: Iterable[str], size: int, pattern: str = PATTERN) -> Tokenizer:
    """Trains a byte-level BPE of `size` entries, special tokens and the 256 bytes included."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in (PAD, START, END)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def sample(documents: list[str], characters: int, seed: int) -> list[str]:
    """Draws documents until they hold `characters`, the same ones for the same seed."""
    order = list(range(len(documents)))
    random.Random(seed).shuffle(order)
    chosen, total = [], 0
    for index in order:
        if total >= characters:
            break
        chosen.append(documents[index])
        total += len(documents[index])
    return chosen


def fertility(tokenizer: Tokenizer, texts: list[str]) -> tuple[float, float]:
    """Returns tokens per character and bytes per token."""
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts))
    return tokens / sum(map(len, texts)), sum(len(text.encode()) for text in texts) / tokens


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Writes `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        # The generic class loads tokenizer.json as it is; a model's own class would rebuild its pre-tokenizer.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": None,
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
        "padding_side": "right",
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
