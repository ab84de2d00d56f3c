"""Files as they come: whatever is in them, every row is read as it stands or named with its line.

``EXACTUNE_FUZZ=10000`` makes so many files of each kind; the suite makes a few hundred.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from exactune.data import source
from exactune.data.encoding import decode, decoded_pieces, find_encoding
from exactune.data.json_rows import read_objects
from exactune.data.load import load_paths
from exactune.data.read import ReadFile, collected, open_file, read_bytes
from exactune.errors import ExactuneError

FILES = int(os.environ.get("EXACTUNE_FUZZ", "0"))


def some(number: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=FILES or number,
        deadline=None,
        derandomize=not FILES,
        suppress_health_check=list(HealthCheck),
        database=None,
    )


def strict(line: str) -> Any:
    """The naive oracle: one line, one value, by the library's own decoder with what it lets through refused."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in found]
        assert len(keys) == len(set(keys))
        return dict(found)

    def number(digits: str) -> int:
        assert len(digits) <= 1000
        return int(digits)

    def constant(name: str) -> None:
        raise ValueError(name)

    def fraction(digits: str) -> float:
        assert abs(float(digits)) != float("inf")
        return float(digits)

    value = json.loads(line, object_pairs_hook=pairs, parse_constant=constant, parse_int=number, parse_float=fraction)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair cannot be written
    assert depth(value) <= 100
    return value


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, (dict, list)) else 0


def oracle(content: bytes) -> tuple[list[tuple[int, Any]], list[int]]:
    """Lines that are rows, with their values, and lines that are not; blank ones are neither."""
    rows: list[tuple[int, Any]] = []
    bad = []
    for line, part in enumerate(content.split(b"\n"), 1):
        try:
            text = part.decode("utf-8")
            if not text.strip():
                continue
            value = strict(text.strip())
            assert isinstance(value, dict)
            rows.append((line, value))
        except (ValueError, AssertionError, RecursionError):
            bad.append(line)
    return rows, bad


def places(found: ReadFile) -> tuple[list[tuple[int | None, Any]], list[int | None]]:
    return [(row.location.line, row.value) for row in found.rows], [row.location.line for row in found.broken]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text("abc\u2028é\"\\", max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
ROWS = st.dictionaries(st.sampled_from(["text", "label", "input", "x", "好", "a b"]), JSON, max_size=3)
GOOD = st.builds(
    lambda row, ascii, blank: blank[0] + json.dumps(row, ensure_ascii=ascii) + blank[1],
    ROWS,
    st.booleans(),
    st.sampled_from([("", ""), (" ", ""), ("", " \r"), ("\t", "\t"), ("", "\r")]),
).map(str.encode)
BAD = st.sampled_from([
    b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}',
    b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": "\\ud83d\\u0041"}', b'{"a": ' + b"9" * 1001 + b"}",
    b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}", b'{"a": ' + b"[" * 1200 + b"]" * 1200 + b"}",
    b'{"a": "\x00"}', b'{"a": "tab\t"}', b'{"a": \xff}', b'{"a": "\xe5\xa5"}', b'{"a": "\xed\xa0\x80"}', b"\x00",
    b'{"a": 1} x', b'{"a": 1}{"a": 2}', b'{"a": 1},', b"'a'", b"oops", b"[1, 2]", b"3", b'"text"', b"null", b"true",
    b'{"a": 01}', b'{"a": .5}', b'{"a": +1}', b"{'a': 1}", b"{a: 1}", b'{"a": tru}', b'{"a": "\\x"}', b'{"a" 1}',
    b'{"a": 1,}', b"// no", b'\xef\xbb\xbf{"a": 1}', b'\xc2\xa0{"a": }', b'{"a": [1, 2}',
])  # fmt: skip
FINE = st.sampled_from([
    '{"a": "x\u2028y\u2029z\u0085"}', '{"a": "\\ud83d\\ude00"}', "{}", '{"a": -0.0, "b": 1E5}', '{"a": "\x7f\ufeff"}',
    '{"a": ' + "9" * 999 + "}", '{"a": ' + "[" * 98 + "]" * 98 + "}", '{"a": ":", "b" : "\\": {["}', '\u3000{"a": 1}',
    "", "   ", "\r", "\x1c",
]).map(str.encode)  # fmt: skip
OPEN = st.sampled_from(
    [b'{"a": "x', b'{"a": [1,, 2', b'{"a": 1', b"{", b'{"a": NaN,', b'  {"b": 1}', b'  "c": 2', b"  ]"]
)
"""Rows that may go on below, and what may be theirs."""
FIRST = b'{"first": 1}'


def lines_of(*kinds: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """A JSONL file: a row first, so that it is one, and then lines of these kinds."""
    line = st.one_of(*kinds)
    return st.builds(
        lambda mark, lines, end: mark + b"\n".join([FIRST, *lines]) + end,
        st.sampled_from([b"", b"", codecs.BOM_UTF8]),
        st.lists(line, max_size=8),
        st.sampled_from([b"\n", b"", b"\n\n", b"\r\n"]),
    )


@some(250)
@given(lines_of(GOOD, FINE, BAD))
def test_rows_that_begin_and_end_on_their_lines(content: bytes) -> None:
    """The naive reader's rows and no others, and each line it cannot read is named."""
    rows, bad = oracle(content.removeprefix(codecs.BOM_UTF8))
    read = read_bytes(content, "x")
    assume(not read.guessed)  # stray bytes that happen to read well as Chinese, which is warned of
    found, named = places(read)
    assert [line for line, _ in found] == [line for line, _ in rows]
    assert found == rows
    assert named == bad


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that files are read in many pieces."""
    monkeypatch.setattr(source, "BLOCK", 7)


ANY = st.one_of(
    lines_of(GOOD, FINE, BAD),
    lines_of(GOOD, OPEN),
    st.binary(max_size=60),
    st.lists(GOOD | FINE | BAD | st.sampled_from([b"{", b"}", b"[", b"]", b'"', b",", b"\n", b"\r\n", b"\\", b"\xff"]),
             max_size=12).map(b"".join),
    st.builds(lambda rows, indent: json.dumps(rows, indent=indent).encode(), st.lists(ROWS, max_size=4),
              st.sampled_from([None, 0, 2])),
    st.builds(lambda rows, indent: "\n".join(json.dumps(row, indent=indent) for row in rows).encode(),
              st.lists(ROWS, min_size=1, max_size=4), st.sampled_from([0, 2])),
    st.lists(st.lists(st.sampled_from(["a", "", '"', '"x"', '"x\ny"', ',', "\r", "好", '""', "\x00"]),
                      min_size=1, max_size=4).map(",".join), min_size=1, max_size=6).map(
        lambda lines: "\n".join(["text,label", *lines]).encode()),
)  # fmt: skip
MARKS = {
    "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE,
}  # fmt: skip
WIDE = st.builds(
    lambda content, codec, mark, cut: ((MARKS[codec] if mark else b"") + content.decode().encode(codec))[: cut or None],
    lines_of(GOOD, FINE),
    st.sampled_from(sorted(MARKS)),
    st.booleans(),
    st.sampled_from([0, 0, -1, -2, -3, -5]),
)
EVERYTHING = ANY | WIDE | st.builds(lambda content, cut: content[:cut], ANY, st.integers(0, 80))


@some(250)
@given(EVERYTHING)
def test_a_file_in_pieces_is_read_like_one_piece(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """And nothing else than the documented error leaves the reader, whatever the bytes are."""
    path = tmp_path_factory.getbasetemp() / "pieces"
    path.write_bytes(content)

    def outcome(read: Callable[[], ReadFile]) -> object:
        try:
            return read()
        except ExactuneError as error:
            return str(error)

    whole_block = 1 << 20
    in_pieces = outcome(lambda: collected(open_file(path, "x")))
    source.BLOCK = whole_block
    try:
        at_once = outcome(lambda: collected(open_file(path, "x")))
    finally:
        source.BLOCK = 7
    assert in_pieces == at_once


@some(150)
@given(EVERYTHING, st.integers(1, 9))
def test_text_in_blocks_is_the_text(content: bytes, size: int) -> None:
    blocks = [content[start : start + size] for start in range(0, len(content), size)]
    encoding = find_encoding(blocks, blocks)
    whole = decode(content)
    pieces = list(decoded_pieces(blocks, encoding))
    assert ("".join(pieces), encoding.name, encoding.guessed) == (whole.text, whole.encoding, whole.guessed)
    assert all(piece.endswith("\n") for piece in pieces[:-1])
    assert not encoding.valid or whole.text.encode() == content.removeprefix(codecs.BOM_UTF8)


@some(120)
@given(st.lists(EVERYTHING, min_size=1, max_size=2))
def test_loading_counts_every_row_once(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    """A row is an example or has a problem at its place, and the digest is that of the bytes."""
    folder = tmp_path_factory.getbasetemp()
    paths = [folder / name for name in ("train.jsonl", "eval.jsonl")][: len(contents)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    try:
        loaded = load_paths([str(path) for path in paths])
    except ExactuneError:
        return
    examples = [*loaded.splits.train, *loaded.splits.eval]
    rejected = [place for finding in loaded.rejected for place in finding.locations]
    assert len(examples) + len(rejected) == sum(file.rows for file in loaded.files)
    assert len({example.id for example in examples}) == len(examples)


@some(100)
@given(st.lists(GOOD, min_size=1, max_size=6), st.sampled_from(["", " ", "\n", "\n  "]), st.booleans())
def test_arrays_hold_what_their_rows_hold(lines: list[bytes], space: str, newline: bool) -> None:
    rows = [json.loads(line) for line in lines]
    text = "[" + space + ("," + space).join(line.decode().strip() for line in lines) + space + "]" + "\n" * newline
    found = read_bytes(text.encode(), "x")
    assert ([row.value for row in found.rows], found.broken, found.kind) == (rows, (), "json")


def test_a_line_of_ten_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 1 << 20)
    long = json.dumps({"text": "好" * 3_400_000, "label": "a"}, ensure_ascii=False).encode()
    found = read_bytes(
        b'{"a": 1}\n' + long + b'\n{"a": 1, "a": 2}\n' + b'{"a": "' + b"x" * 10_000_000 + b'\n{"a": 3}\n', "x"
    )
    assert [(row.location.line, len(row.value)) for row in found.rows] == [(1, 1), (2, 2), (5, 1)]
    assert [row.location.line for row in found.broken] == [3, 4]


def test_an_open_row_looks_no_further_than_it_needs() -> None:
    taken = 0

    def pieces() -> Iterator[str]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield f'{{"a": {number}\n' if number == 10 else f'{{"a": {number}}}\n'

    items = read_objects(pieces())
    before = [next(items) for _ in range(12)]
    assert before[10][0] == 11
    assert before[11] == (12, {"a": 11})
    assert taken < 40


@pytest.mark.parametrize("end", ["", "\n"])
def test_many_broken_rows_take_no_more_time_each(end: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("\n".join(['{"a": 1', '{"a": [', '{"a": "x'] * 3000) + end, encoding="utf-8")
    source.BLOCK = 1 << 16
    assert len(collected(open_file(path, "x")).broken) == 9000
