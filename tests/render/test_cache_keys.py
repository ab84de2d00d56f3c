"""What the ids of rows hang on, and so what they are kept under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cached import Cached, examples, is_read, plainly

from exactune.render import cache
from exactune.render.cache import encode_all
from exactune.render.template import Template
from exactune.types import Example, Location, Message

import tiny

pytestmark = pytest.mark.usefixtures("files")


def changed(rows: list[Example], index: int, **values: object) -> list[Example]:
    return [*rows[:index], replace(rows[index], **values), *rows[index + 1 :]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: changed(rows, 5, answer="other"),
        lambda rows: changed(rows, 5, prompt=(*rows[5].prompt[:-1], Message("user", "other"))),
        lambda rows: changed(rows, 5, prompt=(Message("system", "other"), *rows[5].prompt[1:])),
        lambda rows: changed(rows, 5, prompt=(*rows[5].prompt[:-1], Message("tool", rows[5].prompt[-1].content))),
        lambda rows: [rows[0], *rows[2:3], rows[1], *rows[3:]],
        lambda rows: rows[:-1],
        lambda rows: [*rows, rows[0]],
    ],
    ids=["answer", "input", "system", "role", "order", "fewer", "more"],
)
def test_changed_rows_are_made_anew(
    change: Callable[[list[Example]], list[Example]], files: Cached, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, rows = Template(tiny.byte_bpe()), examples()
    encode_all(template, rows)
    assert not is_read(template, change(rows), monkeypatch)
    assert is_read(template, rows, monkeypatch)
    assert len(files()) == 2


def test_text_that_moves_between_turns_is_another_row() -> None:
    template = Template(tiny.byte_bpe())
    keys = set()
    for system, user, answer in (("ab", "c", "d"), ("a", "bc", "d"), ("a", "b", "cd"), ('a","b', "c", "d")):
        prompt = (Message("system", system), Message("user", user))
        keys.add(cache._key(template, [Example("t:1", prompt, answer, Location("t", 1), "chat")]))
    assert len(keys) == 4


def test_rows_that_move_to_another_file_keep_their_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    template, rows = Template(tiny.byte_bpe()), examples()
    encode_all(template, rows)
    moved = [replace(row, id=f"u:{row.id}", location=Location("u", 1)) for row in rows]
    assert is_read(template, moved, monkeypatch)
    assert [row.id for row in encode_all(template, moved)] == [row.id for row in moved]


def with_new_token() -> Template:
    tokenizer = tiny.byte_bpe()
    tokenizer.add_tokens(["two  spaces"])
    return Template(tokenizer)


def with_split_specials() -> Template:
    tokenizer = tiny.byte_bpe()
    tokenizer.split_special_tokens = True
    return Template(tokenizer)


@pytest.mark.parametrize(
    "other",
    [
        lambda: Template(tiny.byte_bpe(tiny.CHATML.replace("assistant\n", "assistant:\n"))),
        lambda: Template(tiny.byte_bpe(tiny.DROPS_SYSTEM)),
        lambda: Template(tiny.byte_bpe(None)),
        lambda: Template(tiny.byte_bpe(bos=True)),
        lambda: Template(tiny.byte_bpe(vocab=350)),
        lambda: Template(tiny.unigram()),
        with_new_token,
        with_split_specials,
    ],
    ids=["template", "drops-system", "no-template", "bos", "vocabulary", "unigram", "added-token", "split-specials"],
)
def test_another_tokenizer_or_template_makes_its_own(
    other: Callable[[], Template], files: Cached, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_all(Template(tiny.byte_bpe()), examples())
    template = other()
    assert not is_read(template, examples(), monkeypatch)
    assert is_read(template, examples(), monkeypatch)
    assert len(files()) == 2


def test_other_code_or_libraries_make_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template, rows = Template(tiny.byte_bpe()), examples()
    encode_all(template, rows)
    source = tmp_path / "code.py"
    for text in ("one", "two"):
        source.write_text(text)
        with monkeypatch.context() as patch:
            patch.setattr(cache, "SOURCES", (*cache.SOURCES[:-1], str(source)))
            assert not is_read(template, rows, monkeypatch)
    for name, value in (("__version__", "9"), ("version", lambda name: f"{name} 9")):
        with monkeypatch.context() as patch:
            patch.setattr(cache, name, value)
            assert not is_read(template, rows, monkeypatch)
    assert {Path(source).name for source in cache.SOURCES} == {"cache.py", "template.py", "expand.py"}
    assert is_read(template, rows, monkeypatch)


def test_a_tokenizer_that_behaves_otherwise_than_it_says_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    template, rows = Template(tiny.byte_bpe()), examples()
    encode_all(template, rows)
    monkeypatch.setattr(Template, "answer_ids", lambda self, answer: [*self._ids(answer), self.stop_id, self.stop_id])
    assert encode_all(template, rows) == plainly(template, rows)


def test_a_template_that_writes_the_date_keeps_nothing(files: Cached) -> None:
    encode_all(Template(tiny.byte_bpe("{{ strftime_now('%d %b %Y') }}" + tiny.CHATML)), examples())
    assert files() == []
