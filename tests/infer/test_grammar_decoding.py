"""Answers that a model writes under a grammar."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from grammar_cases import CASES, STRINGS, closed, written

from exactune.errors import ModelError
from exactune.infer import engine, head
from exactune.infer.engine import generate
from exactune.infer.grammar import Grammar
from exactune.render.template import Template
from exactune.tasks import JsonTask
from exactune.types import Status

import tiny


def prompts(count: int) -> list[list[int]]:
    draw = random.Random(1)
    return [[draw.randrange(3, 390) for _ in range(draw.randrange(3, 40))] for _ in range(count)]


class Babbler(torch.nn.Module):
    """Random logits, by row and position, that end things more often than not."""

    def __init__(self, template: Template, seed: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seed, self.width = seed, len(template.tokenizer)
        texts = [template.tokenizer.decode([token]) for token in range(self.width)]
        self.ends = torch.tensor([5.0 if {*text} & {*'"]}'} and text.isascii() else 0.0 for text in texts])
        self.ends[template.stop_id] = 5.0

    def forward(self, position_ids, past_key_values, **_):  # type: ignore[no-untyped-def]
        past_key_values.batch_select_indices = lambda _: None
        made = []
        for row, position in enumerate(position_ids[:, -1].tolist()):
            draw = torch.Generator().manual_seed(self.seed * 7919 + row * 101 + position)
            made.append(torch.randn(1, self.width, generator=draw) * 4 + self.ends)
        return type("Output", (), {"logits": torch.stack(made)})


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_whatever_a_model_says_its_answer_is_usable(case, template) -> None:
    task, answers, *_ = case
    grammar = Grammar(written(task, answers), template)
    found = [
        answer
        for seed in range(3)
        for answer in generate(Babbler(template, seed), template, prompts(8), max_new_tokens=600, grammar=grammar)
    ]
    assert {task.parse(answer.text).status for answer in found if answer.stopped} == {Status.OK}
    assert sum(answer.stopped for answer in found) >= 20


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_an_answer_without_end_is_closed_at_the_limit(case, template) -> None:
    """By a model that never wants to end a text, a list or an object."""
    task, answers, *_ = case
    grammar = Grammar(written(task, answers), template)
    babbler = Babbler(template, 0)
    babbler.ends *= -4
    found = generate(babbler, template, prompts(8), max_new_tokens=24, grammar=grammar)
    assert {task.parse(answer.text).status for answer in found} == {Status.OK}
    assert all(answer.stopped for answer in found)
    assert all(answer.tokens <= 24 for answer in found if not answer.closed)
    assert any(answer.closed for answer in found) or all(answer.tokens <= 24 for answer in found)


def plain(model: torch.nn.Module, template: Template, prompt: list[int], grammar: Grammar, room: int):
    """Greedy under a grammar without caches, batches or masks."""
    pen = grammar.pen()
    ids, total = pen.forced(), 0.0
    while len(ids) < room and template.stop_id not in ids:
        logits = model(torch.tensor([prompt + ids])).logits[0, -1].detach().float()
        tokens = {*range(len(template.tokenizer))} - {*template.stop_ids}
        allowed = [token for token in sorted(tokens) if pen.matcher.validate_tokens([token])]
        allowed += template.stop_ids if pen.matcher.is_accepting() else ()
        scores = logits[allowed].log_softmax(-1)
        token = allowed[int(scores.argmax())]
        ids, total = [*ids, token], total + float(scores.max())
        if token not in template.stop_ids:
            pen.write(token)
            ids += pen.forced()
    return template.decode(ids[:room]), total


@pytest.mark.parametrize("name", ["one order, all required", "any order, each key once", "entities as items"])
@pytest.mark.parametrize("reads", ["what pays", "all", "one token"])
def test_answers_equal_those_of_plain_masking(model, template, monkeypatch, name: str, reads: str) -> None:
    monkeypatch.setattr(engine, "CLOSING", 0)
    if reads == "all":
        monkeypatch.setattr(head, "CALL", 10**6)
    if reads == "one token":
        monkeypatch.setattr(engine, "may_share", lambda *_: False)
    task, answers, *_ = CASES[name]
    grammar = Grammar(written(task, answers), template)
    rows = [*prompts(9), [*prompts(1)[0], 5]]
    found = generate(model, template, rows, max_new_tokens=24, batch_size=4, grammar=grammar)
    expected = [plain(model, template, row, grammar, 24) for row in rows]
    assert [answer.text for answer in found] == [text for text, _ in expected]
    assert [answer.logprob for answer in found] == pytest.approx([logprob for _, logprob in expected], abs=1e-4)
    assert all(answer.forced > 0 for answer in found)


CHOICES = JsonTask(closed({"a": {"enum": ["正面", "負面", "no"]}, "longer key": {"type": "boolean"}, "b": STRINGS}))
CHOSEN = ['{"a": "正面", "longer key": true, "b": []}', '{"a": "no", "longer key": false, "b": ["x"]}']


def passes(model: torch.nn.Module, *args: Any, **options: Any) -> tuple[list[Any], int]:
    seen: list[int] = []
    hook = model.register_forward_pre_hook(lambda *_: seen.append(1))
    try:
        return generate(model, *args, **options), len(seen)
    finally:
        hook.remove()


def test_rows_that_read_different_numbers_of_tokens_answer_as_they_do_alone(model, template, monkeypatch) -> None:
    grammar = Grammar(written(CHOICES, CHOSEN), template)
    options = {"max_new_tokens": 60, "grammar": grammar}
    together, fast = passes(model, template, prompts(13), batch_size=13, **options)
    alone = [generate(model, template, [row], **options)[0] for row in prompts(13)]
    monkeypatch.setattr(engine, "may_share", lambda *_: False)
    stepwise, slow = passes(model, template, prompts(13), batch_size=13, **options)
    assert len({answer.forced for answer in together}) > 1
    for found in (alone, stepwise):
        assert [(a.text, a.tokens, a.forced, a.stopped) for a in found] == [
            (a.text, a.tokens, a.forced, a.stopped) for a in together
        ]
        assert [a.logprob for a in found] == pytest.approx([a.logprob for a in together], abs=1e-4)
    # What stands after the last choice is written without being read.
    assert (
        max(answer.tokens - answer.forced for answer in together) <= slow <= max(answer.tokens for answer in together)
    )
    assert fast < slow


class Follower(torch.nn.Module):
    """Wants to give the answer that the first token of a prompt of two tokens stands for."""

    def __init__(self, template: Template, answers: list[str]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.answers = [template.answer_ids(answer) for answer in answers]
        self.width = len(template.tokenizer)
        self.rows: list[int] = []
        self.passes = 0

    def forward(self, input_ids, position_ids, attention_mask, past_key_values, **_):  # type: ignore[no-untyped-def]
        past_key_values.batch_select_indices = self.select
        if attention_mask.shape == input_ids.shape:
            firsts = attention_mask.argmax(-1)
            self.rows = [int(ids[first]) - 100 for ids, first in zip(input_ids, firsts, strict=True)]
        self.passes += 1
        logits = torch.zeros(len(self.rows), 1, self.width)
        for slot, row in enumerate(self.rows):
            logits[slot, 0, self.answers[row][int(position_ids[slot, -1]) - 1]] = 9.0
        return type("Output", (), {"logits": logits})

    def select(self, slots: torch.Tensor) -> None:
        self.rows = [self.rows[int(slot)] for slot in slots]


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("name", ["one order, all required", "any order, some required", "entities by type"])
def test_a_model_that_answers_in_the_grammar_answers_the_same_under_it(template, monkeypatch, name, skips) -> None:
    monkeypatch.setattr(engine, "may_share", lambda *_: skips)
    monkeypatch.setattr("exactune.infer.head.may_share", lambda *_: False)
    task, answers, more, _ = CASES[name]
    answers = [*answers, *more]
    rows, options = [[100 + n, 60] for n in range(len(answers))], {"max_new_tokens": 200, "batch_size": 3}
    follower = Follower(template, answers)
    free = generate(follower, template, rows, **options)
    freely, follower.passes = follower.passes, 0
    held = generate(follower, template, rows, grammar=Grammar(written(task, answers), template), **options)
    assert [answer.text for answer in free] == [answer.text for answer in held] == answers
    assert [answer.tokens for answer in free] == [answer.tokens for answer in held]
    assert follower.passes < freely if skips else follower.passes <= freely


def test_either_stop_token_ends_an_answer_and_only_a_whole_one() -> None:
    template = Template(tiny.byte_bpe(), generation_stop_ids=[0])
    grammar = Grammar('start: "a" | "ab"', template)
    pen = grammar.pen()
    for ids, allowed in ([], set()), (template.answer_ids("a")[:-1], {0, 2}):
        for token in ids:
            pen.write(token)
        logits = torch.zeros(1, len(template.tokenizer))
        grammar.restrict(logits, [pen])
        assert set((logits[0] == 0).nonzero().flatten().tolist()) & {0, 1, 2} == allowed


def test_an_answer_without_a_choice_is_given_without_the_model(template) -> None:
    grammar = Grammar('start: "{\\"a\\": 1}"', template)
    (answer,) = generate(torch.nn.Linear(1, 1), template, [[5, 6]], max_new_tokens=20, grammar=grammar)
    assert (answer.text, answer.stopped, answer.logprob) == ('{"a": 1}', True, 0.0)
    assert answer.forced == answer.tokens == len(template.answer_ids('{"a": 1}'))


@pytest.mark.parametrize("room", [1, 3, 9])
def test_the_limit_cuts_forced_tokens_too(model, template, monkeypatch, room: int) -> None:
    monkeypatch.setattr(engine, "CLOSING", 0)
    grammar = Grammar(written(CHOICES, CHOSEN), template)
    for answer in generate(model, template, prompts(4), max_new_tokens=room, grammar=grammar):
        assert answer.tokens == room
        assert not answer.stopped


def test_what_may_not_come_next_cannot_be_written(template) -> None:
    with pytest.raises(ModelError, match="left its grammar"):
        Grammar('start: "a"', template).pen().write(template.answer_ids("z")[0])
