"""Files on which forgetting is measured: what of them is read, and what is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from exactune.config import Config
from exactune.data.general import MOST_BYTES, MOST_ROWS, load_general, trained_too
from exactune.data.load import load
from exactune.errors import ConfigError, DataError

from made import write_jsonl


def config(*general: str, rows: int = 500, **data: Any) -> Config:
    return Config.model_validate({"data": data, "evaluate": {"general": list(general), "rows": rows}})


def text_rows(*texts: str) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


def asked(count: int) -> list[dict[str, str]]:
    return [{"instruction": f"double {number}", "output": str(2 * number)} for number in range(count)]


def test_plain_text_is_one_text_whatever_it_looks_like(tmp_path: Path) -> None:
    plain = '{"a": 1}\nname,age\n臺北的天氣\n'
    (tmp_path / "notes.txt").write_text(plain, encoding="utf-8")
    (file,) = load_general(config("notes.txt"), tmp_path)
    assert (file.name, file.format, file.texts, file.rows) == ("notes.txt", "plain", (plain,), ())
    assert file.all == len(plain.encode())


def test_of_a_long_text_the_first_whole_lines_are_taken(tmp_path: Path) -> None:
    lines = [f"第{number}行的文字 and some more\n" for number in range(9_000)]
    whole = "".join(lines)
    (tmp_path / "long.txt").write_text(whole, encoding="utf-8")
    (file,) = load_general(config("long.txt"), tmp_path)
    (text,) = file.texts
    assert whole.startswith(text)
    assert text.endswith("\n")
    assert MOST_BYTES - 60 < len(text.encode()) <= MOST_BYTES < file.all == len(whole.encode())
    (tmp_path / "one.txt").write_text("字" * 60_000, encoding="utf-8")
    (file,) = load_general(config("one.txt"), tmp_path)
    assert file.texts == ("字" * (MOST_BYTES // 3),)


def test_chinese_plain_text_is_read_in_its_encoding(tmp_path: Path) -> None:
    text = "我們在台北的公司上班，他們說這個系統的資料很多。\n"
    (tmp_path / "old.txt").write_bytes(text.encode("cp950"))
    assert load_general(config("old.txt"), tmp_path)[0].texts == (text,)
    (tmp_path / "broken.txt").write_bytes(b"caf\xe9 and more\n")
    with pytest.raises(DataError, match="0xE9"):
        load_general(config("broken.txt"), tmp_path)


def test_rows_are_a_seeded_sample_in_their_order(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "ask.jsonl", asked(900))
    (file,) = load_general(config("ask.jsonl"), tmp_path)
    lines = [row.location.line or 0 for row in file.rows]
    assert (len(lines), file.all, file.format) == (MOST_ROWS, 900, "instruction")
    assert lines == sorted(set(lines))
    assert max(lines) > 700, "of the whole file, not of its head"
    assert load_general(config("ask.jsonl"), tmp_path)[0].rows == file.rows
    fewer = load_general(config("ask.jsonl", rows=7), tmp_path)[0].rows
    assert len(fewer) == 7
    other = config("ask.jsonl").model_copy(update={"training": Config().training.model_copy(update={"seed": 1})})
    assert load_general(other, tmp_path)[0].rows != file.rows


def test_a_sample_takes_each_row_as_often(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "ask.jsonl", asked(10))
    counts = dict.fromkeys(range(1, 11), 0)
    for seed in range(300):
        settings = config("ask.jsonl", rows=3)
        settings = settings.model_copy(update={"training": settings.training.model_copy(update={"seed": seed})})
        for row in load_general(settings, tmp_path)[0].rows:
            counts[row.location.line or 0] += 1
    # 90 each; the standard deviation of a count is 8.
    assert all(58 < count < 122 for count in counts.values()), counts


def test_text_rows_are_taken_while_they_fit(tmp_path: Path) -> None:
    chance = random.Random(1)
    texts = [f"{number} " + "x" * chance.randrange(3_000) for number in range(150)]
    write_jsonl(tmp_path / "texts.jsonl", text_rows(*texts))
    (file,) = load_general(config("texts.jsonl"), tmp_path)
    assert (file.format, file.all, file.rows) == ("text", 150, ())
    assert [texts.index(text) for text in file.texts] == sorted(texts.index(text) for text in file.texts)
    size = sum(map(len, file.texts))
    assert MOST_BYTES - 3_010 < size <= MOST_BYTES < sum(map(len, texts))


def test_bad_rows_are_findings_and_the_others_are_measured(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [{"text": "a", "label": "b"}, {"text": "c", "label": "d"}])
    good = [json.dumps(row) for row in asked(3)]
    bad = ['{"text": "prose among instructions"}', "{oops", '{"instruction": "x", "output": ""}']
    (tmp_path / "mixed.jsonl").write_text("\n".join([*good, *bad]) + "\n", encoding="utf-8")
    loaded = load(config("mixed.jsonl", train="train.jsonl"), tmp_path)
    assert {finding.code: [place.line for place in finding.locations] for finding in loaded.rejected} == {
        "D101": [5], "D102": [4], "D105": [6],
    }  # fmt: skip
    (file,) = loaded.general
    assert len(file.rows) == 3
    assert [(info.split, info.rows) for info in loaded.files] == [("train", 2), ("general", 6)]


def test_a_file_has_one_use_and_must_be_there(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [{"text": "a", "label": "b"}])
    write_jsonl(tmp_path / "g.jsonl", asked(3))
    with pytest.raises(ConfigError, match=r"stands in both `data\.train` .* and `evaluate\.general`"):
        load(config("train.jsonl", train="train.jsonl"), tmp_path)
    mix = [{"path": "g.jsonl", "ratio": 1}]
    with pytest.raises(ConfigError, match=r"`data\.mix` .* and `evaluate\.general`"):
        load(config("g.jsonl", train="train.jsonl", mix=mix), tmp_path)
    with pytest.raises(DataError, match=r"`evaluate\.general`: .*absent\.txt: no such file"):
        load(config("absent.txt", train="train.jsonl"), tmp_path)
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(DataError, match="no text in it"):
        load_general(config("empty.txt"), tmp_path)


def test_names_are_the_shortest_that_differ(tmp_path: Path) -> None:
    for folder in ("en", "zh"):
        write_jsonl(tmp_path / folder / "test.jsonl", text_rows("hello"))
    assert [file.name for file in load_general(config("en/test.jsonl", "zh/test.jsonl"), tmp_path)] == [
        "en/test.jsonl", "zh/test.jsonl",
    ]  # fmt: skip


def test_rows_that_are_trained_too_are_counted(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "g.jsonl", asked(5))
    chat = [{"role": "user", "content": "Double 4"}, {"role": "assistant", "content": "8"}]
    more = [{"role": "user", "content": "thanks"}, {"role": "assistant", "content": "welcome"}]
    train = [asked(2)[1], {"messages": [*chat, *more]}, {"instruction": "double 3", "output": "7"}]
    write_jsonl(tmp_path / "train.jsonl", train)
    loaded = load(config("g.jsonl", train="train.jsonl"), tmp_path)
    assert trained_too(loaded.general[0], (loaded.splits.train, ())) == 2
