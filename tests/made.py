"""Rows made for the tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
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


def write_jsonl(path: Path, items: Iterable[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")
    return path
