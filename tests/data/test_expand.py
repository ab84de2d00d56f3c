"""Chats: every assistant turn is trained on the very ids that it is generated from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exactune import predict, train
from exactune.checks import Dataset, check_dataset
from exactune.config import Config
from exactune.data.expand import expand, turn_note
from exactune.data.formats import convert_row
from exactune.data.load import load
from exactune.infer.artifact import Artifact
from exactune.plan import config_source, make_plan
from exactune.render.template import Template
from exactune.types import Example, Location, Splits

import tiny
from made import write_jsonl

# As Qwen3 has it: the thinking of earlier turns is dropped, that of the turn to come is opened and closed.
STRIPS_THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content.split('</think>')[-1] if m.role == 'assistant' else m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
NO_TOOLS = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEMPLATES = {"chatml": tiny.CHATML, "thinking": tiny.THINKING, "strips": STRIPS_THINKING, "no-tools": NO_TOOLS,
             "no-system": tiny.NO_SYSTEM}  # fmt: skip
CHAT = [
    ("system", "s"), ("user", "天氣如何"), ("assistant", '{"name": "weather", "arguments": {}}'),
    ("tool", '{"degrees": 31}'), ("tool", '{"rain": 0}'), ("assistant", "<think>\nhot\n</think>\n\n31 度"),
    ("user", "謝謝"), ("assistant", "不客氣"),
]  # fmt: skip


def example(turns: list[tuple[str, str]], line: int = 1) -> Example:
    converted = convert_row({"messages": messages(turns)})
    return Example(f"t:{line}", converted.prompt, converted.answer, Location("t", line), converted.format)


def messages(turns: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in turns]


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_turn_is_trained_on_the_ids_that_it_is_generated_from(name: str) -> None:
    template = Template(tiny.byte_bpe(TEMPLATES[name], bos=name == "no-system"))
    asked = [number for number, (role, _) in enumerate(CHAT) if role == "assistant"]
    trained = [template.encode(turn) for turn in expand(example(CHAT))]
    artifact = Artifact(None, template, None, {"system": ""})  # type: ignore[arg-type]
    assert len(trained) == len(asked) == 3
    for row, number in zip(trained, asked, strict=True):
        # What a client sends at that point of the chat.
        sent = artifact.prompt(messages(CHAT[:number]))
        assert row.prompt_ids == template.prompt_ids(sent)
        assert row.labels[len(row.prompt_ids) :] == row.answer_ids
        assert template.decode(row.answer_ids) == CHAT[number][1]
        assert set(row.labels[: len(row.prompt_ids)]) == {-100}


def test_an_earlier_turn_inside_the_longer_chat_has_other_ids() -> None:
    """Why each turn is an example of its own."""
    template = Template(tiny.byte_bpe(STRIPS_THINKING))
    _, second, last = expand(example(CHAT))
    assert "hot" in second.answer
    assert "hot" not in template.prompt_text(last.prompt)
    own = template.prompt_text(second.prompt)
    assert own.endswith("<think>\n\n</think>\n\n")
    assert not template.prompt_text(last.prompt).startswith(own)


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_tool_gave_back_is_always_rendered(name: str) -> None:
    template = Template(tiny.byte_bpe(TEMPLATES[name], bos=name == "no-system"))
    text = template.prompt_text(example(CHAT).prompt)
    assert '{"degrees": 31}' in text
    assert '{"rain": 0}' in text
    assert template.folds_tools == (name == "no-tools")
    if template.folds_tools:
        assert '<|im_start|>user\n{"degrees": 31}\n{"rain": 0}<|im_end|>' in text


U, A, A2 = ("user", "q"), ("assistant", "a"), ("assistant", "b")


@pytest.mark.parametrize(
    ("row", "answers"),
    [
        ({"messages": messages([U, A, U, A2])}, ["a", "b"]),
        ({"messages": messages([U, ("assistant", " "), U, A2])}, ["b"]),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"},
                            {"from": "human", "value": "q"}, {"from": "gpt", "value": "b"}]}, ["a", "b"]),
        ({"instruction": "q", "output": "b", "history": [["q", "a"]]}, ["a", "b"]),
        ({"query": "q", "response": "b", "history": [["q", "a"]]}, ["a", "b"]),
        ({"prompt": messages([U, A, U]), "completion": "b"}, ["b"]),
        ({"prompt": messages([U, A, U]), "chosen": "b", "rejected": "c"}, ["b"]),
        ({"messages": messages([U, A, U, A2]), "rejected_response": "c"}, ["b"]),
        ({"text": "q", "label": "b"}, ["b"]),
    ],
)  # fmt: skip
def test_chats_are_learned_whole_and_prompts_are_not(row: dict[str, Any], answers: list[str]) -> None:
    converted = convert_row(row)
    made = Example("t:1", converted.prompt, converted.answer, Location("t", 1), converted.format)
    turns = expand(made)
    assert [turn.answer for turn in turns] == answers
    assert turns[-1] == made
    assert len({turn.id for turn in turns}) == len(turns)


def test_rows_that_share_a_beginning_are_no_duplicates() -> None:
    chats = tuple(example([U, A, ("user", f"q{n}"), ("assistant", f"b{n}")], n) for n in range(1, 120))
    held = (example([U, A, ("user", "new"), A2], 500),)
    assert check_dataset(Dataset(Splits(chats, held))) == []


def test_a_plan_trains_every_turn_and_scores_the_last(base: Path, tmp_path: Path) -> None:
    rows = [{"messages": messages([*CHAT[:6], ("user", f"第{n}次"), ("assistant", "ab"[n % 2])])} for n in range(12)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    write_jsonl(
        tmp_path / "eval.jsonl", [{"messages": messages([*CHAT[:6], ("user", "再見"), ("assistant", "b")])}] * 2
    )
    write_jsonl(tmp_path / "mix.jsonl", [{"messages": messages([U, A, U, A2])}] * 12)
    config = tmp_path / "task.yaml"
    config.write_text(
        f"model: {base}\ndata: {{train: train.jsonl, eval: eval.jsonl, mix: [{{path: mix.jsonl, ratio: 0.25}}]}}\n"
        f"check: {{ignore: [D505]}}\noutput_dir: {tmp_path / 'run'}\n",
        encoding="utf-8",
    )
    plan = make_plan(config_source(config))
    assert (len(plan.splits.train), len(plan.encoded), len(plan.encoded_eval)) == (12, 12 * 3 + 3 * 2, 2)
    assert [row.id for row in plan.encoded[:3]] == ["train.jsonl:1 turn 1", "train.jsonl:1 turn 2", "train.jsonl:1"]
    assert any("12 of 12 training rows are chats of several assistant turns: each of their 36" in n for n in plan.notes)
    assert turn_note(plan.splits.eval[:0]) is None


def test_too_long_a_turn_rejects_its_row(base: Path, tmp_path: Path) -> None:
    """An earlier turn can be longer than the whole chat, where the template drops its thinking."""
    long = f"<think>{'x ' * 400}</think>ok"
    made = [
        {"messages": messages([U, ("assistant", long if n == 3 else "ok"), U, ("assistant", "ab"[n % 2])])}
        for n in range(12)
    ]
    folder = tiny.save_base(tmp_path / "base", template=STRIPS_THINKING)
    write_jsonl(tmp_path / "train.jsonl", made)
    write_jsonl(tmp_path / "eval.jsonl", [{"text": "x", "label": "a"}])
    config = tmp_path / "task.yaml"
    config.write_text(
        f"model: {folder}\ndata: {{train: train.jsonl, eval: eval.jsonl}}\ntraining: {{max_seq_length: 200}}\n"
        f"check: {{on_error: skip}}\noutput_dir: {tmp_path / 'run'}\n", encoding="utf-8",
    )  # fmt: skip
    plan = make_plan(config_source(config))
    (finding,) = [finding for finding in plan.findings if finding.code == "D501"]
    assert [place.line for place in finding.locations] == [4]


def test_preference_pairs_train_on_the_chosen_answers(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [{"prompt": "q", "chosen": "good", "rejected": "bad"}] * 3)
    loaded = load(Config.model_validate({"data": {"train": "train.jsonl"}}), tmp_path)
    assert {(row.answer, row.rejected) for row in loaded.splits.train} == {("good", "bad")}
    assert loaded.notes == (
        "3 preference pairs: supervised fine-tuning learns the chosen answers and leaves the rejected ones aside.",
    )


def test_a_run_over_chats_with_tools(base: Path, tmp_path: Path) -> None:
    def chat(number: int) -> dict[str, Any]:
        call = {"function": {"name": "weather", "arguments": f'{{"day": {number}}}'}}
        return {
            "messages": [
                {"role": "user", "content": f"第{number}天"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "content": f"{number} 度"},
                {"role": "assistant", "content": ["冷", "熱"][number % 2]},
            ],
            "tools": [{"name": "weather"}],
        }

    for name, start in (("train", 0), ("eval", 50)):
        write_jsonl(tmp_path / f"{name}.jsonl", [chat(start + number) for number in range(8)])
    config = tmp_path / "task.yaml"
    config.write_text(
        f"model: {base}\ndata: {{train: train.jsonl, eval: eval.jsonl}}\n"
        f"training: {{num_epochs: 1, logging_steps: 1}}\noutput_dir: {tmp_path / 'run'}\n",
        encoding="utf-8",
    )
    said: list[str] = []
    run = train(config, say=said.append)
    logged = [json.loads(line) for line in run.train_metrics.read_text(encoding="utf-8").splitlines()]
    assert logged[-1]["step"] == 1
    assert any("8 of 8 training rows are chats of several assistant turns: each of their 16" in line for line in said)
    assert json.loads(run.metrics.read_text(encoding="utf-8"))["n"] == 8
    answers = list(predict(run.path, tmp_path / "eval.jsonl"))
    again = [json.loads(line) for line in run.predictions.read_text(encoding="utf-8").splitlines()]
    assert [row["answer"] for row in answers] == [row["answer"] for row in again]
