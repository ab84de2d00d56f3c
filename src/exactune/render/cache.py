"""Token ids made once: the ids of a split's rows are kept on the disk for the next run on the same rows.

With 100,000 rows, making ids takes most of the time before training. They are kept under a digest of everything they
are made of: the rows' texts in their order, the tokenizer, the chat template, the code here and the libraries. Row ids
and files are no part of it, so rows that move to another file keep their tokens, and neither is a length: rows are
never cut. What is read must match its own digest, and a few rows that are made anew; else it is made again and
replaced. The folder is a cache: it may be deleted at any time, and a run never stops for want of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
import tempfile
from array import array
from collections.abc import Sequence
from importlib.metadata import version
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from exactune import __version__
from exactune.data import expand
from exactune.errors import TemplateError
from exactune.language import say
from exactune.render import template as template_module
from exactune.render.template import Encoded, Template
from exactune.types import Example

__all__ = ["cache_folder", "cache_size", "encode_all"]

SMALL = 1000
"""Fewer rows are not worth a file: their ids take about a second."""

MOST = 2 * 10**9
"""Bytes the folder may hold; what was not used for longest goes first."""

FRESH = 8
"""Rows that are made anew to compare with what is read."""

SOURCES = (__file__, template_module.__file__, expand.__file__)
"""The code that makes ids."""

LIBRARIES = ("jinja2", "tokenizers", "transformers")

DIGEST = hashlib.sha256().digest_size


def cache_folder() -> Path:
    """``$EXACTUNE_CACHE``, else ``exactune`` in the user's folder for caches."""
    if chosen := os.environ.get("EXACTUNE_CACHE"):
        return Path(chosen).expanduser()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "exactune"
    except RuntimeError:  # nobody's home, as in some containers: nothing can be kept
        return Path(os.devnull)


def cache_size() -> int:
    """Bytes in the cache."""
    return sum(size for _, size, _ in _files(_tokens()))


def encode_all(template: Template, examples: Sequence[Example]) -> list[Encoded]:
    """:meth:`Template.encode` of every row, read from the cache where it has them.

    Raises:
        TemplateError: The chat template refuses a conversation; with its place.
    """
    key = _key(template, examples) if len(examples) >= SMALL else None
    if key and (kept := _read(key)) is not None:
        rows = _rows(examples, kept)
        some = range(0, len(rows), max(1, len(rows) // FRESH))
        if all(rows[index] == _encode(template, examples[index]) for index in some):
            return rows
    numbers = _make(template, examples)
    if key:
        with contextlib.suppress(OSError):
            _write(key, numbers)
    return _rows(examples, numbers)


def _encode(template: Template, example: Example) -> Encoded:
    try:
        return template.encode(example)
    except TemplateError as error:
        raise TemplateError(say("{place}: {error}", place=example.location, error=error)) from error


def _make(template: Template, examples: Sequence[Example]) -> np.ndarray:
    """Lengths of prompt and answer of each row, then all ids: int32 ``[2 * rows + tokens]``."""
    lengths, ids = array("i"), array("i")
    for example in examples:
        row = _encode(template, example)
        lengths.extend((len(row.prompt_ids), len(row.answer_ids)))
        ids.extend(row.prompt_ids)
        ids.extend(row.answer_ids)
    return np.concatenate([np.frombuffer(part, np.int32) for part in (lengths, ids) if part] or [np.empty(0, np.int32)])


def _rows(examples: Sequence[Example], numbers: np.ndarray) -> list[Encoded]:
    lengths, ids = numbers[: 2 * len(examples)].tolist(), numbers[2 * len(examples) :]
    # One object for each id, not for each token: 8 bytes a token instead of 36.
    shared = np.arange(ids.max(initial=0) + 1).astype(object)
    ends = accumulate(lengths, initial=0)
    parts = (shared[ids[start:end]].tolist() for start, end in pairwise(ends))
    return [Encoded(example.id, next(parts), next(parts)) for example in examples]


def _key(template: Template, examples: Sequence[Example]) -> str | None:
    """A digest of all that ids are made of; ``None`` where that cannot be known."""
    tokenizer = template.tokenizer
    serialise = getattr(getattr(tokenizer, "backend_tokenizer", None), "to_str", None)
    # A template that writes the date makes other ids tomorrow.
    if serialise is None or "strftime_now" in str(tokenizer.chat_template):
        return None
    try:
        sources = [hashlib.sha256(Path(source).read_bytes()).hexdigest() for source in SOURCES]
    except OSError:
        return None
    behaviour = {
        "serialised": serialise(),
        "class": f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}",
        "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "split_special": getattr(tokenizer, "split_special_tokens", False),
        "chat_template": tokenizer.chat_template,
        "template": template.describe(),
        "versions": [__version__, platform.python_version(), *map(version, LIBRARIES)],
        "sources": sources,
        "byteorder": sys.byteorder,
    }
    digest = hashlib.sha256(json.dumps(behaviour, sort_keys=True, default=str).encode())
    for example in examples:
        texts = [example.answer, *((message.role, message.content) for message in example.prompt)]
        # One JSON array after another is told apart, whatever is in the texts.
        digest.update(json.dumps(texts).encode())
    return digest.hexdigest()


def _tokens() -> Path:
    return cache_folder() / "tokens"


def _seal(key: str, content: memoryview) -> bytes:
    digest = hashlib.sha256(key.encode())
    digest.update(content)
    return digest.digest()


def _read(key: str) -> np.ndarray | None:
    """What is kept under the key, or ``None``: absent, unreadable or damaged."""
    path = _tokens() / key
    try:
        content = memoryview(path.read_bytes())
    except OSError:
        return None
    if content[:DIGEST] != _seal(key, content[DIGEST:]):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return np.frombuffer(content[DIGEST:], np.int32)


def _write(key: str, numbers: np.ndarray) -> None:
    """Keep the ids under the key, and make room for them.

    Several processes may do so at once, each in a file of its own name. Nothing is flushed: the digest tells.

    Raises:
        OSError: There is no room, or no folder to write in.
    """
    if numbers.nbytes + DIGEST > MOST:
        return
    folder = _tokens()
    # Tokens can be read as the rows: nobody else's business.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(".tmp", dir=folder)
    staged = Path(name)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(_seal(key, numbers.data))
            stream.write(numbers.data)
        os.replace(staged, folder / key)
    finally:
        staged.unlink(missing_ok=True)
    held = 0
    for _, size, path in sorted(_files(folder), reverse=True):
        held += size
        if held > MOST:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[tuple[int, int, Path]]:
    """Time of last use, bytes and path of each file; none where there is no folder."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            # Another process may have just removed it.
            with contextlib.suppress(OSError):
                facts = path.stat()
                found.append((facts.st_mtime_ns, facts.st_size, path))
    return found
