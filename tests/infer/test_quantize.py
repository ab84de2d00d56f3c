"""Weights in 4 bits: which, and what they are, beside NF4 computed by hand."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import transformers
from peft.utils.integrations import dequantize_module_weight

from exactune.bases import find_base
from exactune.config import LoraSettings, TrainingConfig
from exactune.errors import ConfigError, MissingExtra, ModelError
from exactune.infer import quantize
from exactune.infer.engine import answer_loss
from exactune.infer.model import load_base
from exactune.infer.quantize import describe_quantized, refuse_misread, refuse_missing_extra, size
from exactune.render.template import Encoded
from exactune.train.adapter import make_trainable, parameter_counts
from exactune.train.engine import choose_engine, tree_cost
from exactune.train.movement import Movement
from exactune.train.steps import trees

LEVELS = numpy.array([
    -1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
])  # fmt: skip
"""NF4, as appendix E of the QLoRA paper lists it."""
LORA = LoraSettings(r=4, lora_alpha=8)
ROWS = [Encoded(str(n), [5, 6, 7, 8, 9, 20 + n, 30 + n], [40 + n, 2]) for n in range(4)]


@pytest.fixture
def bitsandbytes() -> Any:
    return pytest.importorskip("bitsandbytes", reason="the extra `qlora` brings it")


@pytest.fixture
def model(bitsandbytes: Any, wide: Path) -> torch.nn.Module:
    return load_base(find_base(str(wide)), quantization="4bit")[0]


@pytest.fixture
def whole(wide: Path) -> torch.nn.Module:
    return load_base(find_base(str(wide)))[0]


def in_four_bits(model: torch.nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if type(module).__name__ == "Linear4bit"]


def test_every_linear_layer_but_the_output_layer(model: torch.nn.Module, whole: torch.nn.Module) -> None:
    linear = [name for name, module in whole.named_modules() if isinstance(module, torch.nn.Linear)]
    assert in_four_bits(model) == [name for name in linear if name != "lm_head"]
    assert len(in_four_bits(model)) == 14
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.lm_head.weight.dtype == torch.float32
    part = sum(module.in_features * module.out_features for module in map(model.get_submodule, linear[:-1]))
    share = part / sum(tensor.numel() for tensor in whole.parameters())
    assert f"14 linear layers hold {share:.0%} of the weights" in describe_quantized(model)


def test_the_embedded_base_has_no_layer_that_stays_whole(bitsandbytes: Any) -> None:
    mini = load_base(find_base("mini"), quantization="4bit")[0]
    assert len(in_four_bits(mini)) == 4 * 7
    layer = mini.get_submodule("model.layers.0.mlp.up_proj")
    assert layer.weight.numel() * 2 == layer.in_features * layer.out_features


def test_each_weight_is_the_nearest_level_of_its_block(model: torch.nn.Module, whole: torch.nn.Module) -> None:
    for name in in_four_bits(model):
        exact = whole.get_submodule(name).weight.detach().double().numpy().reshape(-1, 64)
        found = dequantize_module_weight(model.get_submodule(name)).double().numpy().reshape(-1, 64)
        largest = numpy.abs(exact).max(1, keepdims=True)
        levels = LEVELS[numpy.abs(exact[..., None] / largest[..., None] - LEVELS).argmin(-1)]
        # The scales themselves are kept in 8 bits.
        scales = (found * levels).sum(1, keepdims=True) / (levels * levels).sum(1, keepdims=True)
        assert numpy.abs(scales / largest - 1).max() < 0.02
        assert numpy.abs(found - levels * scales).max() < 1e-6


def scales(bitsandbytes: Any, layer: torch.nn.Module) -> torch.Tensor:
    """One for each block of 64 weights."""
    state = layer.weight.quant_state
    return bitsandbytes.functional.dequantize_blockwise(state.absmax, state.state2) + state.offset


def test_what_this_machine_misreads_is_refused_before_it_trains(
    bitsandbytes: Any, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of 32 half fill a block of 64; with AVX-512, bitsandbytes 0.50 takes the scale of another block."""
    with monkeypatch.context() as patch:
        patch.setattr("exactune.infer.model.refuse_misread", lambda model: None)
        model = load_base(find_base(str(base)), quantization="4bit")[0]
    layer = model.get_submodule("model.layers.0.self_attn.q_proj")
    packed = layer.weight.data.numpy().reshape(-1)
    levels = LEVELS[numpy.stack([packed >> 4, packed & 15], 1)].reshape(-1, 64)
    written = levels * scales(bitsandbytes, layer).double().numpy()[:, None]
    if numpy.abs(dequantize_module_weight(layer).double().numpy().reshape(-1, 64) - written).max() < 1e-6:
        refuse_misread(model)
        pytest.skip("here bitsandbytes reads rows of 32 as they were written, and a model that has them loads")
    with pytest.raises(ModelError, match=r"`model\.layers\.0\.self_attn\.q_proj` wrongly on this cpu: .*32 weights"):
        load_base(find_base(str(base)), quantization="4bit")


@pytest.mark.parametrize("double", [True, False])
def test_a_base_that_was_published_in_four_bits(bitsandbytes: Any, wide: Path, tmp_path: Path, double: bool) -> None:
    shutil.copytree(wide, tmp_path, dirs_exist_ok=True)
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double
    )
    load = transformers.AutoModelForCausalLM.from_pretrained
    load(wide, dtype=torch.float32, quantization_config=settings).save_pretrained(tmp_path)
    published, _ = load_base(find_base(str(tmp_path)))
    assert len(in_four_bits(published)) == 14
    with pytest.raises(ConfigError, match="`lora: none`: the base comes in fewer bits"):
        make_trainable(published, None, 0)
    assert make_trainable(published, LORA, 0)


def test_what_a_base_was_quantized_with_is_named_where_it_is_missing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*args: Any, **options: Any) -> None:
        raise ImportError("Loading a GPTQ quantized model requires optimum (`pip install optimum`)")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", missing)
    with pytest.raises(ModelError, match=r"cannot be loaded: Loading a GPTQ .*\(`pip install optimum`\)"):
        load_base(find_base(str(base)))


def test_a_wrong_scale_is_found_on_every_machine(
    bitsandbytes: Any, model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misread(layer: torch.nn.Module) -> torch.Tensor:
        """One row takes the scale of the first."""
        found, of_rows = dequantize_module_weight(layer), scales(bitsandbytes, layer)
        found[31] *= of_rows[0] / of_rows[31]
        return found

    refuse_misread(model)
    monkeypatch.setattr(quantize, "dequantize_module_weight", misread)
    with pytest.raises(ModelError, match=r"q_proj` wrongly .*64 weights.*Set `quantization: none`, or use a GPU"):
        refuse_misread(model)


def test_evaluation_leaves_the_weights_as_they_are(model: torch.nn.Module) -> None:
    """On some CPUs bitsandbytes would pack them anew, and nothing could be trained through them any more."""
    layers = [model.get_submodule(name) for name in in_four_bits(model)]
    assert [layer.support_avx512bf16_for_cpu for layer in layers] == [False] * 14
    before = [layer.weight.data.clone() for layer in layers]
    trained = make_trainable(model, LORA, 0)
    loss = answer_loss(trained, ROWS)
    assert all(torch.equal(layer.weight.data, data) for layer, data in zip(layers, before, strict=True))
    assert not any(getattr(layer.weight.quant_state, "packing_format_for_cpu", False) for layer in layers)
    assert answer_loss(trained, ROWS) == loss


def test_what_is_counted_and_measured_is_of_weights_not_of_bytes(
    model: torch.nn.Module, whole: torch.nn.Module
) -> None:
    names = in_four_bits(model)
    assert [size(model.get_submodule(name).weight) for name in names] == [
        whole.get_submodule(name).weight.numel() for name in names
    ]
    four, plain = make_trainable(model, LORA, 0), make_trainable(whole, LORA, 0)
    assert parameter_counts(four) == parameter_counts(plain)
    assert tree_cost(four, ROWS, TrainingConfig()) == tree_cost(plain, ROWS, TrainingConfig())
    adapted = [layer for layer in four.modules() if hasattr(layer, "lora_A")]
    squares = [float(dequantize_module_weight(one.base_layer).double().square().sum()) for one in adapted]
    assert Movement(four).before == pytest.approx(sum(squares) ** 0.5, rel=1e-5)
    assert Movement(four).before == pytest.approx(Movement(plain).before, rel=0.02)


def test_trees_hold_in_four_bits(model: torch.nn.Module) -> None:
    cost, note = choose_engine(make_trainable(model, LORA, 0), ROWS, TrainingConfig(engine="tree"))
    assert note is None
    assert cost is not None
    assert len(trees(cost)(list(enumerate(ROWS)))) == 1


@pytest.mark.parametrize("found", ["0.49.2", None])
def test_a_missing_extra_is_said_with_the_command(found: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(quantize, "version", version)
    refuse_missing_extra("none")
    with pytest.raises(MissingExtra, match=re.escape("0.50 or newer. Run `pip install 'exactune[qlora]'`.")):
        refuse_missing_extra("4bit")
