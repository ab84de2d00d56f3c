"""Rows of many shapes, and configs drafted from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from exactune.config import Config
from exactune.draft import init
from exactune.layers import parse_mapping, resolve

from made import write_jsonl

WORDS = {"大漲": "正面", "重挫": "負面", "持平": "中立"}


def pairs(count: int = 30, start: int = 0) -> list[tuple[str, str]]:
    """A headline and its label."""
    words = list(WORDS)
    return [
        (f"第{number}號公司股價{words[number % 3]}", WORDS[words[number % 3]]) for number in range(start, start + count)
    ]


def labelled(count: int = 30, start: int = 0) -> list[dict[str, str]]:
    return [{"text": text, "label": label} for text, label in pairs(count, start)]


def table(path: Path, header: Iterable[str], separator: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [separator.join(header), *(separator.join((str(i), *pair)) for i, pair in enumerate(pairs()))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def spans(number: int) -> dict[str, list[str]]:
    found = {"PER": [f"Ann{number}"], "LOC": ["Paris"]}
    return found if number % 3 else {"PER": found["PER"]}


def sentence(number: int) -> str:
    return f"Ann{number} lives in Paris"


def text_rows(answers: Callable[[int], Any], count: int = 30) -> list[dict[str, Any]]:
    return [{"text": sentence(number), "label": answers(number)} for number in range(count)]


def splits(folder: Path, *names: str) -> list[str]:
    for start, name in enumerate(names):
        write_jsonl(folder / name, labelled(30, 100 * start))
    return [str(folder / name) for name in names]


def one(write: Callable[[Path], Path], name: str) -> Callable[[Path], list[str]]:
    return lambda folder: [str(write(folder / name))]


def jsonl(items: list[Any], name: str = "train.jsonl") -> Callable[[Path], list[str]]:
    return one(lambda path: write_jsonl(path, items), name)


def folder_of(folder: Path, *names: str) -> list[str]:
    splits(folder, *names)
    (folder / "meta.json").write_text('{"license": "MIT"}', encoding="utf-8")
    return [str(folder)]


def array(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(labelled(), ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def draft(*data: str, **options: Any) -> tuple[str, Config]:
    text = init(data, output=None, **options).text
    return text, resolve([parse_mapping(yaml.safe_load(text), "draft")]).config


def flat(text: str) -> str:
    """A text without its line breaks and the marks at their starts."""
    return " ".join(line.strip().removeprefix("#").strip() for line in text.splitlines())
