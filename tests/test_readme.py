"""README.md and README.zh-TW.md: the same things in two languages, and commands that exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
import yaml

from exactune.cli import app
from exactune.layers import parse_mapping, resolve

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh-TW.md"]
GENERATED = {"config.md", "rules.md"}
PAGES = [*READMES, *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in GENERATED)]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAINLAND = (
    "數據",
    "默認",
    "信息",
    "軟件",
    "網絡",
    "服務器",
    "用戶",
    "文檔",
    "命令行",
    "質量",
    "加載",
    "代碼",
    "鏈接",
    "項目",
    "視頻",
)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def headings(path: Path) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", BLOCK.sub("", text_of(path)), re.MULTILINE)]


def commands(path: Path) -> list[tuple[str, str]]:
    """The code blocks of a kind, without comments."""
    return [(kind, re.sub(r" *# .*", "", body)) for kind, body in BLOCK.findall(text_of(path)) if kind]


def figures(path: Path) -> list[list[str]]:
    """The numbers of each row of each table."""
    rows = re.findall(r"^\|.*\|$", BLOCK.sub("", text_of(path)), re.MULTILINE)
    return [sorted(re.findall(r"\d+(?:\.\d+)*", row)) for row in rows]


def test_both_have_the_same_headings() -> None:
    assert headings(READMES[0]) == headings(READMES[1])


def test_both_show_the_same_commands() -> None:
    assert commands(READMES[0]) == commands(READMES[1])


def test_both_have_the_same_tables_with_the_same_figures() -> None:
    assert figures(READMES[0]) == figures(READMES[1])


def test_both_have_the_same_links_but_to_each_other() -> None:
    links = [re.findall(r"\]\(([^)]+)\)", text_of(path)) for path in READMES]
    assert links[0][0] == "README.zh-TW.md"
    assert links[1][0] == "README.md"
    assert sorted(links[0][1:]) == sorted(links[1][1:])


def test_the_marks_of_the_build_are_there() -> None:
    for path in READMES:
        for mark in ("main-command", "test-command"):
            assert re.search(rf"^<!-- {mark} -->\n```sh\n.+\n```$", text_of(path), re.MULTILINE)


def test_the_chinese_is_that_of_taiwan() -> None:
    assert [word for word in MAINLAND if word in text_of(READMES[1])] == []


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text_of(path)) if "://" not in link]
    assert [link for link in links if not (ROOT / unquote(link.partition("#")[0])).is_file()] == []


def command_lines(path: Path) -> Iterator[list[str]]:
    for kind, body in BLOCK.findall(text_of(path)):
        for line in body.splitlines() if kind in ("sh", "console") else ():
            command = line.rpartition("&& " if "&& exactune" in line else "| ")[2].removeprefix("$ ")
            if command.startswith("exactune "):
                yield shlex.split(command, comments=True)[1:]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_shown_can_be_parsed(path: Path) -> None:
    group = typer.main.get_command(app)
    for verb, *arguments in command_lines(path):
        context = group.commands[verb].make_context(verb, arguments)  # type: ignore[attr-defined]
        assert context.params


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_config_shown_can_be_read(path: Path) -> None:
    for kind, body in BLOCK.findall(text_of(path)):
        if kind == "yaml":
            keys = parse_mapping(yaml.safe_load(body), path.name)
            assert keys.values
            assert resolve([keys]).config


@pytest.mark.parametrize("path", [ROOT / "docs" / "quickstart.md", *READMES], ids=lambda path: path.name)
def test_what_check_is_shown_to_say_is_what_it_says(path: Path, tmp_path: Path) -> None:
    shown = re.findall(r"^<!-- check-output -->\n```console\n(.*?)^```$", text_of(path), re.MULTILINE | re.DOTALL)
    assert shown
    for block in shown:
        (file, rows), (command, output) = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)+)", block, re.MULTILINE)
        (tmp_path / file.removeprefix("cat ")).write_text(rows, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", "from exactune.cli import main; main()", *shlex.split(command)[1:]],
            cwd=tmp_path, env={**os.environ, "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, output)
