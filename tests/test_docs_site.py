"""The site: it builds without a warning, its links lead somewhere, and its pages load nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from exactune.checks import RULES
from exactune.config import config_keys

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_LOADED = {"canonical", "next", "prev", "alternate"}


class Page(HTMLParser):
    """What a built page links to, what it loads and which places it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [found[name] for name in ("href", "src") if name in found]
        if found.get("rel") not in NOT_LOADED and LOADING.get(tag) in found:
            self.loaded.append(found[LOADING[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("mkdocs") is None or find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed; `pip install 'exactune[docs]'` brings it")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_page_is_built(site: Path) -> None:
    assert {path.stem for path in DOCS.glob("*.md")} | {"404"} == {path.stem for path in site.glob("*.html")}


def test_every_internal_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    def broken(path: Path, page: Page) -> Iterator[str]:
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            start = site if parts.path.startswith("/") else path.parent
            target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            place = unquote(parts.fragment)
            if not target.is_file() or (place and target.suffix == ".html" and place not in pages[target].places):
                yield f"{path.name}: {link}"

    assert [one for path, page in pages.items() for one in broken(path, page)] == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert [link for page in pages.values() for link in page.loaded if urlsplit(link).netloc] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert [found for style in styles for found in re.findall(r"(?:url\(|@import )[\"']?https?:[^)]*", style)] == []


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_every_code_is_that_of_a_rule(path: Path) -> None:
    assert set(re.findall(r"\bD\d{3}\b", path.read_text(encoding="utf-8"))) <= {rule.code for rule in RULES}


def test_every_key_on_the_guide_page_exists() -> None:
    nodes, leaves = config_keys()
    written = re.findall(r"`((?:data|task|training|lora|evaluate|check)\.\w+)", (DOCS / "guide.md").read_text("utf-8"))
    assert len(written) > 15
    assert set(written) <= {*nodes, *leaves}


def test_every_section_of_the_guide_is_on_its_page() -> None:
    headings = re.findall(r"^#+ (.+)$", (DOCS / "guide.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[1:] == [
        "概述", "適用場景", "資料格式", "推薦配置", "基本配置", "根據資料量調整", "訓練框架", "使用 TRL SFTTrainer",
        "常見問題", "過擬合", "欠擬合", "輸出格式錯誤", "資料量與效能", "最佳實踐", "與其他方法比較", "下一步",
    ]  # fmt: skip


def test_every_message_among_the_questions_is_one_of_ours() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "exactune").rglob("*.py"))
    messages = re.findall(r"^### (`.+)$", (DOCS / "faq.md").read_text(encoding="utf-8"), re.MULTILINE)
    pieces = [piece for line in messages for piece in re.findall(r"`([^`]+)`", line)]
    assert len(pieces) > 10
    assert [piece for piece in pieces if piece not in source] == []


def test_the_navigation_names_every_page() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = yaml.safe_load(text[text.index("nav:") :])["nav"]
    named = re.findall(r"[\w-]+\.md", str(nav))
    assert sorted(named) == sorted(path.name for path in DOCS.glob("*.md"))
