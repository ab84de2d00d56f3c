"""Which answers a grammar allows, and which of their tokens it forces."""

from __future__ import annotations

import json

import pytest
from grammar_cases import CASES, LAW, TYPES, closed, written
from hypothesis import given, settings
from hypothesis import strategies as st

from exactune.errors import ModelError
from exactune.infer.grammar import Grammar
from exactune.render.template import Template
from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask, Task, TextTask
from exactune.tasks.grammar import answer_grammar
from exactune.types import Status

import tiny


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


def assert_followed(grammar: Grammar, template: Template, answer: str) -> int:
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
                assert_followed(grammar, tokens, answer)


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
        forced = assert_followed(GRAMMARS[key], tokens, json.dumps(value, ensure_ascii=False, separators=separators))
        assert forced >= 6


GRAMMARS: dict[tuple[int, bool], Grammar] = {}
