"""Baselines that need no model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exactune.evaluate.baselines import FITTING, LEARNT, constant, linear, majority
from exactune.evaluate.fields import fields
from exactune.evaluate.gazetteer import gazetteer
from exactune.tasks import TASKS, ClassificationTask, EntitiesTask, JsonTask, Parsed, Task
from exactune.types import Example, Location, Message, Status

SENTIMENT = ClassificationTask(("good", "bad"), "s")


def rows(*pairs: tuple[str, Any]) -> list[Example]:
    return [
        Example(
            str(line), (Message("system", "Sort."), Message("user", text)),
            answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False), Location("t", line), "chat",
        )
        for line, (text, answer) in enumerate(pairs, 1)
    ]  # fmt: skip


def asked(baseline: Any, *texts: str) -> list[Any]:
    return [answer.value for answer in baseline(rows(*((text, "") for text in texts)))]


TRAIN = rows(
    *[(f"great tasty food {number}", {"s": "good"}) for number in range(8)],
    *[(f"slow cold bad food {number}", {"s": "bad"}) for number in range(6)],
    *[(f"送餐很快好吃{number}", {"s": "good"}) for number in range(6)],
    *[(f"太慢難吃{number}", {"s": "bad"}) for number in range(6)],
)


def test_every_task_has_baselines_that_exist() -> None:
    assert set(TASKS) <= set(FITTING)
    known = {"majority", "zero_shot", "few_shot", *LEARNT}
    assert all(set(names) <= known for names in FITTING.values())


def test_majority() -> None:
    assert majority(["a", "b", "b"], 2) == ["b", "b"]
    assert majority(["x", "b", "a", "a", "b"], 1) == ["b"]
    with pytest.raises(ValueError, match="no training answers"):
        majority([], 1)
    assert asked(constant(SENTIMENT, '{"s": "bad"}'), "a", "b") == ["bad", "bad"]


def test_linear_learns() -> None:
    baseline = linear(SENTIMENT, TRAIN)
    texts = ("tasty and great", "bad and cold", "真的好吃", "難吃又慢", "")
    answers = asked(baseline, *texts)
    assert answers[:4] == ["good", "bad", "good", "bad"]
    assert answers == asked(linear(SENTIMENT, TRAIN), *texts)
    assert baseline([]) == []


def test_linear_without_anything_to_learn() -> None:
    task = ClassificationTask(("a", "b"))
    assert asked(linear(task, rows(("x", "a"), ("y", "a"))), "z") == ["a"]
    assert asked(linear(task, rows(("", "a"), (" ?", "b"), ("", "b"))), "z") == ["b"]


class Tags:
    """A task whose answers are lists of labels."""

    def parse(self, text: str) -> Parsed:
        return Parsed(json.loads(text), Status.OK)


def test_linear_asks_for_each_label_where_answers_have_several() -> None:
    train = rows(
        *[(f"fast delivery, tasty food {number}", ["food", "service", "all"]) for number in range(8)],
        *[(f"tasty food {number}", ["food", "all"]) for number in range(8)],
        *[(f"fast delivery {number}", ["service", "all"]) for number in range(8)],
        *[(f"the box was blue {number}", ["all"]) for number in range(8)],
    )
    baseline = linear(Tags(), train)  # type: ignore[arg-type]
    answers = asked(baseline, "tasty food", "fast delivery", "tasty food and fast delivery", "a blue box")
    assert answers == [["food", "all"], ["service", "all"], ["food", "service", "all"], ["all"]]
    assert asked(linear(Tags(), rows(("x", ["a"]), ("y", ["a"]), ("z", ["a"]))), "w") == [["a"]]  # type: ignore[arg-type]
    for every in ([], ["all"]):
        one = rows(*[(f"tasty {number}", [*every, "food"]) for number in range(8)], *[("blue", every)] * 8)
        answers = asked(linear(Tags(), one), "tasty", "blue")  # type: ignore[arg-type]
        assert list(map(sorted, answers)) == [sorted([*every, "food"]), every]


def law(number: int) -> tuple[str, dict[str, Any]]:
    kind = "命令" if number % 3 else "法律"
    text = f"法規名稱：第{number}號辦法\n主管機關：部{number % 7}\n條數：{number + 10}\n全文如下。"
    return text, {"名稱": f"第{number}號辦法", "機關": {"名": f"部{number % 7}"}, "條數": number + 10, "性質": kind}


def test_fields_are_copied_where_that_was_right_and_the_usual_ones_otherwise() -> None:
    baseline = fields(JsonTask({"type": "object"}), rows(*map(law, range(30))))
    text, right = law(77)
    assert right["性質"] == "命令"
    assert asked(baseline, text) == [right]
    # Without the text to look for, the usual value; of the number, too.
    (other,) = asked(baseline, "什麼都沒有")
    assert other["性質"] == "命令"
    assert list(other) == list(right)
    # What Python would read as a number is none in JSON.
    (third,) = asked(baseline, text.replace("條數：87", "條數：NaN"))
    assert third["條數"] == other["條數"]


def test_fields_that_answers_lack_and_lists_of_one() -> None:
    train = rows(
        *[
            (f"play the song tune{n} by band{n} now", {"intent": "play", "slots": {"song": [f"tune{n}"]}})
            for n in range(9)
        ],
        *[(f"weather in town{n} please", {"intent": "weather", "slots": {"city": [f"town{n}"]}}) for n in range(5)],
    )
    baseline = fields(JsonTask({"type": "object"}), train)
    song, city = asked(baseline, "play the song hello by adele now", "weather in Rome please")
    assert song == {"intent": "play", "slots": {"song": ["hello"]}}
    # The intent is copied, too: it begins the line, as it did in training.
    assert city == {"intent": "weather", "slots": {"city": ["Rome"]}}


def test_fields_of_answers_that_are_no_objects() -> None:
    task = JsonTask({"type": "array"})
    assert asked(fields(task, rows(("x", [1]), ("y", [2]), ("z", [2]))), "w") == [[2]]


def entities(*found: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "text": span} for kind, span in found]


def test_gazetteer_takes_the_longest_known_span_with_its_usual_type() -> None:
    task = EntitiesTask(("ORG", "LOC", "PER"))
    train = rows(
        ("台北今天下雨", {"LOC": ["台北"]}),
        ("台北銀行與台北", {"ORG": ["台北銀行"], "LOC": ["台北"]}),
        ("台北隊贏了", {"ORG": ["台北"]}),
        ("Ann met Bob", {"PER": ["Ann", "Bob"]}),
        ("the end", {"PER": ["the"]}),
        *[("the day, the night, the end", {}) for _ in range(3)],
    )
    baseline = gazetteer(task, train)
    first, second, third = asked(baseline, "他去台北銀行，再回台北，又回台北", "Anna met the Bob", "nothing")
    assert first == entities(("ORG", "台北銀行"), ("LOC", "台北"))
    assert second == entities(("PER", "Bob"))
    assert third == []


def test_gazetteer_repeats_spans_where_answers_do_and_says_where_they_stand() -> None:
    task = EntitiesTask(("PER",))
    twice = rows(*[("Ann and Ann", [{"text": "Ann", "type": "PER"}, {"text": "Ann", "type": "PER"}]) for _ in range(3)])
    assert asked(gazetteer(task, twice), "Ann, Ann, Bob") == [entities(("PER", "Ann"), ("PER", "Ann"))]


class Relations:
    """A task whose answers are read as they are written."""

    def parse(self, text: str) -> Parsed:
        return Parsed(json.loads(text), Status.OK)


def test_gazetteer_knows_triples_whose_ends_are_there() -> None:
    kill = {"head": "Oswald", "type": "Kill", "tail": "Kennedy"}
    listed = {"relations": [kill], "entities": entities(("Peop", "Oswald"), ("Peop", "Kennedy"))}
    train = rows(("Oswald shot Kennedy", listed), ("Rome", {"relations": [], "entities": entities(("Loc", "Rome"))}))
    baseline = gazetteer(Relations(), train)  # type: ignore[arg-type]
    both, one = asked(baseline, "Kennedy and Oswald in Rome", "Kennedy in Rome")
    assert both["relations"] == [kill]
    assert [item["text"] for item in both["entities"]] == ["Kennedy", "Oswald", "Rome"]
    assert one == {"relations": [], "entities": [{"text": "Kennedy", "type": "Peop"}, {"text": "Rome", "type": "Loc"}]}
    bare = gazetteer(Relations(), rows(("Oswald shot Kennedy", {"relations": [kill]})))  # type: ignore[arg-type]
    assert asked(bare, "Oswald, Kennedy") == [{"relations": [kill]}]


@pytest.mark.parametrize("task", [EntitiesTask(("A",)), JsonTask({"type": "object"}), SENTIMENT], ids=lambda t: t.type)
def test_baselines_live_with_answers_that_cannot_be_read(task: Task) -> None:
    train = rows(("x", "{oops"), ("y", "{oops"), ("z", "[1"))
    for name in set(FITTING[task.type]) & set(LEARNT):
        (answer,) = LEARNT[name](task, train)(rows(("x", "")))
        assert task.score(task.parse("{}"), answer)
