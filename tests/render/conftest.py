from __future__ import annotations

from pathlib import Path

import pytest
from cached import Cached

from exactune.render import cache


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cached:
    """An empty cache that takes the smallest splits; gives the files in it."""
    monkeypatch.setenv("EXACTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "SMALL", 1)
    return lambda: sorted((tmp_path / "cache" / "tokens").glob("*"))
