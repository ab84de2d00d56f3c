"""Many rows: put aside in a file, and the same to whoever goes through them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from exactune.checking import check
from exactune.config import Config
from exactune.data import source, store
from exactune.data.load import load, load_paths
from exactune.data.read import open_file
from exactune.data.source import Source
from exactune.data.store import Gathered, StoredExamples
from exactune.errors import DataError
from exactune.types import Example, Location, Message


def example(number: int) -> Example:
    """Every kind of value that an example can hold."""
    system = ("", "Label the text.", f"Only of row {number}.")[number % 3]
    turns = [Message("user", f"好吃 {number} \ud83d"), Message("assistant", "?"), Message("tool", '{"a": 1}')]
    return Example(
        f"x:{number}", (Message("system", system), *turns[: number % 4]), "a" * (number % 50),
        Location(f"f{number % 2}", None if number % 7 == 0 else number), "chat", None if number % 5 else "no",
    )  # fmt: skip


def stored(rows: list[Example]) -> StoredExamples:
    made = StoredExamples()
    for row in rows:
        made.append(row)
    return made


@pytest.mark.parametrize("buffer", [1, 100, 1 << 20])
def test_rows_come_back_as_they_were(buffer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUFFER", buffer)
    rows = [example(number) for number in range(100)]
    found = stored(rows)
    assert (len(found), list(found), list(found)) == (100, rows, rows)
    assert [found[index] for index in (0, 99, -1, -100, 57)] == [rows[index] for index in (0, 99, -1, -100, 57)]
    for part in (slice(0, 10), slice(-3, None), slice(None, None, -1), slice(5, 50, 7), slice(70, 60)):
        assert list(found[part]) == rows[part]
    assert (rows[3] in found, found.index(rows[98])) == (True, 98)
    with pytest.raises(IndexError):
        found[100]


def test_two_readers_and_a_writer_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUFFER", 50)
    rows = [example(number) for number in range(40)]
    found = stored(rows)
    assert [(one, other) for one in found for other in found] == [(one, other) for one in rows for other in rows]
    reader = iter(found)
    first = next(reader)
    found.append(example(40))
    assert [first, *reader] == rows
    assert list(found) == [*rows, example(40)]


def test_more_system_messages_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "REPEATED", 3)
    rows = [example(number) for number in range(30)]
    assert list(stored(rows)) == rows


def test_few_rows_are_a_tuple_and_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "IN_MEMORY", 5)
    rows = [example(number) for number in range(8)]
    gathered = Gathered()
    kinds = []
    for row in rows:
        gathered.append(row)
        kinds.append(type(gathered.rows()))
    assert kinds == [tuple] * 5 + [StoredExamples] * 3
    assert list(gathered.rows()) == rows


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    full = "/dev/full"
    if not os.path.exists(full):
        pytest.skip("no device that is always full")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open(full, "w+b", buffering=0))  # noqa: SIM115
    monkeypatch.setattr(store, "BUFFER", 1)
    with pytest.raises(DataError, match=r"cannot be put aside in .*: No space left on device\. .*TMPDIR"):
        StoredExamples().append(example(1))


def rows_of(folder: Path) -> None:
    lines = [json.dumps({"text": f"row {number // 2}", "label": "ab"[number % 2]}) for number in range(60)]
    for name, part in (("train", lines), ("eval", [*lines[:9], "{oops"]), ("general", lines[30:])):
        (folder / f"{name}.jsonl").write_text("\n".join(part), encoding="utf-8")
    (folder / "test.json").write_text("[" + ", ".join(lines[:3]) + "]", encoding="utf-8")
    (folder / "more.csv").write_text("review,stars\n" + "".join(f"text {n},{n % 2}\n" for n in range(40)))


def test_what_is_put_aside_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    data = {
        "train": ["train.jsonl", "more.csv"], "eval": "eval.jsonl", "test": "test.json",
        "mix": [{"path": "general.jsonl", "ratio": 0.2}],
    }  # fmt: skip
    config = Config.model_validate({"data": data})

    def everything() -> object:
        loaded = load(config, tmp_path)
        splits = [list(getattr(loaded.splits, name)) for name in ("train", "eval", "test", "mix")]
        found = check(["train.jsonl", "eval.jsonl", "test.json"])
        bare = load_paths(["train.jsonl"])
        return splits, loaded.files, loaded.findings, loaded.notes, loaded.columns, found, list(bare.splits.train)

    before = everything()
    monkeypatch.setattr(store, "IN_MEMORY", 2)
    monkeypatch.setattr(source, "BLOCK", 11)
    assert isinstance(load(config, tmp_path).splits.train, StoredExamples)
    assert everything() == before
    assert [row.id for row in load(config, tmp_path).splits.test] == ["test.json:1", "test.json:1#2", "test.json:1#3"]


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a", "label": "b"}\n' * 50, encoding="utf-8")
    items = open_file(path, "train.jsonl").items
    assert len(list(items())) == 50
    with path.open("a", encoding="utf-8") as file:
        file.write('{"text": "a", "label": "b"}\n')
    with pytest.raises(DataError, match=r"train.jsonl: it changed while it was read. Try again when it is complete"):
        list(items())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "train.jsonl"
    os.mkfifo(pipe)
    script = 'import sys; open(sys.argv[1], \'w\').write(\'{"text": "a", "label": "b"}\\n\' * 3)'
    with subprocess.Popen([sys.executable, "-c", script, str(pipe)]):
        assert len(load_paths([str(pipe)]).splits.train) == 3


def test_bytes_are_a_source_too() -> None:
    held = Source("stdin", data=b"abc")
    assert (list(held.blocks()), list(held.blocks()), held.path) == ([b"abc"], [b"abc"], None)


PEAK = """
import resource, sys
from exactune.data import store
store.IN_MEMORY = 5000
from exactune.data.load import load_paths
rows = load_paths([sys.argv[1]]).splits.train
assert sum(1 for _ in rows) == len(rows) == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kilobytes on Linux")
def test_three_times_the_rows_take_no_more_memory(tmp_path: Path) -> None:
    peaks = []
    for rows in (15_000, 60_000):
        path = tmp_path / f"{rows}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f'{{"text": "{"word " * 100}{number}", "label": "a"}}\n' for number in range(rows))
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path), str(rows)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    # Their texts alone are 22 MB more, as objects 60.
    assert peaks[1] - peaks[0] < 12, peaks
