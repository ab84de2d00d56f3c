"""Encodings: told rightly from short files, nothing lost, and what is lost reported at its line."""

from __future__ import annotations

import codecs
import json

import pytest

from exactune.data.encoding import decode
from exactune.data.read import ReadFile, read_bytes

TRADITIONAL = [
    ("這家店的牛肉麵真的很好吃，湯頭濃郁，下次還會再來！", "正面"),
    ("等了快一個小時才上菜，服務生態度也不好。", "負面"),
    ("台積電今天股價大漲，創下歷史新高", "正面"),
    ("價格普通，沒有什麼特別的地方", "中立"),
    ("手機用了兩個月就壞掉，客服電話永遠打不通", "負面"),
]
SIMPLIFIED = [
    ("味道不错，送餐也很快，下次还会再点", "正面"),
    ("等了两个小时才送到，菜都凉了，差评", "负面"),
    ("公司第三季度营业收入同比增长百分之十五", "正面"),
    ("价格一般，没有什么特别的地方", "中立"),
    ("手机用了两个月就坏了，客服电话一直打不通", "负面"),
]
BOMS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE, "utf-32-le": codecs.BOM_UTF32_LE,
        "utf-32-be": codecs.BOM_UTF32_BE, "utf-8": codecs.BOM_UTF8}  # fmt: skip


def jsonl(rows: list[tuple[str, str]]) -> str:
    return "".join(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows)


def table(rows: list[tuple[str, str]]) -> str:
    header = "內容,標籤" if rows[0] in TRADITIONAL else "内容,标签"
    return f"{header}\r\n" + "".join(f'"{text}",{label}\r\n' for text, label in rows)


def broken(found: ReadFile) -> dict[int | None, tuple[str, str]]:
    return {row.location.line: (row.code, row.reason) for row in found.broken}


@pytest.mark.parametrize("layout", [jsonl, table], ids=["jsonl", "csv"])
@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize(
    ("rows", "codec", "name"),
    [
        (TRADITIONAL, "utf-8", "UTF-8"),
        (TRADITIONAL, "big5", "Big5"),
        (TRADITIONAL, "cp950", "Big5"),
        (TRADITIONAL, "gb18030", "GB18030"),
        (SIMPLIFIED, "utf-8", "UTF-8"),
        (SIMPLIFIED, "gb2312", "GB18030"),
        (SIMPLIFIED, "gbk", "GB18030"),
        (SIMPLIFIED, "gb18030", "GB18030"),
    ],
)
def test_short_files_in_both_scripts(
    layout: object, size: int, rows: list[tuple[str, str]], codec: str, name: str
) -> None:
    text = layout(rows[:size])  # type: ignore[operator]
    data = text.encode(codec)
    found = decode(data)
    assert (found.encoding, found.text, found.guessed) == (name, text, name != "UTF-8")
    assert found.text.encode(codec) == data


@pytest.mark.parametrize("codec", BOMS)
def test_files_with_a_mark(codec: str) -> None:
    text = jsonl([*TRADITIONAL, ("🙂 \u2028 é", "正面")]).replace("\n", "\r\n")
    found = read_bytes(BOMS[codec] + text.encode(codec), "rows")
    assert [row.value for row in found.rows] == [json.loads(line) for line in text.split("\r\n") if line]
    assert [row.location.line for row in found.rows] == [1, 2, 3, 4, 5, 6]
    assert (found.broken, found.encoding, found.guessed) == (
        (),
        codec.upper().partition("-")[0] + codec[3:6].upper(),
        False,
    )


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_wide_files_without_a_mark(codec: str) -> None:
    found = read_bytes(jsonl(SIMPLIFIED).encode(codec), "rows")
    assert (len(found.rows), found.encoding, found.broken) == (5, "UTF-16", ())


def test_hong_kong_characters_are_big5_too() -> None:
    text = jsonl([("佢哋嘅嘢食真係好好味，個湯都唔錯", "正面"), ("今次等咗好耐，下次我哋唔會再嚟", "負面")])
    found = decode(text.encode("big5hkscs"))
    assert (found.encoding, found.text) == ("Big5", text)


def test_a_damaged_line_of_a_big5_file_stays_alone() -> None:
    rows = TRADITIONAL * 4
    lines = jsonl(rows).encode("cp950").split(b"\n")
    lines[6] = lines[6][:12] + b"\xff\xff" + lines[6][12:]
    found = read_bytes(b"\n".join(lines), "rows")
    assert [row.value["text"] for row in found.rows] == [text for n, (text, _) in enumerate(rows) if n != 6]
    code, reason = broken(found)[7]
    assert (list(broken(found)), code) == ([7], "D107")
    assert reason.startswith("not Big5: byte 0x")


def test_a_damaged_character_of_a_wide_file_breaks_its_row_only() -> None:
    data = (
        codecs.BOM_UTF16_LE
        + '{"a": "x"}\n{"a": "'.encode("utf-16-le")
        + b"\x00\xd8"
        + '"}\n{"a": 3}\n'.encode("utf-16-le")
    )
    found = read_bytes(data, "rows")
    assert [row.location.line for row in found.rows] == [1, 3]
    assert broken(found)[2][1].startswith("not UTF-16: byte 0x")


@pytest.mark.parametrize(
    ("texts", "codec"),
    [
        (["Le café était très bon, la soirée agréable", "Un ménage fait à temps"], "latin-1"),
        (["Größe über Äpfel und Öl", "schöne Grüße aus München"], "cp1252"),
        (["この映画はとても面白かったです", "料理が美味しくて、また来たいです"], "shift_jis"),
        (["이 영화는 정말 재미있었어요", "음식이 맛있고 직원도 친절했습니다"], "euc_kr"),
        (["Очень хороший фильм", "Доставка была долгой"], "cp1251"),
    ],
)
def test_other_encodings_are_errors_at_their_lines_and_not_guessed(texts: list[str], codec: str) -> None:
    data = b'{"text": "plain", "label": "a"}\n' + jsonl([(text, "a") for text in texts]).encode(codec)
    found = read_bytes(data, "rows")
    assert [row.location.line for row in found.rows] == [1]
    assert {line: code for line, (code, _) in broken(found).items()} == {2: "D107", 3: "D107"}
    assert "save the file as UTF-8" in broken(found)[2][1]


def test_mixed_encodings_are_not_read_in_one_of_them() -> None:
    data = jsonl(TRADITIONAL[:1]).encode() + jsonl(TRADITIONAL[1:]).encode("big5")
    found = read_bytes(data, "rows")
    assert [row.value["text"] for row in found.rows] == [TRADITIONAL[0][0]]
    assert list(broken(found)) == [2, 3, 4, 5]


@pytest.mark.parametrize("cut", [1, 2, 5, 9, 20])
def test_a_cut_file_is_cut_wherever_it_was_cut(cut: int) -> None:
    data = jsonl(TRADITIONAL).encode()[: -1 - cut]
    found = read_bytes(data, "rows")
    assert len(found.rows) == 4
    assert {line: code for line, (code, _) in broken(found).items()} == {5: "D108"}


@pytest.mark.parametrize(
    "end", ['{"a"', '{"a": ', '{"a": "x', '{"a": tr', '{"a": [1, 2', '{"a": "\\u4e', '{"a": {"b": 1}', "{"]
)
def test_an_open_last_row_is_cut_only_without_a_final_newline(end: str) -> None:
    assert [row.code for row in read_bytes(f'{{"a": 1}}\n{end}'.encode(), "rows").broken] == ["D108"]
    assert [row.code for row in read_bytes(f'{{"a": 1}}\n{end}\n'.encode(), "rows").broken] == ["D101"]


@pytest.mark.parametrize("end", ["{'a': 1}", '{"a": }', '{"a": 1} x', "oops", '{"a": 1, "a": 2}'])
def test_another_mistake_in_the_last_row_is_no_cut(end: str) -> None:
    assert "D108" not in [row.code for row in read_bytes(f'{{"a": 1}}\n{end}'.encode(), "rows").broken]


def test_an_array_that_was_cut() -> None:
    found = read_bytes('[\n{"a": "好"},\n{"a": "好'.encode(), "rows")
    assert (len(found.rows), broken(found)[3][0]) == (1, "D108")


def test_escapes_are_ordinary_text() -> None:
    row = {"text": "台積電🙂", "label": "正面"}
    assert read_bytes(json.dumps(row).encode(), "rows").rows[0].value == row
