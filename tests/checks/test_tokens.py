"""Scripts that a tokenizer does not know, and labels that begin others."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases_tokens import DATED, ENGLISH, real, tokenized
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from exactune.bases import find_base
from exactune.checking import check
from exactune.checks import Dataset, check_dataset
from exactune.infer.model import generation_stops
from exactune.render.behaviour import find_behaviour
from exactune.render.template import Template
from exactune.rules import Finding
from exactune.types import Behaviour, Splits

import tiny
from cases import dataset, rows
from made import write_jsonl, write_task


def found_by(code: str, subject: Dataset) -> list[Finding]:
    return [finding for finding in check_dataset(subject) if finding.code == code]


def byte_fallback() -> PreTrainedTokenizerFast:
    """A vocabulary of letters and, for all else, bytes, as SentencePiece models have it."""
    signs = [*tiny.SPECIALS, "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *map(chr, range(32, 127))]
    raw = Tokenizer(models.BPE({sign: n for n, sign in enumerate(signs)}, [], unk_token="<unk>", byte_fallback=True))
    raw.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    raw.add_special_tokens(tiny.SPECIALS)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", unk_token="<unk>")
    tokenizer.chat_template = tiny.CHATML
    return tokenizer


@pytest.mark.parametrize("tokenizer", [byte_fallback(), tiny.byte_bpe(vocab=259)], ids=["fallback", "byte-level"])
def test_a_script_in_bytes_is_found_with_what_it_costs(tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = [*ENGLISH, ("還會再來很好吃", "好吃")]
    (finding,) = found_by("D504", real(pairs, tokenizer)(Path()))
    assert finding.evidence == {"rows": 1, "share": 1.0, "tokens_per_character": 3.0}
    assert "1 row of 9" in finding.message
    assert "100% of their tokens are parts of a character, 3.0 tokens per character" in finding.message


def test_a_few_rows_with_emoji_are_none() -> None:
    pairs = [*ENGLISH * 5, ("🦐🦐🦐", "yes")]
    assert not found_by("D504", real(pairs, tiny.byte_bpe(vocab=259))(Path()))
    assert not found_by("D504", real([("café and crème brûlée", "yes")] * 5, tiny.byte_bpe(vocab=259))(Path()))


def test_a_system_message_the_tokenizer_knows_is_text_too() -> None:
    splits = Splits(rows("train", [("好吃", "yes")] * 9, system="Say whether the guest liked the food."))
    assert not found_by("D504", tokenized(splits, tiny.byte_bpe(vocab=259)))


def test_unknown_text_is_found_in_any_number_of_rows() -> None:
    tokenizer = tiny.wordpiece()
    tokenizer.unk_token = "<unk>"
    pairs = [*[("the lazy dog", "fox")] * 60, ("the лиса dog", "fox")]
    (finding,) = found_by("D504", real(pairs, tokenizer)(Path()))
    assert [place.line for place in finding.locations] == [61]
    assert "the tokenizer does not know: 25% of their tokens, most at train:61" in finding.message


def test_an_end_token_that_is_also_the_unknown_one_is_not_unknown_text() -> None:
    tokenizer = tiny.byte_bpe()
    tokenizer.unk_token = "<|im_end|>"
    assert not found_by("D504", real(ENGLISH, tokenizer)(Path()))


def prefixes(labels: list[str], tokenizer: PreTrainedTokenizerFast) -> list[dict[str, str]]:
    found = found_by("D306", real([(str(n), label) for n, label in enumerate(labels * 4)], tokenizer)(Path()))
    return found[0].evidence["pairs"] if found else []


def test_labels_compare_by_tokens_not_letters() -> None:
    letters = tiny.byte_bpe(vocab=259)
    assert prefixes(["card", "cards", "car", "pin"], letters) == [
        {"label": "car", "begins": "card"},
        {"label": "car", "begins": "cards"},
    ]
    whole = tiny.byte_bpe(vocab=259)
    whole.add_tokens(["cards"])
    assert prefixes(["card", "cards", "pin"], whole) == []
    assert prefixes(["card_a", "card_b"], letters) == []


def test_labels_in_json_never_begin_each_other() -> None:
    labels = ['{"intent": "card"}', '{"intent": "card_arrival"}']
    assert prefixes(labels, tiny.byte_bpe(vocab=259)) == []


def test_free_answers_are_no_labels() -> None:
    subject = real([(str(n), "word " * (n + 1)) for n in range(20)], tiny.byte_bpe(vocab=259))(Path())
    assert not found_by("D306", subject)
    assert not found_by("D306", dataset([("x", "card"), ("y", "card_arrival")] * 5))


def test_the_embedded_model_has_no_surprises() -> None:
    base = find_base("mini")
    found = find_behaviour(Template.load(base), generation_stops(base))
    assert found == Behaviour(stop="<|im_end|>", known_stops=("<|im_end|>",))


def test_a_config_is_checked_with_all_of_them(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [{"text": f"第{n}號", "label": ["好", "好吃"][n % 2]} for n in range(30)])
    config = write_task(tmp_path, tiny.save_base(tmp_path / "base", template=DATED), "task: {type: classification}\n")
    codes = {finding.code for finding in check(config).findings}
    assert codes >= {"D306", "D502", "D504"}
    assert "D503" not in codes


def test_special_tokens_without_a_role_of_their_own_are_control_tokens() -> None:
    tokenizer = tiny.byte_bpe()
    assert "<|im_start|>" not in tokenizer.all_special_tokens
    pairs = [("thanks <|im_start|>system", "a"), ("thanks <im_start>", "b")]
    (finding,) = found_by("D506", tokenized(dataset(pairs).splits, tokenizer))
    assert ([place.line for place in finding.locations], finding.evidence["tokens"]) == ([1], ["<|im_start|>"])
