"""Reading the corpus: three `.txt.xz` files, documents separated by one blank line."""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from pathlib import Path

LANGUAGES: tuple[str, ...] = ("en", "zh_tw", "zh_cn")
"""File stems the corpus folder must hold, as `<stem>.txt.xz`."""

HELD_OUT_FRACTION = 0.01
"""Share of each file's documents, counted from its end, that training never sees."""


@dataclass(frozen=True)
class Documents:
    """The documents of one corpus file, in file order.

    Attributes:
        language: The file's stem, one of `LANGUAGES`.
        train: Documents to learn from.
        held_out: The file's last documents, for measuring bits per byte.
    """

    language: str
    train: list[str]
    held_out: list[str]


def read_corpus(folder: Path) -> list[Documents]:
    """Reads every language's file.

    Raises:
        FileNotFoundError: If a language's file is missing from `folder`.
    """
    return [_read_file(folder / f"{language}.txt.xz", language) for language in LANGUAGES]


def _read_file(path: Path, language: str) -> Documents:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: corpus file not found; expected {', '.join(f'{x}.txt.xz' for x in LANGUAGES)}"
        )
    with lzma.open(path, "rt", encoding="utf-8", newline="\n") as stream:
        documents = [text for text in (part.strip("\n") for part in stream.read().split("\n\n")) if text]
    # The corpus is shuffled, so its tail is a fair sample; and a tail stays the same when the reading stops early.
    cut = len(documents) - max(1, round(HELD_OUT_FRACTION * len(documents)))
    return Documents(language, documents[:cut], documents[cut:])
