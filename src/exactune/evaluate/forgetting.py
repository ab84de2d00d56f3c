"""What was forgotten, in words. Torch-free; the figures are made by :mod:`exactune.evaluate.general`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from exactune.language import Text, say

__all__ = ["MATTERS", "compared", "in_words", "losses"]

MATTERS = 0.05
"""Relative rise of bits per byte from which a loss matters: about what half the parameters cost, by the scaling law
loss ~ parameters^-0.076 (Kaplan et al., 2020): 2^0.076 = 1.054."""

Document = Mapping[str, Any]
"""The ``general`` block of ``eval/metrics.json``."""


def losses(general: Document) -> dict[str, float]:
    """File -> relative change of its bits per byte; 0.09 is 9 % more, a loss."""
    before, after = general["before"], general["after"]
    return {
        name: after[name]["bits_per_byte"] / figures["bits_per_byte"] - 1
        for name, figures in before.items()
        if figures.get("bits_per_byte") and "bits_per_byte" in after[name]
    }


def in_words(general: Document) -> Iterator[Text]:
    """A line per file, and what to do where more than :data:`MATTERS` was lost."""
    for name, before in general["before"].items():
        yield from _file(general, name, before, general["after"][name])
    lost = {name: loss for name, loss in losses(general).items() if loss > MATTERS}
    if lost:
        worst = max(lost, key=lambda name: lost[name])
        yield say(
            "forgotten: the model predicts {name} worse by {loss:.0%}; {most:.0%} is about what half the parameters "
            "cost. {remedy}",
            name=worst,
            loss=lost[worst],
            most=MATTERS,
            remedy=_remedy(general),
        )


def _file(general: Document, name: str, before: Document, after: Document) -> Iterator[Text]:
    if name in losses(general):
        yield say(
            "{name}: {before:.2f} -> {after:.2f} bits per byte ({change:+.0%})",
            name=name,
            before=before["bits_per_byte"],
            after=after["bits_per_byte"],
            change=losses(general)[name],
        )
    if "token_f1" in before:
        change = general["change"][name]["token_f1"]
        yield say(
            "{name}: token F1 {before:.3f} -> {after:.3f} (change {low:+.3f} to {high:+.3f}), exact match "
            "{exact_before:.3f} -> {exact_after:.3f}, {rows} rows",
            name=name,
            before=before["token_f1"],
            after=after["token_f1"],
            low=change["low"],
            high=change["high"],
            exact_before=before["exact_match"],
            exact_after=after["exact_match"],
            rows=after["n"],
        )
    measured = general["files"][name]
    if measured["used"] < measured["all"]:
        used, every = measured["used"], measured["all"]
        if measured["unit"] == "bytes":
            yield say("{name}: measured on its first {used:,} of {all:,} bytes", name=name, used=used, all=every)
        else:
            yield say("{name}: measured on {used:,} of {all:,} rows", name=name, used=used, all=every)


def _remedy(general: Document) -> Text:
    if not general["mixed"]:
        return say("Mix general rows into training: `data.mix: [{path: general.jsonl, ratio: 0.1}]`.")
    return say(
        "Mix in more general rows (`data.mix` gave {mixed:,} beside {train:,}), or train with a lower learning rate.",
        mixed=general["mixed"],
        train=general["train"],
    )


def compared(own: Document, other: Document, name: str) -> Iterator[Text]:
    """What two runs lost of the same files, and what mixing saved.

    Args:
        own: The ``general`` block of this run.
        other: That of the other one.
        name: What the other run is called.
    """
    here, there = losses(own), losses(other)
    for file in (file for file in own["before"] if file in there.keys() & here.keys()):
        if not _alike(own, other, file):
            yield say("{file}: measured otherwise in {name}, so the two are not compared", file=file, name=name)
            continue
        yield say(
            "{file}: bits per byte {here:+.1%} with {mixed:,} general rows mixed in, {there:+.1%} in {name} with "
            "{other_mixed:,}",
            file=file,
            here=here[file],
            mixed=own["mixed"],
            there=there[file],
            name=name,
            other_mixed=other["mixed"],
        )
        if (saved := _saved(own, other, here[file], there[file])) is not None:
            yield say("{file}: mixing saved {saved:.0%} of the loss", file=file, saved=saved)


def _alike(own: Document, other: Document, file: str) -> bool:
    """Whether the same part of the same file was measured, from the same start."""
    start, other_start = own["before"][file]["bits_per_byte"], other["before"][file]["bits_per_byte"]
    same = all(own["files"][file][key] == other["files"][file][key] for key in ("sha256", "used"))
    return same and math.isclose(start, other_start, rel_tol=1e-3)


def _saved(own: Document, other: Document, here: float, there: float) -> float | None:
    """Share of the loss that mixing saved; ``None`` where both or neither mixed rows in, or nothing was saved."""
    if bool(own["mixed"]) == bool(other["mixed"]):
        return None
    with_mix, without = (here, there) if own["mixed"] else (there, here)
    return min(1.0, (without - with_mix) / without) if without > max(with_mix, 0) else None
