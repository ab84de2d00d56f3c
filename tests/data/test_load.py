"""Loading: files found and named, rows converted or listed, nothing lost on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exactune.config import Config
from exactune.data.load import load, load_paths
from exactune.errors import ConfigError, DataError
from exactune.types import Example

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
SETS = (
    "banking77", "waimai", "snips", "twlaw", "cluener", "conll04", "finre", "drcd",
    "replay_alpaca_en", "replay_alpaca_zh_cn", "replay_alpaca_zh_tw",
    "preference_en", "preference_zh_cn", "toolcall_en", "toolcall_zh_cn",
)  # fmt: skip
CORPORA = ("corpus_en_wikitext2", "corpus_zh_cn_csl", "corpus_zh_tw_law", "corpus_zh_tw_wiki")


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def row(text: str, label: str = "a") -> dict[str, str]:
    return {"text": text, "label": label}


def config(**data: Any) -> Config:
    return Config.model_validate({"data": data})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_load_reads_every_split(here: Path) -> None:
    write(here / "job/train.jsonl", row("1"), row("2"))
    write(here / "job/dev.jsonl", row("3"))
    write(here / "job/test.csv", "text,label", "4,b")
    loaded = load(config(train="train.jsonl", eval="dev.jsonl", test="test.csv"), here / "job")
    assert [example.id for example in loaded.splits.train] == ["train.jsonl:1", "train.jsonl:2"]
    assert [example.id for example in loaded.splits.eval] == ["dev.jsonl:1"]
    assert [(example.input, example.answer) for example in loaded.splits.test] == [("4", "b")]
    assert [(file.path, file.split, file.rows, file.format) for file in loaded.files] == [
        ("job/train.jsonl", "train", 2, "text_label"),
        ("job/dev.jsonl", "eval", 1, "text_label"),
        ("job/test.csv", "test", 1, "text_label"),
    ]
    assert all(len(file.sha256) == 64 for file in loaded.files)
    assert (loaded.rejected, loaded.notes) == ((), ())


def test_globs_are_sorted_and_files_taken_once(here: Path) -> None:
    for name in ("b", "a"):
        write(here / f"part-{name}.jsonl", row(name))
    loaded = load(config(train=["part-*.jsonl", "part-a.jsonl"]), here)
    assert [example.input for example in loaded.splits.train] == ["a", "b"]


def test_rejected_rows_are_grouped_by_code_with_all_places(here: Path) -> None:
    write(here / "train.jsonl", row("1"), "{oops", {"x": 1}, row("", "a"), row("2", ""), "[]", {"y": 1})
    loaded = load(config(train="train.jsonl"), here)
    found = {finding.code: [place.line for place in finding.locations] for finding in loaded.rejected}
    assert found == {"D101": [2, 6], "D102": [3, 7], "D105": [5], "D106": [4]}
    assert loaded.files[0].rows == 7
    broken = loaded.rejected[0]
    assert "2 rows cannot be read: train.jsonl:2: not JSON" in broken.message
    assert broken.evidence["reasons"][1] == "a row is an object, found a list"
    assert len(loaded.splits.train) == 1


def test_a_file_that_mixes_formats_is_read_and_noted(here: Path) -> None:
    write(here / "train.jsonl", row("1"), row("2"), {"instruction": "3", "output": "b"})
    loaded = load(config(train="train.jsonl"), here)
    assert len(loaded.splits.train) == 3
    assert loaded.files[0].format == "text_label+instruction"
    assert loaded.notes == ("train.jsonl mixes formats: text_label (2), instruction (1).",)


def test_columns_and_instruction_hold_for_the_task_and_not_for_the_mix(here: Path) -> None:
    write(here / "train.jsonl", *({"s": f"q{n}", "t": "x"} for n in range(10)))
    write(here / "general.jsonl", *(row(f"g{n}") for n in range(10)))
    loaded = load(
        config(
            train="train.jsonl",
            eval_fraction=0.5,
            columns={"input": "s", "output": "t"},
            instruction="do it",
            mix=[{"path": "general.jsonl", "ratio": 0.4}],
        ),
        here,
    )
    assert loaded.splits.train[0].prompt[0].content == "do it"
    assert {example.format for example in loaded.splits.train} == {"columns"}
    # Half of the ten rows will train, so 0.4 of them is two.
    assert len(loaded.splits.mix) == 2
    assert {example.prompt[0].content for example in loaded.splits.mix} == {""}
    assert [(file.split, file.rows) for file in loaded.files] == [("train", 10), ("mix", 10)]


def test_the_mix_is_a_share_of_the_rows_that_train_whatever_is_held_out_or_left_aside(here: Path) -> None:
    write(here / "train.jsonl", *(row(f"q{n}") for n in range(200)))
    write(here / "eval.jsonl", row("e"))
    write(here / "general.jsonl", *(row(f"g{n}") for n in range(300)))
    write(here / "more.jsonl", *(row(f"m{n}") for n in range(300)))

    def mixed(ratio: float, **data: Any) -> list[Example]:
        mix = [{"path": "general.jsonl", "ratio": ratio}, {"path": "more.jsonl", "ratio": 0.05}]
        return list(load(config(train="train.jsonl", mix=mix, **data), here).splits.mix)

    # For each training row, not of the mixed total: 0.1 of 200 are 20, and 10 of the other source.
    assert [row.input[0] for row in mixed(0.1, eval="eval.jsonl")] == ["g"] * 20 + ["m"] * 10
    assert len(mixed(0.1, eval_fraction=0.5)) == 10 + 5
    assert len(mixed(0.1, eval="eval.jsonl", limit={"train": 40})) == 4 + 2
    assert mixed(0.1, eval="eval.jsonl") == mixed(0.1, eval="eval.jsonl")


def test_a_small_mix_is_noted(here: Path) -> None:
    write(here / "train.jsonl", *(row(f"q{n}") for n in range(10)))
    write(here / "eval.jsonl", row("e"))
    write(here / "general.jsonl", row("g"))
    mix = [{"path": "general.jsonl", "ratio": 1}]
    loaded = load(config(train="train.jsonl", eval="eval.jsonl", mix=mix), here)
    assert "all it has; a ratio of 1 asks for 10" in loaded.notes[0]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({}, ConfigError, "`data.train` names no file"),
        ({"train": "train.jsonl", "columns": {"input": "a"}}, ConfigError, "`data.columns`: `output` is missing"),
        ({"train": "trian.jsonl"}, DataError, "trian.jsonl: no such file. Did you mean train.jsonl?"),
        ({"train": "no*.jsonl"}, DataError, "no file matches no*.jsonl"),
        ({"train": "deep/er/train.jsonl"}, DataError, "there is no folder deep"),
        ({"train": "."}, DataError, "is a folder"),
        ({"train": "train.jsonl", "eval": "t*.jsonl"}, ConfigError, "stands in both `data.train`"),
        ({"train": "train.jsonl", "mix": [{"path": "train.jsonl", "ratio": 1}]}, ConfigError, "Give each file one use"),
    ],
)
def test_data_that_cannot_be_found_or_used(
    here: Path, data: Mapping[str, Any], error: type[Exception], message: str
) -> None:
    write(here / "train.jsonl", row("1"))
    with pytest.raises(error) as caught:
        load(config(**data), here)
    assert message in str(caught.value)


def test_all_missing_files_are_named_at_once(here: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(config(train="a.jsonl", eval="b.jsonl", test="c*.jsonl"), here)
    assert all(name in str(caught.value) for name in ("`data.train`: a.jsonl", "`data.eval`: b.jsonl", "c*.jsonl"))
    with pytest.raises(DataError, match=r"a\.jsonl[\s\S]*b\.jsonl"):
        load_paths(["a.jsonl", "b.jsonl"])


def test_the_shown_path_is_the_one_to_type(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = write(here / "data/train.jsonl", row("1"))
    (here / "job").mkdir()
    monkeypatch.chdir(here / "job")
    assert load(config(train="../data/train.jsonl"), Path()).files[0].path == "../data/train.jsonl"
    deep = here / "1/2/3/4"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert load(config(train=str(train)), Path("elsewhere")).files[0].path == str(train)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["eval.jsonl"], ["train"]),
        (["train-1.jsonl", "dev.csv", "test_final.jsonl"], ["train", "eval", "test"]),
        (["Train.jsonl", "validation.jsonl", "val.jsonl", "values.jsonl"], ["train", "eval", "eval", "train"]),
        (["rows.jsonl", "evaluation.jsonl"], ["train", "eval"]),
    ],
)
def test_splits_of_bare_files_come_from_their_names(here: Path, names: list[str], splits: list[str]) -> None:
    for name in names:
        write(here / name, row(name))
    assert [file.split for file in load_paths(names).files] == splits


def test_rows_of_a_one_line_array_have_ids_of_their_own(here: Path) -> None:
    write(here / "train.json", [row("1"), row("2"), row("3")])
    assert [example.id for example in load_paths(["train.json"]).splits.train] == [
        "train.json:1", "train.json:1#2", "train.json:1#3",
    ]  # fmt: skip


def test_only_bad_rows_still_load(here: Path) -> None:
    write(here / "train.jsonl", "{oops")
    loaded = load(config(train="train.jsonl"), here)
    assert (loaded.splits.train, loaded.files[0].format) == ((), "")
    assert [finding.code for finding in loaded.rejected] == ["D101"]


@pytest.mark.parametrize("name", SETS)
def test_real_data_reads_without_a_rejected_row(name: str) -> None:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the development data set {name} is not here")
    paths = [folder / f"{split}.jsonl" for split in ("train", "eval", "test")]
    loaded = load_paths([str(path) for path in paths])
    rows = [path.read_bytes().count(b"\n") for path in paths]
    assert loaded.rejected == ()
    assert [len(part) for part in (loaded.splits.train, loaded.splits.eval, loaded.splits.test)] == rows
    assert loaded.notes == ()


@pytest.mark.parametrize("name", CORPORA)
def test_plain_text_is_told_from_task_rows(name: str) -> None:
    path = SHARED / name / "train.jsonl"
    if not path.is_file():
        pytest.skip(f"the development data set {name} is not here")
    (finding,) = load_paths([str(path)]).rejected
    assert (finding.code, len(finding.locations)) == ("D104", path.read_bytes().count(b"\n"))
    assert "it has the column `text`; a text alone teaches no task" in finding.message


def test_every_development_set_is_tried() -> None:
    if not SHARED.is_dir():
        pytest.skip("the development data sets are not here")
    assert {path.name for path in SHARED.iterdir() if path.is_dir()} == {*SETS, *CORPORA}


def test_ids_tell_files_of_one_name_apart_and_do_not_depend_on_the_working_directory(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here / "a/rows.jsonl", row("1"))
    write(here / "b/rows.jsonl", row("2"))
    wanted = ["a/rows.jsonl:1", "b/rows.jsonl:1"]
    for place in (here, here / "a"):
        monkeypatch.chdir(place)
        loaded = load(config(train=["a/rows.jsonl", "b/rows.jsonl"]), here)
        assert [example.id for example in loaded.splits.train] == wanted
