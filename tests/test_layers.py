from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exactune.config import Config, Epochs, config_keys
from exactune.errors import ConfigError
from exactune.layers import ALIASES, parse_assignment, parse_mapping, read_patch, resolve, to_yaml
from exactune.types import Patch


def config_of(mapping: dict) -> Config:
    return resolve([parse_mapping(mapping, "file t.yaml")]).config


def test_stronger_layers_win_and_each_value_knows_its_source() -> None:
    recipe = Patch({"training.num_epochs": "8-10", "training.learning_rate": 1e-5, "lora.r": 32}, "recipe")
    file = parse_mapping({"training": {"num_epochs": 3}, "lora": {"r": 16}}, "file t.yaml")
    found = resolve([recipe, file, parse_assignment("lora.r=8")])
    assert found.config.training.num_epochs == Epochs(3, 3)
    assert found.config.lora is not None
    assert found.config.lora.r == 8
    assert found.source("training.num_epochs") == "file t.yaml"
    assert found.source("lora.r") == "--set"
    assert found.source("training.learning_rate") == "recipe"
    assert found.source("training.seed") == "default"


def test_lora_none_beats_a_recipe_and_a_later_rank_brings_it_back() -> None:
    recipe = Patch({"lora.r": 32, "lora.lora_alpha": 64}, "recipe")
    off = parse_mapping({"lora": "none"}, "file t.yaml")
    assert resolve([recipe, off]).config.lora is None
    back = resolve([recipe, off, parse_assignment("lora.r=4")])
    assert back.config.lora is not None
    assert back.config.lora.r == 4
    assert back.source("lora.lora_alpha") == "file t.yaml"


@pytest.mark.parametrize(("alias", "path"), ALIASES.items())
def test_aliases_lead_to_known_keys_and_are_said(alias: str, path: str) -> None:
    assert path in config_keys()[1]
    patch = parse_mapping({alias: 1}, "file t.yaml")
    assert list(patch.values) == [path]
    assert patch.reason == f"{alias} -> {path}"


def test_flat_and_misplaced_names_are_found_by_their_leaf() -> None:
    patch = parse_mapping({"lora_dropout": 0.1, "r": 64, "training": {"max_length": 99}}, "file t.yaml")
    assert patch.values == {"lora.lora_dropout": 0.1, "lora.r": 64, "training.max_seq_length": 99}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"training": {"num_epoch": 3}}, "unknown key `training.num_epoch`. Did you mean `training.num_epochs`"),
        ({"trainig": {"seed": 3}}, "Did you mean `training`"),
        ({"lora_rnk": 3}, "Did you mean `lora.r`"),
        ({"zzz": 3}, "Known here: data, task"),
        ({"lr": 1, "learning_rate": 2}, "`training.learning_rate` is set twice"),
    ],
)
def test_unknown_keys_name_the_nearest(mapping: dict, message: str) -> None:
    with pytest.raises(ConfigError, match="file t.yaml") as caught:
        parse_mapping(mapping, "file t.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"training": {"learning_rate": "fast"}}, "`training.learning_rate`: Input should be a valid number"),
        ({"training": {"num_epochs": "8-5"}}, "a range must rise"),
        ({"training": {"num_epochs": 0}}, "more than 0"),
        ({"training": {"num_epochs": True}}, "a number of epochs"),
        ({"lora": 3}, "`lora`"),
        ({"lora": {"r": 0}}, "greater than or equal to 1"),
        ({"task": "poetry"}, "'classification'"),
        ({"training": {"method": "ppo"}}, "'sft'"),
        ({"data": {"mix": [{"path": "a", "ration": 1}]}}, "`data.mix.0.ration`"),
    ],
)
def test_wrong_values_say_where_what_and_found(mapping: dict, message: str) -> None:
    with pytest.raises(ConfigError, match="file t.yaml: ") as caught:
        config_of(mapping)
    assert message in str(caught.value)
    assert "found" in str(caught.value)


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        config_of({"training": {"seed": "x", "learning_rate": "y"}})
    assert len(str(caught.value).splitlines()) == 2


def test_shorthands() -> None:
    assert config_of({"task": "json"}).task.type == "json"
    assert config_of({"data": {"train": "a.jsonl"}}).data.train == ["a.jsonl"]
    assert config_of({"training": {"learning_rate": "1e-5"}}).training.learning_rate == 1e-5
    assert config_of({"task": {"type": "json", "schema": {"type": "object"}}}).task.json_schema == {"type": "object"}


def test_assignments() -> None:
    assert parse_assignment("task.labels=[正面, 負面]").values == {"task.labels": ["正面", "負面"]}
    for wrong in ("lora", "=3", "lora.r=[", "lora.q=3"):
        with pytest.raises(ConfigError):
            parse_assignment(wrong)


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("# only comments\n", encoding="utf-8")
    assert read_patch(file).values == {}
    for text, message in [
        ("- a\n", "a config is a mapping"),
        ("a: [", "not readable YAML"),
        ("lora: {r: 1}\nmodel: a\nmodel: b\n", "line 3: key `model` stands twice"),
    ]:
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="t.yaml") as caught:
            read_patch(file)
        assert message in str(caught.value)
    with pytest.raises(ConfigError, match="No such file"):
        read_patch(tmp_path / "absent.yaml")


def test_the_written_config_loads_to_the_same_tree_and_shows_sources() -> None:
    found = resolve([parse_mapping({"lora": "none", "task": "json", "gate": {"field_f1": 0.5}}, "file t.yaml")])
    text = to_yaml(found, ["head"])
    assert resolve([parse_mapping(yaml.safe_load(text), "again")]).config == found.config
    assert "lora: none  # file t.yaml" in text
    assert "seed: 42  # default" in text


def test_every_field_has_a_docstring() -> None:
    def walk(model: type) -> None:
        for name, info in model.model_fields.items():
            inner = config_keys()[0].get(name)
            assert info.description or inner, f"{model.__name__}.{name}"

    for model in {Config, *config_keys()[0].values()}:
        walk(model)


def test_only_bare_names_are_looked_for_elsewhere() -> None:
    for mapping in ({"evaluate": {"seed": 7}}, {"evaluate.seed": 7}, {"training": {"r": 64}}):
        with pytest.raises(ConfigError, match="unknown key"):
            parse_mapping(mapping, "file t.yaml")


def test_a_key_below_a_mapping_is_merged_into_it() -> None:
    file = parse_mapping({"gate": {"macro_f1": 0.8}, "data": {"limit": {"train": 5}}}, "file t.yaml")
    found = resolve([file, parse_assignment("gate.accuracy=0.7"), parse_assignment("data.limit.test=3")])
    assert found.config.gate == {"macro_f1": 0.8, "accuracy": 0.7}
    assert found.config.data.limit == {"train": 5, "test": 3}


def test_an_empty_block_is_not_none() -> None:
    with pytest.raises(ConfigError, match="`lora` is empty"):
        parse_mapping({"lora": None}, "file t.yaml")


def test_yaml_merge_keys(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("training: &t {seed: 3}\nlora: {r: 8}\nevaluate: {rows: 5}\n")
    assert read_patch(file).values == {"training.seed": 3, "lora.r": 8, "evaluate.rows": 5}
    file.write_text("training:\n  <<: {seed: 3}\n  logging_steps: 5\n")
    assert read_patch(file).values == {"training.seed": 3, "training.logging_steps": 5}
