"""Copies: what is changed, and that nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_bad_inputs import run

from exactune.checking import check
from exactune.errors import ConfigError
from exactune.mend import LOG, mend

from made import rows, write_jsonl


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


GOOD = [{"text": f"text {number}", "label": f'{{"mood": "{"ab"[number % 2]}"}}'} for number in range(110)]


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]


def mended(folder: Path, *names: str):
    return mend(check([folder / name for name in names]), folder / "out")


def test_rows_that_are_not_touched_stay_byte_for_byte(tmp_path: Path) -> None:
    odd = [
        b'{ "text" : "odd \\u5beb\\u6cd5",   "label":"{\\"mood\\": \\"a\\"}", "n": 1.50e3 }',
        b'{"text": "twice", "label": "{\\"mood\\": \\"b\\"}"}',
        b'{"text": "Twice!", "label": "{\\"mood\\": \\"b\\"}"}',
        b'{"text": "compact", "note": 1.50e3, "label": "{\\"mood\\":\\"a\\"}"}',
        b"{oops",
        b'{"text": "same", "label": "{\\"mood\\": \\"a\\"}"}',
        b'{"text": "same", "label": "{\\"mood\\": \\"b\\"}"}',
    ]
    before = [json.dumps(row).encode() for row in GOOD] + odd
    (tmp_path / "train.jsonl").write_bytes(b"\n".join(before))
    done = mended(tmp_path, "train.jsonl")
    expected = [*before]
    expected[113] = b'{"text": "compact", "note": 1.50e3, "label": "{\\"mood\\": \\"a\\"}"}'
    del expected[112]
    assert lines(tmp_path / "out" / "train.jsonl") == expected
    assert lines(tmp_path / "train.jsonl") == before, "the original stays"
    assert [(entry["line"], entry["code"], entry["after"] is None) for entry in log(tmp_path / "out")] == [
        (113, "D201", True), (114, "D404", False),
    ]  # fmt: skip
    assert log(tmp_path / "out")[1] == {
        "file": str(tmp_path / "train.jsonl"), "line": 114, "code": "D404",
        "before": '{"mood":"a"}', "after": '{"mood": "a"}',
    }  # fmt: skip
    found = {finding.code: finding for finding in check(done.copies.values()).findings}
    assert "D201" not in found
    assert [place.line for place in found["D101"].locations] == [114], "what is an error is not dropped"
    assert [place.line for place in found["D203"].locations] == [116]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp950", "utf-8"])
def test_files_become_utf8_with_plain_line_ends(tmp_path: Path, encoding: str) -> None:
    text = "".join(
        f'{{"text": "這是第 {number} 個很大的問題", "label": "{"好壞"[number % 2]}"}}\r\n' for number in range(9)
    )
    (tmp_path / "train.jsonl").write_bytes(text.encode(encoding))
    mended(tmp_path, "train.jsonl")
    assert (tmp_path / "out" / "train.jsonl").read_bytes() == text.replace("\r\n", "\n").encode()
    assert {(entry["code"], entry["line"]) for entry in log(tmp_path / "out")} == {("D107", None)}
    assert not [finding for finding in check(tmp_path / "out" / "train.jsonl").findings if finding.code == "D107"]


def test_bytes_that_are_no_text_stay_as_they_are(tmp_path: Path) -> None:
    data = "".join(json.dumps(row) + "\n" for row in (*GOOD, GOOD[0])).encode() + b'{"text": "caf\xe9", "label": "x"}\n'
    (tmp_path / "train.jsonl").write_bytes(data)
    mended(tmp_path, "train.jsonl")
    assert lines(tmp_path / "out" / "train.jsonl") == [*lines(tmp_path / "train.jsonl")[:110], *data.split(b"\n")[111:]]


def test_tables_keep_their_form_and_the_line_breaks_in_their_fields(tmp_path: Path) -> None:
    body = "".join(f'"text; {number}";{"ab"[number % 2]}\r\n' for number in range(20))
    (tmp_path / "train.csv").write_bytes(f'text;label\r\n{body}"one\r\ntwo";A\r\n"text; 0";a\r\n'.encode())
    mended(tmp_path, "train.csv")
    plain = body.replace("\r\n", "\n")
    assert (tmp_path / "out" / "train.csv").read_bytes().decode() == f'text;label\n{plain}"one\r\ntwo";a\n'


def test_arrays_stay_arrays(tmp_path: Path) -> None:
    items = [*GOOD, GOOD[3], {"text": "compact", "label": '{"mood":"a"}'}]
    (tmp_path / "train.json").write_text(json.dumps(items, indent=2), encoding="utf-8")
    mended(tmp_path, "train.json")
    wanted = [*GOOD, {"text": "compact", "label": '{"mood": "a"}'}]
    assert (tmp_path / "out" / "train.json").read_text(encoding="utf-8") == json.dumps(wanted, indent=2)
    (tmp_path / "train.json").write_text(json.dumps(items, indent=2)[:-1] + ", {oops}]", encoding="utf-8")
    broken = mend(check(tmp_path / "train.json"), tmp_path / "other")
    assert (tmp_path / "other" / "train.json").read_bytes() == (tmp_path / "train.json").read_bytes()
    assert (broken.fixes, len(broken.notes)) == ((), 1)


def test_the_first_element_of_an_array_can_go(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text(json.dumps(GOOD[:2]), encoding="utf-8")
    text = "[\n" + ",\n".join(json.dumps(row) for row in (GOOD[5], *GOOD)) + "\n]\n"
    (tmp_path / "train.json").write_text(text, encoding="utf-8")
    mended(tmp_path, "train.json")
    kept = [GOOD[5], *GOOD[:5], *GOOD[6:]]
    assert (tmp_path / "out" / "train.json").read_text() == "[\n" + ",\n".join(map(json.dumps, kept)) + "\n]\n"


def test_parquet_with_changes_becomes_jsonl_and_says_so(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(GOOD), tmp_path / "eval.parquet")
    parquet.write_table(pyarrow.Table.from_pylist([*GOOD, GOOD[0]]), tmp_path / "train.parquet")
    done = mended(tmp_path, "train.parquet", "eval.parquet")
    assert [path.name for path in done.copies.values()] == ["train.parquet.jsonl", "eval.parquet"]
    assert [json.loads(line) for line in lines(tmp_path / "out" / "train.parquet.jsonl")[:-1]] == GOOD
    assert "written as JSONL" in done.notes[0]


def test_answers_are_found_in_every_shape_of_row(tmp_path: Path) -> None:
    usual, odd = '{"mood": "a"}', '{"mood":"a"}'
    shapes = [
        {"messages": [{"role": "user", "content": odd}, {"role": "assistant", "content": odd}]},
        {"conversations": [{"from": "human", "value": "w"}, {"from": "gpt", "value": odd}]},
        {"instruction": "i", "input": "x", "output": odd},
        {"prompt": "p", "completion": odd},
        {"prompt": "r", "chosen": odd, "rejected": odd},
        {"query": "q", "response": odd},
    ]
    path = write_jsonl(tmp_path / "train.jsonl", [*GOOD, *shapes])
    mended(tmp_path, "train.jsonl")
    after = [json.loads(line) for line in lines(tmp_path / "out" / path.name)[110:-1]]
    assert after == [
        {"messages": [{"role": "user", "content": odd}, {"role": "assistant", "content": usual}]},
        {"conversations": [{"from": "human", "value": "w"}, {"from": "gpt", "value": usual}]},
        {"instruction": "i", "input": "x", "output": usual},
        {"prompt": "p", "completion": usual},
        {"prompt": "r", "chosen": usual, "rejected": odd},
        {"query": "q", "response": usual},
    ]


def test_files_of_one_name_keep_their_folders(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_jsonl(tmp_path / folder / "train.jsonl", GOOD)
    done = mended(tmp_path, "a/train.jsonl", "b/train.jsonl")
    assert sorted(path.relative_to(tmp_path) for path in done.copies.values()) == [
        Path("out/a/train.jsonl"), Path("out/b/train.jsonl"),
    ]  # fmt: skip


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", GOOD)
    (tmp_path / "out").mkdir()
    mended(tmp_path, "train.jsonl")
    before = (tmp_path / "out" / "train.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="holds files already"):
        mended(tmp_path, "train.jsonl")
    assert (tmp_path / "out" / "train.jsonl").read_bytes() == before


def test_the_command_says_what_it_did_and_what_is_left(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(here / "train.jsonl", [*GOOD, GOOD[0]])
    (here / "train.jsonl").open("a").write("{oops\n")
    assert run("check", "train.jsonl", "--fix", "-o", "out") == 1
    said = capsys.readouterr().out
    assert "D201    1 row left out, being repeated\n" in said
    assert "wrote   out/train.jsonl; each change is in out/fixes.jsonl\n" in said
    assert "out/train.jsonl:111  {oops" in said
    assert "left in the copies: 111 rows in 1 file: 1 error, 0 warnings\n" in said
    assert run("check", "train.jsonl", "--fix", "-o", "other", "--ignore", "D201", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["files"][0]["path"] == "other/train.jsonl"
    assert log(here / "other") == []
    for wrong in (["--fix"], ["-o", "new"], ["--fix", "-o", "out"]):
        assert run("check", "train.jsonl", *wrong) == 2
    assert not (here / "new").exists()


def test_a_place_that_cannot_be_written_is_said_without_a_traceback(here: Path, capsys) -> None:
    write_jsonl(here / "train.jsonl", GOOD)
    (here / "file").write_text("")
    for option in (["--fix", "-o", "file/out"], ["--html", "file/page.html"]):
        assert run("--lang", "zh-TW", "check", "train.jsonl", *option) == 2
        assert f"{option[-1]}：無法寫入：" in capsys.readouterr().err


def test_a_config_is_checked_again_with_the_copies(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(here / "data" / "train.jsonl", [*rows(24), rows(1)[0]])
    (here / "task.yaml").write_text("model: mini\ndata: {train: data/*.jsonl}\n", encoding="utf-8")
    assert run("check", "task.yaml", "--fix", "-o", "out", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [(file["path"], file["rows"]) for file in document["files"]] == [("out/train.jsonl", 24)]
    assert "D201" not in {finding["code"] for finding in document["findings"]}
