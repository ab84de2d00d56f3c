"""The fast way to normalise gives what the plain definition gives."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from exactune.data.normalise import normalise

NUMBER = re.compile(r"((?<=\d)[.:/](?=\d)|[-+](?=\d))")


def defined(text: str) -> str:
    """NFKC without case; of it letters, marks, digits, currency, emoji, and what changes a number."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    parts = NUMBER.split(plain)
    kept = (part if index % 2 else "".join(filter(is_kept, part)) for index, part in enumerate(parts))
    return "".join(kept) or plain.strip()


def is_kept(char: str) -> bool:
    kind = unicodedata.category(char)
    return kind[0] in "LMN" or kind in ("So", "Sc")


TRICKY = st.sampled_from(
    "0１٣²½a_ßΣςﬁéÉ\u0301\u200d\ufe0f👍🏽$€＄.:/-+－．：／，。！（）～…\u3000 \t\n好臺ｶﾞ\ud800\x00\x1c"
)


@given(st.text(st.one_of(TRICKY, st.characters()), max_size=30))
@example("1.-5")
@example("…！")
@example("e\uff01\u0301")
def test_as_defined(text: str) -> None:
    assert normalise(text) == defined(text)


def test_every_character_as_defined() -> None:
    differing = [code for code in range(0x110000) if normalise(f"1{chr(code)}2") != defined(f"1{chr(code)}2")]
    assert differing == []
