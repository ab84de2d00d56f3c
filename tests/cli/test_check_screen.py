"""What ``check`` shows: in a pipe, on terminals of any width, in both languages."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from test_bad_inputs import run

from exactune.checking import check
from exactune.cli.findings import SHOWN, show_findings
from exactune.language import speaking

from made import write_jsonl

ROWS = [
    {"text": f"第 {number} 家的牛肉麵，湯頭濃郁", "label": "正面" if number % 2 else "負面"} for number in range(110)
]
PAIR = [{"text": "價錢公道，會再來", "label": "正面"}, {"text": "價錢公道！會再來", "label": "負面"}]


@pytest.fixture
def train(here: Path) -> Path:
    return write_jsonl(here / "train.jsonl", [*ROWS, *PAIR, *ROWS[:9]])


def shown(path: Path, width: int, language: str = "en", *, terminal: bool = True) -> str:
    written = StringIO()
    console = Console(
        file=written,
        width=width,
        force_terminal=terminal,
        soft_wrap=True,
        color_system="standard" if terminal else None,
    )
    result = check(path.name)
    with speaking(language):
        show_findings(result.findings, console, result.dataset.splits)
    return written.getvalue()


def test_a_pipe_gets_whole_lines_with_marks_for_differences(train: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "train.jsonl") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "     train.jsonl:112  (see train.jsonl:111)  價錢公道[-，-]{+！+}會再來 → [-正-]{+負+}面" in lines
    assert lines.count("     and 4 more (all with --json)") == 1
    assert len([line for line in lines if re.match(r"     train\.jsonl:11[3-9] ", line)]) == SHOWN
    assert lines[-2:] == [
        "121 rows in 1 file: 0 errors, 10 warnings",
        "next: --fix -o DIR mends D201 in copies; --html FILE shows every place; "
        "--ignore CODE, or `check: {ignore: [CODE]}` in the config, leaves a code out",
    ]


@pytest.mark.parametrize("language", ["en", "zh-TW"])
@pytest.mark.parametrize("width", [30, 44, 80, 200])
def test_no_line_is_wider_than_the_terminal(train: Path, width: int, language: str) -> None:
    printed = shown(train, width, language)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert not any(re.match(r"\s*[，。：；）」]", line) for line in lines), "no line begins with a closing mark"
    assert "\x1b[31;9m" in printed or "\x1b[9;31m" in printed
    assert "[-" not in printed


def test_nothing_is_lost_where_lines_are_broken(train: Path) -> None:
    def solid(text: str) -> str:
        return re.sub(r"\x1b\[[0-9;]*m|\s", "", text)

    assert solid(shown(train, 33)) == solid(shown(train, 1000))


def test_a_row_cannot_steer_the_terminal(here: Path) -> None:
    path = write_jsonl(here / "train.jsonl", [*ROWS, {"text": "x\x1b[2J\u202e", "label": ""}])
    printed = shown(path, 100, terminal=False)
    assert "\x1b" not in printed
    assert "\u202e" not in printed


def test_a_clean_file_needs_no_next_step(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(here / "train.jsonl", ROWS)
    assert run("check", "train.jsonl") == 0
    assert capsys.readouterr().out == "110 rows in 1 file: 0 errors, 0 warnings\n"


def test_the_page_holds_every_place_and_no_markup_of_the_rows(train: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from report_html import parse

    write_jsonl(train.parent / "eval.jsonl", [{"text": "<script>alert(1)</script>", "label": "<b>中立"}])
    assert run("check", "train.jsonl", "eval.jsonl", "--html", "page.html") == 0
    assert capsys.readouterr().out.endswith("wrote   page.html\n")
    text = (train.parent / "page.html").read_text(encoding="utf-8")
    page = parse(text)
    run("check", "train.jsonl", "eval.jsonl", "--json")
    document = json.loads(capsys.readouterr().out)
    (table,) = [table for table in page.find("table") if table.attributes.get("id") == "table"]
    rows = [[cell.text for cell in row.find("td")] for row in table.find("tr")[1:]]
    places = [(finding["code"], place) for finding in document["findings"] for place in finding["locations"]]
    assert len(rows) == len(places) == 11
    assert [mark.text for mark in table.find("del")] == ["，", "正"]
    assert [mark.text for mark in table.find("ins")] == ["！", "負"]
    assert "<script>alert(1)</script> → <b>中立" in [row[2] for row in rows]
    assert len(page.find("script")) == 1, "only its own"
    assert not page.find("link")
    assert not page.find("img")
    assert run("--lang", "zh-TW", "check", "train.jsonl", "--html", "zh.html") == 0
    zh = (train.parent / "zh.html").read_text(encoding="utf-8")
    assert '<html lang="zh-TW">' in zh
    assert "2 個警告" not in zh
    assert "為什麼重要" in zh


def test_the_script_of_the_page_is_the_one_that_may_run(train: Path) -> None:
    import base64
    import hashlib

    run("check", "train.jsonl", "--html", "page.html")
    text = (train.parent / "page.html").read_text(encoding="utf-8")
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
