"""How sure a model is of each part of an answer, beside the same by hand."""

from __future__ import annotations

import json
import math
from array import array

import pytest
import torch
from grammar_cases import CASES, written
from hypothesis import given, settings
from hypothesis import strategies as st

from exactune.infer.engine import generate
from exactune.infer.grammar import Grammar
from exactune.infer.parts import score_parts
from exactune.render.template import Template
from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask, Parsed
from exactune.tasks.places import find_places, write_path
from exactune.types import Generation, Status

import tiny

ANY = JsonTask({})


def generation(template: Template, text: str, logprobs: dict[str, float], forced: str = "") -> Generation:
    """A text with a log-probability for each token that has one of some characters, and forced ones."""
    ids = template.answer_ids(text)
    pieces = [template.tokenizer.decode([token]) for token in ids]
    found = [
        math.nan if piece in forced.split("|") else sum(value for part, value in logprobs.items() if part in piece)
        for piece in pieces
    ]
    return Generation(text, True, 0.0, len(ids), 0, array("I", ids), array("f", found))


def confidences(template: Template, task: object, one: Generation) -> dict[str, float]:
    parts = score_parts(task, one, task.parse(one.text), template)  # type: ignore[attr-defined, arg-type]
    assert parts is not None
    return {part["path"]: part["confidence"] for part in parts}


def test_a_part_is_as_sure_as_its_tokens_and_its_keys(template: Template) -> None:
    text = '{"a": "xy", "b": {"c": [1, true], "d": []}}'
    one = generation(template, text, {"x": -0.5, "y": -0.25, "1": -1.0, "b": -2.0, "c": -0.125})
    found = confidences(template, ANY, one)
    assert found == pytest.approx({
        "a": math.exp(-0.75), "b.c[0]": math.exp(-3.125), "b.c[1]": math.exp(-2.125), "b.d": math.exp(-2.0),
    }, abs=1e-6)  # fmt: skip


def test_forced_tokens_are_certain(template: Template) -> None:
    one = generation(template, '{"a": "xz"}', {"x": -0.5, "z": -0.25, "a": -4.0}, forced="a|z")
    assert confidences(template, ANY, one) == pytest.approx({"a": math.exp(-0.5)}, abs=1e-6)


def test_entities_and_relations_are_whole(template: Template) -> None:
    task = EntitiesTask(("LOC", "ORG"))
    items = generation(template, '[{"text": "q", "type": "ORG"}, {"text": "z", "type": "LOC"}]', {"q": -1.0, "z": -2.0})
    assert score_parts(task, items, task.parse(items.text), template) == (
        {"path": "[0]", "text": "q", "type": "ORG", "confidence": pytest.approx(math.exp(-1), abs=1e-6)},
        {"path": "[1]", "text": "z", "type": "LOC", "confidence": pytest.approx(math.exp(-2), abs=1e-6)},
    )
    mapped = generation(template, '{"LOC": ["q", "z"]}', {"L": -1.0, "z": -2.0})
    assert score_parts(task, mapped, task.parse(mapped.text), template) == (
        {"path": "LOC[0]", "type": "LOC", "text": "q", "confidence": pytest.approx(math.exp(-1), abs=1e-6)},
        {"path": "LOC[1]", "type": "LOC", "text": "z", "confidence": pytest.approx(math.exp(-3), abs=1e-6)},
    )


def test_answers_without_parts_have_none(template: Template) -> None:
    for task, text in ((ANY, "no json"), (ClassificationTask(("a",), "k"), '{"k": "a"}')):
        one = generation(template, text, {})
        assert score_parts(task, one, task.parse(text), template) is None
    cut = generation(template, '{"a": 1}', {})
    assert score_parts(ANY, cut, Parsed(None, Status.NO_STOP), template) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], object]]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for place, item in enumerate(value) for leaf in leaves(item, (*path, place))]
    return [(path, value)]


@settings(max_examples=150, deadline=None)
@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_places_are_those_of_every_leaf(value: object, indent: int | None, escapes: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escapes)
    places = find_places(text, whole_items=False)
    assert [(place.path, place.value) for place in places] == leaves(value)
    for place in places:
        *keys, (start, stop) = place.spans
        assert json.loads(text[start:stop]) == place.value
        assert [json.loads(text[a:b]) for a, b in keys] == [step for step in place.path if isinstance(step, str)]


def test_repeated_keys_are_found_at_the_last_value() -> None:
    (place,) = find_places('{"a": [1, 2], "a": 3}', whole_items=False)
    assert (place.value, place.spans[-1]) == (3, (19, 20))
    assert write_path(("a", 0, "b.c", "", "日 本")) == 'a[0]["b.c"][""]["日 本"]'


@pytest.mark.parametrize("make", [tiny.byte_bpe, tiny.unigram])
def test_offsets_cover_each_token_of_a_text(make) -> None:  # type: ignore[no-untyped-def]
    template = Template(make())
    for text in ("台積電 漲了🙂 <|im_start|>quick", '{"a": ["x, y", 1]}', "", " lead  and trail "):
        ids = [token for token in template.answer_ids(text) if token not in template.tokenizer.all_special_ids]
        decoded = template.decode([*ids, template.stop_id])
        found = template.offsets([*ids, template.stop_id], decoded)
        assert found[-1] == (len(decoded), len(decoded))
        assert [start for start, _ in found] == sorted(start for start, _ in found)
        missed = set(range(len(decoded))) - {place for start, stop in found for place in range(start, stop)}
        assert all(decoded[place].isspace() for place in missed)


def test_tokens_that_the_tokenizer_would_not_take_have_offsets_too(template: Template) -> None:
    whole = "the quick 正🙂"
    ids = [token for character in whole for token in template.answer_ids(character)[:-1]]
    assert ids != template.answer_ids(whole)[:-1]
    places = template.offsets([*ids, template.stop_id], template.decode(ids))
    expected = [
        (place, place + 1) for place, character in enumerate(whole) for _ in template.answer_ids(character)[:-1]
    ]
    assert places == [*expected, (len(whole), len(whole))]


@pytest.mark.parametrize("name", ["one order, all required", "entities as items", "entities by type"])
def test_parts_of_what_a_model_writes_lie_between_its_tokens_and_the_whole(model, template, name: str) -> None:
    task, answers, *_ = CASES[name]
    torch.manual_seed(0)
    prompts = [[3 + n, 60 + n, 90] for n in range(6)]
    grammar = Grammar(written(task, answers), template)
    for one in generate(model, template, prompts, max_new_tokens=300, grammar=grammar):
        free = [value for value in one.logprobs if not math.isnan(value)]
        assert len(one.ids) == len(one.logprobs) == one.tokens
        assert len(one.logprobs) - len(free) == one.forced
        assert math.fsum(free) == pytest.approx(one.logprob, abs=1e-3)
        assert template.decode(one.ids) == one.text
        parts = score_parts(task, one, task.parse(one.text), template) if one.stopped else ()
        for part in parts or ():
            assert math.exp(one.logprob) - 1e-6 <= part["confidence"] <= 1
