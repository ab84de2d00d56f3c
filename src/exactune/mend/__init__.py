"""Mend what is mechanical in copies of the data files; everything else stays for a person to decide.

Exact duplicates are left out (the first stays); JSON answers get the layout and the order of keys that most have, and
lose code fences and escapes; variants of a label become the form used most; files become UTF-8. Originals stay.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from exactune.checking import CheckResult
from exactune.checks import RULES, Dataset
from exactune.data.load import FileInfo
from exactune.data.words import count
from exactune.durable import replaced_dir
from exactune.errors import ConfigError
from exactune.language import Text, join, say
from exactune.mend.answers import learn_house, mended_answer
from exactune.mend.files import Copy, RowChange, copied
from exactune.rules import run_rules
from exactune.types import Example, Location, Splits

__all__ = ["LOG", "MENDED", "Fix", "Mended", "mend", "refuse_folder"]

LOG = "fixes.jsonl"

MENDED: Mapping[str, Text] = {
    "D107": say("written as UTF-8 with plain line ends"),
    "D201": say("left out, being repeated"),
    "D303": say("with the usual form of the label"),
    "D403": say("with characters for escapes"),
    "D404": say("in the usual layout"),
    "D408": say("freed of a code fence"),
}
"""Codes whose findings are mended, and how."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One change, as a line of the log has it.

    Attributes:
        file: The original.
        line: In the original; ``None`` for the file as a whole.
        code: Of the rule that asks for it.
        before: What was there.
        after: What is there now; ``None`` where the row was left out.
    """

    file: str
    line: int | None
    code: str
    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Mended:
    """What was written.

    Attributes:
        folder: Where.
        copies: File as it is shown in places -> its copy.
        fixes: In the order of the files' lines.
        notes: What could not be done, or was done in another form.
    """

    folder: Path
    copies: Mapping[str, Path]
    fixes: tuple[Fix, ...]
    notes: tuple[str, ...]

    def sentences(self) -> Iterator[str]:
        """For people: how much of what, and where it lies."""
        changed = {(fix.code, fix.file, fix.line) for fix in self.fixes}
        for code, number in sorted(Counter(code for code, _, _ in changed).items()):
            things = count(number, "file") if code == "D107" else count(number, "row")
            yield say("{code}    {things} {what}", code=code, things=things, what=MENDED[code])
        if not self.fixes:
            yield say("nothing to mend; the copies are the files as they were")
        yield from (say("note    {note}", note=note) for note in self.notes)
        names = join(", ", (str(copy) for copy in self.copies.values()))
        yield say("wrote   {names}; each change is in {log}", names=names, log=self.folder / LOG)


def refuse_folder(fix: bool, folder: Path | None) -> None:
    """Before anything is read: whether there is a place for copies.

    Raises:
        ConfigError: One of ``--fix`` and ``-o`` is missing, or the folder holds something.
    """
    if folder is None:
        raise ConfigError(say("--fix writes copies: name a new folder for them with -o DIR."))
    if not fix:
        raise ConfigError(say("-o names the folder for the copies of --fix. Add --fix, or leave -o out."))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(say("{folder} holds files already. Name a new folder with -o DIR.", folder=folder))


def mend(result: CheckResult, folder: Path, codes: Collection[str] = frozenset(MENDED)) -> Mended:
    """Write corrected copies of the files that were checked, with a log of each change.

    Rows that cannot be read, and conflicts, stay as they are. Files that are mixed in, or measured for forgetting, are
    not copied.

    Args:
        result: Of :func:`exactune.check`.
        folder: Where to; new or empty.
        codes: What to mend, of :data:`MENDED`.

    Raises:
        ConfigError: The folder holds something.
        OSError: It cannot be written.
    """
    refuse_folder(True, folder)
    changes = _changes(result.dataset, codes)
    files = [file for file in result.files if file.split not in ("mix", "general")]
    fixes: list[Fix] = []
    notes: list[str] = []
    copies: dict[str, Path] = {}
    with replaced_dir(folder) as staged:
        for file, name in zip(files, _names(files), strict=True):
            path = Path(file.path)
            if not path.is_file():
                notes.append(say("{file}: no file but a data set, so there is no copy of it", file=file.path))
                continue
            own = changes.get(file.path, {})
            copy = copied(path.read_bytes(), file.path, own, as_utf8="D107" in codes)
            copies[file.path] = _write(copy, staged, name, folder)
            fixes += _fixes(file.path, copy, own)
            notes += copy.notes
        log = "".join(json.dumps(asdict(fix), ensure_ascii=False) + "\n" for fix in fixes)
        (staged / LOG).write_text(log, encoding="utf-8", newline="\n")
    return Mended(folder, copies, tuple(fixes), tuple(notes))


def _write(copy: Copy, staged: Path, name: str, folder: Path) -> Path:
    # Behind the old suffix, so that it takes the name of no other file.
    name += copy.suffix
    target = staged / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(copy.data)
    return folder / name


def _fixes(file: str, copy: Copy, changes: Mapping[int, RowChange]) -> Iterator[Fix]:
    yield from (Fix(file, None, "D107", before, after) for before, after in copy.form)
    for line, change in sorted(changes.items()):
        if line in copy.done and change.dropped:
            yield Fix(file, line, "D201", f"{change.example.input} → {change.example.answer}", None)
        elif line in copy.done:
            yield from (Fix(file, line, one.code, one.before, one.after) for one in change.changes)


def _changes(dataset: Dataset, codes: Collection[str]) -> dict[str, dict[int, RowChange]]:
    """File -> line -> what is to become of the row there."""
    splits = dataset.splits
    house = learn_house(dataset.task, [row.answer for row in splits.train], dataset.declared.labels or ())
    by_place: dict[Location, RowChange] = {}
    for row in (row for part in (splits.train, splits.eval, splits.test) for row in part):
        if found := mended_answer(row.answer, house, codes):
            by_place[row.location] = RowChange(row, tuple(found))
    if "D201" in codes:
        for row in _repeated(splits, by_place):
            by_place[row.location] = RowChange(row, dropped=True)
    changes: dict[str, dict[int, RowChange]] = {}
    for place, change in by_place.items():
        changes.setdefault(place.file, {})[place.line or 0] = change
    return changes


def _repeated(splits: Splits, changes: Mapping[Location, RowChange]) -> Sequence[Example]:
    """The later ones of training rows that are the same once they are mended."""
    train = tuple(
        replace(row, answer=changes[row.location].changes[-1].after) if row.location in changes else row
        for row in splits.train
    )
    rule = next(rule for rule in RULES if rule.code == "D201")
    places = {place for found in run_rules([rule], Dataset(Splits(train))) for place in found.locations}
    return [row for row in splits.train if row.location in places]


def _names(files: Sequence[FileInfo]) -> list[str]:
    """The shortest ends of the paths that tell the files apart."""
    parts = [Path(os.path.abspath(file.path)).parts for file in files]
    depth = 1
    while len({path[-depth:] for path in parts}) < len(set(parts)):
        depth += 1
    return [os.path.join(*path[-depth:]) for path in parts]
