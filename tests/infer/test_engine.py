from __future__ import annotations

import math
import random
import warnings

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from exactune.config import LoraSettings
from exactune.infer.attention import BY_POSITION
from exactune.infer.engine import answer_loss, generate
from exactune.infer.head import read_head
from exactune.infer.labels import LabelTrie, score_labels
from exactune.render.template import Encoded, Template
from exactune.train.adapter import make_trainable

import tiny


@pytest.fixture(scope="module")
def template() -> Template:
    return Template(tiny.byte_bpe())


@pytest.fixture(scope="module")
def model(template: Template) -> torch.nn.Module:
    return tiny.model(len(template.tokenizer))


def prompts(count: int) -> list[list[int]]:
    draw = random.Random(1)
    return [[draw.randrange(3, 390) for _ in range(draw.randrange(3, 40))] for _ in range(count)]


def test_greedy_answers_equal_those_of_transformers_generate(model, template) -> None:
    found = generate(model, template, prompts(13), max_new_tokens=12, batch_size=4)
    for ids, answer in zip(prompts(13), found, strict=True):
        expected = model.generate(
            torch.tensor([ids]),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=list(template.stop_ids),
            pad_token_id=0,
        )[0, len(ids) :].tolist()
        assert answer.text == template.decode(expected)
        assert answer.tokens == len(expected)
        assert answer.stopped == (expected[-1] in template.stop_ids)


@pytest.mark.parametrize("own", [1, 9])
def test_what_all_prompts_begin_with_is_read_once_and_changes_no_answer(model, template, own: int) -> None:
    head = list(range(40, 70))
    rows = [head + prompt[:own] for prompt in prompts(13)] + [[*head, 7], head + prompts(1)[0]]
    read: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: read.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    found = generate(model, template, rows, max_new_tokens=12, batch_size=4)
    hook.remove()
    alone = [generate(model, template, [row], max_new_tokens=12)[0] for row in rows]
    assert [answer.text for answer in found] == [answer.text for answer in alone]
    assert [answer.logprob for answer in found] == pytest.approx([answer.logprob for answer in alone], abs=1e-4)
    assert read[0] == len(head)
    assert sum(read) < len(head) + sum(len(row) for row in rows)


# gemma2 has eager attention only, so it reads every prompt whole.
@pytest.mark.parametrize("kind", sorted(BY_POSITION - {"gemma2"}))
def test_every_kind_of_model_sees_the_head(kind: str, template: Template) -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, pad_token_id=0, bos_token_id=1, eos_token_id=2, sliding_window=4096,
        attn_implementation="sdpa",
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        # As they are drawn, answers hardly hang on what came before.
        parameter.data.mul_(4 if parameter.dim() > 1 else 1)
    head = list(range(40, 60))
    rows = [head + prompt[:6] for prompt in prompts(7)]
    assert read_head(model, rows, 5).length == len(head)
    found = generate(model, template, rows, max_new_tokens=5, batch_size=4)
    alone = [generate(model, template, [row], max_new_tokens=5)[0] for row in rows]
    assert [answer.text for answer in found] == [answer.text for answer in alone]
    assert [answer.logprob for answer in found] == pytest.approx([answer.logprob for answer in alone], rel=1e-3)
    without = generate(model, template, [row[len(head) :] for row in rows], max_new_tokens=5)
    assert [answer.logprob for answer in without] != pytest.approx([answer.logprob for answer in alone], rel=1e-3)


def test_a_window_that_padding_would_eat_into_shares_nothing(template) -> None:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(template.tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, sliding_window=32, pad_token_id=0,
        layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    windowed = Gemma3ForCausalLM(config).eval()
    for parameter in windowed.parameters():
        parameter.data.mul_(4)
    rows = [list(range(40, 90)) + prompt for prompt in prompts(9)]
    found = generate(windowed, template, rows, max_new_tokens=8, batch_size=4)
    alone = [generate(windowed, template, [row], max_new_tokens=8)[0] for row in rows]
    assert [answer.logprob for answer in found] == pytest.approx([answer.logprob for answer in alone], abs=1e-3)


class Scripted(torch.nn.Module):
    """Answers `length` times token 50, then stops; each row has its own length, told by its first token."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.left: list[int] = []

    def forward(self, input_ids, past_key_values, **_):  # type: ignore[no-untyped-def]
        if input_ids.shape[1] > 1:
            self.left = [int(row[row > 0][0]) - 100 for row in input_ids]
            past_key_values.batch_select_indices = self.select
        logits = torch.zeros(len(self.left), 1, 400)
        for row, left in enumerate(self.left):
            logits[row, 0, 50 if left > 0 else 2] = 5.0
        self.left = [left - 1 for left in self.left]
        return type("Output", (), {"logits": logits})

    def select(self, slots: torch.Tensor) -> None:
        self.left = [self.left[int(slot)] for slot in slots]


def test_rows_stop_alone_and_stay_in_order(template: Template) -> None:
    lengths = [3, 0, 7, 1, 20, 2]
    found = generate(Scripted(), template, [[100 + n, 60] for n in lengths], max_new_tokens=10, batch_size=4)
    assert [answer.tokens for answer in found] == [4, 1, 8, 2, 10, 3]
    assert [answer.stopped for answer in found] == [True, True, True, True, False, True]
    step = math.log(math.exp(5) / (math.exp(5) + 399))
    assert found[2].logprob == pytest.approx(8 * step, abs=1e-4)


def test_batch_size_and_padding_do_not_change_the_loss(model, template) -> None:
    rows = [
        Encoded(str(i), ids[: len(ids) // 2 + 1], [*ids[len(ids) // 2 + 1 :], 2]) for i, ids in enumerate(prompts(9))
    ]
    expected, tokens = 0.0, 0
    for row in rows:
        logits = model(torch.tensor([row.input_ids])).logits[0]
        labels = torch.tensor(row.labels)
        expected += float(
            torch.nn.functional.cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum").detach()
        )
        tokens += len(row.answer_ids)
    for size in (1, 4, 9):
        assert answer_loss(model, rows, batch_size=size) == pytest.approx(expected / tokens, rel=1e-5)


def test_progress_counts_every_row_once_and_may_end_the_work(model, template) -> None:
    done: list[int] = []
    generate(model, template, prompts(10), max_new_tokens=2, batch_size=4, advance=done.append)
    assert done == [4, 4, 2]

    class Stop(Exception):
        pass

    def stop(_: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        generate(model, template, prompts(10), max_new_tokens=2, advance=stop)


def test_the_mode_is_put_back(model, template) -> None:
    model.train()
    generate(model, template, prompts(2), max_new_tokens=1)
    assert model.training
    model.eval()


@pytest.mark.parametrize("adapted", [False, True])
def test_answering_uses_no_name_that_is_to_go(adapted: bool, template: Template) -> None:
    model = tiny.model().eval()
    if adapted:
        model = make_trainable(model, LoraSettings(r=4, lora_alpha=8), 0).eval()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        answers = generate(model, template, prompts(3), max_new_tokens=3)
        scores = score_labels(model, prompts(3), LabelTrie.of([[5, 2], [6, 2]]))
    assert (len(answers), len(scores)) == (3, 3)
    assert [str(one.message) for one in said if issubclass(one.category, FutureWarning)] == []
