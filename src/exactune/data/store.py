"""Many examples: in memory while they are few, in a temporary file once they are not.

A million chat rows are gigabytes as Python objects, and less than half of one as bytes. Rows that are looked at one
after another, by one rule after another, can be made anew each time.
"""

from __future__ import annotations

import marshal
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from typing import BinaryIO, overload

from exactune.errors import DataError
from exactune.language import say
from exactune.types import Example, Location, Message

__all__ = ["IN_MEMORY", "Gathered", "StoredExamples"]

IN_MEMORY = 100_000
"""So many rows are kept as objects: about 300 MB of chats of 400 bytes. From the file, each look at a row takes 6 to 7
microseconds."""

PLAIN = 2
"""Version of ``marshal``; later ones look for shared objects, which takes twice the time."""

BUFFER = 1 << 20
"""Bytes read ahead."""

REPEATED = 10_000
"""So many different system messages are kept once for all rows; where there are more, rows differ in them anyway."""


class _Words:
    """Texts that stand in many rows, by number, so that a file holds each once and readers share one object."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.numbers: dict[str, int] = {}

    def number(self, text: str) -> int | str:
        """The text's number, or the text itself once there are too many."""
        known = self.numbers.get(text)
        if known is None:
            if len(self.texts) >= REPEATED:
                return text
            known = self.numbers[text] = len(self.texts)
            self.texts.append(text)
        return known


class StoredExamples(Sequence[Example]):
    """Examples in a temporary file without a name, which goes when the last reference does.

    Going through them in order is fast; each one is made anew. Rows are packed by ``marshal``, which neither runs
    code nor leaves the process: the file has no name and nobody else can write to it.
    """

    def __init__(self) -> None:
        self._words = _Words()
        self._ends = array("Q", [0])
        self._unwritten: list[bytes] = []
        self._size = 0
        try:
            self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its last reference
        except OSError as error:
            raise _no_room(error) from error

    def __del__(self) -> None:
        # Without a place to put it there is no file.
        if hasattr(self, "_file"):
            self._file.close()

    def append(self, example: Example) -> None:
        """Add one behind the others.

        Raises:
            DataError: The folder of temporary files is full.
        """
        number = self._words.number
        system, *turns = example.prompt
        packed = marshal.dumps(
            (
                example.id,
                number(system.content),
                [part for turn in turns for part in (turn.role, turn.content)],
                example.answer,
                number(example.location.file),
                example.location.line,
                number(example.format),
                example.rejected,
            ),
            PLAIN,
        )
        self._unwritten.append(packed)
        self._size += len(packed)
        self._ends.append(self._ends[-1] + len(packed))
        if self._size >= BUFFER:
            self._flush()

    def _flush(self) -> None:
        try:
            self._file.seek(0, 2)
            self._file.write(b"".join(self._unwritten))
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from error
        self._unwritten, self._size = [], 0

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[Example]:
        return self._between(0, len(self))

    def _between(self, start: int, stop: int) -> Iterator[Example]:
        """The rows from ``start`` on, reading ahead."""
        ends, texts = self._ends, self._words.texts
        while start < stop:
            base, until = ends[start], start + 1
            while until < stop and ends[until + 1] - base <= BUFFER:
                until += 1
            content = self._bytes(base, ends[until])
            for index in range(start, until):
                yield _example(marshal.loads(content[ends[index] - base : ends[index + 1] - base]), texts)  # noqa: S302
            start = until

    def _bytes(self, start: int, end: int) -> memoryview:
        if self._unwritten:
            self._flush()
        self._file.seek(start)
        return memoryview(self._file.read(end - start))

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            places = range(len(self))[index]
            if places.step == 1:
                return tuple(self._between(places.start, places.stop)) if places else ()
            return tuple(self[place] for place in places)
        place = range(len(self))[index]
        return next(self._between(place, place + 1))


def _no_room(error: OSError) -> DataError:
    return DataError(
        say(
            "rows cannot be put aside in {folder}: {reason}. Name a folder with room for them as TMPDIR.",
            folder=tempfile.gettempdir(),
            reason=error.strerror or str(error),
        )
    )


def _example(packed: tuple, texts: Sequence[str]) -> Example:  # type: ignore[type-arg]
    name, system, turns, answer, file, line, format, rejected = packed
    prompt = [Message("system", texts[system] if type(system) is int else system)]
    prompt += map(Message, turns[::2], turns[1::2])
    return Example(
        name,
        tuple(prompt),
        answer,
        Location(texts[file] if type(file) is int else file, line),
        texts[format] if type(format) is int else format,
        rejected,
    )


class Gathered:
    """Examples as they come in: a tuple while they are few, stored once they are many.

    Args:
        most: How many are few.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = IN_MEMORY if most is None else most
        self._few: list[Example] = []
        self._many: StoredExamples | None = None

    def append(self, example: Example) -> None:
        """Add one.

        Raises:
            DataError: There is no room for them.
        """
        if self._many is not None:
            self._many.append(example)
            return
        self._few.append(example)
        if len(self._few) > self._most:
            self._many = StoredExamples()
            for one in self._few:
                self._many.append(one)
            self._few = []

    def rows(self) -> Sequence[Example]:
        """All of them, in order."""
        return tuple(self._few) if self._many is None else self._many
