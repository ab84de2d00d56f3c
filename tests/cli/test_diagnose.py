"""``exactune diagnose``: exit codes, the document, the patch, both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from run_folders import write_folder
from test_bad_inputs import run

import sentences
from exactune.layers import read_patch
from exactune.rundir import Run, read_json

from planted_folders import PLANTED

Output = pytest.CaptureFixture[str]


def planted(code: str, path: Path) -> str:
    return str(write_folder(path, PLANTED[code].plant).path)


def test_nothing_is_wrong(tmp_path: Path, capsys: Output) -> None:
    folder, file = str(write_folder(tmp_path / "run").path), tmp_path / "patch.yaml"
    assert run("diagnose", folder) == 0
    assert capsys.readouterr().out == "Nothing wrong was found with this run.\n"
    assert run("diagnose", folder, "--json", "-o", str(file)) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert read_patch(file).values == {}


def test_a_finding_is_shown_with_what_it_explains_its_fix_and_its_remedy(tmp_path: Path, capsys: Output) -> None:
    folder = planted("R105", tmp_path / "my run")
    assert run("diagnose", folder) == 1, "an error"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "R105 error hardly-moved: the weights moved by 0.0002 of their norm at a learning rate of 5e-05; "
        "the recipe's is 0.005"
    )
    assert [line.partition(":")[0] for line in lines[1:4]] == ["     explains R102", "     explains R302", "     fix"]
    assert lines[4:] == [
        "         training:",
        "           learning_rate: 0.005",
        f"To try the first remedy: exactune diagnose '{folder}' -o patch.yaml",
    ]


def test_a_warning_is_no_failure_and_names_rows(tmp_path: Path, capsys: Output) -> None:
    assert run("diagnose", planted("R201", tmp_path)) == 0
    shown = ", ".join(f"test.jsonl:{line}" for line in range(1, 6))
    assert f"     rows: {shown}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("code", "ends"), [("R102", 0), ("R305", 1)])
@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_the_document_is_what_the_run_keeps(
    code: str, ends: int, language: str, tmp_path: Path, capsys: Output
) -> None:
    folder = planted(code, tmp_path)
    assert run("--lang", language, "diagnose", folder, "--json") == ends
    kept = read_json(Run(tmp_path).diagnosis)
    assert all(finding.pop("said") for finding in kept)
    document = json.loads(capsys.readouterr().out)
    assert document == kept
    assert document[0]["code"] == code


def test_the_remedy_is_a_file_for_train(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "my patch.yaml"
    assert run("diagnose", planted("R104", tmp_path / "run"), "-o", str(file)) == 0
    assert read_patch(file).values == PLANTED["R104"].patch
    assert capsys.readouterr().out.endswith(
        f"To try it: exactune train CONFIG --patch '{file}' --output DIR, with this run's config and another folder\n"
    )


def test_without_a_remedy_none_is_offered(tmp_path: Path, capsys: Output) -> None:
    assert run("diagnose", planted("R304", tmp_path / "run"), "-o", str(tmp_path / "patch.yaml")) == 0
    assert "To try" not in capsys.readouterr().out
    assert read_patch(tmp_path / "patch.yaml").values == {}


def test_a_folder_without_a_run_or_without_training_is_refused(tmp_path: Path, capsys: Output) -> None:
    assert run("diagnose", str(tmp_path / "absent")) == 2
    assert "no run here" in capsys.readouterr().err
    write_folder(tmp_path / "new", lambda folder: folder.update(lines=[]))
    assert run("--lang", "zh-TW", "diagnose", str(tmp_path / "new"), "--json") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "還沒有訓練" in printed.err
    assert sentences.prose(printed.err) == ""


@pytest.mark.parametrize("code", PLANTED)
def test_findings_are_said_in_chinese(code: str, tmp_path: Path, capsys: Output) -> None:
    folder = planted(code, tmp_path / "run")
    assert run("--lang", "zh-TW", "diagnose", folder) == (PLANTED[code].severity == "error")
    printed = capsys.readouterr().out
    assert re.match(rf"{code} (錯誤|警告|提示) [a-z-]+：", printed)
    assert "修正方式：" in printed
    # What the data checks found is data here: the folders do not say it in another language.
    assert sentences.prose(re.sub(r"what D\d+ found", "", printed)) == ""
