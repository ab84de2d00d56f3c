"""Two languages for people, one for machines."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_bad_inputs import run

import sentences
from exactune.checking import check
from exactune.checks import RULES
from exactune.cli.lang import chosen
from exactune.errors import ConfigError, DataError
from exactune.language import (
    LANGUAGES,
    Text,
    count,
    find_language,
    join,
    language_of,
    restored,
    say,
    speaking,
    stored,
    translate,
)

from made import rows, write_jsonl

CATALOGUE: dict[str, str] = json.loads((sentences.ROOT / "catalogue" / "zh-TW.json").read_text(encoding="utf-8"))


def test_every_sentence_is_translated_and_no_translation_is_left_over() -> None:
    used = sentences.used()
    assert sorted(used - set(CATALOGUE)) == []
    assert sorted(set(CATALOGUE) - used) == []


def test_a_translation_has_the_placeholders_of_its_template() -> None:
    wrong = [key for key, value in CATALOGUE.items() if sentences.placeholders(key) != sentences.placeholders(value)]
    assert wrong == []


def test_a_translation_has_the_markup_of_its_template() -> None:
    def tags(text: str) -> list[str]:
        return sorted(re.findall(r"</?(?:code|bdi)>|`[^`]*`|--[a-z-]+", text))

    assert [key for key, value in CATALOGUE.items() if tags(key) != tags(value)] == []


def test_a_translation_is_chinese() -> None:
    assert [value for value in CATALOGUE.values() if sentences.prose(value)] == []
    simplified = set("数据训练标签设档夹权准确间预测种错误请选择该这为与对应")
    assert [value for value in CATALOGUE.values() if set(value) & (simplified - set(TRADITIONAL))] == []


TRADITIONAL = "准測據練籤設檔夾權確間預種錯誤請選擇該這為與對應"


ERRORS = {
    "ConfigError", "DataError", "ModelError", "RunError", "TemplateError", "MissingExtra", "TrainingError",
    "Interrupted", "RowError", "Broken", "Doubt", "Option",
}  # fmt: skip


def literals(tree: ast.AST) -> Iterator[ast.AST]:
    """Sentences given to an error or a finding as a bare string."""
    for node in ast.walk(tree):
        name = sentences.called(node) if isinstance(node, ast.Call) else ""
        if name in ERRORS or name == "finding":
            arguments = node.args[:2] if name == "RowError" else node.args[:1]
            yield from (one for one in arguments if isinstance(one, ast.JoinedStr))
            yield from (
                one for one in arguments if isinstance(one, ast.Constant) and " " in str(one.value)
            )  # fmt: skip


@pytest.mark.parametrize("name", sentences.names())
def test_no_error_or_finding_is_said_in_english_alone(name: str) -> None:
    assert [ast.unparse(one) for one in literals(sentences.module(name))] == []


def test_what_is_not_converted_is_there() -> None:
    assert all((sentences.ROOT / name).exists() for name in sentences.UNCONVERTED)


def test_a_text_is_its_english_sentence() -> None:
    text = say("{rows} longer than {limit:,} tokens; the longest has {tokens:,} ({place})",
               rows=count(2, "row"), limit=2048, tokens=2310, place="a.jsonl:3")  # fmt: skip
    assert text == "2 rows longer than 2,048 tokens; the longest has 2,310 (a.jsonl:3)"
    assert json.loads(json.dumps({"message": text})) == {"message": str(text)}
    assert translate(text) is text
    assert translate(text, "zh-TW") == "2 筆資料列超過 2,048 個 token；最長的有 2,310 個（a.jsonl:3）"
    assert translate("2 rows", "zh-TW") == "2 rows", "what was not said is data"


def test_an_error_keeps_its_text() -> None:
    for error in (ConfigError(say("no user turn has any text")), DataError(say("no user turn has any text"))):
        assert translate(str(error), "zh-TW") == "沒有任何 user 回合有文字"
        assert translate(say("{place}: {error}", place="a.jsonl:1", error=error), "zh-TW").startswith("a.jsonl:1：沒有")


def test_what_is_said_may_hold_anything() -> None:
    odd = "{x!r} {0} {} <b> %s"
    text = say("the column `{name}`", name=odd)
    assert text == f"the column `{odd}`"
    assert translate(text, "zh-TW") == f"欄位 `{odd}`"


def test_a_stored_document_can_be_said_again() -> None:
    message = say("{rows} {what}: {named}{more}", rows=count(1, "row"), what=say("cannot be read"),
                  named=join("; ", ["a", say("write null")]), more="")  # fmt: skip
    document = json.loads(
        json.dumps(stored({"message": message, "line": 1, "deep": {"a": [say("null")]}}, "message", "deep"))
    )
    assert {key: document[key] for key in ("message", "line", "deep")} == {
        "message": "1 row cannot be read: a; write null", "line": 1, "deep": {"a": ["null"]},
    }  # fmt: skip
    back = restored(document)
    assert "said" not in back
    assert translate(back["message"], "zh-TW") == "1 筆資料列無法讀取：a；請寫 null"
    assert isinstance(back["deep"]["a"][0], Text)


@pytest.mark.parametrize(
    "said", [None, 3, "x", [3], [{}], [{"text": "a b", "template": 3, "values": 4}],
             [{"text": "a b", "template": "the column `{name}`", "values": {"other": 1}}],
             [{"text": "a b", "template": "{number:,} row", "values": {"number": "many"}}]],
)  # fmt: skip
def test_a_broken_store_leaves_the_english(said: object) -> None:
    back = restored({"message": "a b", "said": said})
    assert translate(back["message"], "zh-TW") == "a b"


def test_findings_written_before_there_was_a_second_language_load() -> None:
    assert restored({"message": "1 row"}) == {"message": "1 row"}


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_TW.UTF-8"}, "zh-TW"),
        ({"LANG": "zh_HK.UTF-8"}, "zh-TW"),
        ({"LANG": "zh_Hant_TW"}, "zh-TW"),
        ({"LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_TW.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "zh-TW"),
        ({"LANG": "zh_TW.UTF-8", "LC_ALL": ""}, "zh-TW"),
        ({"LANG": "zh_TW.UTF-8", "EXACTUNE_LANG": "en"}, "en"),
        ({"EXACTUNE_LANG": "zh_tw"}, "zh-TW"),
    ],
)
def test_the_language_of_an_environment(environment: dict[str, str], language: str) -> None:
    assert chosen(["check", "other"], environment) == language


@pytest.mark.parametrize(
    "arguments", [["--lang", "zh-TW", "check"], ["--lang=zh-tw", "check"], ["check", "x", "--lang", "zh-TW"]]
)
def test_the_option_wins_over_the_environment(arguments: list[str]) -> None:
    assert chosen(arguments, {"EXACTUNE_LANG": "en"}) == "zh-TW"


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--lang", "tlh", "env"], ""), (["env"], "tlh"), (["report", ".", "--lang", "tlh"], "")],
)
def test_an_unknown_language_is_refused(
    arguments: list[str],
    environment: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EXACTUNE_LANG", environment)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert run(*arguments) == 2
    assert "there is no language 'tlh'. Known: en, zh-TW." in capsys.readouterr().err


def test_tags_and_locales() -> None:
    assert list(LANGUAGES) == ["en", "zh-TW"]
    assert find_language("ZH_tw") == "zh-TW"
    assert find_language("zh") is None
    assert language_of("") == "en"


@pytest.mark.parametrize("rule", sentences.EXPLAINED, ids=lambda rule: rule.code)
def test_a_rule_is_explained_in_both_languages(rule, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", rule.code) == 0
    assert capsys.readouterr().out == f"{rule.code} {rule.name} ({rule.severity})\n\n{rule.doc}\n"
    assert run("--lang", "zh-TW", "explain", rule.code) == 0
    explained = capsys.readouterr().out
    headings = re.findall(r"(?m)^(\S+)：$", explained)
    assert headings == ["檢查內容", "為什麼重要", "範例", "修正方式"]
    assert [heading for heading, _ in rule.sections] == ["", "What it does", "Why it matters", "Example", "Fix"]
    assert sentences.prose(explained) == ""


def test_the_kinds_of_row_problems_say_what_their_rules_say() -> None:
    from exactune.data.problems import KINDS

    assert {code: str(kind.fix) for code, kind in KINDS.items()} == {
        rule.code: str(rule.fix) for rule in RULES if rule.code in KINDS
    }


BAD = {
    "no file": ("check absent.jsonl", "absent.jsonl：沒有這個檔案。請檢查路徑。"),
    "no config": ("train absent.yaml", "absent.yaml：無法讀取：沒有這個檔案或資料夾。"),
    "unknown key": ("train task.yaml --set training.num_epoch=3", "您是指 `training.num_epochs` 嗎？"),
    "wrong value": (
        "train task.yaml --set training.num_epochs=x",
        "值不正確：需要訓練輪數（3）或範圍（5-8）；實際上是 'x'。",
    ),
    "no number": ("train task.yaml --set training.seed=x", "應為整數，無法將文字解讀為整數；實際上是 'x'。"),
    "no run": ("report absent", "absent：這裡沒有訓練結果（沒有 config.yaml）。"),
    "unknown code": ("explain X1", "沒有代碼為 X1 的規則。"),
    "bad rows": ("train bad.yaml", "資料檢查發現 1 種錯誤；沒有訓練。"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=list(BAD))
def test_errors_in_chinese(
    arguments: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "train.jsonl", rows(12))
    (tmp_path / "task.yaml").write_text("data: {train: train.jsonl}\n", encoding="utf-8")
    (tmp_path / "bad.jsonl").write_text(
        (tmp_path / "train.jsonl").read_text(encoding="utf-8") + "{oops\n", encoding="utf-8"
    )
    (tmp_path / "bad.yaml").write_text("data: {train: bad.jsonl}\n", encoding="utf-8")
    assert run("--lang", "zh-TW", *arguments.split()) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert sentences.prose(printed) == ""


def test_help_in_chinese(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EXACTUNE_LANG", "zh-TW")
    assert run("train", "--help") == 0
    assert "檢查資料列、選擇配方、訓練、評估、產生報告。" in capsys.readouterr().out
    monkeypatch.setenv("EXACTUNE_LANG", "en")
    assert run("train", "--help") == 0
    assert "Check the rows, choose the recipe, train, evaluate, report." in capsys.readouterr().out


MESSY = """\
{"text": "很好", "label": "正面"}
{"text": "很好", "label": "負面"}
{"text": "好吃", "label": "正面"}
{"text": "好吃！", "label": "正面"}
{"text": "x", "label": ""}
{"text": "y"}
{"a": 1, "b": 2}
{oops
{"messages": [{"role": "robot", "content": "a"}]}
{"text": "z", "label": "正面", "label": "負面"}
[1]"""


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").write_text(MESSY, encoding="utf-8")
    scored = '{"text": "很好。", "label": "正面"}\n{"text": "好吃。", "label": "中性"}\n'
    (tmp_path / "eval.jsonl").write_text(scored, encoding="utf-8")
    (tmp_path / "big5.jsonl").write_bytes(
        '{"text": "這是一個很好的地方，我們都覺得不錯", "label": "正面"}\n'.encode("big5")
    )
    return tmp_path


def test_findings_on_the_screen_in_chinese(messy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(messy / name) for name in ("train.jsonl", "eval.jsonl", "big5.jsonl")]
    assert run("--lang", "zh-TW", "check", *files) == 1
    printed = capsys.readouterr().out
    assert "D205 錯誤 eval-row-in-train：1 筆評估或測試資料也出現在訓練資料中" in printed
    assert "D207 警告 leak-with-other-answer：2 筆評估或測試資料在訓練資料中有另一個答案" in printed
    assert len(re.findall(r"(?m)^D\d{3} ", printed)) >= 9
    assert sentences.prose(printed) == ""


def test_machine_output_is_the_same_in_both_languages(messy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    printed = []
    for language in LANGUAGES:
        run("--lang", language, "check", str(messy / "train.jsonl"), str(messy / "eval.jsonl"), "--json")
        printed.append(capfd.readouterr().out)
    assert printed[0] == printed[1]
    assert json.loads(printed[0])["findings"]
    assert "said" not in json.loads(printed[0])["findings"][0], "its keys are a contract"


def test_python_speaks_english(messy: Path) -> None:
    with speaking("zh-TW"):
        found = check([messy / "train.jsonl"])
        assert "cannot be read" in found.findings[0].message
        with pytest.raises(DataError, match="no such file"):
            check(["absent.jsonl"])


def said_in(page: str) -> str:
    """What a report says in its own words: without styles, code, data and marks, with the labels read aloud."""
    aloud = re.findall(r'aria-label="([^"]*)"', page)
    for tag in ("style", "code", "pre", "bdi"):
        page = re.sub(rf"<{tag}\b.*?</{tag}>", " · ", page, flags=re.DOTALL)
    return " · ".join([*aloud, *re.split(r"<[^>]*>", page)])


def test_a_run_is_the_same_in_both_languages_and_can_be_reported_in_either(
    task: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(task())
    folders = {}
    for language in LANGUAGES:
        folders[language] = tmp_path / language
        assert run("--lang", language, "train", config, "--output", str(folders[language])) == 0
        printed = capsys.readouterr()
        if language == "zh-TW":
            assert "任務    分類，3 個標籤（欄位 `sentiment`）：" in printed.out
            assert sentences.prose(printed.out + printed.err) == ""
    for name in ("recipe.json", "findings.json", "data.json", "eval/metrics.json", "eval/predictions.jsonl"):
        assert (folders["en"] / name).read_bytes() == (folders["zh-TW"] / name).read_bytes(), name
    assert '<html lang="zh-TW">' in (folders["zh-TW"] / "report.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in (folders["en"] / "report.html").read_text(encoding="utf-8")
    assert run("report", str(folders["en"]), "--lang", "zh-TW") == 0
    page = (folders["en"] / "report.html").read_text(encoding="utf-8")
    assert "只有 24 筆訓練資料；至少要有 100 筆" in page, "the finding of an English run"
    assert "24 筆訓練資料：級距 &lt; 500" in page, "its recipe"
    assert sentences.prose(said_in(page)) == ""
    assert run("report", str(folders["en"]), "--lang", "en") == 0
    assert "24 training rows; at least 100 are needed" in (folders["en"] / "report.html").read_text(encoding="utf-8")
