"""What the inputs of many rows have in common."""

from __future__ import annotations

from exactune.data.frame import Frame, frame_of

REVIEWS = [
    f"{word} was {kind}" for word in ("soup", "tea", "rice", "fish", "bread") for kind in ("good", "bad", "cold")
]


def test_shared_lines_beginnings_and_ends() -> None:
    frame = frame_of([f"Judge the review.\nText: {one}\nAnswer:" for one in REVIEWS])
    assert frame == Frame(frozenset({"Judge the review.", "Answer:"}), "Text: ", "")
    assert frame.inner("Judge the review.\nText: soup was good\nAnswer:") == "soup was good"
    assert frame.inner("something else") == "something else"
    assert frame.inner("Judge the review.\nAnswer:") == "Judge the review.\nAnswer:"


def test_a_few_rows_may_be_written_otherwise() -> None:
    frame = frame_of([*(f"Is this good? {number} {one}." for number in range(2) for one in REVIEWS), "Hello"])
    assert frame == Frame(frozenset(), "Is this good? ", ".")


def test_words_are_not_cut() -> None:
    assert frame_of([f"rate restaurant{number:02}x" for number in range(30)]).start == "rate "


def test_rows_that_share_nothing_have_no_frame() -> None:
    assert frame_of(REVIEWS) == Frame()
    assert frame_of([]) == Frame()
