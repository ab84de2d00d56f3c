"""A model of the hub that lies in its local cache, used without a network as with one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants
from test_bad_inputs import run as command

from exactune.bases import find_base
from exactune.errors import ModelError

import tiny

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def hub(tmp_path: Path, base: Path) -> Path:
    """A cache with two commits of one model: ``main`` is the new one, the tag ``v1`` the old one."""
    folder = tmp_path / "hub" / "hub" / "models--someone--small"
    for commit, seed in ((OLD, 1), (NEW, 2)):
        snapshot = folder / "snapshots" / commit
        shutil.copytree(base, snapshot)
        tiny.model(400, seed).save_pretrained(snapshot)
    for name, commit in (("main", NEW), ("v1", OLD)):
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / name).write_text(commit)
    return tmp_path / "hub"


def _process(hub: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HF_HOME": str(hub), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    env.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-c", "from exactune.cli import main; main()", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_a_cached_model_trains_at_the_commit_its_branch_led_to(
    hub: Path, task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task()
    run = config.parent / "run"
    text = config.read_text(encoding="utf-8")
    config.write_text("model: someone/small\n" + text.split("\n", 1)[1], encoding="utf-8")
    done = _process(hub, "train", str(config))
    assert done.returncode == 0, done.stderr
    resolved = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert (resolved["model"], resolved["model_revision"]) == ("someone/small", NEW)
    # The branch moves on; the run keeps to the commit it was trained over.
    (hub / "hub" / "models--someone--small" / "refs" / "main").write_text(OLD)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub / "hub"))
    assert command("eval", str(run)) == 0


def test_a_revision_is_taken_and_a_missing_one_named(
    hub: Path, task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub / "hub"))
    config = task("model_revision: v1\n")
    text = config.read_text(encoding="utf-8")
    config.write_text("model: someone/small\n" + text.split("\n", 1)[1], encoding="utf-8")
    assert command("train", str(config)) == 0
    resolved = yaml.safe_load((config.parent / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert resolved["model_revision"] == OLD
    assert command("train", str(config), "--set", "model_revision=v9", "--overwrite") == 2
    assert "someone/small@v9" in capsys.readouterr().err


def test_only_models_of_the_hub_have_revisions(base: Path) -> None:
    for name in ("mini", str(base)):
        with pytest.raises(ModelError, match="model_revision"):
            find_base(name, "v1")
