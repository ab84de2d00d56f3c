"""Which task a data set is."""

import json
import random
from collections.abc import Sequence

import pytest
from jsonschema import Draft202012Validator
from shaken import public

from exactune.config import TaskConfig
from exactune.errors import ConfigError
from exactune.tasks import (
    ClassificationTask,
    EntitiesTask,
    MultiLabelTask,
    RelationsTask,
    Task,
    infer_task,
    task_from_config,
)
from exactune.tasks.schema import infer_schema
from exactune.types import Example, Location, Message, Status

WORDS = [f"word{number}" for number in range(200)]


def examples(pairs: Sequence[tuple[str, str]]) -> list[Example]:
    return [
        Example(f"t:{line}", (Message("system", ""), Message("user", text)), answer, Location("t", line), "chat")
        for line, (text, answer) in enumerate(pairs, 1)
    ]


def infer(pairs: Sequence[tuple[str, str]], **config: object) -> Task:
    return infer_task(TaskConfig.model_validate(config), examples(pairs))


def labelled(count: int, labels: Sequence[str], form: str = "%s") -> list[tuple[str, str]]:
    return [(f"text {number}", form % labels[number % len(labels)]) for number in range(count)]


@pytest.mark.parametrize("rows", [300, None], ids=["first", "all"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("banking77", "classification"),
        ("waimai", "classification"),
        ("snips", "json"),
        ("twlaw", "json"),
        ("cluener", "entities"),
        ("conll04", "relations"),
        ("finre", "relations"),
        ("drcd", "json"),
        ("replay_alpaca_en", "text"),
        ("replay_alpaca_zh_tw", "text"),
    ],
)
def test_public_data(name: str, kind: str, rows: int | None) -> None:
    task = infer(public(name, "train")[:rows])
    assert task.type == kind
    assert task_from_config(task.config()) == task
    if rows is None:
        # What training rows allow must be wide enough for the right answers of the others.
        golds = [task.parse(answer) for split in ("eval", "test") for _, answer in public(name, split)]
        assert {gold.status for gold in golds} == {Status.OK}


def test_public_schema() -> None:
    """Fixed values become enumerations; agencies and dates do not."""
    schema = infer(public("twlaw", "train")).config()["schema"]
    assert sorted(schema["properties"]["法規性質"]["enum"]) == ["命令", "法律"]
    assert schema["properties"]["是否廢止"] == {"type": "boolean"}
    assert schema["properties"]["首次發布日期"] == {"type": "string"}


@pytest.mark.parametrize("count", [12, 20, 2000])
@pytest.mark.parametrize("form", ["%s", '{"sentiment": "%s"}'])
def test_labels(count: int, form: str) -> None:
    task = infer(labelled(count, ["正面", "負面", "中立"], form))
    assert task == ClassificationTask(("正面", "負面", "中立"), None if form == "%s" else "sentiment")


def test_a_single_label_is_a_classification() -> None:
    assert infer(labelled(12, ["正面"], '{"sentiment": "%s"}')) == ClassificationTask(("正面",), "sentiment")


def test_rare_labels_do_not_make_it_text() -> None:
    rows = [*labelled(18, ["a", "b", "c"]), ("text", "d"), ("text", "e")]
    assert infer(rows) == ClassificationTask(("a", "b", "c", "d", "e"))


@pytest.mark.parametrize("broken", ["{", '{"sentiment": ["正面"]}', '{"sentiment": "正面", "x": 1}', "[]"])
def test_one_broken_row_changes_nothing(broken: str) -> None:
    rows = labelled(11, ["正面", "負面"], '{"sentiment": "%s"}')
    assert infer([("first", broken), *rows]) == ClassificationTask(("正面", "負面"), "sentiment")


def test_free_text() -> None:
    draw = random.Random(0)
    sentences = [" ".join(draw.choices(WORDS, k=12)) for _ in range(20)]
    assert infer([("say", sentence) for sentence in sentences]).type == "text"
    assert infer([("say", word) for word in WORDS[:20]]).type == "text"
    assert infer([("say", "x" * 81)] * 20).type == "text"


def test_two_wordings_of_each_row_are_no_labels() -> None:
    assert infer([("say", word) for word in WORDS[:20]] * 2).type == "text"


def test_one_frequent_answer_among_many_is_no_label() -> None:
    assert infer([("who", "nobody")] * 65 + [("who", word) for word in WORDS[:35]]).type == "text"


def test_single_free_field_is_json() -> None:
    task = infer([(f"of {word}", json.dumps({"summary": f"about {word}"})) for word in WORDS[:20]])
    assert task.config()["schema"] == {
        "type": "object",
        "properties": {"summary": {"type": "string"}},
        "required": ["summary"],
        "additionalProperties": False,
    }


def entity_rows(form: str) -> list[tuple[str, str]]:
    rows = []
    for number in range(20):
        ann, rome = f"Ann{number}", f"Rome{number}"
        found = {"PER": [ann], "LOC": [rome]} if number % 2 else ({"PER": [ann]} if number % 3 else {})
        items = [{"text": span, "type": kind} for kind, spans in found.items() for span in spans]
        answer = {"mapping": found, "items": items, "wrapped": {"entities": items}, "inner": {"entities": found}}[form]
        rows.append((f"{ann} went to {rome}", json.dumps(answer)))
    return rows


@pytest.mark.parametrize("form", ["mapping", "items", "wrapped", "inner"])
def test_entities(form: str) -> None:
    task = infer(entity_rows(form))
    assert isinstance(task, EntitiesTask)
    assert sorted(task.entity_types) == ["LOC", "PER"]


def test_lists_not_copied_from_the_input_are_no_entities() -> None:
    rows = [("nothing of that", answer) for _, answer in entity_rows("mapping")]
    assert infer(rows).type == "json"


@pytest.mark.parametrize(
    "answer",
    [
        {"answers": ["{0}"]},
        {"names": ["{0}"], "places": ["{0}"]},
        {"intent": "go", "slots": {"to": ["{0}"]}},
        {"items": [{"text": "{0}", "type": "t", "price": 3}]},
        {"mood": "good", "relations": [{"subject": "{0}", "relation": "r", "object": "x"}]},
        [{"head": "{0}", "type": "r", "tail": "x", "since": 1999}],
        {"head": "{0}", "type": "r", "tail": "x"},
        [{"head": "{0}", "type": "{0}", "tail": "x"}],
    ],
    ids=str,
)
def test_fixed_structures_are_json(answer: object) -> None:
    rows = [(word, json.dumps(answer).replace("{0}", word)) for word in WORDS[:20]]
    assert infer(rows).type == "json"


def test_an_explicit_type_is_filled_in() -> None:
    rows = labelled(6, ["pos", "neg", "mixed", "odd", "more", "last"], '{"tone": "%s"}')
    assert infer(rows).type == "json"
    labels = ("pos", "neg", "mixed", "odd", "more", "last")
    assert infer(rows, type="classification") == ClassificationTask(labels, "tone")
    assert infer(rows, labels=["pos", "x"]) == ClassificationTask(("pos", "x"), "tone")
    assert infer(rows, field="tone") == ClassificationTask(labels, "tone")
    assert infer(rows, type="text").type == "text"
    assert infer(rows, type="json").config()["schema"]["required"] == ["tone"]
    assert infer(rows, schema={"type": "object"}).config() == {"type": "json", "schema": {"type": "object"}}
    assert infer(entity_rows("items")[:2], type="entities").type == "entities"


def test_a_complete_block_needs_no_rows() -> None:
    assert infer([], labels=["a", "b"], field="x") == ClassificationTask(("a", "b"), "x")
    assert infer([], type="text").type == "text"
    assert infer([], schema={}).type == "json"


def test_an_entity_type_alone_leaves_the_answers_to_decide() -> None:
    assert infer(entity_rows("items"), entity_types=["PER", "LOC"]).type == "entities"
    assert infer(joint_rows(), entity_types=["PER", "LOC"]).type == "relations"
    assert infer(joint_rows(), relation_types=["lives_in", "x"]).config()["relation_types"] == ["lives_in", "x"]
    assert infer([], entity_types=["PER"]) == EntitiesTask(("PER",))
    assert infer([], relation_types=["r"], entity_types=["PER"]) == RelationsTask(("r",), ("PER",))


def joint_rows(entities: bool = True) -> list[tuple[str, str]]:
    rows = []
    for number in range(20):
        ann, rome = f"Ann{number}", f"Rome{number}"
        found: dict[str, object] = {
            "relations": [{"head": ann, "type": "lives_in", "tail": rome}] if number % 3 else [],
        }
        items = [{"text": ann, "type": "PER"}, {"text": rome, "type": "LOC"}]
        rows.append((f"{ann} is in {rome}", json.dumps({"entities": items, **found} if entities else found)))
    return rows


def test_relations_alone_and_beside_entities() -> None:
    assert infer(joint_rows()) == RelationsTask(("lives_in",), ("PER", "LOC"))
    assert infer(joint_rows(entities=False)) == RelationsTask(("lives_in",))
    lists = [(text, json.dumps(json.loads(answer)["relations"])) for text, answer in joint_rows()]
    assert infer(lists) == RelationsTask(("lives_in",))


ASPECTS = ("food", "price", "service")


def label_lists(form: str = "%s", count: int = 30) -> list[tuple[str, str]]:
    lists = [[ASPECTS[place] for place in range(3) if number >> place & 1] for number in range(count)]
    return [(f"text {number}", form % json.dumps(labels)) for number, labels in enumerate(lists)]


def test_lists_of_labels() -> None:
    assert infer(label_lists()) == MultiLabelTask(ASPECTS)
    assert infer(label_lists('{"aspects": %s}')) == MultiLabelTask(ASPECTS, "aspects")
    assert infer(label_lists(count=4)).type == "json"
    assert infer(label_lists(count=4), type="classification") == MultiLabelTask(ASPECTS[:2])
    assert infer(label_lists(), multi_label=True, labels=[*ASPECTS, "d"]) == MultiLabelTask((*ASPECTS, "d"))
    assert infer(label_lists('{"a": %s}', 4), field="a") == MultiLabelTask(ASPECTS[:2], "a")
    assert infer(label_lists(), type="json").type == "json"


def test_lists_of_words_of_the_input_are_no_labels() -> None:
    rows = [(f"{answer} and more", answer) for _, answer in label_lists()]
    assert infer(rows).type == "json"


ROWS = labelled(12, ["pos", "neg"], '{"tone": "%s"}')


@pytest.mark.parametrize(
    ("rows", "config", "message"),
    [
        ([], {}, "no training rows"),
        ([], {"type": "entities"}, "no training rows"),
        ([], {"field": "x"}, "no training rows"),
        (ROWS, {"field": "mood"}, r'\{"mood": "label"\}.*t:1.*tone'),
        (ROWS, {"type": "entities"}, r"no training answer is.*t:1"),
        (ROWS, {"labels": ["a"]}, "is one of `task.labels`"),
        (ROWS, {"schema": {"type": "array"}}, "satisfies `task.schema`"),
        (ROWS, {"schema": {"type": "arr"}}, "not a JSON schema"),
        (ROWS, {"type": "json", "labels": ["pos"]}, "`task.labels` belongs to `type: classification`"),
        (ROWS, {"labels": ["pos"], "schema": {}}, "several types"),
        (labelled(12, ["a"]), {"type": "json"}, "no training answer is JSON"),
        ([("x", '{"a": 1, "b": 2}')] * 9, {"type": "classification"}, "type: json"),
        ([("x", "{}")] * 9, {"type": "entities"}, "List the types"),
        (ROWS, {"type": "relations"}, r"head, type, tail.*t:1"),
        (joint_rows(), {"relation_types": ["x"]}, "`task.relation_types`; found: lives_in"),
        (joint_rows(), {"type": "relations", "entity_types": ["x"]}, "`task.entity_types`; found: PER, LOC"),
        (joint_rows(), {"type": "entities", "relation_types": ["x"]}, "belongs to `type: relations`"),
        (label_lists(), {"multi_label": False}, "type: json"),
        (ROWS, {"multi_label": True, "field": "tone"}, r'\{"tone": \["label", …\]\}.*t:1'),
        (labelled(12, ["a"]), {"multi_label": True}, "a list of labels.*t:1"),
        (entity_rows("items"), {"entity_types": ["ORG"]}, "found: .*PER"),
    ],
)
def test_contradictions(rows: list[tuple[str, str]], config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        infer(rows, **config)


def test_schema_merges_rows() -> None:
    values = [
        {"kind": "a" if number % 2 else "b", "n": number, "tags": [f"t{number}"], "x": None if number % 2 else 1.5}
        for number in range(20)
    ]
    del values[3]["tags"]
    values[4]["n"] = 0.5
    schema = infer_schema(values, [""] * 20)
    assert schema == {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": ["b", "a"]},
            "n": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "x": {"type": ["null", "number"]},
        },
        "required": ["kind", "n", "x"],
        "additionalProperties": False,
    }
    assert all(Draft202012Validator(schema).is_valid(value) for value in values)


def test_spans_of_the_input_are_no_enumeration() -> None:
    values = [{"city": "Rome"}, {"city": "Bern"}] * 10
    inputs = ["to Rome", "to Bern"] * 10
    assert infer_schema(values, inputs)["properties"]["city"] == {"type": "string"}
    assert infer_schema(values, [""] * 20)["properties"]["city"] == {"type": "string", "enum": ["Rome", "Bern"]}


def test_free_keys_stay_free() -> None:
    schema = infer_schema([{word: 1} for word in WORDS[:30]], [""] * 30)
    assert schema == {"type": "object", "additionalProperties": {"type": "integer"}}


def test_a_stray_row_does_not_widen_the_schema() -> None:
    rows = [(word, json.dumps({"a": word, "b": 1})) for word in WORDS[:20]] + [("odd", "[1]")]
    assert infer(rows).config()["schema"]["type"] == "object"


def test_a_stray_key_makes_no_entities_of_fields() -> None:
    rows = [(word, json.dumps({"answers": [word]})) for word in WORDS[:40]]
    assert infer([*rows, ("odd", '{"answer": ["odd"]}')]).type == "json"
