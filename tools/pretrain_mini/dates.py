"""Chat tasks about dates as people write them: Western months, years of the Republic of China, Chinese numerals."""

from __future__ import annotations

import datetime
import random

from .passages import Passage, Passages
from .wording import Task, dump

_MONTHS = tuple(datetime.date(2000, month, 1).strftime("%B") for month in range(1, 13))
_NUMERALS = "〇一二三四五六七八九"
_EPOCH = 1911
"""Year before the Republic's first."""


def iso(rng: random.Random, passage: Passage, source: Passages) -> Task | None:
    """The dates that sentences were stamped with, as YYYY-MM-DD: all of them, or the first and the last."""
    sentences = passage.sentences[: rng.randint(1, 4)]
    stamps = [_draw(rng) for _ in sentences]
    write = rng.choice(_FORMS[passage.language])
    lines = [
        f"{index + 1}.{write(stamp)}{':' if passage.language == 'en' else '：'}{sentence}"
        for index, (stamp, sentence) in enumerate(zip(stamps, sentences, strict=True))
    ]
    found = [stamp.isoformat() for stamp in stamps]
    if rng.random() < 0.5:
        return "iso", {}, "\n".join(lines), dump(found)
    first, last = _NAMES[passage.language]
    return "iso_ends", {"first": first, "last": last}, "\n".join(lines), dump({first: found[0], last: found[-1]})


def chinese(number: int) -> str:
    """A number below 1000 in Chinese numerals: 108 is 一百零八."""
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    text = _NUMERALS[hundreds] + "百" if hundreds else ""
    if tens:
        text += ("" if tens == 1 and not hundreds else _NUMERALS[tens]) + "十"
    elif hundreds and ones:
        text += "零"
    return text + (_NUMERALS[ones] if ones else "")


def _draw(rng: random.Random) -> datetime.date:
    return datetime.date(1912, 1, 1) + datetime.timedelta(days=rng.randrange(115 * 365))


def _english(date: datetime.date) -> str:
    return f"{_MONTHS[date.month - 1]} {date.day}, {date.year}"


def _english_short(date: datetime.date) -> str:
    return f"{date.day} {_MONTHS[date.month - 1][:3]} {date.year}"


def _western(date: datetime.date) -> str:
    return f"{date.year}年{date.month}月{date.day}日"


def _republic(date: datetime.date) -> str:
    return f"民國{date.year - _EPOCH}年{date.month}月{date.day}日"


def _republic_numerals(date: datetime.date) -> str:
    return f"中華民國{chinese(date.year - _EPOCH)}年{chinese(date.month)}月{chinese(date.day)}日"


def _western_numerals(date: datetime.date) -> str:
    year = "".join(_NUMERALS[int(digit)] for digit in str(date.year))
    return f"{year}年{chinese(date.month)}月{chinese(date.day)}日"


_FORMS = {
    "en": [_english, _english_short],
    "zh_tw": [_western, _republic, _republic_numerals, _republic_numerals],
    "zh_cn": [_western, _western_numerals],
}
_NAMES = {"en": ("first", "last"), "zh_tw": ("首次日期", "最近日期"), "zh_cn": ("首个日期", "最后日期")}
