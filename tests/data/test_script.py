"""The script of a text."""

from __future__ import annotations

import pytest

from exactune.data.script import script_of


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("", "none"),
        ("12:30, 5%!", "none"),
        ("１２３，％", "none"),
        ("Please cancel my card.", "Latin"),
        ("Où est ma carte ?", "Latin"),
        ("ＡＢＣ", "Latin"),
        ("Где моя карта?", "Cyrillic"),
        ("أين بطاقتي", "Arabic"),
        ("櫃檯人員很親切，下次還會再來。", "Chinese, traditional"),
        ("柜台人员很亲切，下次还会再来。", "Chinese, simplified"),
        ("很好吃", "Chinese"),
        ("iPhone 15 Pro Max 很好用，下次還會買", "Chinese, traditional"),
        ("The word 好 means good in Chinese", "Latin"),
        ("カードを無くしました", "Japanese"),
        ("카드를 잃어버렸어요", "Korean"),
        ("皇后在後面的里長家", "Chinese, traditional"),
    ],
)
def test_script(text: str, script: str) -> None:
    assert script_of(text) == script


def test_a_long_text_is_told_by_its_beginning() -> None:
    assert script_of("還" * 400 + "a" * 10_000) == "Chinese, traditional"
