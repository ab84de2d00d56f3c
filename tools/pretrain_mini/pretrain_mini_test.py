# ruff: noqa: D103, PT018, E501
"""Tests of the pre-training tool; run `python -m pytest tools/pretrain_mini/pretrain_mini_test.py` from the root."""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tools.pretrain_mini.batches import Batch, plain
from tools.pretrain_mini.chat import ChatTasks, _even_cuts
from tools.pretrain_mini.circuits import content_width, wire
from tools.pretrain_mini.dates import chinese
from tools.pretrain_mini.leakage import ShingleSet
from tools.pretrain_mini.learner import Learner
from tools.pretrain_mini.muon import orthogonalize
from tools.pretrain_mini.network import entries_for, hidden_states, rotary
from tools.pretrain_mini.pretrain import Settings, pretrain
from tools.pretrain_mini.repeats import Repeats
from tools.pretrain_mini.schedule import Schedule
from tools.pretrain_mini.shape import EMBEDDING_STD, new_model
from tools.pretrain_mini.vocabulary import train_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

_EN = 'The old harbour of {0} had {1} boats in 1923. "Blue Door" was the name of the inn, said Maria Stone. Nobody knew why.'
_ZH = "第{1}條的《{0}》在2015年3月出版。他說：「今天天氣很好」，大家都同意了。這是最後一句話。"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus folder with a few hundred small documents a language."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = random.Random(0)
    for language, sentence in (("en", _EN), ("zh_tw", _ZH), ("zh_cn", _ZH.replace("條", "条").replace("說", "说"))):
        documents = [sentence.format("".join(rng.choices("abcdefgh", k=5)), rng.randint(2, 99)) for _ in range(400)]
        utterance = {"en": 'Text: Find a table in {0}.\nIntent: FindTable\nSlots: {{"city": "{0}"}}'}
        other = '句子：我想去{0}吃饭\n答案：{{"领域": "餐馆", "条件": {{"名称": "{0}"}}}}'
        documents += [utterance.get(language, other).format("".join(rng.choices("ijklmnop", k=5))) for _ in range(60)]
        rng.shuffle(documents)
        with lzma.open(folder / f"{language}.txt.xz", "wt", encoding="utf-8") as stream:
            stream.write("\n\n".join(documents))
    return folder


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([_EN, _ZH] * 5, 320)


def _settings(corpus: Path, folder: Path, text: int, chat: int) -> Settings:
    schedule = Schedule(text, chat, warmup_tokens=1000)
    return Settings(
        corpus,
        None,
        folder / "work",
        folder / "out",
        "test",
        schedule,
        vocabulary=600,
        hidden=192,
        layers=2,
        batch_tokens=512,
        save_every=4,
    )


@pytest.mark.parametrize(
    "text", ["é\u0301 ﬁ ①　全形Ａ\r\n\t  x\n\n", "𠮷野家 👩‍👩‍👧 \x00", 'don\'t {"a": [1, 2]}  ', "2023年3月"]
)
def test_tokenizer_reproduces_any_text(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_digits_and_han_characters_stand_alone(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("2015").tokens == ["2", "0", "1", "5"]
    inside, alone = tokenizer.encode("他說今天天氣很好").ids, tokenizer.encode("天氣").ids
    assert "".join(map(chr, alone)) in "".join(map(chr, inside))


def test_a_shared_shingle_is_leakage_whatever_its_whitespace() -> None:
    text = "a sentence that is certainly longer than fifty characters, and more"
    shingles = ShingleSet([text])
    documents = ["nothing", "before " + text.replace(" ", "\n") + " after", text[:49], "x" * 80]
    assert shingles.leaked(documents) == {1}


def test_training_forward_equals_the_librarys(tokenizer: Tokenizer) -> None:
    model = new_model(tokenizer, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        ids = torch.randint(0, 300, (3, 40))
        hidden = hidden_states(
            model, ids, *rotary(40, model.config.head_dim, model.config.rope_parameters["rope_theta"])
        )
        logits = hidden @ model.model.embed_tokens.weight.T
        assert torch.allclose(logits, model(ids).logits, atol=1e-4)


def test_loss_and_gradients_equal_the_librarys(tokenizer: Tokenizer) -> None:
    model = new_model(tokenizer, 0)
    ids = torch.randint(0, 300, (2, 24))
    targets = torch.randint(0, 300, (2, 24))
    weights = torch.rand(2, 24) * (torch.rand(2, 24) < 0.5)
    loss = Learner(model, 0.01, 0.01).loss(Batch(ids, targets, weights))
    loss.backward()
    ours = model.model.embed_tokens.weight.grad.clone()
    model.zero_grad()
    each = torch.nn.functional.cross_entropy(model(ids).logits.flatten(0, 1), targets.flatten(), reduction="none")
    theirs = each @ weights.flatten()
    theirs.backward()
    assert torch.allclose(loss, theirs, atol=1e-4)
    assert torch.allclose(ours, model.model.embed_tokens.weight.grad, atol=1e-6)


def test_sampled_loss_estimates_the_whole_loss(tokenizer: Tokenizer) -> None:
    model = new_model(tokenizer, 0)
    learner = Learner(model, 0.01, 0.01)
    batch = plain(torch.randint(0, 50, (2, 25)))
    exact = learner.loss(batch).item()
    entries, bias = entries_for(batch.targets, 320, 100, seed=0)
    assert len(entries) == len(set(entries.tolist())) and set(batch.targets.flatten().tolist()) <= set(entries.tolist())
    assert bias.exp().sum().item() == pytest.approx(320)
    assert learner.loss(batch, sampled=True).item() == pytest.approx(exact, rel=0.02)


def test_orthogonalize_brings_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalize(torch.randn(64, 160)))
    assert values.min() > 0.6 and values.max() < 1.3


def test_schedule_warms_up_stays_and_decays() -> None:
    schedule = Schedule(1_000_000, 1_000_000, warmup_tokens=100_000)
    assert schedule.scale(0) < 1e-4 and schedule.scale(100_000) == schedule.scale(900_000) == 1.0
    assert schedule.scale(1_999_999) == schedule.floor


def test_a_wired_model_copies_spans_it_has_never_seen() -> None:
    tokenizer = train_tokenizer([_EN, _ZH] * 5, 320)
    model = new_model(tokenizer, 0)
    wire(model, torch.randn(320, content_width(192)), EMBEDDING_STD, seed=0)
    span, gap = torch.randint(3, 320, (8, 30)), torch.randint(3, 320, (8, 5))
    with torch.no_grad():
        guesses = model(torch.cat((span, gap, span), dim=1)).logits[:, 35:-1].argmax(-1)
    assert (guesses == span[:, 1:]).float().mean() > 0.8


@pytest.mark.parametrize(
    ("number", "text"), [(3, "三"), (10, "十"), (38, "三十八"), (100, "一百"), (108, "一百零八"), (110, "一百一十")]
)
def test_chinese_numerals(number: int, text: str) -> None:
    assert chinese(number) == text


class _Windows:
    def batch(self, before: int, tokens: int, length: int) -> Batch:
        return plain(torch.randint(0, 300, (tokens // length, length + 1)))


def test_what_a_repeated_span_teaches_stands_earlier_in_its_row() -> None:
    batch = Repeats(_Windows(), 320, seed=0).batch(3, 1024)
    for ids, targets, weights in zip(batch.ids, batch.targets, batch.weights, strict=True):
        learned = targets[weights > 0]
        assert torch.equal(learned, ids[1 : len(learned) + 1]) and len(learned) >= 5


def test_even_cuts_cover_everything() -> None:
    bounds = _even_cuts([1, 1, 2, 3, 5, 8, 13], 4)
    assert bounds[0] == 0 and bounds[-1] == 7 and bounds == sorted(set(bounds)) and len(bounds) == 5


def test_a_run_exports_and_a_resumed_run_ends_at_the_same_weights(corpus: Path, tmp_path: Path) -> None:
    pretrain(_settings(corpus, tmp_path / "whole", 9000, 9000), say=lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        pretrain(_settings(corpus, tmp_path / "parts", 9000, 9000), say=_kill_at_step_20)
    pretrain(_settings(corpus, tmp_path / "parts", 9000, 9000), say=lambda _: None)
    out = tmp_path / "whole" / "out"
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "parts" / "out" / "model.safetensors").read_bytes()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.dtype == torch.bfloat16 and tokenizer.eos_token_id == model.generation_config.eos_token_id == 2
    facts = json.loads((out / "exactune.json").read_text())
    assert facts["tokens_seen"] >= 18000 and facts["parameters"] == sum(p.numel() for p in model.parameters())


def _kill_at_step_20(line: str) -> None:
    if '"step": 20,' in line:
        raise KeyboardInterrupt


def test_a_chat_row_weighs_answers_and_prompts_each_as_a_mean(corpus: Path, tmp_path: Path) -> None:
    settings = _settings(corpus, tmp_path, 600, 600)
    pretrain(settings, say=lambda _: None)
    tokenizer = Tokenizer.from_file(str(settings.work / "tokenizer.json"))
    batch = ChatTasks(settings.work, tokenizer, 0, 512).batch(0)
    assert batch.weights.sum().item() == pytest.approx(2, abs=0.2)
    of_answers = batch.weights.max()
    assert (batch.weights == of_answers).float().mean() * of_answers * batch.weights.numel() == pytest.approx(
        1, abs=1e-4
    )
    for ids, targets, weights in zip(batch.ids, batch.targets, batch.weights, strict=True):
        learned = weights == of_answers
        prompt = tokenizer.decode(ids[: int(learned.int().argmax()) + 1].tolist(), skip_special_tokens=False)
        assert targets[learned][-1] == 2 and prompt.endswith("<|im_start|>assistant\n")
