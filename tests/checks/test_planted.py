"""Faults planted into clean data are found at their lines, and little else is.

D301, D305, D602, D701 and D702 are about a whole file, D605 about two rows, D306, D502 and D503 about labels and a
model, so they are not planted row by row. Known and not planted: an instruction row whose `input` alone is empty
passes, for many sets have such rows; a null where no other row has one passes, for it may mean that nothing is stated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

import pytest
from cases_tokens import DATED
from transformers import PreTrainedTokenizerFast

import exactune
from exactune.rules import Finding, Severity

import planted_answers
import planted_rows
import planted_sets
import planted_tokens
import planted_twins
import tiny
from made import write_jsonl, write_task
from planted import Batch, Plant, Planted
from planted_clean import CLEAN, Splits
from planted_sets import Whole, wholes

PLANTS: Sequence[Plant] = [
    *planted_rows.PLANTS, *planted_twins.PLANTS, *planted_answers.PLANTS, *planted_sets.PLANTS,
]  # fmt: skip
DENSITY = 0.05
"""Faults by training row, at most: what most rows are like must stay plain."""

ALSO = {
    # A label or type that is written otherwise is rare, not listed, and in eval unseen.
    "D304": {"D302", "D303", "D703"},
    "D505": {"D303", "D304", "D703"},
    "D303": {"D302", "D703"},
    "D403": {"D405", "D703"},
    "D406": {"D303", "D703"},
    "D409": {"D703"},
    # Within words that the answer copies, a slip parts it from the input.
    **{code: {"D405"} for code in ("D201", "D202", "D205", "D206")},
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


def missing(batch: Batch, found: set[Place]) -> list[Planted]:
    """The faults that are not found."""
    return [fault for fault in batch.faults if (fault.split, batch.line_number(fault), fault.code) not in found]


def test_planted_faults_are_found_at_their_lines(tmp_path: Path) -> None:
    planted, found, rows = Counter[str](), Counter[str](), 0
    missed: list[str] = []
    beyond: list[str] = []
    for number, batch in enumerate(batches()):
        result = exactune.check(batch.write(tmp_path / str(number)))
        seen = places(result.findings)
        gone = missing(batch, seen)
        rows += sum(file.rows for file in result.files)
        planted.update(fault.code for fault in batch.faults)
        found.update(fault.code for fault in batch.faults if fault not in gone)
        missed += [shown(batch, fault) for fault in gone]
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


@pytest.mark.parametrize("whole", list(wholes()), ids=lambda whole: f"{whole.code} {whole.variant}")
def test_sets_at_fault_as_a_whole(whole: Whole, tmp_path: Path) -> None:
    found = places(exactune.check(write(whole.splits, tmp_path)).findings)
    lines = {line for line, row in enumerate(whole.splits["train"], 1) if whole.rows and whole.rows(row)} or {None}
    assert found == {("train", line, whole.code) for line in lines}


def base(folder: Path, tokenizer: PreTrainedTokenizerFast, stop: int) -> Path:
    """A base model whose generation config ends answers at a token."""
    tokenizer.save_pretrained(folder)
    model = tiny.model(len(tokenizer))
    model.generation_config.eos_token_id = stop
    model.save_pretrained(folder)
    return folder


def config(batch: Batch, tokenizer: PreTrainedTokenizerFast, folder: Path, stop: int = 2) -> Path:
    """A config beside the batch's files, with its clean labels."""
    batch.write(folder)
    labels = sorted({row["label"] for row in batch.splits["train"]})
    return write_task(folder, base(folder / "base", tokenizer, stop), f"task: {{labels: {labels}}}\n")


def test_faults_that_a_tokenizer_shows(tmp_path: Path) -> None:
    # One label begins another, the template has the date in it, and generation ends at another token.
    batch = Batch("intents_en", renamed({"discount_code": "payment"}), Random(0))
    for plant in planted_tokens.BYTES:
        plant.into(batch)
    result = exactune.check(config(batch, tiny.byte_bpe(DATED, vocab=259), tmp_path / "bytes", stop=0))
    found = places(result.findings)
    assert not [shown(batch, fault) for fault in missing(batch, found)]
    assert extra(batch, found) == {("train", None, "D306")}
    assert {"D502", "D503"} <= {finding.code for finding in result.findings}


def test_answers_that_a_tokenizer_changes(tmp_path: Path) -> None:
    batch = Batch("intents_en", renamed({}), Random(0))
    for plant in planted_tokens.WIDE:
        plant.into(batch)
    found = places(exactune.check(config(batch, tiny.unigram(), tmp_path / "wide")).findings)
    assert not [shown(batch, fault) for fault in missing(batch, found)]
    assert not extra(batch, found)


def renamed(names: Mapping[str, str]) -> Splits:
    """Intents under other names, without joints."""
    return {
        split: [row | {"label": names.get(row["label"], row["label"]).replace("_", " ")} for row in rows]
        for split, rows in CLEAN["intents_en"]().items()
    }
