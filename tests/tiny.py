"""Tokenizers and models of a few thousand parameters, built in the test."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As Qwen3 has it: a default system prompt would not appear, and thinking off writes an empty block.
THINKING = CHATML.replace(
    "<|im_start|>assistant\n{% endif %}",
    "<|im_start|>assistant\n{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
ALWAYS_THINKING = CHATML.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}")
NO_SYSTEM = "{{ bos_token }}{% for m in messages %}" \
    "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" \
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" \
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"  # fmt: skip
DROPS_SYSTEM = CHATML.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")

TEXTS = [
    "台積電股價大漲，創下歷史新高！",
    '{"sentiment": "正面", "n": [1, 2, 3]}',
    "The quick brown fox jumps over the lazy dog. 0123456789",
    "  spaces \t and\nnewlines  ",
    "🙂 emoji 👨‍👩‍👧 ok",
] * 4

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_bpe(template: str | None = CHATML, *, bos: bool = False, vocab: int = 400) -> PreTrainedTokenizerFast:
    """Byte-level BPE, as Qwen and Llama 3 have it: reproduces any text."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=vocab, special_tokens=SPECIALS, initial_alphabet=alphabet)
    )
    return _wrap(raw, template, bos)


def unigram(template: str | None = CHATML, *, bos: bool = False) -> PreTrainedTokenizerFast:
    """Unigram with NFKC and the metaspace, as SentencePiece models have it: changes full-width characters."""
    raw = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=[*SPECIALS, "<unk>"], unk_token="<unk>")
    raw.train_from_iterator(TEXTS, trainer)
    return _wrap(raw, template, bos)


def wordpiece(template: str | None = CHATML, *, bos: bool = False) -> PreTrainedTokenizerFast:
    """Lower-casing WordPiece, as BERT has it: loses case and spaces."""
    raw = Tokenizer(models.WordPiece(unk_token="<unk>"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    raw.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=[*SPECIALS, "<unk>"]))
    return _wrap(raw, template, bos)


def _wrap(raw: Tokenizer, template: str | None, bos: bool) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",  # the worst case: padding by the stop token
        bos_token="<|endoftext|>" if bos else None,
    )
    tokenizer.chat_template = template
    return tokenizer


def model(vocab: int = 400, seed: int = 0, width: int = 32) -> Qwen3ForCausalLM:
    """A random Qwen3 shape, of about 30,000 parameters at a width of 32."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=vocab, hidden_size=width, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=width // 4, max_position_embeddings=512, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return Qwen3ForCausalLM(config).eval()


def save_base(folder: Path, *, template: str | None = CHATML, width: int = 32) -> Path:
    """A loadable base model folder. In 4 bits, every CPU reads rows of 64 as they are."""
    tokenizer = byte_bpe(template)
    tokenizer.save_pretrained(folder)
    model(len(tokenizer), width=width).save_pretrained(folder)
    return folder
