"""Rows made for the tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Classification rows with JSON answers that a model can learn: the word decides."""
    words = ["大漲", "重挫", "持平"]
    labels = ["正面", "負面", "中立"]
    return [
        {
            "messages": [
                {"role": "system", "content": "判斷情感。"},
                {"role": "user", "content": f"第{number}號公司股價{words[number % 3]}"},
                {"role": "assistant", "content": json.dumps({"sentiment": labels[number % 3]}, ensure_ascii=False)},
            ]
        }
        for number in range(start, start + count)
    ]


def pairs(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Preference pairs: each right answer beside that of the next row."""
    made = rows(count + 1, start)
    answers = [row["messages"][2]["content"] for row in made]
    return [
        {"prompt": row["messages"][:2], "chosen": answers[number], "rejected": answers[number + 1]}
        for number, row in enumerate(made[:count])
    ]


def write_jsonl(path: Path, items: Iterable[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")
    return path


def write_task(
    folder: Path,
    base: Path,
    text: str,
    sizes: tuple[int, int, int] = (24, 9, 12),
    make: Callable[[int, int], list[dict[str, Any]]] = rows,
) -> Path:
    """A config beside its rows.

    Args:
        folder: Where both go; rows that lie there stay.
        base: The base model.
        text: The rest of the config.
        sizes: Rows of train, eval and test.
        make: Count and first number -> rows.
    """
    for name, count, start in zip(("train", "eval", "test"), sizes, (0, 100, 200), strict=True):
        if not (folder / f"{name}.jsonl").exists():
            write_jsonl(folder / f"{name}.jsonl", make(count, start))
    config = folder / "task.yaml"
    config.write_text(
        f"model: {base}\ndata: {{train: train.jsonl, eval: eval.jsonl, test: test.jsonl}}\n{text}", encoding="utf-8"
    )
    return config
