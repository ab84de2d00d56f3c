"""Faults planted into clean data are found at their lines, and little else is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

import exactune
from exactune.rules import Finding, Severity

from made import write_jsonl

import planted_answers
import planted_rows
import planted_sets
import planted_twins
from planted import Batch, Plant, Planted
from planted_clean import CLEAN, Splits
from planted_sets import Whole, wholes

PLANTS: Sequence[Plant] = [
    *planted_rows.PLANTS, *planted_twins.PLANTS, *planted_answers.PLANTS, *planted_sets.PLANTS,
]  # fmt: skip
DENSITY = 0.05
"""Faults by training row, at most: what most rows are like must stay plain."""

ALSO = {
    # A label or type that is written otherwise is rare, and in eval unseen.
    "D303": {"D302", "D703"},
    "D403": {"D405", "D703"},
    "D406": {"D303", "D703"},
    "D409": {"D703"},
    # Within words that the answer copies, a slip parts it from the input.
    **dict.fromkeys(("D201", "D202", "D205", "D206"), {"D405"}),
    # What is no object is no entity that a relation could name.
    "D402": {"D407"},
    # An argument that is not listed need not stand in the input either.
    "D407": {"D405"},
}
"""What else a planted fault is, rightly."""

Place = tuple[str, int | None, str]


def write(splits: Splits, folder: Path) -> list[str]:
    return [str(write_jsonl(folder / f"{split}.jsonl", rows)) for split, rows in splits.items()]


def batches() -> Iterator[Batch]:
    """Every plant in each of its sets, as many at a time as a set bears."""
    for number, (name, make) in enumerate(CLEAN.items()):
        chance, splits = Random(number), make()
        wanted = [plant for plant in PLANTS for home in plant.sets if home == name for _ in range(plant.times)]
        chance.shuffle(wanted)
        size = int(DENSITY * len(splits["train"]))
        for start in range(0, len(wanted), size):
            batch = Batch(name, splits, chance)
            for plant in wanted[start : start + size]:
                plant.into(batch)
            yield batch


def places(findings: Sequence[Finding], codes: set[str] | None = None) -> set[Place]:
    """Split, line and code of everything found."""
    return {
        (Path(place.file).stem, place.line, finding.code)
        for finding in findings
        for place in finding.locations
        if codes is None or finding.code in codes
    }


def extra(batch: Batch, found: set[Place]) -> set[Place]:
    """What is found that was not planted."""
    known = {
        (fault.split, batch.line_number(fault), code)
        for fault in batch.faults
        for code in {fault.code} | ALSO.get(fault.code, set())
    }
    return found - known


def shown(batch: Batch, fault: Planted) -> str:
    text = "" if fault.line is None else fault.line.data[-300:].decode("utf-8", "replace")
    return f"{fault.code} {fault.variant} in {batch.name} {fault.split}:{batch.line_number(fault)} {text}"


def test_planted_faults_are_found_at_their_lines(tmp_path: Path) -> None:
    planted, found, rows = Counter[str](), Counter[str](), 0
    missed: list[str] = []
    beyond: list[str] = []
    for number, batch in enumerate(batches()):
        result = exactune.check(batch.write(tmp_path / str(number)))
        seen = places(result.findings)
        rows += sum(file.rows for file in result.files)
        for fault in batch.faults:
            planted[fault.code] += 1
            if (fault.split, batch.line_number(fault), fault.code) in seen:
                found[fault.code] += 1
            else:
                missed.append(shown(batch, fault))
        spots = {(fault.split, batch.line_number(fault)): fault for fault in batch.faults}
        for place in sorted(extra(batch, seen), key=str):
            fault = spots.get(place[:2])
            beyond.append(f"{batch.name} {place}" + (f" where {shown(batch, fault)}" if fault else ""))
    print(f"{found.total()} of {planted.total()} faults found in {rows} rows, {len(beyond)} places beyond them")
    print(*missed, *beyond, sep="\n")
    assert planted.total() >= 400
    assert set(found) == set(planted)
    assert found.total() >= 0.98 * planted.total(), missed
    assert len(beyond) < 0.01 * rows, beyond


@pytest.mark.parametrize("name", CLEAN)
def test_clean_data_are_silent(name: str, tmp_path: Path) -> None:
    result = exactune.check(write(CLEAN[name](), tmp_path))
    assert not [finding for finding in result.findings if finding.severity is Severity.ERROR]
    assert len(places(result.findings)) < 0.01 * sum(file.rows for file in result.files), result.findings


@pytest.mark.parametrize("whole", wholes(), ids=lambda whole: f"{whole.code} {whole.variant}")
def test_sets_at_fault_as_a_whole(whole: Whole, tmp_path: Path) -> None:
    found = places(exactune.check(write(whole.splits, tmp_path)).findings)
    lines = {line for line, row in enumerate(whole.splits["train"], 1) if whole.rows and whole.rows(row)} or {None}
    assert found == {("train", line, whole.code) for line in lines}
