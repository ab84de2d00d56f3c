"""What a base model's chat template and stop token do to rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cases_tokens import DATED, ENGLISH, real, tokenized

from exactune.bases import find_base
from exactune.checking import check
from exactune.checks import Dataset, check_dataset
from exactune.errors import TemplateError
from exactune.infer.model import generation_stops
from exactune.render.behaviour import DAYS, _on, find_behaviour
from exactune.render.parity import golden, verify
from exactune.render.template import Template
from exactune.rules import Finding, Severity
from exactune.types import Behaviour, Example, Location, Message, Splits

import tiny
from cases import rows
from made import write_task

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


def test_a_date_in_the_prompt_is_found_with_its_line() -> None:
    (finding,) = found_by("D502", real(ENGLISH, tiny.byte_bpe(DATED))(Path()))
    assert finding.evidence == {"lines": ["Today: 03 Feb 2001", "Today: 20 Nov 2012"]}
    assert (finding.severity, finding.locations) == (Severity.WARNING, ())


def test_a_date_that_is_not_rendered_is_none() -> None:
    assert not behaviour("{% if tools %}{{ strftime_now('%Y') }}{% endif %}" + tiny.CHATML).dated
    # Mistral's default system message has it; a message of one's own, even an empty one, takes its place.
    default = "{% if messages[0].role != 'system' %}{{ strftime_now('%Y') }}{% endif %}" + tiny.CHATML
    assert not behaviour(default).dated


def test_dates_may_be_taken_apart() -> None:
    last_year = "{{ 'Before ' ~ (strftime_now('%Y') | int - 1) ~ '\n' }}" + tiny.CHATML
    assert behaviour(last_year).dated == ("Before 2000", "Before 2011")
    weekday = "{% set day = strftime_now(\"%A, %d\").split(', ') %}{{ day[0] ~ '\n' }}" + tiny.CHATML
    assert behaviour(weekday).dated == ("Saturday", "Tuesday")


def test_what_was_trained_with_a_date_is_refused_on_another_day() -> None:
    template = Template(tiny.byte_bpe(DATED))
    today, tomorrow = (_on(template, day) for day in DAYS)
    verify(today, golden(today, rows("train", ENGLISH)))
    with pytest.raises(TemplateError, match="no longer gives the ids"):
        verify(tomorrow, golden(today, rows("train", ENGLISH)))
    assert "macro" not in str(template.tokenizer.chat_template)


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
