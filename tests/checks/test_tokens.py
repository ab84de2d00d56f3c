"""What is special about the rules that ask the tokenizer and its chat template."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cases_tokens import DATED, ENGLISH, real, tokenized
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from exactune.bases import find_base
from exactune.checking import check
from exactune.checks import Dataset, check_dataset
from exactune.checks.lengths import _least_tokens
from exactune.errors import TemplateError
from exactune.infer.model import generation_stops
from exactune.render.behaviour import CLOCKS, _at, find_behaviour
from exactune.render.parity import golden, verify
from exactune.render.template import Template
from exactune.rules import Finding, Severity
from exactune.types import Behaviour, Example, Location, Message, Splits

import tiny
from cases import dataset, rows
from made import write_jsonl, write_task

# As Qwen3 has it: only the last answer keeps its thinking block.
FORGETS = tiny.CHATML.replace(
    "{{ m.content }}",
    "{% if not loop.last and '</think>' in m.content %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}",
)
DEFAULT_SYSTEM = tiny.CHATML.replace(
    "{{ m.content }}",
    "{% if m.role == 'system' %}{{ m.content or 'You are Tiny.' }}{% else %}{{ m.content }}{% endif %}",
)
NO_EMPTY_SYSTEM = tiny.CHATML.replace("in messages %}", "in messages if m.content %}")


def found_by(code: str, subject: Dataset) -> list[Finding]:
    return [finding for finding in check_dataset(subject) if finding.code == code]


def chat(*texts: str, system: str = "s") -> tuple[Example, ...]:
    """One chat of user and assistant texts in turn, the last the answer."""
    turns = (Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts[:-1]))
    return (Example("t:1", (Message("system", system), *turns), texts[-1], Location("t", 1), "chat"),)


def behaviour(template: str | None, *, bos: bool = False) -> Behaviour:
    return find_behaviour(Template(tiny.byte_bpe(template, bos=bos)))


# ---- D501


def test_too_long_rows_are_counted_by_label() -> None:
    pairs = [("x" * 80, "long one"), ("y", "long one"), ("z" * 80, "other"), *[("x", "other")] * 7]
    subject = tokenized(Splits(rows("train", pairs)), tiny.byte_bpe(vocab=259), limit=60)
    (finding,) = found_by("D501", subject)
    assert finding.severity is Severity.ERROR
    assert finding.evidence["labels"] == {"long one": {"rows": 1, "all": 2}, "other": {"rows": 1, "all": 8}}
    assert "labels that lose rows: 'long one' 1 of 2, 'other' 1 of 8" in finding.message


def test_mixed_in_rows_belong_to_no_label() -> None:
    splits = Splits(rows("train", ENGLISH), mix=rows("general", [("x" * 200, "yes")]))
    (finding,) = found_by("D501", tokenized(splits, tiny.byte_bpe(vocab=259), limit=100))
    assert finding.locations == (Location("general", 1),)
    assert "labels" not in finding.evidence


@pytest.mark.parametrize(("text", "least"), [("還會再來很好吃" * 900, 3150), ("really tasty food " * 900, 3240)])
def test_without_a_model_the_length_is_an_estimate_and_no_error(text: str, least: int) -> None:
    (finding,) = found_by("D501", dataset([("x", "a"), (text, "b")]))
    assert finding.severity is Severity.WARNING
    assert finding.evidence == {"limit": 2048, "longest": least, "rows": 1, "estimated": True}
    assert [place.line for place in finding.locations] == [2]
    assert "by an estimate from the characters" in finding.message
    assert "exactune check task.yaml" in finding.fix


@pytest.mark.parametrize(
    "text",
    ["還會再來很好吃" * 580, "really tasty food " * 560, "-" * 50_000, "\n" * 30_000 + "x", "a, b\n\n\n\n" * 1500],
    ids=["chinese", "english", "dashes", "lines", "table"],
)
def test_the_estimate_does_not_count_what_large_vocabularies_write_in_few_tokens(text: str) -> None:
    assert not found_by("D501", dataset([("x", "a"), (text, "b")]))


@pytest.mark.parametrize(
    "text",
    [
        "台積電股價今日大漲，創下歷史新高，外資連續買超。",
        "The committee has postponed its decision until the figures for the third quarter are known. ",
        '{"name": "Ada", "year": 1843, "tags": ["notes", "engine"]}, ',
        "def area(radius: float) -> float:\n    return math.pi * radius**2\n",
        "서울은 대한민국의 수도이다. ",
    ],
)
def test_the_estimate_stays_below_what_a_tokenizer_counts(text: str) -> None:
    (row,) = rows("train", [(text * 400, "a")])
    assert 0 < _least_tokens(row, 2048) < len(Template.load(find_base("mini")).encode(row))


# ---- D502


def test_a_date_in_the_prompt_is_found_with_its_line() -> None:
    (finding,) = found_by("D502", real(ENGLISH, tiny.byte_bpe(DATED))(Path()))
    assert finding.evidence == {"line": "Today: %d %b %Y"}
    assert (finding.severity, finding.locations) == (Severity.WARNING, ())


def test_a_date_that_is_not_rendered_is_none() -> None:
    assert not behaviour("{% if tools %}{{ strftime_now('%Y') }}{% endif %}" + tiny.CHATML).dated
    # Mistral's default system message has it; a message of one's own, even an empty one, takes its place.
    default = "{% if messages[0].role != 'system' %}{{ strftime_now('%Y') }}{% endif %}" + tiny.CHATML
    assert not behaviour(default).dated


def test_what_was_trained_with_a_date_is_refused_on_another_day() -> None:
    template = Template(tiny.byte_bpe(DATED))
    today, tomorrow = (_at(template, clock) for clock in CLOCKS)
    verify(today, golden(today, rows("train", ENGLISH)))
    with pytest.raises(TemplateError, match="no longer gives the ids"):
        verify(tomorrow, golden(today, rows("train", ENGLISH)))
    assert "exactune" not in str(template.tokenizer.chat_template)


def test_a_default_system_message_is_found_where_rows_have_none() -> None:
    tokenizer = tiny.byte_bpe(DEFAULT_SYSTEM)
    (finding,) = found_by("D502", real(ENGLISH, tokenizer)(Path()))
    assert finding.evidence == {"rows": 8, "text": "You are Tiny."}
    assert finding.severity is Severity.WARNING
    assert not found_by("D502", tokenized(Splits(rows("train", ENGLISH, system="Judge.")), tokenizer))


@pytest.mark.parametrize(
    "template", [tiny.CHATML, tiny.THINKING, tiny.DROPS_SYSTEM, NO_EMPTY_SYSTEM, None, tiny.NO_SYSTEM]
)
def test_a_template_that_leaves_an_empty_system_message_out_injects_none(template: str | None) -> None:
    assert not behaviour(template, bos=template == tiny.NO_SYSTEM).injected


@pytest.mark.parametrize(
    ("template", "answers", "rows_found"),
    [
        (tiny.THINKING, ("a", "b"), 1),  # the prompt has an empty thinking block, the history none
        (FORGETS, ("<think>hm</think>a", "b"), 1),
        (FORGETS, ("a", "b"), 0),
        (tiny.CHATML, ("<think>hm</think>a", "b"), 0),
    ],
    ids=["block", "thought", "no thought", "kept"],
)
def test_history_that_is_rewritten_is_for_information(template: str, answers: tuple[str, str], rows_found: int) -> None:
    splits = Splits(chat("q", answers[0], "r", answers[1]))
    findings = found_by("D502", tokenized(splits, tiny.byte_bpe(template)))
    assert [finding.evidence for finding in findings] == [{"rows": 1}] * rows_found
    assert all(finding.severity is Severity.INFO for finding in findings)


def test_history_does_not_matter_without_earlier_turns() -> None:
    assert not found_by("D502", tokenized(Splits(chat("q", "a")), tiny.byte_bpe(tiny.THINKING)))


def test_a_second_begin_token_is_for_information() -> None:
    from tokenizers import processors

    tokenizer = tiny.byte_bpe("{{ bos_token }}" + tiny.CHATML, bos=True)
    assert not found_by("D502", real(ENGLISH, tokenizer)(Path()))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tokenizer.bos_token_id)]
    )
    (finding,) = found_by("D502", real(ENGLISH, tokenizer)(Path()))
    assert finding.severity is Severity.INFO
    assert "add_special_tokens=False" in finding.message


# ---- D503


def test_the_stop_token_and_the_known_ones_are_named() -> None:
    (finding,) = found_by("D503", real(ENGLISH, tiny.byte_bpe(), [0])(Path()))
    assert finding.evidence == {"stop": "<|im_end|>", "known": ["<|endoftext|>"]}
    assert not found_by("D503", real(ENGLISH, tiny.byte_bpe())(Path()))  # no generation config says anything


def test_stops_come_from_the_generation_config_or_the_model(tmp_path: Path) -> None:
    folder = tiny.save_base(tmp_path / "base")
    config = folder / "generation_config.json"
    config.write_text(json.dumps({"eos_token_id": [0, 1]}), encoding="utf-8")
    assert generation_stops(find_base(str(folder))) == [0, 1]
    config.unlink()
    assert generation_stops(find_base(str(folder))) == [2]


def test_a_checked_config_knows_them(tmp_path: Path) -> None:
    folder = tiny.save_base(tmp_path / "base")
    config = write_task(tmp_path, folder, "")
    assert not [finding for finding in check(config).findings if finding.code == "D503"]
    (folder / "generation_config.json").write_text('{"eos_token_id": 0}', encoding="utf-8")
    (finding,) = [finding for finding in check(config).findings if finding.code == "D503"]
    assert "answers end with '<|im_end|>'" in finding.message


# ---- D504


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


# ---- D306


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
