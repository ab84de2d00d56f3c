"""Which differences are slips, and which are another text."""

from __future__ import annotations

import pytest

from exactune.data.retyped import common_words, differing_words, retyped

WORDS = frozenset(["charge", "change", "transfer", "payment", "morning"])

SAME = [
    ("How do I cancel a transfer?", "How do I cancel a tranfser"),
    ("Why was my payment declined?", "Why was my payement declined"),
    ("Where can I find the virtual card?", "Where can i find a virtual card"),
    ("Can my friend send me money?", "Can my friends send me money?"),
    ("Why did my transfer get declined?", "Why did my my transfer get declined?"),
    ("I cannot find the sign up page today", "I cannot find the signup page today"),
    ("I'd like to delete my account", "Please, I'd like to delete my account."),
    ("这家店的味道真的很不错，老板人也好", "这家店味道真的很不错，老板人也好"),
    ("老師說他在下星期三以前會再來一次學校", "老師說她在下星期三以前會再來一次學校"),
    ("本報記者昨日從市政府獲悉，今年全市將新建二十座公園，並改造沿河步道，方便市民日常休閒與運動",
     "本報記者昨日從市政府獲悉，今年全市將新建二十座公園，並改造沿河道，方便市民日常休閒與運動"),
]  # fmt: skip

OTHER = {
    "a number": ("Rate this novel 3 out of 6 points", "Rate this novel 4 out of 6 points"),
    "a number with a point": ("the fee was 1.50 for my withdrawal", "the fee was 15.0 for my withdrawal"),
    "a name": ("find a flight from Boston to Austria please", "find a flight from Boston to Australia please"),
    "a value": ("find me the next flight to paris", "find me the next flight to rome"),
    "two words that are both spelt right": ("I want to change my payment", "I want to charge my payment"),
    "a negation": ("I can see my transfer in the app", "I cannot see my transfer in the app"),
    "a negation without its apostrophe": ("why can I use this card abroad", "why cant I use this card abroad"),
    "a short negation": ("you do accept my payment today", "you do not accept my payment today"),
    "a prefix": ("I would like to activate my card", "I would like to reactivate my card"),
    "another direction": ("move money to my savings account", "move money from my savings account"),
    "an emoji": ("the delivery was fine as always 👍", "the delivery was fine as always 👎"),
    "a currency": ("send 5 $ to my brother at once", "send 5 € to my brother at once"),
    "a short text": ("top up", "top ups"),
    "a Chinese character": ("挂牌仪式上工行与集团签署了战略合作协议", "挂牌仪式上农行与集团签署了战略合作协议"),
    "a Chinese negation": ("這家店的味道真的不好吃我會再來", "這家店的味道真的好吃我會再來"),
    "a Chinese number": ("下星期三下午在學校門口集合並準時出發", "下星期二下午在學校門口集合並準時出發"),
    "a short Chinese text": ("味道不错的", "味道不错"),
    "an added word": ("Can I have disposable cards now?", "Can I have more disposable cards now?"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "other"), SAME)
def test_slips(text: str, other: str) -> None:
    assert text != other
    assert retyped(text, other, WORDS)
    assert retyped(other, text, WORDS)


@pytest.mark.parametrize(("text", "other"), OTHER.values(), ids=list(OTHER))
def test_other_texts(text: str, other: str) -> None:
    assert not retyped(text, other, WORDS)
    assert not retyped(other, text, WORDS)


def test_words_that_come_back_are_spelt_as_they_are_meant() -> None:
    common = common_words(["I want to change it", "Change this", "change", "I want to chnage it"])
    assert common == {"change"}
    pair = ("I want to change it at once", "I want to chance it at once")
    assert retyped(*pair, common)
    assert not retyped(*pair, common | {"chance"})


def test_many_slips_make_another_text() -> None:
    text = "please send the monthly account statement by mail"
    assert retyped(text, text.replace("monthly", "montly"), WORDS)
    assert not retyped(text, "please send teh montly acount statemnt by mial", WORDS)


def test_words_in_which_texts_differ() -> None:
    assert differing_words('{"a": "Rome"}', '{"a": "Roma", "b": 1}') == {"rome", "roma", "b", "1"}
