"""Which mistakes make preference pairs, and why others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from exactune.config import MineConfig
from exactune.data.normalise import normalise
from exactune.evaluate.errors import swapped, things_of
from exactune.language import Text, say
from exactune.studies.folds import Told
from exactune.tasks import Parsed, Task
from exactune.types import Example, Status

__all__ = ["Choice", "Mistake", "choose"]

TIMES = 2
"""So many times the pairs of the median label may one have: pairs that prefer one label move the model towards it."""

FEWEST = 10
"""Pairs that every label may have."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row and the wrong answer to it.

    Attributes:
        row: The row.
        told: What the model said to it.
        label: The right label; empty where answers are no labels.
        kinds: What is wrong: ``label``; a status such as ``invalid_json``; ``missed``, ``invented`` and ``confused``
            entities, relations or labels; the fields of a JSON answer as ``field intent``; ``text``;
            ``counterweight``: nothing, and the wrong label is only the most probable other one.
        given: The wrong label; empty where answers are no labels.
    """

    row: Example
    told: Told
    label: str
    kinds: tuple[str, ...]
    given: str = ""

    @property
    def hardness(self) -> float:
        """How much more probable than the right answer, where that is known, the wrong one was: -1 to 1."""
        return (self.told.probability or 0.0) - (self.told.gold or 0.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """What became of the mistakes.

    Attributes:
        kept: The pairs, hardest first.
        left_out: Why others are none -> how many.
        distrusted: Ids of rows that should not be learned from at all.
    """

    kept: Sequence[Mistake]
    left_out: Mapping[Text, int] = field(default_factory=dict)
    distrusted: frozenset[str] = frozenset()


def choose(
    task: Task, rows: Sequence[Example], told: Iterable[Told], doubtful: Iterable[str], settings: MineConfig
) -> Choice:
    """The mistakes that make pairs.

    Args:
        task: Whose answers they are.
        rows: The training rows.
        told: What was said to them.
        doubtful: Ids of rows whose right answer is not to be trusted.
        settings: How many.
    """
    known, left_out = {row.id: row for row in rows}, Counter[Text]()
    answered = [one for one in told if one.wrong is not None]
    judge = _Judge(task, rows, frozenset(doubtful))
    usable: list[Mistake] = []
    spare: list[Mistake] = []
    distrusted: set[str] = set()
    # Mistakes first: of two equal pairs the first is taken.
    for one in sorted(answered, key=lambda one: one.correct):
        row, is_wanted = known[one.id], settings.runner_up or not one.correct
        reason = judge.distrust(row, one)
        if reason and is_wanted:
            distrusted.add(row.id)
        if reason := reason or judge.objection(one):
            left_out[reason] += is_wanted
        else:
            (usable if is_wanted else spare).append(_mistake(task, row, one))
    kept, limits = _balanced(sorted(usable, key=_hardest_first), settings)
    kept += _counterweights(kept, sorted(spare, key=_hardest_first), settings)
    return Choice(sorted(kept, key=_hardest_first), {**+left_out, **limits}, frozenset(distrusted))


def _hardest_first(mistake: Mistake) -> float:
    return -mistake.hardness


def _counterweights(kept: Sequence[Mistake], spare: Sequence[Mistake], settings: MineConfig) -> list[Mistake]:
    """Rows answered right that keep pairs from moving the model towards a label, whatever the input.

    A model that takes one label for another mostly errs in one direction, and pairs of these mistakes alone teach it
    the other label for every row. So there are to be as many pairs that prefer a label as pairs that reject it, as far
    as there are rows for it.

    Args:
        kept: The pairs of mistakes.
        spare: Rows answered right, with the most probable wrong label, hardest first.
        settings: How many pairs.
    """
    balance, found = Counter[str](), list[Mistake]()
    labels = Counter(one.label for one in kept)
    room = settings.max_pairs or len(kept) + len(spare)
    of_label = settings.max_per_label or room
    for one in kept:
        balance.update({one.label: 1})
        balance.subtract({one.given: 1})
    for one in spare:
        has_room = labels.total() < room and labels[one.label] < of_label
        if has_room and balance[one.label] < 0 < balance[one.given]:
            found.append(replace(one, kinds=("counterweight",)))
            labels.update({one.label: 1})
            balance.update({one.label: 1})
            balance.subtract({one.given: 1})
    return found


class _Judge:
    """Says of wrong answers why they make no pair.

    Args:
        task: Parses and scores.
        rows: The training rows.
        doubtful: Ids of rows whose right answer is not to be trusted.
    """

    def __init__(self, task: Task, rows: Sequence[Example], doubtful: frozenset[str]) -> None:
        self.task, self.doubtful = task, doubtful
        self.golds: dict[str, list[Parsed]] = {}
        for row in rows:
            self.golds.setdefault(_asked(row), []).append(task.parse(row.answer))
        self.seen: set[tuple[str, str, str]] = set()

    def distrust(self, row: Example, told: Told) -> Text | None:
        """Why the row's own answer is not to be learned; None where nothing speaks against it."""
        if self.task.parse(row.answer).status is not Status.OK:
            return say("the right answer is none that the task can read")
        parsed = self.task.parse(told.wrong or "")
        golds = () if told.status == Status.NO_STOP else self.golds[_asked(row)]
        if any(self.task.score(gold, parsed, row.input).correct for gold in golds):
            return say("another row with the same input has it as the right answer")
        if row.id in self.doubtful:
            return say("the row's own label is probably wrong")
        if (pair := (_asked(row), row.answer, told.wrong or "")) in self.seen:
            return say("the same pair as another row's")
        self.seen.add(pair)
        return None

    def objection(self, told: Told) -> Text | None:
        """Why the given answer is none to set against it; None for a pair."""
        if told.status == Status.NO_STOP or told.closed:
            return say("cut off at the token limit, so it never ended")
        return None if (told.wrong or "").strip() else say("nothing was answered")


def _asked(row: Example) -> str:
    return "\n".join((row.prompt[0].content, normalise(row.input)))


def _mistake(task: Task, row: Example, told: Told) -> Mistake:
    gold, given = task.parse(row.answer), task.parse(told.wrong or "")
    if given.status is not Status.OK:
        kinds: tuple[str, ...] = (str(given.status),)
    elif task.type == "text" or isinstance(gold.value, str):
        kinds = ("label",) if task.type == "classification" else ("text",)
    else:
        kinds = tuple(dict.fromkeys(_kinds(task.type, gold, given))) or ("other",)
    is_label = task.type == "classification" and isinstance(gold.value, str)
    is_given = is_label and isinstance(given.value, str)
    return Mistake(row, told, gold.value if is_label else "", kinds, given.value if is_given else "")


def _kinds(kind: str, gold: Parsed, given: Parsed) -> Iterator[str]:
    """What is wrong with a list or an object; nothing where it is only the order of its items."""
    right, found = things_of(kind, gold), things_of(kind, given)
    missed, invented = right - found, found - right
    if kind == "json":
        yield from (f"field {name.partition('.')[0]}" for name, _ in (*missed, *invented))
        return
    if any(swapped(missed, invented, by=1)):
        yield "confused"
    yield from (name for name, items in (("missed", missed), ("invented", invented)) if items)


def _balanced(mistakes: Sequence[Mistake], settings: MineConfig) -> tuple[list[Mistake], dict[Text, int]]:
    """Round robin over labels, or kinds of mistake; the mistakes come hardest first, and so they stay."""
    groups = _groups(mistakes)
    sizes = [len(group) for group in groups.values()]
    labelled = any(mistake.label for mistake in mistakes)
    most = settings.max_per_label or (max(FEWEST, round(TIMES * median(sizes))) if labelled else max(sizes, default=0))
    turns = [(turn, place) for place, group in enumerate(groups.values()) for turn in range(min(most, len(group)))]
    kept = sorted(turns)[: settings.max_pairs]
    members = [*groups.values()]
    chosen = {members[place][turn].row.id for turn, place in kept}
    left_out = {
        say("more than {most} pairs of one label", most=most): len(mistakes) - len(turns),
        say("more than {most} pairs in all", most=settings.max_pairs): len(turns) - len(kept),
    }
    return [one for one in mistakes if one.row.id in chosen], {why: rows for why, rows in left_out.items() if rows}


def _groups(mistakes: Sequence[Mistake]) -> dict[str, list[Mistake]]:
    """By right label; of other tasks by the rarest of a mistake's kinds, so that the frequent ones hide none."""
    times = Counter(kind for mistake in mistakes for kind in mistake.kinds)
    groups: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        name = mistake.label or min(mistake.kinds, key=lambda kind: times[kind])
        groups.setdefault(name, []).append(mistake)
    return groups
