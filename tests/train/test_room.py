"""What a full disk is called, and how much room a run asks for."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from exactune.config import LoraSettings
from exactune.errors import RunError
from exactune.train import disk
from exactune.train.adapter import make_trainable
from exactune.train.disk import _is_full, naming_a_full_disk, needed_bytes, readable, refuse_a_small_disk

import tiny


def chained(outer: BaseException, inner: BaseException, *, explicit: bool) -> BaseException:
    try:
        try:
            raise inner
        except type(inner) as error:
            if explicit:
                raise outer from error
            raise outer  # noqa: B904
    except type(outer) as error:
        return error


def test_a_full_disk_is_recognised_through_other_errors_and_nothing_else_is() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert _is_full(full)
    assert _is_full(OSError(errno.EDQUOT, "Disk quota exceeded"))
    for explicit in (True, False):
        assert _is_full(chained(RuntimeError("save failed"), full, explicit=explicit))
        assert _is_full(chained(KeyError(1), chained(ValueError("x"), full, explicit=True), explicit=explicit))
    for error in (
        None, ValueError("x"), OSError(errno.EACCES, "Permission denied"), OSError(errno.EIO, "Input/output error"),
        MemoryError(), RuntimeError("os error 2"), RuntimeError("os error 280"), RuntimeError("28"),
        chained(ValueError("x"), OSError(errno.EROFS, "Read-only"), explicit=True),
    ):  # fmt: skip
        assert not _is_full(error), error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_file_that_takes_nothing_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"{tmp_path}: no room left on the disk .*--resume") as caught:  # noqa: SIM117
        with naming_a_full_disk(tmp_path), Path("/dev/full").open("w", encoding="utf-8") as file:
            file.write("x")
    assert isinstance(caught.value.__cause__, OSError)


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    for error in (ValueError("x"), OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, naming_a_full_disk(tmp_path):
            raise error
        assert caught.value is error


def test_a_full_disk_that_is_dealt_with_is_not_blamed_again(tmp_path: Path) -> None:
    """As where another run is tried in the ``except`` of the first."""
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError:
        with pytest.raises(ValueError, match="other"), naming_a_full_disk(tmp_path):
            raise ValueError("other")  # noqa: B904
        with pytest.raises(RunError), naming_a_full_disk(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")  # noqa: B904


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1234, "1.23 kB"), (50_000_000, "50 MB"),
     (1_500_000_000, "1.5 GB"), (2.34e12, "2.34 TB"), (5e15, "5e+03 TB")],
)  # fmt: skip
def test_sizes_are_readable(size: float, text: str) -> None:
    assert readable(size) == text


@pytest.mark.parametrize("size", [999.7, 999_600, 999_999, 999_999_999])
def test_sizes_next_to_a_unit_are_readable_too(size: float) -> None:
    assert "e+" not in readable(size)


def test_needed_room_counts_what_is_trained() -> None:
    full = make_trainable(tiny.model(), None, 0)
    count = sum(tensor.numel() for tensor in full.parameters())
    assert needed_bytes(full) == (3 * 3 + 2) * 4 * count + disk.REST
    half = make_trainable(tiny.model().to(torch.bfloat16), None, 0)
    assert needed_bytes(half) == (3 * 3 + 2) * 2 * count + disk.REST
    lora = make_trainable(tiny.model(), LoraSettings(r=4, target_modules=["q_proj"]), 0)
    assert needed_bytes(lora) == (3 * 3 + 2) * 4 * 2 * 4 * (32 + 32) + disk.REST


def test_what_a_run_holds_already_counts_as_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=700)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    folder = tmp_path / "deep" / "run"
    refuse_a_small_disk(folder, 700)
    with pytest.raises(RunError) as caught:
        refuse_a_small_disk(folder, 1000)
    assert str(caught.value) == (
        f"{folder}: training needs up to 1 kB there (checkpoints and the published weights), and 700 bytes are free. "
        "Free some, or choose another disk with --output DIR."
    )
    assert set(asked) == {tmp_path}
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "a").write_bytes(b"x" * 300)
    refuse_a_small_disk(folder, 1000)
    assert asked[-1] == folder
