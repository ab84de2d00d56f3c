"""Where rows come from: arrays, globs, Parquet, data sets of the hub."""

from __future__ import annotations

import datetime
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from exactune.config import Config
from exactune.data.hub import dataset_name
from exactune.data.load import Loaded, load, load_paths
from exactune.data.read import read_file
from exactune.errors import ConfigError, DataError, MissingExtra
from exactune.plan import config_source, make_plan
from exactune.types import Location

from made import rows, write_jsonl

CHAT = rows(6)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def read(folder: Path, **data: Any) -> Loaded:
    return load(Config.model_validate({"data": data}), folder)


def test_an_array_a_glob_and_a_list_add_up(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(CHAT, indent=2), encoding="utf-8")
    write_jsonl(tmp_path / "more/b.jsonl", CHAT[:2])
    write_jsonl(tmp_path / "more/c.jsonl", CHAT[2:3])
    parquet.write_table(pyarrow.Table.from_pylist(CHAT), tmp_path / "d.parquet")
    loaded = read(tmp_path, train=["a.json", "more/*.jsonl", "d.parquet"])
    assert loaded.rejected == ()
    assert [file.rows for file in loaded.files] == [6, 2, 1, 6]
    assert len(loaded.splits.train) == 15


def test_parquet_rows_are_those_of_json(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(CHAT), tmp_path / "train.parquet")
    write_jsonl(tmp_path / "train.jsonl", CHAT)
    found, same = read(tmp_path, train="train.parquet").splits.train, read(tmp_path, train="train.jsonl").splits.train
    assert [(row.prompt, row.answer) for row in found] == [(row.prompt, row.answer) for row in same]
    assert [row.id for row in found] == [f"train.parquet:{number}" for number in range(1, 7)]


def test_parquet_values_that_json_lacks(tmp_path: Path) -> None:
    made = [{"text": "a", "label": Decimal("1.50"), "day": datetime.date(2026, 1, 31), "n": float("nan")}]
    path = tmp_path / "x"
    parquet.write_table(pyarrow.Table.from_pylist(made), path)
    assert read_file(path, "x").rows[0].value == {"text": "a", "label": "1.50", "day": "2026-01-31", "n": None}
    parquet.write_table(pyarrow.Table.from_pylist([{"text": b"\x89PNG", "label": "a"}]), path)
    assert "it holds bytes" in read_file(path, "x").broken[0].reason


def test_parquet_without_its_library_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(CHAT), tmp_path / "x")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"x: Parquet needs pyarrow. Run `pip install pyarrow`"):
        read_file(tmp_path / "x", "x")


def labelled() -> datasets.Dataset:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    return datasets.Dataset.from_dict({"text": ["好吃", "難吃", "?"], "label": [1, 0, -1]}, features=features)


def test_class_numbers_become_names_and_a_missing_class_no_answer(tmp_path: Path) -> None:
    (tmp_path / "owner/food/data").mkdir(parents=True)
    labelled().to_parquet(tmp_path / "owner/food/data/train-00000-of-00001.parquet")
    for name in ("owner/food", "owner/food/data/train-00000-of-00001.parquet"):
        loaded = read(tmp_path, train=name)
        assert [row.answer for row in loaded.splits.train] == ["pos", "neg"]
        assert [(finding.code, finding.locations[0].line) for finding in loaded.rejected] == [("D104", 3)]


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    folder = tmp_path / "owner" / "reviews"
    for split, part in (("train", CHAT[:3]), ("validation", CHAT[3:4]), ("test", CHAT[4:])):
        write_jsonl(folder / f"{split}.jsonl", part)
    return tmp_path


def test_a_data_set_gives_each_use_its_split(downloaded: Path) -> None:
    loaded = read(downloaded, train="owner/reviews", eval="owner/reviews", test="owner/reviews")
    assert [len(part) for part in (loaded.splits.train, loaded.splits.eval, loaded.splits.test)] == [3, 1, 2]
    assert loaded.splits.train[2].location == Location("owner/reviews[train]", 3)
    assert loaded.splits.eval[0].id == "owner/reviews[validation]:1"
    assert [file.path for file in loaded.files] == [
        "owner/reviews[train]", "owner/reviews[validation]", "owner/reviews[test]",
    ]  # fmt: skip
    assert len({file.sha256 for file in loaded.files}) == 3


def test_a_split_can_be_named_and_used_once(downloaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read(downloaded, train="owner/reviews:test").splits.train) == 2
    with pytest.raises(ConfigError, match=r"owner/reviews\[test\] stands in both"):
        read(downloaded, train="owner/reviews:test", test="owner/reviews")
    monkeypatch.chdir(downloaded)
    loaded = load_paths(["owner/reviews:train", "owner/reviews:validation"])
    assert [file.split for file in loaded.files] == ["train", "eval"]


def test_a_split_that_is_not_there_is_named_with_those_that_are(downloaded: Path) -> None:
    with pytest.raises(DataError, match=r"owner/reviews\[dev\]: cannot be loaded: .*'train', .*\nName a split"):
        read(downloaded, train="owner/reviews:dev")


def test_the_hub_out_of_reach_says_what_to_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match=r"someone/something\[train\]: cannot be loaded: .*\nNo file .*Check the id .*network"
    ):
        read(tmp_path, train="someone/something")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("owner/name", ("owner/name", None, "train")),
        ("owner/name:validation", ("owner/name", None, "validation")),
        ("owner/name/config", ("owner/name", "config", "train")),
        ("owner/na.me-2/config_1:test", ("owner/na.me-2", "config_1", "test")),
        ("train", None),
        ("train.jsonl", None),
        ("gone/train.jsonl", None),
        ("gone/*", None),
        ("here/gone", None),
        ("../gone/name", None),
        ("/gone/name", None),
    ],
)
def test_names_of_data_sets(tmp_path: Path, pattern: str, found: tuple[str, ...] | None) -> None:
    (tmp_path / "here").mkdir()
    name = dataset_name(pattern, tmp_path, "train")
    assert (None if name is None else (name.location, name.config, name.split)) == found


def test_a_run_reads_the_same_data_set_from_its_own_folder(base: Path, downloaded: Path) -> None:
    write_jsonl(downloaded / "owner/reviews/train.jsonl", rows(24, 100))
    config = downloaded / "task.yaml"
    config.write_text(
        f"model: {base}\ndata: {{train: owner/reviews, eval: owner/reviews}}\noutput_dir: {downloaded / 'runs/one'}\n",
        encoding="utf-8",
    )
    plan = make_plan(config_source(config))
    assert plan.config.data.train == ["../../owner/reviews:train"]
    plan.run.path.mkdir(parents=True)
    again = load(plan.config, plan.run.path)
    assert [row.id for row in again.splits.train] == [row.id for row in plan.splits.train]
    assert [file.sha256 for file in again.files] == [file.sha256 for file in plan.loaded.files]
