"""Relations by hand."""

import json
from collections import Counter

import pytest

from exactune.tasks import RelationsTask
from exactune.types import Status

PLAIN = RelationsTask(("lives_in", "kills"))
TYPED = RelationsTask(("lives_in", "kills"), ("PER", "LOC"))
ANN = {"text": "Ann", "type": "PER"}
ROME = {"text": "Rome", "type": "LOC"}
LIVES = {"head": "Ann", "type": "lives_in", "tail": "Rome"}
JOINT = {"entities": [ANN, ROME], "relations": [LIVES]}


def aggregate(task: RelationsTask, gold: object, given: object, text: str | None = None) -> dict[str, float]:
    score = task.score(task.parse(json.dumps(gold)), task.parse(json.dumps(given)), text)
    return task.aggregate(score.counts)


@pytest.mark.parametrize(
    "value",
    [
        {"relations": [LIVES]},
        [LIVES],
        LIVES,
        {"result": {"relations": [LIVES]}},
        [{"subject": "Ann", "relation": "lives_in", "object": "Rome"}],
        [{"subj": {"text": "Ann"}, "predicate": "lives_in", "obj": {"word": "Rome"}}],
        [{"arg1": "Ann", "label": "lives_in", "arg2": "Rome", "sure": 0.5}],
    ],
    ids=json.dumps,
)
def test_every_way_of_writing_means_the_same(value: object) -> None:
    assert aggregate(PLAIN, [LIVES], value) == {
        "triple_f1": 1,
        "triple_macro_f1": 1,
        "exact_match": 1,
        "valid_json": 1,
        "invented_spans": 0,
    }


@pytest.mark.parametrize(
    "value",
    [
        JOINT,
        {"relations": [LIVES], "entities": {"PER": ["Ann"], "LOC": ["Rome"]}},
        [ROME, LIVES, ANN],
        {
            "entities": [{"id": "T1", **ANN}, {"id": "T2", **ROME}],
            "relations": [{"from": "T1", "type": "lives_in", "to": "T2"}],
        },
        {"entities": [ANN, ROME], "relations": [{"head": 0, "type": "lives_in", "tail": 1}]},
        {"entities": [ANN, ROME], "relations": [{"head": ANN, "type": "lives_in", "tail": ROME}]},
        {"entities": [ANN, ROME], "relations": [{**LIVES, "head_type": "PER", "tail_type": "LOC"}]},
    ],
    ids=json.dumps,
)
def test_every_way_of_writing_with_entities_means_the_same(value: object) -> None:
    assert set(TYPED.metrics) >= {"typed_triple_f1", "entity_f1"}
    perfect = {name: float(name != "invented_spans") for name in TYPED.metrics}
    assert aggregate(TYPED, JOINT, value) == aggregate(TYPED, value, JOINT) == perfect


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("[]", Status.OK),
        ("{}", Status.OK),
        ('{"relations": []}', Status.OK),
        ('{"entities": [{"text": "Ann", "type": "PER"}]}', Status.OK),
        ('[{"head": "Ann", "type": "odd", "tail": "Rome"}]', Status.OK),
        ('["Ann"]', Status.INVALID_SCHEMA),
        ("3", Status.INVALID_SCHEMA),
        ('{"relations": "none"}', Status.INVALID_SCHEMA),
        ('{"relations": [], "mood": "good"}', Status.INVALID_SCHEMA),
        ('[{"head": "Ann", "tail": "Rome"}]', Status.INVALID_SCHEMA),
        ('[{"head": "Ann", "type": "r", "tail": null}]', Status.INVALID_SCHEMA),
        ('[{"head": 0, "type": "r", "tail": 1}]', Status.INVALID_SCHEMA),
        ('[{"head": true, "type": "r", "tail": "x"}]', Status.INVALID_SCHEMA),
        ('{"entities": [{"text": "Ann"}], "relations": []}', Status.INVALID_SCHEMA),
        ("none", Status.INVALID_JSON),
        ("", Status.EMPTY),
    ],
)
def test_status(text: str, status: Status) -> None:
    assert TYPED.parse(text).status is status


def test_what_is_read() -> None:
    value = {"relations": [{"head": {"text": "Ann", "type": "PER"}, "type": "r", "tail": "Rome"}]}
    assert PLAIN.parse(json.dumps(value)).value == {
        "relations": [{"head": "Ann", "type": "r", "tail": "Rome", "head_type": "PER"}]
    }
    placed = {"text": "Ann", "type": "PER", "start": 0, "end": 3}
    assert PLAIN.parse(json.dumps({"relations": [], "entities": [placed]})).value == {
        "relations": [],
        "entities": [{"type": "PER", "text": "Ann", "start": 0, "end": 3}],
    }


def test_scores_by_hand() -> None:
    eve = {"text": "Eve", "type": "PER"}
    gold = {"entities": [ANN, ROME, eve], "relations": [LIVES, LIVES, {"head": "Eve", "type": "kills", "tail": "Ann"}]}
    given = {
        "entities": [ANN, {"text": "Rome", "type": "PER"}],
        "relations": [LIVES, {"head": "Ann", "type": "kills", "tail": "Eve"}],
    }
    # Three right triples, two given: one has the texts, none the type of Rome. lives_in 2/3, kills 0.
    # Three right entities, two given, one in both.
    assert aggregate(TYPED, gold, given, "Ann and Eve in Rome") == pytest.approx(
        {
            "triple_f1": 2 / 5,
            "typed_triple_f1": 0,
            "entity_f1": 2 / 5,
            "triple_macro_f1": (2 / 3 + 0) / 2,
            "exact_match": 0,
            "valid_json": 1,
            "invented_spans": 0,
        }
    )
    counts = TYPED.score(TYPED.parse(json.dumps(gold)), TYPED.parse(json.dumps(given))).counts
    assert TYPED.per_label(counts) == {
        "lives_in": pytest.approx({"precision": 1, "recall": 1 / 2, "f1": 2 / 3, "support": 2}),
        "kills": {"precision": 0, "recall": 0, "f1": 0, "support": 1},
    }


def test_the_order_of_the_ends_matters() -> None:
    assert aggregate(PLAIN, [LIVES], [{"head": "Rome", "type": "lives_in", "tail": "Ann"}])["triple_f1"] == 0


def test_right_triples_with_a_wrong_entity_are_not_all_right() -> None:
    values = aggregate(TYPED, JOINT, {**JOINT, "entities": [ANN, ROME, {"text": "is", "type": "LOC"}]})
    assert (values["triple_f1"], values["typed_triple_f1"], values["exact_match"]) == (1, 1, 0)
    assert values["entity_f1"] == pytest.approx(4 / 5)
    # Naming the ends is not listing the entities.
    assert aggregate(TYPED, JOINT, {"relations": [LIVES]})["entity_f1"] == 0


def test_entities_that_are_only_ends() -> None:
    typed = {**LIVES, "head_type": "PER", "tail_type": "LOC"}
    values = aggregate(TYPED, [typed, typed], [{**typed, "tail_type": "PER"}])
    assert (values["triple_f1"], values["typed_triple_f1"]) == (pytest.approx(2 / 3), 0)
    assert values["entity_f1"] == pytest.approx(1 / 2)


def test_a_relation_that_stands_alone_lists_no_entities() -> None:
    alone = {**LIVES, "head_type": "PER", "tail_type": "LOC"}
    for gold in (alone, [alone], {"relation": alone}):
        assert aggregate(TYPED, gold, [{**alone, "tail_type": "PER"}])["entity_f1"] == 0.5


def test_a_text_of_two_types_has_both() -> None:
    twice = {"entities": [ANN, {"text": "Ann", "type": "LOC"}, ROME], "relations": [LIVES]}
    assert aggregate(TYPED, twice, twice)["typed_triple_f1"] == 1
    for kind in ("PER", "LOC"):
        once = {"entities": [{"text": "Ann", "type": kind}, ROME], "relations": [LIVES]}
        assert aggregate(TYPED, twice, once)["typed_triple_f1"] == 0


def test_a_wrong_type_of_an_end_beside_right_entities() -> None:
    typed = {**JOINT, "relations": [{**LIVES, "head_type": "PER", "tail_type": "LOC"}]}
    values = aggregate(TYPED, typed, {**JOINT, "relations": [{**LIVES, "head_type": "PER", "tail_type": "PER"}]})
    assert (values["triple_f1"], values["typed_triple_f1"], values["entity_f1"], values["exact_match"]) == (1, 0, 1, 0)


def test_entities_are_listed_where_the_right_answer_lists_them() -> None:
    more = {**JOINT, "entities": [ANN, ROME, {"text": "is", "type": "LOC"}]}
    assert aggregate(TYPED, [{**LIVES, "head_type": "PER", "tail_type": "LOC"}], more)["entity_f1"] == 1


def test_invented_ends_are_counted() -> None:
    given = {"entities": [ANN], "relations": [LIVES, {"head": "Ann", "type": "lives_in", "tail": "Paris"}]}
    # Ann, Rome and Paris; one of them stands nowhere.
    assert aggregate(TYPED, JOINT, given, "Ann, of Rome")["invented_spans"] == pytest.approx(1 / 3)
    assert aggregate(TYPED, {"relations": []}, JOINT, "Ann")["invented_spans"] == pytest.approx(1 / 2)


def test_rows_without_relations() -> None:
    totals: Counter = Counter()
    for gold, given in (("[]", "[]"), ("[]", "nothing"), (json.dumps([LIVES]), json.dumps({"relations": []}))):
        totals.update(PLAIN.score(PLAIN.parse(gold), PLAIN.parse(given)).counts)
    values = PLAIN.aggregate(totals)
    assert (values["triple_f1"], values["exact_match"], values["valid_json"]) == (
        0,
        pytest.approx(1 / 3),
        pytest.approx(2 / 3),
    )


def test_a_span_from_one_character_to_another_is_an_entity() -> None:
    value = {"entities": [{"text": "Ann", "type": "PER", "from": 0, "to": 3}], "relations": []}
    assert TYPED.parse(json.dumps(value)).value["entities"] == [{"type": "PER", "text": "Ann"}]


def test_description() -> None:
    assert PLAIN.describe() == "relations, 2 types: lives_in, kills"
    assert TYPED.describe() == "relations, 2 types: lives_in, kills; 2 types of entities: PER, LOC"
