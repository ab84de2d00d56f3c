"""What ``exactune init`` writes: nothing guessed without saying so, nothing that does not work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from drafts import draft, flat, labelled, splits, table, text_rows
from test_bad_inputs import run

from exactune.config import Config, config_keys
from exactune.draft import init
from exactune.draft.files import name_splits
from exactune.errors import ConfigError, DataError
from exactune.layers import read_patch, resolve

from made import write_jsonl


def test_every_line_that_is_offered_works_without_its_mark(here: Path) -> None:
    for data in (splits(here, "train.jsonl"), [str(table(here / "odd.csv", ["nr", "headline", "mood"]))]):
        text, _ = draft(*data)
        lines = text.splitlines()
        nodes, leaves = config_keys()
        names = {path.rpartition(".")[2] for path in (*nodes, *leaves)}
        offered = [i for i, line in enumerate(lines) if (found := re.match(r" *# (\w+): ", line)) and found[1] in names]
        assert len(offered) >= 13
        for index in offered:
            changed = [*lines]
            changed[index] = re.sub("# ", "", changed[index], count=1)
            if changed[index].startswith("model:"):
                changed.remove(next(line for line in lines if line.startswith("model:")))
            (here / "changed.yaml").write_text("\n".join(changed), encoding="utf-8")
            resolve([read_patch(here / "changed.yaml")])


def test_the_recipe_stays_in_force(here: Path) -> None:
    text, config = draft(*splits(here, "train.jsonl"))
    assert config.training == Config().training, "no value of the recipe is pinned"
    assert "# num_epochs: 8-10 " in text
    assert re.search(r"# learning_rate: \S+ +# peak: 1e-05 for this many rows, times", text)


def test_one_file_is_training_data_whatever_its_name(here: Path) -> None:
    text, config = draft(*splits(here, "test.jsonl"))
    assert (config.data.train, config.data.eval) == (["test.jsonl"], [])
    assert re.search(r"eval_fraction: 0.1 +# 3 of the training rows choose the checkpoint", text)


def test_a_name_that_ends_in_test_is_test_data_and_said(here: Path) -> None:
    text, config = draft(*splits(here, "reviews_train.jsonl", "reviews_test.jsonl"))
    assert (config.data.train, config.data.test) == (["reviews_train.jsonl"], ["reviews_test.jsonl"])
    assert "reviews_test.jsonl as test rows because of its name" in flat(text)


def test_an_answer_takes_the_place_of_a_guess(here: Path) -> None:
    data = splits(here, "reviews_train.jsonl", "reviews_dev.jsonl", "reviews_test.jsonl")
    text, config = draft(*data, ask=lambda doubt: doubt.options[-1].values)
    assert config.data.train == ["reviews_train.jsonl", "reviews_dev.jsonl", "reviews_test.jsonl"]
    assert (config.data.eval, config.data.test) == ([], [])
    assert "because of" not in text


def test_many_labels_are_counted_and_left_to_be_inferred(here: Path) -> None:
    items = [
        {"text": f"question {number} on topic {number % 20}", "label": f"topic {number % 20}"} for number in range(200)
    ]
    write_jsonl(here / "train.jsonl", items)
    text, config = draft("train.jsonl")
    assert config.task.labels is None
    assert "20 labels, those of the training rows; rows of each: topic 0 9" in text
    assert "To beat: always answering `topic 0` is right in 5% of the rows." in text


def test_labels_are_written_with_their_numbers(here: Path) -> None:
    text, config = draft(*splits(here, "train.jsonl", "eval.jsonl"))
    assert config.task.labels == ["正面", "負面", "中立"]
    assert "# training rows: 10, 10, 10" in text


def test_awkward_labels_and_names_survive_yaml(here: Path) -> None:
    labels = ["yes", "null", "1e-5", "a: b", "# c", "[d]", "'e\"", "- f", "🙂", "g\u2028h", "~"]
    items = [{"text": f"row {number} of many", "label": labels[number % len(labels)]} for number in range(110)]
    write_jsonl(here / "#a: b\u2028{c}.jsonl", items)
    text, config = draft(str(here / "#a: b\u2028{c}.jsonl"))
    assert set(config.task.labels or ()) == set(labels)
    assert config.data.train == ["#a: b\u2028{c}.jsonl"]
    assert "\u2028" not in text


@pytest.mark.parametrize(
    ("items", "doubt"),
    [
        (text_rows(lambda number: f"person {number}"), "different answers over 27 training rows, taken as text"),
        (text_rows(lambda number: {"k": f"person {number}"}), "write `task: {type: classification, field: k}`"),
        (text_rows(lambda number: {"who": [f"Ann{number}"], "what": ["x"]}), "write `task: {type: entities}`"),
        (text_rows(lambda number: ["good", "bad", "Good"][number % 3]), "`good`, `Good` differ in case"),
        ([*labelled(29), {"text": "x", "label": "正面的"}], "`正面的` in one training row only"),
        (text_rows(lambda number: str(number % 3)), "numbers (`0`, `1`, `2`), taken as names"),
        (labelled(), "3 eval rows choose the checkpoint"),
        ([*labelled(), {"text": "x", "label": ""}], "errors in 1 place (D105 empty-answer), so training stops"),
    ],
)  # fmt: skip
def test_what_it_is_unsure_of(items: list[Any], doubt: str, here: Path) -> None:
    write_jsonl(here / "train.jsonl", items)
    text, _ = draft("train.jsonl")
    assert doubt in flat(text.partition("# Not sure")[2])


def test_what_was_said_is_no_longer_unsure(here: Path) -> None:
    write_jsonl(here / "train.jsonl", [*text_rows(lambda number: f"person {number}"), {"text": "x", "label": ""}])
    said = (
        "task=text",
        "check.on_error=skip",
        "data.eval_fraction=0.5",
        "num_epochs=3",
        "lora_dropout=0.1",
        "evaluate.rows=7",
    )
    text, config = draft("train.jsonl", assignments=said)
    assert "taken as text" not in text
    assert "errors in" not in text
    assert "31 rows (30 used)" in text
    assert (config.task.type, config.check.on_error, config.data.eval_fraction) == ("text", "skip", 0.5)
    assert (str(config.training.num_epochs), config.evaluate.rows) == ("3", 7)
    assert config.lora is not None
    assert config.lora.lora_dropout == 0.1
    assert draft("train.jsonl", assignments=["lora=none"])[1].lora is None


def test_columns_are_written_down(here: Path, capsys) -> None:
    table(here / "news.csv", ["nr", "headline", "mood"])
    text, config = draft("news.csv")
    assert config.data.columns == {"input": "headline", "output": "mood"}
    assert "`headline` is the input and `mood` the answer, by their values; not used: `nr`" in flat(text)
    write_jsonl(here / "plain.jsonl", [{"a": f"x{number}", "b": f"y{number}"} for number in range(30)])
    assert run("init", "plain.jsonl") == 2
    assert "--set data.columns='{input: review, output: stars}'" in capsys.readouterr().err
    assert run("init", "plain.jsonl", "--set", "data.columns={input: a, output: b}") == 0


def test_bad_rows_are_summarised_and_the_config_is_written(here: Path, capsys) -> None:
    write_jsonl(here / "train.jsonl", [*labelled(), {"text": "x", "label": ""}])
    assert run("init", "train.jsonl") == 0
    printed = capsys.readouterr().out
    assert "found   error D105 empty-answer: train.jsonl:31" in printed
    assert "exactune check task.yaml" in printed
    assert run("check", "task.yaml") == 1
    assert run("train", "task.yaml", "--dry-run", "--set", "check.on_error=skip") == 0


def test_no_usable_row(here: Path, capsys) -> None:
    write_jsonl(here / "train.jsonl", [{"text": "x", "label": ""}] * 3)
    assert run("init", "train.jsonl") == 2
    assert "D105" in capsys.readouterr().err
    assert list(here.iterdir()) == [here / "train.jsonl"]


def test_an_existing_file_is_kept(here: Path) -> None:
    data = splits(here, "train.jsonl")
    (here / "task.yaml").write_text("mine", encoding="utf-8")
    assert run("init", *data) == 2
    assert (here / "task.yaml").read_text(encoding="utf-8") == "mine"
    assert run("init", *data, "--overwrite") == 0
    assert run("train", "task.yaml", "--dry-run") == 0


def test_standard_output(here: Path, capsys) -> None:
    assert run("init", *splits(here, "train.jsonl"), "-o", "-") == 0
    printed = capsys.readouterr()
    assert yaml.safe_load(printed.out)["data"]["train"] == "train.jsonl"
    assert "task    classification" in printed.err
    assert not (here / "task.yaml").exists()


@pytest.mark.parametrize(
    ("output", "message"), [("task", "ends in .yaml"), ("absent/task.yaml", "there is no folder absent")]
)
def test_places_that_cannot_hold_a_config(output: str, message: str, here: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        init(splits(here, "train.jsonl"), output=output)


def test_files_that_hold_nothing_to_train_on(here: Path) -> None:
    with pytest.raises(DataError, match="there is no training file: dev.jsonl is for eval"):
        init([Path(path).name for path in splits(here, "dev.jsonl", "test.jsonl")])
    (here / "empty" / "below").mkdir(parents=True)
    with pytest.raises(DataError, match="no data file .* lies in this folder. Name one of the folders in it"):
        init([str(here / "empty")])


def test_rows_that_are_a_little_too_long_get_room(here: Path) -> None:
    items = [*labelled(), {"text": "x " * 2500, "label": "正面"}]
    write_jsonl(here / "train.jsonl", items)
    text, config = draft("train.jsonl")
    assert 2048 < config.training.max_seq_length <= 4096
    assert "longer than the usual 2,048 tokens, so `training.max_seq_length` is raised to" in flat(text)
    assert draft("train.jsonl", assignments=["max_seq_length=2048"])[1].training.max_seq_length == 2048
    write_jsonl(here / "train.jsonl", [*items, {"text": "x " * 9000, "label": "正面"}])
    text, config = draft("train.jsonl")
    assert config.training.max_seq_length == 2048
    assert "errors in 2 places (D501 row-too-long)" in flat(text)


def test_a_data_set_of_the_hub_is_named_as_it_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = name_splits(["owner/name", "owner/name:test"], here)
    assert found.data == {"data.train": "owner/name:train", "data.eval": [], "data.test": "owner/name:test"}
    assert found.name == "name"


def test_a_model_that_is_not_at_hand(here: Path) -> None:
    text, config = draft(*splits(here, "train.jsonl"), model="nobody/nothing-here")
    assert config.model == "nobody/nothing-here"
    assert "not looked at, so tokens were not counted" in text
    assert "# learning_rate: 1.0e-05 " in text, "the recipe of that model, not of the one that counted"


def test_a_config_in_a_linked_folder(here: Path) -> None:
    splits(here / "real" / "data", "train.jsonl")
    (here / "real" / "configs").mkdir()
    (here / "link").symlink_to(here / "real" / "configs")
    assert run("init", "real/data/train.jsonl", "-o", "link/task.yaml") == 0
    assert run("train", "link/task.yaml", "--dry-run") == 0
