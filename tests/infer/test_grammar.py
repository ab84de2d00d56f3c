from __future__ import annotations

import json
import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exactune.bases import find_base
from exactune.errors import ModelError
from exactune.infer import engine
from exactune.infer.engine import generate
from exactune.infer.grammar import Grammar
from exactune.render.template import Template
from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask, Task, TextTask
from exactune.tasks.grammar import answer_grammar
from exactune.types import Status

import tiny

STRINGS = {"type": "array", "items": {"type": "string"}}


def closed(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


LAW = closed({"性質": {"enum": ["命令", "法律"]}, "機關": {"type": "string"}, "廢止": {"type": "boolean"}})
SLOTS = closed({"intent": {"enum": ["Play", "Rate"]}, "slots": closed(dict.fromkeys("abcde", STRINGS), [])})
TYPES = ("LOC", "ORG", "人名")

# Task, training answers, further answers that have to be possible, and some that must not.
CASES: dict[str, tuple[Task, list[str], list[str], list[str]]] = {
    "one order, all required": (
        JsonTask(LAW),
        ['{"性質": "命令", "機關": "考選部", "廢止": true}', '{"性質": "法律", "機關": "a\\"b", "廢止": false}'],
        ['{"性質": "法律", "機關": "", "廢止": true}', '{"性質": "法律", "機關": "\\u001f🙂\\\\", "廢止": true}'],
        [
            '{"性質":"命令","機關":"考選部","廢止":true}',
            '{"機關": "考選部", "性質": "命令", "廢止": true}',
            '{"性質": "其他", "機關": "考選部", "廢止": true}',
            '{"性質": "命令", "機關": "考選部"}',
            '{"性質": "命令", "機關": "\\u8003", "廢止": true}',
            '{"性質": "命令", "機關": "a\nb", "廢止": true}',
            '{"性質": "命令", "機關": null, "廢止": true}',
            '{"性質": "命令", "機關": "考選部", "廢止": true}\n',
            "",
        ],
    ),
    "any order, each key once": (
        JsonTask(SLOTS),
        [
            '{"intent": "Play", "slots": {"a": ["x"], "c": ["y", "z"]}}',
            '{"intent": "Rate", "slots": {"c": ["x"], "a": ["y"]}}',
        ],
        [
            '{"intent": "Play", "slots": {}}',
            '{"intent": "Play", "slots": {"e": ["1"], "d": ["2"], "c": [], "b": ["3"], "a": ["4"]}}',
        ],
        [
            '{"intent": "Play", "slots": {"a": ["x"], "a": ["y"]}}',
            '{"intent": "Play", "slots": {"f": ["x"]}}',
            '{"slots": {}, "intent": "Play"}',
        ],
    ),
    "any order, some required": (
        JsonTask(closed({"a": {"type": "integer"}, "b": {"type": "null"}, "c": {"type": "number"}}, ["a", "c"])),
        ['{"a": 1, "b": null, "c": 1.5}', '{"c": -2e5, "a": 0}', '{"b": null, "c": 3, "a": 4}'],
        ['{"c": 1, "b": null, "a": 2}', '{"a": 1, "c": 1}'],
        [
            '{"a": 1, "b": null}',
            '{"c": 1}',
            '{"a": 01, "c": 1}',
            '{"a": 1.0, "c": 1}',
            '{"a": 1, "c": 1e999}',
            '{"a": 1, "c": NaN}',
            "{}",
        ],
    ),
    "one order, some required": (
        JsonTask(closed({key: {"type": "integer"} for key in "cba"}, ["b"])),
        ['{"a": 1, "b": 2, "c": 3}', '{"b": 2, "c": 3}', '{"b": 2}', '{"a": 1, "b": 2}'],
        [],
        ['{"a": 1, "c": 3}', '{"a": 1}', '{"c": 3}', '{"c": 3, "b": 2}', '{"b": 2, "a": 1}', "{}"],
    ),
    "escapes, no spaces": (
        JsonTask(closed({"名": {"type": "string"}, "k": {"enum": ["正", "🙂"]}})),
        ['{"\\u540d":"a\\u6b63","k":"\\u6b63"}', '{"\\u540d":"b","k":"\\ud83d\\ude42"}'],
        ['{"\\u540d":"\\uD83D\\uDE42\\n\\u0000\\ud7ff\\ue000 !#[]~","k":"\\u6b63"}'],
        [
            '{"名":"a","k":"\\u6b63"}',
            '{"\\u540d":"正","k":"\\u6b63"}',
            '{"\\u540d":"\\ud83d","k":"\\u6b63"}',
            '{"\\u540d":"\\ud83dx","k":"\\u6b63"}',
        ],
    ),
    "lines of their own": (
        JsonTask(closed({"a": STRINGS, "b": closed({"c": {"type": "integer"}})})),
        [json.dumps({"a": ["x", "y"], "b": {"c": 1}}, indent=2), json.dumps({"a": [], "b": {"c": 2}}, indent=2)],
        [json.dumps({"a": ["z"], "b": {"c": 2}}, indent=2)],
        [json.dumps({"a": ["z"], "b": {"c": 2}}), json.dumps({"a": ["z"], "b": {"c": 2}}, indent=4)],
    ),
    "free keys and any value": (
        JsonTask({"type": "object", "additionalProperties": {"type": ["integer", "null"]}}),
        ['{"x": 1}', '{"y": null, "z": 2}'],
        ["{}", '{"正": 3}'],
        ['{"x": "1"}', "[]"],
    ),
    "open object": (
        JsonTask({"properties": {"a": {"type": "integer"}}, "type": "object", "required": ["a"]}),
        ['{"a": 1, "more": [{"b": null}]}', '{"a": 2}'],
        ['{"a": 1, "more": true}'],
        ['{"more": 1}', '{"a": 1, "other": 1}'],
    ),
    "list of anything": (
        JsonTask({"type": "array"}),
        ['[1, "a", {"b": []}]', "[]"],
        ["[null]"],
        ["{}", "[1,2]"],
    ),
    "keywords beyond the rules": (
        JsonTask({"$ref": "#/$defs/x", "$defs": {"x": closed({"d": {"type": "string", "pattern": "^[0-9]{4}$"}})}}),
        ['{"d": "2019"}'],
        ['{"d": "1234"}'],
        ['{"d": "20"}', '{"d":"2019"}', '{"d": "201a"}'],
    ),
    "label under a key": (
        ClassificationTask(("正面", 'a "b"\\\n', "🙂\u2028/"), "情緒"),
        ['{"情緒": "正面"}'],
        [json.dumps({"情緒": label}, ensure_ascii=False) for label in ('a "b"\\\n', "🙂\u2028/")],
        ['{"情緒": "中立"}', '{"情緒": "正面", "情緒": "正面"}', "正面"],
    ),
    "entities by type": (
        EntitiesTask(TYPES),
        ['{"LOC": ["台北"], "人名": ["Ann"]}', '{"ORG": ["x", "y"]}', "{}"],
        ['{"人名": ["Bob"]}', '{"LOC": ["a"], "ORG": ["b"], "人名": ["c"]}'],
        ['{"PER": ["x"]}', '{"LOC": "x"}', "[]", '{"LOC": [1]}'],
    ),
    "entities by type, all keys always": (
        EntitiesTask(TYPES),
        ['{"人名": [], "LOC": ["台北"], "ORG": []}', '{"人名": ["x"], "LOC": [], "ORG": []}'],
        ['{"人名": [], "LOC": [], "ORG": []}'],
        ['{"人名": [], "LOC": []}', "{}"],
    ),
    "entities as items": (
        EntitiesTask(TYPES),
        [
            '[{"text": "台北", "type": "LOC", "start": 3}]',
            '[{"text": "x", "type": "ORG", "start": 0}, {"text": "x", "type": "LOC", "start": 9}]',
        ],
        ["[]", '[{"text": "new", "type": "人名", "start": 12}]'],
        ['[{"text": "x", "type": "PER", "start": 1}]', '[{"text": "x"}]', "{}"],
    ),
    "entities inside a key": (
        EntitiesTask(TYPES),
        [
            '{"entities":[{"type":"LOC","word":"x"}]}',
            '{"entities":[]}',
            '{"entities":[{"type":"LOC","word":"y"}]}',
            "[]",
        ],
        ['{"entities":[{"type":"人名","word":"y"},{"type":"LOC","word":""}]}'],
        ["[]", '{"entities":[{"type":"PER","word":"y"}]}', '{"items":[]}'],
    ),
    "seventy types": (
        EntitiesTask(tuple(f"t{number}" for number in range(70))),
        ['{"t1": ["a"], "t0": ["b"]}', '{"t0": ["a"], "t1": ["b"]}', "{}"],
        ['{"t69": ["a"]}'],
        ['{"t70": ["a"]}'],
    ),
}


@pytest.fixture(scope="module")
def template() -> Template:
    return Template(tiny.byte_bpe())


@pytest.fixture(scope="module")
def mini() -> Template:
    return Template.load(find_base("mini"))


@pytest.fixture(scope="module")
def model(template: Template) -> torch.nn.Module:
    # Wider than the vocabulary, as models with a padded output layer are; and of several minds.
    made = tiny.model(len(template.tokenizer) + 21)
    for parameter in made.parameters():
        parameter.data.mul_(3)
    return made


def written(task: Task, answers: list[str]) -> str:
    text = answer_grammar(task, answers)
    assert text is not None
    return text


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_grammar_allows_usable_answers_in_the_layout_of_training_and_nothing_else(case, template) -> None:
    task, answers, more, wrong = case
    text = written(task, answers)
    assert text == written(task, answers) == json.loads(json.dumps(text))
    grammar = Grammar(text, template)
    usual = [answer for answer in answers if answer not in wrong]
    assert [answer for answer in usual + more if not grammar.accepts(answer)] == []
    assert {task.parse(answer).status for answer in usual + more} == {Status.OK}
    assert [answer for answer in wrong if grammar.accepts(answer)] == []


def test_an_optional_key_that_is_never_empty_in_training_may_not_be(template) -> None:
    few, many = ['{"LOC": ["a"]}', '{"ORG": ["b"]}'], ['{"LOC": ["a"]}'] * 100 + ['{"ORG": ["b"]}']
    assert Grammar(written(EntitiesTask(TYPES), few), template).accepts('{"LOC": []}')
    grammar = Grammar(written(EntitiesTask(TYPES), many), template)
    assert not grammar.accepts('{"LOC": []}')
    assert grammar.accepts('{"ORG": []}')
    assert grammar.accepts("{}")


def test_a_few_rows_in_another_order_do_not_free_the_order(template) -> None:
    schema = closed({"b": {"type": "integer"}, "a": {"type": "integer"}})
    grammar = Grammar(written(JsonTask(schema), ['{"a": 1, "b": 2}'] * 40 + ['{"b": 1, "a": 2}']), template)
    assert grammar.accepts('{"a": 3, "b": 4}')
    assert not grammar.accepts('{"b": 1, "a": 2}')


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        (TextTask(), ['{"a": 1}']),
        (ClassificationTask(("a", "b")), ["a", "b"]),
        (JsonTask(LAW), []),
        (JsonTask(LAW), ["no JSON"]),
        (JsonTask({}), ['{ "a" : 1 }']),
        (JsonTask({"pattern": "x"}), ['{\n  "a": 1\n}']),
    ],
    ids=str,
)
def test_no_grammar_where_nothing_says_how_answers_are_written(task: Task, answers: list[str]) -> None:
    assert answer_grammar(task, answers) is None


@pytest.mark.parametrize("make", [tiny.unigram, tiny.wordpiece])
def test_a_tokenizer_that_changes_texts_is_refused(make) -> None:
    with pytest.raises(ModelError, match="tokenizer cannot be held to a grammar"):
        Grammar('start: "a"', Template(make()))


def test_what_is_no_grammar_is_refused(template) -> None:
    with pytest.raises(ModelError, match="no grammar for answers"):
        Grammar("start: nothing", template)


def follow(grammar: Grammar, template: Template, answer: str) -> int:
    """Write an answer token by token as training has it; the number of tokens that were forced."""
    ids, pen, at, forced = template.answer_ids(answer), grammar.pen(), 0, 0
    while True:
        only = pen.forced()
        assert ids[at : at + len(only)] == only
        at, forced = at + len(only), forced + len(only)
        if at == len(ids):
            return forced
        if ids[at] == template.stop_id:
            assert pen.matcher.is_accepting()
            return forced
        pen.write(ids[at])
        at += 1


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_forced_tokens_are_those_of_the_whole_answer(case, template, mini) -> None:
    task, answers, more, wrong = case
    text = written(task, answers)
    for tokens in (template, mini):
        grammar = Grammar(text, tokens)
        for answer in [*answers, *more]:
            if answer not in wrong:
                follow(grammar, tokens, answer)


WORDS = st.text(st.sampled_from('aZ 0,:"\\[]{}é正面🙂\n\tthe') | st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["命令", "法律"]), text=WORDS, old=st.booleans(), spaced=st.booleans())
def test_forced_tokens_are_those_of_the_whole_answer_whatever_it_says(template, mini, kind, text, old, spaced) -> None:
    value, separators = {"性質": kind, "機關": text, "廢止": old}, (", ", ": ") if spaced else (",", ":")
    for tokens in (template, mini):
        key = (id(tokens), spaced)
        if key not in GRAMMARS:
            answers = [json.dumps({**value, "機關": "考選部"}, ensure_ascii=False, separators=separators)]
            GRAMMARS[key] = Grammar(written(JsonTask(LAW), answers), tokens)
        assert follow(GRAMMARS[key], tokens, json.dumps(value, ensure_ascii=False, separators=separators)) >= 6


GRAMMARS: dict[tuple[int, bool], Grammar] = {}


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
    if reads == "all":
        monkeypatch.setattr(engine, "CALL", 10**6)
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
    assert slow == max(answer.tokens for answer in together)
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
def test_the_limit_cuts_forced_tokens_too(model, template, room: int) -> None:
    grammar = Grammar(written(CHOICES, CHOSEN), template)
    for answer in generate(model, template, prompts(4), max_new_tokens=room, grammar=grammar):
        assert answer.tokens == room
        assert not answer.stopped


def test_what_may_not_come_next_cannot_be_written(template) -> None:
    with pytest.raises(ModelError, match="left its grammar"):
        Grammar('start: "a"', template).pen().write(template.answer_ids("z")[0])
