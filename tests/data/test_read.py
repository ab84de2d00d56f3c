"""Reading: content decides the kind, every row has its place, every bad row a reason."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exactune.data.read import ReadFile, read_bytes, read_file
from exactune.errors import DataError
from exactune.types import Location

GUIDE_CHAT = """{
  "messages": [
    {"role": "system", "content": "你是情感分析助手..."},
    {"role": "user", "content": "分析這段文字的情感：台積電股價大漲"},
    {"role": "assistant", "content": "{\\"sentiment\\": \\"正面\\"}"}
  ]
}
"""
GUIDE_INSTRUCTION = """{
  "instruction": "分析這段文字的情感",
  "input": "台積電股價大漲",
  "output": "{\\"sentiment\\": \\"正面\\"}"
}
"""


def read(content: str | bytes) -> ReadFile:
    return read_bytes(content.encode() if isinstance(content, str) else content, "rows")


def lines(found: ReadFile) -> list[int | None]:
    return [row.location.line for row in found.rows]


def broken(found: ReadFile) -> dict[int | None, str]:
    return {row.location.line: row.reason for row in found.broken}


def test_jsonl_lines_and_digest() -> None:
    content = b'{"a": 1}\n\n  \n{"a": 2}\r\n{"a": 3}'
    found = read(content)
    assert [row.value for row in found.rows] == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert [row.location for row in found.rows] == [Location("rows", line) for line in (1, 4, 5)]
    assert (found.kind, found.broken, found.sha256) == ("jsonl", (), hashlib.sha256(content).hexdigest())


def test_only_newline_ends_a_line() -> None:
    found = read('{"a": "x\u2028y\u0085z"}\n{"a": "\x7f"}\r\n{"a": 3}\n')
    assert lines(found) == [1, 2, 3]
    assert found.rows[0].value == {"a": "x\u2028y\u0085z"}


def test_byte_order_mark_is_skipped() -> None:
    assert read(b'\xef\xbb\xbf{"a": 1}\n').rows[0].value == {"a": 1}
    assert read(b"\xef\xbb\xbftext,label\nx,y\n").rows[0].value == {"text": "x", "label": "y"}


@pytest.mark.parametrize("block", [GUIDE_CHAT, GUIDE_INSTRUCTION])
def test_the_guides_blocks(block: str) -> None:
    found = read(block + "\n" + block + block)
    height = block.count("\n")
    assert lines(found) == [1, height + 2, 2 * height + 2]
    assert all(row.value == json.loads(block) for row in found.rows)
    assert not found.broken


def test_reading_goes_on_after_a_broken_pretty_object() -> None:
    bad = '{\n  "a": [\n    {"b": 1,,}\n  ],\n}\n'
    found = read(f'{{\n  "a": 1\n}}\n{bad}{{\n  "a": 3\n}}\n{{"a": 4}}\n')
    assert [row.value for row in found.rows] == [{"a": 1}, {"a": 3}, {"a": 4}]
    assert lines(found) == [1, 9, 12]
    assert list(broken(found)) == [4]
    assert "line 6" in broken(found)[4]


def test_objects_without_indentation_are_one_row() -> None:
    found = read(json.dumps({"messages": [{"role": "user"}, {"role": "assistant"}]}, indent=0) + '\n{"a": 1}')
    assert (lines(found), found.broken) == ([1, 11], ())


def test_every_broken_line_is_collected() -> None:
    found = read('{"a": 1}\n{"a": \noops\n  "more"\n[1, 2]\n42\n"x"\n{"a" 2}\n{"a": 3}\n{"a": "cut')
    assert lines(found) == [1, 9]
    assert list(broken(found)) == [2, 3, 4, 5, 6, 7, 8, 10]


def test_indented_lines_resume_too() -> None:
    assert lines(read(' {"a": 1}\n {"a": 2\n {"a": 3}\n')) == [1, 3]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": Infinity}', "Infinity is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1, "b": 2, "a": 3}', 'key "a" stands twice'),
        ('{"m": [{"x": 1, "x": 2}]}', 'key "x" stands twice'),
        ('{"a": 1} trailing', "text after the object: 'trailing'"),
        ('{"a": 1}{"a": 2}', "text after the object"),
        ('{"a": 1},', "text after the object: ','"),
        ('{"a": "\\ud83d"}', "half a surrogate pair (\\ud83d)"),
        ('{"\\udc00": 1}', "half a surrogate pair (\\udc00)"),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", "nested more than 100 levels"),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "nested more than 100 levels"),
        ('{"a": ' + "[" * 100_000 + "}", "nested more than 100 levels"),
        ('{"a": ' + "9" * 5000 + "}", "a number of 5,000 digits"),
        ('{"a": 1e999}', "number 1e999 is out of range"),
        ("{'a': 1}", "not JSON: Expecting property name enclosed in double quotes (column 2)"),
        ('{"a": 1', "not JSON: Expecting ',' delimiter"),
        ('{"a": "x', "not JSON: Unterminated string"),
        ('{"a": "tab\there"}', "not JSON: Invalid control character"),
        ('{"a": "\\x"}', "not JSON: Invalid \\escape"),
        ('{"a": True}', "not JSON: Expecting value"),
        ('{"a": 01}', "not JSON"),
        ("[1, 2]", "a row is an object, found a list"),
        ('"text"', "a row is an object, found a text"),
        ("null", "a row is an object, found null"),
        ("3.5", "a row is an object, found a number"),
        ("// comment", "not JSON: Expecting value"),
        ('\ufeff{"a": 1}', "not JSON"),
    ],
)
def test_malformed_json_rows(row: str, reason: str) -> None:
    found = read(f'{{"a": 1}}\n{row}\n{{"a": 3}}\n')
    assert lines(found) == [1, 3]
    assert list(broken(found)) == [2]
    assert reason in broken(found)[2]


def test_refused_rows_may_span_lines() -> None:
    found = read('{\n "a": 1,\n "a": 2\n}\n{"a": 1}\n')
    assert (lines(found), list(broken(found))) == ([5], [1])


def test_whole_surrogate_pairs_and_deep_but_bearable_rows_are_read() -> None:
    found = read('{"a": "\\ud83d\\ude00"}\n{"a": ' + "[" * 90 + "]" * 90 + "}\n")
    assert found.rows[0].value == {"a": "😀"}
    assert (lines(found), found.broken) == ([1, 2], ())


def test_bytes_that_are_not_utf8_break_their_row_only() -> None:
    found = read(b'{"a": 1}\n' + '{"a": "好吃"}\n'.encode("big5") + '{"a": "好吃"}\n'.encode())
    assert lines(found) == [1, 3]
    assert broken(found)[2].startswith("not UTF-8: byte 0xA6")


def test_array_rows_stand_at_their_opening_brace() -> None:
    found = read('[\n  {\n    "a": 1\n  },\n  {"a": 2}, {"a": 3},\n  5,\n  {"a": 4, "a": 5},\n  {"a": 6}\n]\n')
    assert found.kind == "json"
    assert lines(found) == [2, 5, 5, 8]
    assert broken(found) == {6: "a row is an object, found a number", 7: 'key "a" stands twice in one object'}


@pytest.mark.parametrize(
    ("content", "rows", "place", "reason"),
    [
        ('[\n{"a": 1},\n{"a": }\n,\n{"a": 3}\n]', [2, 5], 3, "not JSON: Expecting value"),
        ('[\n{"a": 1}\n{"a": 2}\n]', [2], 3, "a comma is missing"),
        ('[\n{"a": 1},\n]', [2], 3, "a comma before the closing bracket"),
        ('[\n{"a": 1},\n{"a": 2}\n', [2, 3], 1, "never closed"),
        ('[\n{"a": 1}\n]\n{"a": 2}', [2], 4, "text after the array"),
        ('[{"a": 1}, {"a": }, {"a": 3}]', [1], 1, "the rest of the array cannot be read"),
    ],
)
def test_malformed_arrays(content: str, rows: list[int], place: int, reason: str) -> None:
    found = read(content)
    assert lines(found) == rows
    assert reason in broken(found)[place]


def test_a_line_with_a_list_above_objects_is_a_broken_row() -> None:
    found = read('[1, 2]\n{"a": 1}\n')
    assert (lines(found), list(broken(found))) == ([2], [1])


def test_a_stray_first_line_does_not_make_a_table() -> None:
    found = read('oops\n{"a": 1}\n')
    assert (found.kind, lines(found), list(broken(found))) == ("jsonl", [2], [1])


@pytest.mark.parametrize(("delimiter", "kind"), [(",", "csv"), (";", "csv"), ("\t", "tsv")])
def test_tables(delimiter: str, kind: str) -> None:
    rows = [["text", " label "], ['"a line\nand another"', "x"], ["", ""], ['"say ""hi"""', "007"]]
    found = read("\r\n".join(delimiter.join(row) for row in rows))
    assert found.kind == kind
    assert [row.value for row in found.rows] == [
        {"text": "a line\nand another", "label": "x"},
        {"text": "", "label": ""},
        {"text": 'say "hi"', "label": "007"},
    ]
    assert lines(found) == [2, 4, 5]


def test_the_delimiter_is_the_one_that_fits_the_rows() -> None:
    found = read("text;a,b;label\nx, y, z;1;2\np;3;4\n")
    assert found.rows[0].value == {"text": "x, y, z", "a,b": "1", "label": "2"}


def test_broken_table_rows_are_collected() -> None:
    content = b'text,label\na,b,c\nlonely\n"open,x\ny,z\n"closed" more,w\n\np,q\n' + "好,吃\n".encode("big5")
    found = read(content)
    assert [row.value["text"] for row in found.rows] == ["y", "p"]
    assert lines(found) == [5, 8]
    reasons = broken(found)
    assert list(reasons) == [2, 3, 4, 6, 9]
    assert "3 fields, the header has 2; quote a field that holds a comma" in reasons[2]
    assert "1 field, the header has 2" in reasons[3]
    assert "quote" in reasons[4]
    assert "text after a closing quote" in reasons[6]
    assert "not UTF-8" in reasons[9]


def test_a_long_field_is_read_and_the_global_limit_kept() -> None:
    before = 131_072
    csv.field_size_limit(before)
    assert len(read("text,label\n" + "x" * 200_000 + ",y\n").rows[0].value["text"]) == 200_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\r\n\t", "the file is empty"),
        (b"\xef\xbb\xbf\n", "the file is empty"),
        (b"[]", "no rows in it"),
        (b"text,label\n", "without rows"),
        (b"text,,label\na,b,c\n", "column 2 has no name"),
        (b"text,label,text\na,b,c\n", "two columns are named 'text'"),
        (b"just some prose\nand more of it\n", "neither JSON nor a table"),
        ("標題,label\nx,y\n".encode("big5"), "not UTF-8"),
        (b"PK\x03\x04rest", "Excel"),
        (b"PAR1rest", "cannot be read as Parquet"),
        ("\ufeff".encode("utf-32-le"), "the file is empty"),
        (b"\x1f\x8brest", "gzip"),
    ],
)
def test_files_that_cannot_be_used(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=r"^rows") as caught:
        read(content)
    assert message in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jsonl: no such file"):
        read_file(tmp_path / "gone.jsonl", "gone.jsonl")
    with pytest.raises(DataError, match=r"is a folder.*data/\*\.jsonl"):
        read_file(tmp_path, "data/")


def test_the_extension_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('{"a": 1}\n', encoding="utf-8")
    assert read_file(path, "rows.csv").kind == "jsonl"


def test_many_broken_lines_are_all_listed() -> None:
    found = read("{'a': 1, 'text': 'some words to fill the line'}\n" * 20_000)
    assert len(found.broken) == 20_000


FRAGMENTS = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\r\n", b"\\", b'{"a": 1}', b"\xe5\xa5\xbd", b"\xff"]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join)))
def test_arbitrary_bytes_never_crash(content: bytes) -> None:
    try:
        found = read(content)
    except DataError:
        return
    newlines = content.count(b"\n")
    places = [row.location.line for row in (*found.rows, *found.broken)]
    assert places
    assert all(line is not None and 1 <= line <= newlines + 1 for line in places)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=5), st.sampled_from([None, 0, 2]))
def test_what_json_writes_is_read_back(rows: list[dict[str, object]], indent: int | None) -> None:
    texts = [json.dumps(row, ensure_ascii=False, indent=indent) for row in rows]
    found = read("\n".join(texts).encode("utf-8", "surrogatepass"))
    assert [row.value for row in found.rows] == rows
    starts = [1 + sum(text.count("\n") + 1 for text in texts[:number]) for number in range(len(texts))]
    assert lines(found) == starts
    array = read(json.dumps(rows, indent=indent))
    assert [row.value for row in array.rows] == rows


@pytest.mark.parametrize("bad", ['{"a": 1,,}', '{"a": 1} x', '{"a": ' + "[" * 5000 + "]" * 5000 + "}"])
@pytest.mark.parametrize("below", [' {"a": 3}', '"text"', "  7"])
def test_nothing_below_a_row_that_is_wrong_within_its_line_is_lost_with_it(bad: str, below: str) -> None:
    found = read(f'{{"a": 1}}\n{bad}\n{below}\n{{"a": 4}}\n')
    assert sorted([*lines(found), *broken(found)]) == [1, 2, 3, 4]
