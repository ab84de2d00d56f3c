from __future__ import annotations

import pytest

from exactune.errors import TemplateError
from exactune.render.parity import golden, verify
from exactune.render.template import IGNORED, Template
from exactune.types import Example, Location, Message

import tiny

TEXTS = [
    "正面",
    '{"sentiment": "正面", "分數": 0.5}',
    "a  b\n\tc ",
    " leading and trailing ",
    "🙂👨‍👩‍👧",
    "Ａ１　full width ﬁ ①",
    "é é",
    '{"a": [{"b": null}, "\\n"]}',
    "x" * 300,
    "1234567890",
]
TEMPLATES = {
    "chatml": tiny.CHATML,
    "thinking": tiny.THINKING,
    "always-thinking": tiny.ALWAYS_THINKING,
    "no-system": tiny.NO_SYSTEM,
    "drops-system": tiny.DROPS_SYSTEM,
    "none": None,
}


def example(answer: str, system: str = "你是助手。", user: str = "分類：台積電大漲") -> Example:
    return Example("t:1", (Message("system", system), Message("user", user)), answer, Location("t", 1), "chat")


@pytest.mark.parametrize("bos", [False, True], ids=["no-bos", "bos"])
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("answer", TEXTS)
def test_byte_level_answers_come_back_byte_for_byte(answer: str, template: str, bos: bool) -> None:
    made = Template(tiny.byte_bpe(TEMPLATES[template], bos=bos or template == "no-system"))
    row = made.encode(example(answer))
    assert made.decode(row.answer_ids) == answer
    assert row.answer_ids[-1] == made.stop_id
    assert row.answer_ids.count(made.stop_id) == 1


@pytest.mark.parametrize("design", [tiny.byte_bpe, tiny.unigram, tiny.wordpiece])
@pytest.mark.parametrize("answer", TEXTS)
def test_the_prompt_is_the_same_in_training_and_inference(design: object, answer: str) -> None:
    made = Template(design())  # type: ignore[operator]
    row = made.encode(example(answer))
    assert row.input_ids[: len(row.prompt_ids)] == made.prompt_ids(example(answer).prompt)


def test_loss_falls_on_the_answer_and_its_stop_token_only() -> None:
    made = Template(tiny.byte_bpe())
    row = made.encode(example("正面"))
    assert len(row.labels) == len(row.input_ids) == len(row)
    assert row.labels[: len(row.prompt_ids)] == [IGNORED] * len(row.prompt_ids)
    assert row.labels[len(row.prompt_ids) :] == row.answer_ids


def test_the_stop_token_is_learned_though_it_also_pads() -> None:
    made = Template(tiny.byte_bpe())
    assert made.tokenizer.pad_token_id == made.stop_id
    assert made.encode(example("負面")).labels[-1] == made.stop_id


@pytest.mark.parametrize("design", [tiny.unigram, tiny.wordpiece])
def test_a_normalising_tokenizer_is_seen_not_to_reproduce(design: object) -> None:
    made = Template(design())  # type: ignore[operator]
    assert made.decode(made.answer_ids("Ａ１ Full  Width")) != "Ａ１ Full  Width"


def test_system_is_always_explicit() -> None:
    default = "{% if messages[0].role != 'system' %}INJECTED{% endif %}" + tiny.CHATML
    made = Template(tiny.byte_bpe(default))
    assert "INJECTED" not in made.prompt_text(example("a", system="").prompt)


@pytest.mark.parametrize("template", [tiny.NO_SYSTEM, tiny.DROPS_SYSTEM])
def test_a_system_the_template_rejects_or_drops_is_folded(template: str) -> None:
    made = Template(tiny.byte_bpe(template, bos=True))
    text = made.prompt_text(example("a").prompt)
    assert made.folds_system
    assert "user\n你是助手。\n\n分類：台積電大漲<|im_end|>" in text
    assert made.prompt_text(example("a", system="").prompt).count("\n\n") == 0


def test_thinking_is_off_in_both() -> None:
    assert Template(tiny.byte_bpe(tiny.THINKING)).prompt_text(example("a").prompt).endswith("<think>\n\n</think>\n\n")


def test_a_forced_thinking_block_is_closed() -> None:
    text = Template(tiny.byte_bpe(tiny.ALWAYS_THINKING)).prompt_text(example("a").prompt)
    assert text.endswith("assistant\n<think>\n\n</think>\n\n")


def test_one_bos_from_a_plain_template() -> None:
    raw = tiny.byte_bpe(None, bos=True)
    from tokenizers import processors

    start = raw.bos_token_id
    raw.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", start)]
    )
    ids = Template(raw).prompt_ids(example("a").prompt)
    assert ids[0] == start
    assert ids.count(start) == 1


def test_two_bos_are_refused() -> None:
    with pytest.raises(TemplateError, match="two begin-of-sequence"):
        Template(tiny.byte_bpe("{{ bos_token }}{{ bos_token }}" + tiny.CHATML, bos=True))


def test_a_tokenizer_without_end_is_refused() -> None:
    tokenizer = tiny.byte_bpe(None)
    tokenizer.eos_token = None
    with pytest.raises(TemplateError, match="no end-of-sequence"):
        Template(tokenizer)


def test_decoding_ends_at_any_stop_token() -> None:
    made = Template(tiny.byte_bpe(), generation_stop_ids=[0])
    ids = made.answer_ids("正面")[:-1]
    assert made.decode([*ids, 0, *ids]) == "正面"


def test_golden_ids_survive_saving_and_catch_a_changed_template(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from exactune.render.template import load_tokenizer

    for name, template in TEMPLATES.items():
        made = Template(tiny.byte_bpe(template, bos=name == "no-system"))
        records = golden(made, [example("正面")])
        made.tokenizer.save_pretrained(tmp_path / name)
        verify(Template(load_tokenizer(tmp_path / name, name)), records)
    changed = tiny.byte_bpe(tiny.CHATML.replace("<|im_start|>assistant\n", "<|im_start|>assistant"))
    with pytest.raises(TemplateError, match="no longer gives the ids"):
        verify(Template(changed), golden(Template(tiny.byte_bpe()), [example("正面")]))
