"""Texts that answers can only copy from their inputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from grammar_cases import closed
from hypothesis import given, settings
from hypothesis import strategies as st
from test_grammar_decoding import Babbler, prompts

import exactune
from exactune.errors import ConfigError
from exactune.infer.engine import generate
from exactune.infer.grammar import Grammar
from exactune.rundir import read_json, read_jsonl
from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask, Parsed, TextTask
from exactune.tasks.constraint import choose_constraint
from exactune.tasks.copying import ends_between_words, pieces
from exactune.tasks.grammar import answer_grammar, copying_grammar
from exactune.tasks.jsontext import parse_answer
from exactune.types import Status

from made import write_jsonl, write_task

ENTITIES = EntitiesTask(("LOC", "ORG", "PER"))
SPANS = (
    ['{"LOC": ["台北"], "ORG": ["Acme Ltd"]}', '{"PER": ["Ann Lee"]}', '{"ORG": ["\\"Acme\\""]}'],
    ["台北 Acme Ltd 說", "by Ann Lee.", 'the "Acme" people'],
)


def grammar_of(template, task, answers: list[str], inputs: list[str]) -> Grammar:  # type: ignore[no-untyped-def]
    found = copying_grammar(task, answers, inputs)
    assert found is not None
    json.dumps(found)
    return Grammar(found["grammar"], template, found["copy"])


def test_entities_are_pieces_of_their_own_input(template) -> None:
    grammar = grammar_of(template, ENTITIES, *SPANS)
    assert all(grammar.accepts(*row) for row in zip(*SPANS, strict=True))
    source = 'Ann Leeds\n說"好" 台北市'
    right = ['{"PER": ["Ann"]}', '{"LOC": ["台北"], "PER": ["Leeds"]}',
             '{"ORG": ["Leeds\\n說\\"好"]}', "{}"]  # fmt: skip
    wrong = ['{"PER": ["Lee"]}', '{"PER": ["Ann Lee"]}', '{"LOC": ["高雄"]}', '{"LOC": [""]}', '{"ORG": ["說\\\\"]}']
    assert [answer for answer in right if not grammar.accepts(answer, source)] == []
    assert [answer for answer in wrong if grammar.accepts(answer, source)] == []
    assert grammar.accepts("{}", "")


def test_pieces_of_words_where_training_has_them(template) -> None:
    answers, inputs = ['{"ORG": ["Acm"]}', '{"ORG": ["Acme"]}', '{"LOC": ["b"]}'], ["Acme", "Acme", "a b"]
    found = copying_grammar(ENTITIES, answers, inputs)
    assert found is not None
    assert found["copy"] == {"words": False, "escapes": False}
    grammar = Grammar(found["grammar"], template, found["copy"])
    assert grammar.accepts('{"ORG": ["cm"]}', "Acme")
    assert not grammar.accepts('{"ORG": ["em"]}', "Acme")


def test_only_fields_that_are_copied_are_held_to_the_input(template) -> None:
    schema = closed({"who": {"type": "string"}, "mood": {"enum": ["up", "down"]}, "note": {"type": "string"},
                     "said": {"type": "string"}})  # fmt: skip
    answers = [
        json.dumps({"who": who, "mood": "up", "note": f"a note {who}", "said": said}, ensure_ascii=True)
        for who, said in (("é", ""), ("Bo", "hi"), ("Cy", ""))
    ]
    grammar = grammar_of(template, JsonTask(schema), answers, ["é x", "Bo hi", "Cy"])
    assert grammar.accepts('{"who": "Bo", "mood": "down", "note": "any", "said": "y"}', "Bo y")
    assert grammar.accepts('{"who": "\\u00e9", "mood": "down", "note": "\\u6b63", "said": ""}', "é")
    assert not grammar.accepts('{"who": "Bo", "mood": "down", "note": "any", "said": "hi"}', "Bo y")
    assert not grammar.accepts('{"who": "", "mood": "down", "note": "any", "said": ""}', "Bo y")


@dataclass(frozen=True)
class Relations:
    """The shape of a task whose answers are relations."""

    type: ClassVar[str] = "relations"
    entity_types: tuple[str, ...] = ("Peop", "Loc")

    def config(self) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "relations", "relation_types": ["Live_In", "Kill"]}
        return {**block, "entity_types": list(self.entity_types)} if self.entity_types else block

    def parse(self, text: str) -> Parsed:
        return parse_answer(text)


def triple(head: str, kind: str, tail: str) -> dict[str, str]:
    return {"head": head, "type": kind, "tail": tail}


def test_relations_have_known_types_and_spans_of_the_input(template) -> None:
    rows = [
        {"entities": [{"text": "Ann", "type": "Peop"}, {"text": "Rome", "type": "Loc"}],
         "relations": [triple("Ann", "Live_In", "Rome")]},
        {"entities": [{"text": "Bo", "type": "Peop"}], "relations": []},
    ]  # fmt: skip
    answers, inputs = [json.dumps(row) for row in rows], ["Ann of Rome", "Bo"]
    free = answer_grammar(Relations(), answers)  # type: ignore[arg-type]
    assert free is not None
    held = grammar_of(template, Relations(), answers, inputs)
    for grammar in (Grammar(free, template), held):
        assert all(grammar.accepts(*row) for row in zip(answers, inputs, strict=True))
        unseen = {"entities": [], "relations": [triple("Bo", "Kill", "Ann")]}
        assert grammar.accepts(json.dumps(unseen), "Bo and Ann")
        for wrong in (triple("Bo", "Loves", "Ann"), {"head": "Bo", "tail": "Ann"}, triple("Bo", "Peop", "Ann")):
            assert not grammar.accepts(json.dumps({"entities": [], "relations": [wrong]}), "Bo and Ann")
    assert not held.accepts(json.dumps({"entities": [], "relations": [triple("Bo", "Kill", "Cy")]}), "Bo and Ann")
    assert not held.accepts(json.dumps({"relations": []}), "Bo")


def test_relations_alone_keep_their_keys(template) -> None:
    answers = [
        '[{"subject":"a","relation":"Kill","object":"b"}]',
        "[]",
        '[{"subject":"b","relation":"Kill","object":"a"}]',
    ]
    text = answer_grammar(Relations(()), answers)  # type: ignore[arg-type]
    assert text is not None
    grammar = Grammar(text, template)
    assert grammar.accepts('[{"subject":"q","relation":"Live_In","object":"w"}]')
    assert not grammar.accepts('[{"subject":"q","relation":"other","object":"w"}]')
    assert not grammar.accepts('[{"subject": "q", "relation": "Kill", "object": "w"}]')


def test_types_have_their_place_whatever_their_keys_are_called(template) -> None:
    span = {"text": "a", "type": "Peop", "from": 0, "to": 1}
    relation = {"subj": "a", "subj_type": "Peop", "predicate": "Kill", "obj": "a", "obj_label": "Loc"}
    answers = [json.dumps({"entities": [span], "relations": [relation]})] * 3
    text = answer_grammar(Relations(), answers)  # type: ignore[arg-type]
    assert text is not None
    grammar = Grammar(text, template)
    assert grammar.accepts(answers[0])
    for wrong in ({"subj_type": "Kill"}, {"obj_label": "Kill"}, {"predicate": "Peop"}):
        assert not grammar.accepts(json.dumps({"entities": [span], "relations": [{**relation, **wrong}]}))
    assert not grammar.accepts(json.dumps({"entities": [{**span, "type": "Kill"}], "relations": [relation]}))


@dataclass(frozen=True)
class Several:
    """The shape of a classification with several labels."""

    type: ClassVar[str] = "classification"
    labels: tuple[str, ...] = ("food", "price", "正")
    field: str | None = None

    def config(self) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "classification", "labels": list(self.labels), "multi_label": True}
        return block if self.field is None else {**block, "field": self.field}

    def parse(self, text: str) -> Parsed:
        return parse_answer(text)


@pytest.mark.parametrize("field", [None, "tags"])
def test_several_labels_are_known_and_written_once(template, field: str | None) -> None:
    def answer(*labels: str) -> str:
        return json.dumps(list(labels) if field is None else {field: list(labels)}, ensure_ascii=False)

    constraint = choose_constraint(Several(field=field), [answer("food"), answer("price", "food")], "auto")  # type: ignore[arg-type]
    assert constraint is not None
    grammar = Grammar(constraint["grammar"], template)
    assert all(grammar.accepts(answer(*some)) for some in ((), ("正",), ("正", "food"), ("food", "price", "正")))
    assert not any(grammar.accepts(answer(*some)) for some in (("other",), ("food", "food"), ("food", "正", "food")))
    many = Several(labels=tuple(f"l{number}" for number in range(70)), field=field)
    text = answer_grammar(many, [answer("l1")])  # type: ignore[arg-type]
    assert text is not None
    assert Grammar(text, template).accepts(answer("l69", "l0"))


def test_whatever_a_model_says_it_copies(template) -> None:
    grammar = grammar_of(template, ENTITIES, *SPANS)
    sources = [f'Ann {number} "Lee"\\ 台北 of Acme Ltd' for number in range(8)]
    found = generate(Babbler(template, 1), template, prompts(8), max_new_tokens=600, grammar=grammar, sources=sources)
    assert sum(answer.stopped for answer in found) >= 5
    assert {answer.text for answer in found if answer.stopped} != {"{}"}
    for answer, source in zip(found, sources, strict=True):
        if answer.stopped:
            parsed = ENTITIES.parse(answer.text)
            assert parsed.status is Status.OK
            assert all(item["text"] and item["text"] in source for item in parsed.value)
    with pytest.raises(ValueError, match="nothing said to copy from"):
        generate(torch.nn.Linear(1, 1), template, [[5, 6]], max_new_tokens=9, grammar=grammar)


@settings(max_examples=60, deadline=None)
@given(source=st.text('ab \n"\\é正,.', min_size=1, max_size=12), data=st.data())
def test_every_piece_is_allowed_and_nothing_else(template, source: str, data: st.DataObject) -> None:
    key = "characters"
    if key not in KEPT:
        KEPT[key] = grammar_of(template, ENTITIES, ['{"LOC": ["a"]}', '{"LOC": ["b"]}'], ["ca", "cb"])
    start = data.draw(st.integers(0, len(source) - 1))
    stop = data.draw(st.integers(start + 1, len(source)))
    for text in (source[start:stop], data.draw(st.text('ab "\\', min_size=1, max_size=3))):
        answer = json.dumps({"LOC": [text]}, ensure_ascii=False)
        assert KEPT[key].accepts(answer, source) == (text in source)
    assert "".join(pieces(source, words=True)) == "".join(pieces(source, words=False)) == source


KEPT: dict[str, Grammar] = {}


def test_whole_words_are_told_from_parts() -> None:
    assert ends_between_words([("Lee", "Ann Lee"), ("台", "台北"), ("a-b", "x a-b."), ("gone", "away")])
    assert ends_between_words([("ab", "xab ab")])
    assert not ends_between_words([("Le", "Ann Lee")])


@pytest.mark.parametrize(
    ("task", "answers", "setting", "match"),
    [
        (ClassificationTask(("a", "b")), ["a"], "auto", "classification task have no fields"),
        (TextTask(), ["a"], True, "text task have no fields"),
        (JsonTask(closed({"n": {"type": "string"}})), ['{"n": "own words"}'], True, "no field of the training answers"),
        (ENTITIES, SPANS[0][:1], False, "constrain: false"),
    ],
)
def test_where_nothing_is_copied_it_is_refused(task, answers: list[str], setting: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        choose_constraint(task, answers, setting, copied_from=["an input"] * len(answers))


def test_a_run_copies_in_training_evaluation_and_use(base: Path, tmp_path: Path) -> None:
    for name, count, start in (("train", 16, 0), ("eval", 4, 100), ("test", 4, 200)):
        write_jsonl(
            tmp_path / f"{name}.jsonl",
            [{"instruction": "抽取", "input": f"第{n}號 the fox", "output": f'{{"LOC": ["第{n}號"]}}'}
             for n in range(start, start + count)],
        )  # fmt: skip
    config = write_task(tmp_path, base, "task: {type: entities, copy_spans: true}\ntraining: {num_epochs: 1}\n")
    said: list[str] = []
    run = exactune.train(config, output=str(tmp_path / "run"), say=said.append)
    assert not [line for line in said if "cannot be written" in line]
    lines = list(read_jsonl(run.predictions))
    for line in lines:
        if line["status"] == "ok":
            assert all(item["text"] in line["input"] for item in line["prediction"])
            assert [part["text"] for part in line["parts"] if "type" in part] == [
                item["text"] for item in line["prediction"]
            ]
    again = [*exactune.predict(run.path, [line["input"] for line in lines])]
    assert [row["answer"] for row in again] == [line["answer"] for line in lines]
    before = run.metrics.read_bytes(), run.predictions.read_bytes()
    exactune.evaluate(run.path)
    assert (run.metrics.read_bytes(), run.predictions.read_bytes()) == before
    assert read_json(run.artifact / "exactune.json")["constraint"]["copy"] == {"words": True, "escapes": False}
    assert "copy_spans: true" in run.config.read_text(encoding="utf-8")
