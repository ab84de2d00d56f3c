"""A rule about names that are written in several ways (D303)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exactune.checks.dataset import Dataset
from exactune.checks.names import Rows
from exactune.data.script import simplified
from exactune.data.words import count, excerpt, unique
from exactune.language import Text, join, say
from exactune.rules import Finding, Rule
from exactune.types import Location

__all__ = ["joined", "label_variants", "same_name"]

SHOWN = 3
"""Groups named in the message; the evidence has all."""

MARKS = " .。…!！?？,，;；:：'\"“”‘’「」『』《》()（）[]【】"
"""What may stand around a name without changing it; `+`, `#`, `*`, `<` and `-` do change it."""
_BETWEEN = r"(?:\s*[-–—/·・、,.]\s+|\s+|[-–—/·・、,.])"
# Between two digits the same characters make another number.
_JOINT = re.compile(rf"(?<=[^\W\d]){_BETWEEN}(?=\w)|(?<=\w){_BETWEEN}(?=[^\W\d])")


def _unmarked(text: str) -> str:
    """Without invisible characters, marks around the name, and blanks and joints between its words."""
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf").replace("_", " ")
    return _JOINT.sub("", visible.strip().strip(MARKS))


FOLDS: Mapping[Text, Callable[[str], str]] = {
    say("width"): lambda text: unicodedata.normalize("NFKC", text),
    say("case"): str.casefold,
    say("simplified or traditional characters"): simplified,
    say("blanks or punctuation"): _unmarked,
}
"""In what two ways of writing a name may differ, and what takes the difference away; in this order."""


def same_name(name: str, without: str = "") -> str:
    """What all ways of writing a name share; ``without`` leaves one of :data:`FOLDS` out."""
    folded = name
    for what, fold in FOLDS.items():
        folded = folded if what == without else fold(folded)
    return folded or name


def joined(names: Rows) -> Rows:
    """The names with all their ways of writing counted as the most frequent one."""
    alike: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: -len(names[name])):
        alike.setdefault(same_name(name), []).append(name)
    return {usual: [place for form in (usual, *others) for place in names[form]] for usual, *others in alike.values()}


def _differences(first: str, second: str) -> list[Text]:
    """The folds that two ways of writing one name cannot do without."""
    needed = [what for what in FOLDS if same_name(first, what) != same_name(second, what)]
    return needed or [what for what, fold in FOLDS.items() if fold(first) != first or fold(second) != second]


@dataclass(frozen=True, slots=True)
class _Group:
    """Ways of writing one name with their places, the usual one first."""

    kind: str
    forms: Sequence[tuple[str, Sequence[Location]]]

    @property
    def others(self) -> Iterator[Location]:
        return (place for _, places in self.forms[1:] for place in places)

    def differences(self) -> list[Text]:
        usual = self.forms[0][0]
        return list(dict.fromkeys(one for form, _ in self.forms[1:] for one in _differences(usual, form)))

    def said(self) -> Text:
        named = join(", ", (f"{excerpt(form)!r} ({len(places):,})" for form, places in self.forms))
        return say("{forms} ({difference})", forms=named, difference=join(", ", self.differences()))


def label_variants(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """One label written in several ways.

    What it does:
        Finds labels, entity types and recurring values of JSON fields (such as relation names) that differ only in
        case, width, blanks, punctuation, or between simplified and traditional characters. The form that most training
        rows have is taken for the usual one; the rows with the other forms are named, in every split.

    Why it matters:
        To a model and to every metric they are different labels: the rows are divided among them, and a right answer in
        the other form counts as wrong.

    Example:
        train.jsonl:4  {"text": "好吃", "label": "正面"}
        train.jsonl:88 {"text": "很好吃", "label": "正面。"}

    Fix:
        Write each label in one way, in all files.
    """
    groups = [group for kind, splits in dataset.names.items() for group in _groups(kind, splits)]
    if groups:
        others = unique(place for group in groups for place in group.others)
        yield rule.finding(
            say(
                "{names} written in several ways: {named}{more}",
                names=count(len(groups), "label"),
                named=join("; ", (group.said() for group in groups[:SHOWN])),
                more="; …" if len(groups) > SHOWN else "",
            ),
            locations=others,
            related=unique(group.forms[0][1][0] for group in groups),
            evidence={"rows": len(others), "groups": [_shown(group) for group in groups]},
        )


def _groups(kind: str, splits: Mapping[str, Rows]) -> Iterator[_Group]:
    names: dict[str, list[Location]] = {}
    for rows in splits.values():
        for name, places in rows.items():
            names.setdefault(name, []).extend(places)
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(same_name(name), []).append(name)
    train = next(iter(splits.values()), {})
    for forms in alike.values():
        if len(forms) > 1:
            forms.sort(key=lambda name: (-len(train.get(name, ())), -len(names[name])))
            yield _Group(kind, [(form, names[form]) for form in forms])


def _shown(group: _Group) -> Mapping[str, object]:
    return {
        "of": group.kind,
        "forms": {form: len(places) for form, places in group.forms},
        "difference": group.differences(),
    }
