"""Every YAML and JSONL block of the method guide, as users will paste it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from exactune.bases import Base
from exactune.config import Config, Epochs
from exactune.data.load import load_paths
from exactune.layers import read_patch, resolve
from exactune.recipes import choose

BASE_CONFIG = """
training:
  method: "sft"
  num_epochs: 5-8
  learning_rate: 1e-5
  per_device_train_batch_size: 4
  gradient_accumulation_steps: 4
  warmup_ratio: 0.1
  weight_decay: 0.01
  max_seq_length: 2048
"""
OVERFIT = """
# 解決方案
lora_dropout: 0.1        # 增加 dropout
num_epochs: 3            # 減少 epochs
weight_decay: 0.05       # 增加正則化
"""
UNDERFIT = """
# 解決方案
r: 64                    # 增加 LoRA rank
num_epochs: 10           # 增加 epochs
learning_rate: 2e-5      # 提高學習率
"""
FORMAT_ERRORS = """
# 解決方案
# 1. 確保訓練資料格式一致
# 2. 增加相關樣本
# 3. 使用結構化 prompt
"""
CHAT = """{
  "messages": [
    {"role": "system", "content": "你是情感分析助手..."},
    {"role": "user", "content": "分析這段文字的情感：台積電股價大漲"},
    {"role": "assistant", "content": "{\\"sentiment\\": \\"正面\\"}"}
  ]
}
"""
INSTRUCTION = """{
  "instruction": "分析這段文字的情感",
  "input": "台積電股價大漲",
  "output": "{\\"sentiment\\": \\"正面\\"}"
}
"""
PLAIN = Base("some/model", "some/model")


def config_from(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "block.yaml"
    file.write_text(text, encoding="utf-8")
    return resolve([read_patch(file)]).config


def test_the_base_configuration(tmp_path: Path) -> None:
    training = config_from(tmp_path, BASE_CONFIG).training
    assert training.num_epochs == Epochs(5, 8)
    assert training.learning_rate == 1e-5
    assert training.per_device_train_batch_size * training.gradient_accumulation_steps == 16
    assert (training.warmup_ratio, training.weight_decay, training.max_seq_length) == (0.1, 0.01, 2048)


def test_the_remedies(tmp_path: Path) -> None:
    over, under = config_from(tmp_path, OVERFIT), config_from(tmp_path, UNDERFIT)
    assert over.lora is not None
    assert under.lora is not None
    assert (over.lora.lora_dropout, over.training.num_epochs, over.training.weight_decay) == (0.1, Epochs(3, 3), 0.05)
    assert (under.lora.r, under.training.num_epochs, under.training.learning_rate) == (64, Epochs(10, 10), 2e-5)
    assert config_from(tmp_path, FORMAT_ERRORS) == Config()


@pytest.mark.parametrize(
    ("rows", "epochs", "rate"),
    [
        (1, "8-10", 1e-5),
        (499, "8-10", 1e-5),
        (500, "5-8", 1e-5),
        (1999, "5-8", 1e-5),
        (2000, "3-5", 5e-6),
        (4999, "3-5", 5e-6),
        (5000, "2-3", 5e-6),
        (100_000, "2-3", 5e-6),
    ],
)
def test_the_table_by_number_of_rows(rows: int, epochs: str, rate: float) -> None:
    values = choose(rows, PLAIN).patch.values
    assert (values["training.num_epochs"], values["training.learning_rate"]) == (epochs, rate)


@pytest.mark.parametrize(
    ("rows", "band"),
    [(99, None), (100, (0.7, 0.8)), (500, (0.8, 0.88)), (2000, (0.88, 0.92)), (9999, (0.88, 0.92)), (10000, (0.92, 1))],
)
def test_the_expected_band(rows: int, band: tuple[float, float] | None) -> None:
    expected = choose(rows, PLAIN).expected
    assert (expected and (expected.low, expected.high)) == band


def test_the_recipe_base_is_the_config_default() -> None:
    recipe = choose(500, PLAIN).patch
    assert resolve([recipe]).config == Config()


def test_a_declared_factor_multiplies_the_recipe_and_says_so() -> None:
    base = Base("small", "small", {"learning_rate_factor": 200, "full_learning_rate_factor": 50})
    recipe = choose(100, base)
    assert recipe.patch.values["training.learning_rate"] == pytest.approx(2e-3)
    assert "factor of 200" in recipe.patch.reason
    assert choose(100, base, full=True).patch.values["training.learning_rate"] == pytest.approx(5e-4)


@pytest.mark.parametrize("block", [CHAT, INSTRUCTION], ids=["chat", "instruction"])
@pytest.mark.parametrize("copies", [1, 3])
def test_the_data_blocks_as_printed_and_one_per_line(block: str, copies: int, tmp_path: Path) -> None:
    printed, lines = tmp_path / "printed.jsonl", tmp_path / "lines.jsonl"
    printed.write_text(block * copies, encoding="utf-8")
    lines.write_text((json.dumps(json.loads(block), ensure_ascii=False) + "\n") * copies, encoding="utf-8")
    for file in (printed, lines):
        loaded = load_paths([str(file)])
        assert loaded.rejected == ()
        assert [example.answer for example in loaded.splits.train] == ['{"sentiment": "正面"}'] * copies
        assert "台積電股價大漲" in loaded.splits.train[0].input
    starts = [example.location.line for example in load_paths([str(printed)]).splits.train]
    assert starts == [1 + index * block.count("\n") for index in range(copies)]


def test_the_recipes_file_is_plain_yaml() -> None:
    import exactune

    path = Path(exactune.__file__).with_name("recipes.yaml")
    assert set(yaml.safe_load(path.read_text(encoding="utf-8"))) == {
        "base",
        "rows",
        "minimum_rows",
        "methods",
        "expected",
    }
