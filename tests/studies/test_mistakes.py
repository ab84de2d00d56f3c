"""Which mistakes make preference pairs: worked out by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from exactune.config import MineConfig
from exactune.studies.folds import Told
from exactune.studies.mistakes import Choice, choose
from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask, MultiLabelTask, Task, TextTask
from exactune.types import Example, Location, Message

LABELS = ClassificationTask(("a", "b", "c"))


def row(number: int, answer: str, text: str = "") -> Example:
    prompt = (Message("system", "?"), Message("user", text or f"text {number}"))
    return Example(f"t:{number}", prompt, answer, Location("t", number), "chat")


def wrong(number: int, answer: str, probability: float = 0.9, gold: float | None = None) -> Told:
    return Told(f"t:{number}", correct=False, wrong=answer, probability=probability, gold=gold)


def chosen(
    task: Task, rows: Sequence[Example], told: Sequence[Told], doubtful: Sequence[str] = (), **settings: object
) -> Choice:
    return choose(task, rows, told, doubtful, MineConfig.model_validate(settings))


def numbers(choice: Choice) -> list[int]:
    return [int(mistake.row.id.removeprefix("t:")) for mistake in choice.kept]


def test_the_surest_mistakes_come_first() -> None:
    rows = [row(1, "a"), row(2, "a"), row(3, "b"), row(4, "c")]
    told = [wrong(1, "b", 0.5, 0.4), wrong(2, "b", 0.9, 0.05), wrong(3, "a", 0.6, 0.1), Told("t:4", correct=True)]
    found = chosen(LABELS, rows, told)
    assert numbers(found) == [2, 3, 1]
    assert [mistake.label for mistake in found.kept] == ["a", "b", "a"]
    assert found.left_out == {}


def test_round_robin_over_the_labels_and_what_is_left_is_counted() -> None:
    rows = [row(n, "a" if n <= 6 else "b") for n in range(1, 9)]
    told = [wrong(n, "c", 1 - n / 10) for n in range(1, 9)]
    found = chosen(LABELS, rows, told, max_pairs=5)
    assert numbers(found) == [1, 2, 3, 7, 8]
    assert found.left_out == {"more than 5 pairs in all": 3}
    assert numbers(chosen(LABELS, rows, told, max_per_label=2)) == [1, 2, 7, 8]


def test_no_label_has_more_than_twice_what_the_median_one_has() -> None:
    sizes = {"a": 40, "b": 12, "c": 3}
    labels = [label for label, size in sizes.items() for _ in range(size)]
    rows = [row(n, label) for n, label in enumerate(labels)]
    found = chosen(LABELS, rows, [wrong(n, "b" if label != "b" else "a") for n, label in enumerate(labels)])
    assert Counter(mistake.label for mistake in found.kept) == {"a": 24, "b": 12, "c": 3}
    assert found.left_out == {"more than 24 pairs of one label": 16}


def test_few_pairs_of_every_label_are_kept() -> None:
    rows = [row(n, "a" if n < 9 else "b") for n in range(10)]
    assert len(chosen(LABELS, rows, [wrong(n, "c") for n in range(10)]).kept) == 10


def test_what_is_no_pair_says_why() -> None:
    rows = [
        row(1, "a"), row(2, "a"), row(3, "a"), row(4, "zzz"), row(5, "a", "same"), row(6, "b", "Same!"),
        row(7, "c", "again"), row(8, "c", "Again."), row(9, "b"), row(10, "b"),
    ]  # fmt: skip
    cut = Told("t:2", correct=False, status="no_stop", wrong="b b b b", probability=0.1)
    closed = Told("t:10", correct=False, closed=True, wrong="a ", probability=0.1)
    told = [
        wrong(1, " "), cut, wrong(3, "b"), wrong(4, "b"), wrong(5, "b"), wrong(7, "a"), wrong(8, "a"), wrong(9, "a"),
        closed,
    ]  # fmt: skip
    found = chosen(LABELS, rows, told, ["t:3"])
    assert numbers(found) == [7, 9]
    assert found.left_out == {
        "nothing was answered": 1,
        "cut off at the token limit, so it never ended": 2,
        "the row's own label is probably wrong": 1,
        "the right answer is none that the task can read": 1,
        "another row with the same input has it as the right answer": 1,
        "the same pair as another row's": 1,
    }
    assert found.distrusted == {"t:3", "t:4", "t:5", "t:8"}, "rows whose own answer is at fault, or a repetition"


def test_only_on_request_is_a_right_answer_set_against_the_next_label() -> None:
    rows = [row(1, "a"), row(2, "b")]
    told = [Told("t:1", correct=True, wrong="c", probability=0.3, gold=0.6), wrong(2, "a", 0.8, 0.2)]
    assert numbers(chosen(LABELS, rows, told)) == [2]
    found = chosen(LABELS, rows, told, runner_up=True)
    assert numbers(found) == [2, 1]
    assert [round(mistake.hardness, 6) for mistake in found.kept] == [0.6, -0.3]


def right(number: int, next_best: str, gold: float) -> Told:
    return Told(f"t:{number}", correct=True, wrong=next_best, probability=1 - gold, gold=gold)


def test_mistakes_in_one_direction_are_balanced_by_rows_answered_right() -> None:
    """Three times b was said instead of a, so rows of b that come nearest to a stand against it."""
    rows = [row(n, "a" if n < 4 else "b") for n in range(1, 10)]
    told = [
        *(wrong(n, "b") for n in (1, 2, 3)), right(4, "a", 0.9), right(5, "a", 0.6), right(6, "c", 0.5),
        right(7, "a", 0.7), right(8, "a", 0.8), right(9, "a", 0.95),
    ]  # fmt: skip
    found = chosen(LABELS, rows, told)
    assert numbers(found) == [1, 2, 3, 5, 7, 8]
    assert [mistake.kinds for mistake in found.kept] == [("label",)] * 3 + [("counterweight",)] * 3
    assert found.left_out == {}, "what no mistake asks for is not left out"
    assert numbers(chosen(LABELS, rows, told, max_pairs=4)) == [1, 2, 3, 5], "mistakes come first"
    assert numbers(chosen(LABELS, rows, told, max_per_label=2)) == [1, 2, 5, 7], "no label has more than asked for"
    assert numbers(chosen(LABELS, rows, told, ["t:5"])) == [1, 2, 3, 7, 8, 4], "a doubtful label teaches nothing"


def test_mistakes_in_both_directions_need_no_counterweight() -> None:
    rows = [row(1, "a"), row(2, "b"), row(3, "a"), row(4, "b")]
    told = [wrong(1, "b"), wrong(2, "a"), right(3, "b", 0.6), right(4, "a", 0.6)]
    assert numbers(chosen(LABELS, rows, told)) == [1, 2]


def test_the_kinds_of_a_mistake() -> None:
    entities = EntitiesTask(("PER", "LOC"))
    field = ClassificationTask(("a", "b"), "x")
    schema = JsonTask({"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "object"}}})
    cases: list[tuple[Task, str, str, set[str]]] = [
        (LABELS, "a", "b", {"label"}),
        (LABELS, "a", "d", {"unknown_label"}),
        (field, '{"x": "a"}', '{"x": "b"}', {"label"}),
        (field, '{"x": "a"}', '{"x": "b"', {"invalid_json"}),
        (field, '{"x": "a"}', '{"y": "b"}', {"invalid_schema"}),
        (MultiLabelTask(("a", "b")), '["a"]', '["a", "b"]', {"invented"}),
        (entities, '[{"text": "Ann", "type": "PER"}]', "[]", {"missed"}),
        (entities, "[]", '[{"text": "Ann", "type": "PER"}]', {"invented"}),
        (entities, '[{"text": "Ann", "type": "PER"}]', '[{"text": "Ann", "type": "LOC"}]',
         {"confused", "missed", "invented"}),
        (schema, '{"x": "1", "y": {"z": 2}}', '{"x": "2", "y": {"z": 2}}', {"field x"}),
        (schema, '{"x": "1", "y": {"z": 2}}', '{"x": "1", "y": {"z": 3}}', {"field y"}),
        (schema, '{"x": "1"}', '{"x": 1}', {"invalid_schema"}),
        (TextTask(), "yes", "no", {"text"}),
    ]  # fmt: skip
    for task, gold, given, kinds in cases:
        (mistake,) = chosen(task, [row(1, gold)], [wrong(1, given)]).kept
        assert set(mistake.kinds) == kinds, (gold, given)


def test_rare_kinds_are_not_drowned_by_frequent_ones() -> None:
    entities = EntitiesTask(("PER",))
    rows = [row(n, '[{"text": "Ann", "type": "PER"}]') for n in range(9)]
    told = [wrong(n, "[]", 0.9 - n / 100) for n in range(8)] + [wrong(8, "[", 0.01)]
    assert numbers(chosen(entities, rows, told, max_pairs=2)) == [0, 8]
    assert len(chosen(entities, rows, told).kept) == 9, "without a limit nothing is cut"
