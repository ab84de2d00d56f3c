"""``exactune init`` at a terminal: it asks what it is unsure of, and only there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from drafts import text_rows

from made import write_jsonl


class Terminal:
    """``exactune`` in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.screen, end = pty.openpty()
        command = [sys.executable, "-c", "from exactune.cli import main; main()", *arguments]
        self.process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env={**os.environ, "TERM": "dumb"})
        os.close(end)
        self.seen = ""

    def wait_for(self, text: str, patience: float = 60) -> None:
        """Read until a text appears; forget what came before."""
        until = time.monotonic() + patience
        while text not in self.seen:
            assert time.monotonic() < until, f"no {text!r} in {self.seen!r}"
            if select.select([self.screen], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.screen, 4096).decode("utf-8", "replace")
                except OSError:
                    break
        assert text in self.seen, self.seen
        self.seen = self.seen.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self.screen, f"{text}\n".encode())

    def end(self) -> int:
        code = self.process.wait(60)
        os.close(self.screen)
        return code


def written(terminal: Terminal, here: Path) -> dict[str, Any]:
    """The config, once it is there and the command has ended."""
    terminal.wait_for("wrote")
    terminal.wait_for("exactune train task.yaml")
    assert terminal.end() == 0
    config: dict[str, Any] = yaml.safe_load((here / "task.yaml").read_text(encoding="utf-8"))
    return config


def test_at_a_terminal_it_asks_what_it_is_unsure_of(here: Path) -> None:
    write_jsonl(here / "train.jsonl", text_rows(lambda number: f"person {number}"))
    terminal = Terminal("init", "train.jsonl")
    terminal.wait_for("taken as text")
    terminal.wait_for("What are answers like")
    terminal.type("9")
    terminal.wait_for("Please select one of the available options")
    terminal.type("2")
    assert written(terminal, here)["task"]["type"] == "classification"


def test_at_a_terminal_it_asks_for_the_columns(here: Path) -> None:
    write_jsonl(
        here / "train.jsonl",
        [{"a": f"x{number}", "b": f"the answer to question {number} is yes"} for number in range(30)],
    )
    terminal = Terminal("init", "train.jsonl")
    terminal.wait_for("Which column is the input?")
    terminal.type("")
    terminal.wait_for("Which column is the answer?")
    terminal.type("")
    assert written(terminal, here)["data"]["columns"] == {"input": "a", "output": "b"}


def test_at_a_terminal_yes_asks_nothing(here: Path) -> None:
    write_jsonl(here / "train.jsonl", text_rows(lambda number: f"person {number}"))
    terminal = Terminal("init", "train.jsonl", "--yes")
    terminal.wait_for("taken as text")
    terminal.wait_for("exactune train task.yaml")
    assert terminal.end() == 0
