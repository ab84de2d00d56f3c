"""``exactune train`` takes what ``exactune init`` writes, unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from drafts import array, folder_of, jsonl, labelled, one, pairs, spans, splits, table, text_rows
from test_bad_inputs import run

from exactune.plan import config_source, make_plan

from made import rows

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
SETS = (
    "banking77", "waimai", "snips", "twlaw", "cluener", "conll04", "finre", "drcd", "replay_alpaca_en",
    "replay_alpaca_zh_cn", "replay_alpaca_zh_tw", "preference_en", "preference_zh_cn", "toolcall_en", "toolcall_zh_cn",
)  # fmt: skip

SHAPES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "chat": (jsonl(rows(30)), "classification"),
    "sharegpt": (
        jsonl([{"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]} for q, a in pairs()]),
        "classification",
    ),
    "prompt_completion": (jsonl([{"prompt": q, "completion": a} for q, a in pairs()]), "classification"),
    "instruction": (
        jsonl([{"instruction": "情感？", "input": q, "output": a} for q, a in pairs()], "alpaca.jsonl"),
        "classification",
    ),
    "text_label": (jsonl(labelled()), "classification"),
    "odd columns": (one(lambda path: table(path, ["nr", "headline", "mood"]), "news.csv"), "classification"),
    "tsv": (one(lambda path: table(path, ["id", "text", "label"], "\t"), "news.tsv"), "classification"),
    "array": (one(array, "rows.json"), "classification"),
    "folder": (lambda folder: folder_of(folder, "train.jsonl", "dev.jsonl", "test.jsonl"), "classification"),
    "free text": (jsonl(text_rows(lambda number: f"the home of person {number} is in Paris, France")), "text"),
    "fields": (jsonl(text_rows(lambda number: {"name": f"Ann{number}", "at_home": True, "n": number})), "json"),
    "span mappings": (jsonl(text_rows(spans)), "entities"),
    "span items": (
        jsonl(text_rows(lambda number: [{"text": found[0], "type": kind} for kind, found in spans(number).items()])),
        "entities",
    ),
    "relations": (
        jsonl(text_rows(lambda n: {"relations": [{"head": f"Ann{n}", "type": "lives_in", "tail": "Paris"}]})),
        "relations",
    ),
    "joint": (
        jsonl(text_rows(lambda n: {
            "entities": [{"text": f"Ann{n}", "type": "PER"}, {"text": "Paris", "type": "LOC"}],
            "relations": [{"head": f"Ann{n}", "type": ("lives_in", "was_in")[n % 2], "tail": "Paris"}],
        })),
        "relations",
    ),
    "label lists": (jsonl(text_rows(lambda n: ["red", "green", "blue"][n % 3 : n % 5])), "classification"),
    "nested": (
        lambda folder: splits(folder / "a b" / "c's", "train.jsonl", "eval.jsonl"),
        "classification",
    ),
    "chinese names": (
        lambda folder: splits(folder, "訓練資料.jsonl", "驗證資料.jsonl", "測試資料.jsonl"),
        "classification",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("shape", "task"), SHAPES.values(), ids=SHAPES)
def test_train_takes_what_init_writes(shape: Callable[[Path], list[str]], task: str, here: Path, capsys) -> None:
    (here / "configs").mkdir()
    assert run("init", *shape(here / "data"), "-o", "configs/task.yaml") == 0
    assert "exactune train configs/task.yaml" in capsys.readouterr().out
    plan = make_plan(config_source("configs/task.yaml"))
    assert (plan.task.type, plan.errors) == (task, [])
    config = yaml.safe_load((here / "configs" / "task.yaml").read_text(encoding="utf-8"))
    assert config["task"]["type"] == task
    files = config["data"]["train"]
    assert all(not Path(file).is_absolute() for file in ([files] if isinstance(files, str) else files))


def test_the_command_takes_what_init_writes(here: Path, capsys) -> None:
    shape, task = SHAPES["nested"]
    assert run("init", *shape(here / "data"), "-o", "task.yaml") == 0
    capsys.readouterr()
    assert run("train", "task.yaml", "--dry-run") == 0
    assert f"task    {task}" in capsys.readouterr().out


@pytest.mark.parametrize("name", SETS)
def test_train_takes_what_init_writes_for_real_rows(name: str, here: Path) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the data set {name} is not here")
    (here / name).mkdir()
    for split, lines in (("train", 120), ("eval", 15), ("test", 15)):
        text = (SHARED / name / f"{split}.jsonl").read_text(encoding="utf-8")
        (here / name / f"{split}.jsonl").write_text("".join(text.splitlines(keepends=True)[:lines]), encoding="utf-8")
    assert run("init", name) == 0
    plan = make_plan(config_source("task.yaml"))
    assert plan.encoded
    assert not plan.errors


@pytest.mark.parametrize("name", sorted(path.name for path in SHARED.glob("corpus_*")))
def test_texts_without_answers_are_refused(name: str, here: Path, capsys) -> None:
    assert run("init", str(SHARED / name)) == 2
    assert "D104" in capsys.readouterr().err
    assert not (here / "task.yaml").exists()
