"""Token ids are read as they were made, or made anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cached import Cached, examples, is_read, plainly
from hypothesis import given, settings
from hypothesis import strategies as st

from exactune.errors import TemplateError
from exactune.plan import config_source, make_plan
from exactune.render import cache
from exactune.render.cache import cache_folder, cache_size, encode_all
from exactune.render.template import Template
from exactune.types import Example, Location, Message

import tiny
from made import rows as chat_rows
from made import write_jsonl

pytestmark = pytest.mark.usefixtures("files")


@pytest.mark.parametrize("design", [tiny.byte_bpe, tiny.unigram, tiny.wordpiece])
def test_what_is_read_is_what_is_made(
    design: Callable[[], object], files: Cached, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, rows = Template(design()), examples()  # type: ignore[arg-type]
    expected = plainly(template, rows)
    assert encode_all(template, rows) == expected
    assert len(files()) == 1
    assert is_read(template, rows, monkeypatch)
    read = encode_all(template, rows)
    assert read == expected
    assert {type(token) for row in read for token in row.input_ids} == {int}
    assert all(type(row.prompt_ids) is list and type(row.answer_ids) is list for row in read)


TEMPLATE = Template(tiny.byte_bpe())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(), st.lists(st.text(), min_size=1, max_size=5), st.text()), max_size=6))
def test_any_texts(tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, list[str], str]]) -> None:
    rows = []
    for number, (system, turns, answer) in enumerate(texts):
        roles = [("user", "assistant")[index % 2] for index in range(len(turns))]
        prompt = (Message("system", system), *map(Message, roles, turns))  # type: ignore[arg-type]
        rows.append(Example(f"t:{number}", prompt, answer, Location("t", number), "chat"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXACTUNE_CACHE", str(tmp_path_factory.mktemp("any")))
        assert encode_all(TEMPLATE, rows) == encode_all(TEMPLATE, rows) == plainly(TEMPLATE, rows)


def test_small_splits_keep_nothing(files: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SMALL", 13)
    assert encode_all(TEMPLATE, examples()) == plainly(TEMPLATE, examples())
    assert files() == []


def test_any_damaged_byte_is_found(files: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = examples(2)
    expected = encode_all(TEMPLATE, rows)
    [path] = files()
    key, whole = path.name, path.read_bytes()
    monkeypatch.setattr(cache, "FRESH", 1)
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        assert cache._read(key) is None
    for damaged in (b"", whole[:31], whole[:32], whole[:-1], whole[:-4], whole + b"\0\0\0\0"):
        path.write_bytes(damaged)
        assert cache._read(key) is None
        assert encode_all(TEMPLATE, rows) == expected
        assert path.read_bytes() == whole


def test_a_file_under_another_key_is_no_answer(files: Cached) -> None:
    rows = examples(4)
    encode_all(TEMPLATE, rows)
    [path] = files()
    other = rows[::-1]
    path.rename(path.with_name(cache._key(TEMPLATE, other) or ""))
    assert encode_all(TEMPLATE, other) == plainly(TEMPLATE, other)


def test_what_was_not_used_for_longest_goes_first(files: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = examples()
    parts = [rows[start : start + 6] for start in range(4)]
    names = []
    for age, part in enumerate(parts[:3]):
        encode_all(TEMPLATE, part)
        names.append(cache._key(TEMPLATE, part) or "")
        os.utime(cache_folder() / "tokens" / names[-1], (1000 + age, 1000 + age))
    assert cache_size() == sum(path.stat().st_size for path in files())
    encode_all(TEMPLATE, parts[0])  # used again: now the second is the oldest
    monkeypatch.setattr(cache, "MOST", cache_size())
    encode_all(TEMPLATE, parts[3])
    left = {path.name for path in files()}
    assert {names[0], cache._key(TEMPLATE, parts[3])} <= left
    assert names[1] not in left
    assert cache_size() <= cache.MOST
    monkeypatch.setattr(cache, "MOST", 40)
    before = files()
    encode_all(TEMPLATE, rows)
    assert files() == before, "what is larger than the whole cache is not kept"


@pytest.mark.parametrize("taken", ["taken", "taken/tokens"])
def test_a_folder_that_cannot_be_written_stops_nothing(
    taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / taken
    place.parent.mkdir(exist_ok=True)
    place.write_text("a file where the folder should be")
    monkeypatch.setenv("EXACTUNE_CACHE", str(tmp_path / "taken"))
    assert encode_all(TEMPLATE, examples()) == encode_all(TEMPLATE, examples()) == plainly(TEMPLATE, examples())
    assert cache_size() == 0


@pytest.mark.parametrize("failing", ["replace", "open"])
def test_a_full_disk_stops_nothing(failing: str, files: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if failing == "replace":
            patch.setattr(os, "replace", full)
        else:
            patch.setattr(cache, "_seal", full)  # called while the file is open
        assert encode_all(TEMPLATE, examples()) == plainly(TEMPLATE, examples())
    assert files() == []


def test_the_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("EXACTUNE_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "exactune"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert cache_folder() == tmp_path / "home" / ".cache" / "exactune"


def test_a_refused_row_is_named() -> None:
    refusing = tiny.CHATML + "{% if messages|length > 3 %}{{ raise_exception('too many turns') }}{% endif %}"
    with pytest.raises(TemplateError, match=r"^t:1: .*too many turns"):
        encode_all(Template(tiny.byte_bpe(refusing)), examples())


WRITER = """
import sys
sys.path[:0] = {paths!r}
import test_cache
test_cache.cache.SMALL = 1
print("ready", flush=True)
test_cache.write_again_and_again()
"""


def write_again_and_again() -> None:
    rows = examples(100)
    expected = plainly(TEMPLATE, rows)
    for _ in range(10):
        for path in (cache_folder() / "tokens").glob("*"):
            path.unlink(missing_ok=True)
        assert encode_all(TEMPLATE, rows) == expected


def test_two_processes_at_once(files: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    script = WRITER.format(paths=[str(Path(__file__).parent), str(Path(__file__).parents[1])])
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert "ready\n" in other.stdout  # after what training a tokenizer prints
        write_again_and_again()
        _, told = other.communicate(timeout=120)
        assert other.returncode == 0, told
    encode_all(TEMPLATE, examples(100))
    assert [path.suffix for path in files()] == [""]
    assert is_read(TEMPLATE, examples(100), monkeypatch), "the key is the same in every process"


def test_a_plan_of_rows_that_were_seen_is_the_same_plan(
    task: Callable[..., Path], files: Cached, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task(train=30)
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    chats = [{"messages": [*turns, *row["messages"][1:]]} for row in chat_rows(30)]
    write_jsonl(config.parent / "train.jsonl", chats)
    source = config_source(config)
    monkeypatch.setattr(cache, "SMALL", 10**9)
    plain = make_plan(source)
    assert files() == []
    monkeypatch.setattr(cache, "SMALL", 1)
    first = make_plan(source)
    assert len(files()) == 3, "train, eval and test"
    monkeypatch.setattr(cache, "FRESH", 1)
    second = make_plan(source)
    for plan in (first, second):
        assert (plan.encoded, plan.encoded_eval) == (plain.encoded, plain.encoded_eval)
        assert plan.findings == plain.findings
    assert len(plain.encoded) == 60
