"""The bytes of a data file, as often as they are asked for; a file of any size is read in blocks."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from exactune.errors import DataError
from exactune.language import Text, say

__all__ = ["Source"]

BLOCK = 1 << 20


class Source:
    """A file, or bytes that came another way.

    Args:
        shown: Its name in messages.
        path: Where it is. What is no ordinary file, a pipe for example, is read once and kept.
        data: Its bytes, instead.

    Raises:
        DataError: It is missing, a folder, or cannot be read. So does every reading of it.
    """

    def __init__(self, shown: str, path: Path | None = None, data: bytes = b"") -> None:
        self.shown, self.path, self.data = shown, path, data
        if path is None:
            return
        if path.is_dir():
            raise DataError(
                say(
                    "{shown} is a folder. Name the files in it, or a glob such as {folder}/*.jsonl.",
                    shown=shown,
                    folder=shown.rstrip("/"),
                )
            )
        with self._reported():
            if not path.is_file():
                self.data, self.path = path.read_bytes(), None
            else:
                self.stamp = _stamp(path)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise DataError(say("{shown}: no such file. Check the path.", shown=self.shown)) from error
        except (OSError, ValueError) as error:
            raise DataError(
                say(
                    "{shown}: cannot be read: {reason}.",
                    shown=self.shown,
                    reason=Text(getattr(error, "strerror", None) or str(error)),
                )
            ) from error

    def open(self) -> BinaryIO:
        """The file from its beginning."""
        with self._reported():
            return io.BytesIO(self.data) if self.path is None else self.path.open("rb")

    def blocks(self) -> Iterator[bytes]:
        """The bytes in order.

        Raises:
            DataError: The file was written to since it was first opened: rows of two versions must not be mixed.
        """
        with self.open() as file:
            while block := self._block(file):
                yield block
        if self.path is not None:
            with self._reported():
                now = _stamp(self.path)
            if now != self.stamp:
                raise DataError(
                    say("{shown}: it changed while it was read. Try again when it is complete.", shown=self.shown)
                )

    def _block(self, file: BinaryIO) -> bytes:
        with self._reported():
            return file.read(BLOCK)

    def sha256(self) -> str:
        """The digest of the bytes, in hexadecimal."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns
