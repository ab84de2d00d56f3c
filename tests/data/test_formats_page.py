"""docs/formats.md: every example on it is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exactune.data.formats import FORMATS
from exactune.data.load import load_paths

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("kind", "block"), BLOCKS, ids=[f"{number}-{kind}" for number, (kind, _) in enumerate(BLOCKS)])
def test_every_row_of_every_example_is_read(kind: str, block: str, tmp_path: Path) -> None:
    path = tmp_path / f"train.{kind}"
    path.write_text(block, encoding="utf-8")
    loaded = load_paths([str(path)])
    assert loaded.findings == ()
    assert len(loaded.splits.train) == loaded.files[0].rows > 0


def test_every_format_has_an_example(tmp_path: Path) -> None:
    paths = []
    for number, (kind, block) in enumerate(BLOCKS):
        paths.append(tmp_path / f"train-{number}.{kind}")
        paths[-1].write_text(block, encoding="utf-8")
    loaded = load_paths([str(path) for path in paths])
    assert {example.format for example in loaded.splits.train} == {*FORMATS, "columns"}
    headings = re.findall(r"^### (\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name in FORMATS if name != "preference_chat"} <= set(headings)
