"""Exports: merged weights beside sums made by hand, and folders that answer as the run did."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils.integrations import dequantize_module_weight
from safetensors import SafetensorError
from safetensors.torch import load_file
from test_bad_inputs import run as command
from transformers import AutoModelForCausalLM, AutoTokenizer

import exactune
from exactune.bases import find_base
from exactune.errors import ModelError, RunError
from exactune.export import folder as folders
from exactune.export.merge import merge
from exactune.exporting import export
from exactune.infer.model import load_base
from exactune.plan import Plan, config_source, make_plan
from exactune.rundir import Run, read_json, read_jsonl, write_json

import tiny
from made import write_task

QUICK = "training: {num_epochs: 1, learning_rate: 1e-3}\nevaluate: {baselines: [majority], train_rows: 0}\n"
LEARNS = (
    "training: {num_epochs: 3, learning_rate: 5e-3, gradient_accumulation_steps: 1}\n"
    "quantization: 4bit\nevaluate: {baselines: [majority], train_rows: 0}\n"
)


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A LoRA run of the tiny base."""
    folder = tmp_path_factory.mktemp("whole")
    return exactune.train(write_task(folder, base, QUICK), output=str(folder / "run"))


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A QLoRA run of the embedded base, which answers all test rows right."""
    pytest.importorskip("bitsandbytes", reason="the extra `qlora` brings it")
    folder = tmp_path_factory.mktemp("four")
    return exactune.train(write_task(folder, Path("mini"), LEARNS), output=str(folder / "run"))


@pytest.fixture(params=["whole", "four"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.getfixturevalue(request.param)


def adapted(model: torch.nn.Module) -> dict[str, numpy.ndarray]:
    """Name -> merged weight of every adapted layer, in float64 by the definition of LoRA."""
    return {
        name: dequantize_module_weight(layer.base_layer).detach().double().numpy()
        + layer.scaling["default"]
        * layer.lora_B["default"].weight.detach().double().numpy()
        @ layer.lora_A["default"].weight.detach().double().numpy()
        for name, layer in model.get_base_model().named_modules()
        if hasattr(layer, "lora_A")
    }


def test_a_merged_model_is_the_adapter_over_its_base(run: Run, tmp_path: Path) -> None:
    artifact = exactune.load(run.path)
    by_hand, lines = adapted(artifact.model), []
    prompts = [artifact.template.prompt_ids(artifact.prompt(f"第{n}號公司股價大漲")) for n in range(3)]
    with torch.no_grad():
        live = [artifact.model(torch.tensor([ids])).logits for ids in prompts]

    folder = export(run, merged=True, say_line=lines.append)
    assert folder == run.path / "export" / "merged"
    (found,) = lines
    assert "on 12 test rows" in found
    assert "0 answers differ; weights in float32" in found
    card, before = read_json(folder / "exactune.json"), read_json(run.adapter / "exactune.json")
    assert (card["adapter"], card["quantization"], card["calibration"]) == (False, "none", before["calibration"])
    quantization = before["quantization"]
    figures = card["export"]
    assert figures["quantization"] == quantization
    assert figures["adapter"] == read_json(run.metrics)["metrics"]["macro_f1"]["value"] == figures["merged"]
    assert (quantization, figures["adapter"] == 1) in (("4bit", True), ("none", False))
    assert (figures["rows"], figures["split"], figures["golden"]) == (12, "test", len(before["golden"]))

    tensors = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in tensors, "tied embeddings stay tied"
    for name, weight in by_hand.items():
        assert numpy.abs(tensors[f"{name}.weight"].double().numpy() - weight).max() < 1e-6

    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert plain.lm_head.weight is plain.model.embed_tokens.weight
    assert AutoTokenizer.from_pretrained(folder).chat_template == artifact.template.tokenizer.chat_template
    assert not [key for key in json.loads((folder / "config.json").read_text()) if "quant" in key]
    with torch.no_grad():
        for ids, logits in zip(prompts, live, strict=True):
            assert float((plain(torch.tensor([ids])).logits - logits).abs().max()) < 1e-3

    given = [row["answer"] for row in exactune.predict(folder, run.path.parent / "test.jsonl")]
    assert given == [row["answer"] for row in read_jsonl(run.predictions)]
    assert exactune.load(folder).template.stop_ids == artifact.template.stop_ids


def test_a_merged_model_that_scores_otherwise_is_refused(
    four: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(model: PeftModel, dtype: torch.dtype) -> torch.nn.Module:
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.data.neg_()
        return merge(model, dtype)

    monkeypatch.setattr(folders, "merge", without)
    with pytest.raises(ModelError, match=r"its adapter 1\.0000: more than 0\.005 apart.*Nothing was written"):
        export(four, merged=True, output=tmp_path / "out")
    assert [*tmp_path.iterdir()] == []


def test_the_adapter_is_copied_and_said_so(whole: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("export", str(whole.path), "--to", "adapter", "-o", str(tmp_path / "out")) == 0
    assert capsys.readouterr().out == f"export  {tmp_path / 'out'}\n"
    names = sorted(path.name for path in whole.adapter.iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for name in set(names) - {"exactune.json"}:
        assert (tmp_path / "out" / name).read_bytes() == (whole.adapter / name).read_bytes()
    assert read_json(tmp_path / "out" / "exactune.json")["export"] == {"to": "adapter", "files": names}
    shutil.rmtree(tmp_path / "out")


def test_nothing_but_an_earlier_export_is_replaced(whole: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    for target in (tmp_path, tmp_path / "mine.txt", whole.adapter):
        with pytest.raises(RunError, match="something else than an earlier export"):
            export(whole, merged=False, output=target)
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"
    first = export(whole, merged=False, output=tmp_path / "out")
    export(whole, merged=False, output=tmp_path / "out")
    assert first == tmp_path / "out"
    (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match="something else than an earlier export"):
        export(whole, merged=False, output=tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_link_to_another_disk_stays_one(whole: Run, tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "large")
    for _ in range(2):
        export(whole, merged=False, output=tmp_path / "out")
        assert (tmp_path / "large" / "exactune.json").is_file()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["large", "out"]


def test_a_base_is_not_replaced_by_what_was_trained_over_it(whole: Run, tmp_path: Path) -> None:
    merged = export(whole, merged=True, output=tmp_path / "out")
    again = exactune.train(write_task(tmp_path, merged, QUICK), output=str(tmp_path / "again"))
    for to_one in (True, False):
        with pytest.raises(RunError, match="out is the base that the run was trained over"):
            export(again, merged=to_one, output=merged)
    exactune.load(again.path)


@pytest.mark.parametrize("to", ["adapter", "merged"])
def test_a_run_without_an_artifact_has_nothing_to_export(
    whole: Run, tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole.path, run)
    shutil.rmtree(run / "adapter")
    for name in ("train", "eval", "test"):
        shutil.copyfile(whole.path.parent / f"{name}.jsonl", tmp_path / f"{name}.jsonl")
    assert command("export", str(run), "--to", to, "-o", str(tmp_path / "out")) == 2
    assert "no artifact here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["adapter", "merged"])
def test_a_folder_that_cannot_be_written_is_said(
    whole: Run, tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    out = tmp_path / "file" / "out"
    assert command("export", str(whole.path), "--to", to, "-o", str(out)) == 2
    assert f"{out} cannot be written: " in " ".join(capsys.readouterr().err.split())


def test_a_disk_that_runs_full_leaves_nothing_half_written(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, *rest: object) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(folders, "save_whole", full)
    with pytest.raises(RunError, match="out cannot be written: .*No space left on device"):
        export(whole, merged=True, output=tmp_path / "out")
    assert [*tmp_path.iterdir()] == []


def planned(folder: Path, head: str) -> Plan:
    config = folder / "next.yaml"
    config.write_text(f"{head}\ndata: {{train: train.jsonl, eval: eval.jsonl}}\n", encoding="utf-8")
    return make_plan(config_source(config))


def test_a_merged_model_is_trained_further_as_its_base_would_be(four: Run, tmp_path: Path) -> None:
    """By rates that fit the embedded base, which declares them."""
    merged, folder = export(four, merged=True, output=tmp_path / "out"), four.path.parent
    for lora in ("", "lora: {r: 8}", "lora: none"):
        expected = planned(folder, f"model: mini\n{lora}").config
        assert expected.training.learning_rate > 1e-4
        for key in ("model", "start_from"):
            plan = planned(folder, f"{key}: {merged}\n{lora}")
            assert (plan.config.training, plan.config.lora) == (expected.training, expected.lora)
            assert plan.base.location == str(merged)


def test_a_merged_model_needs_no_base(tmp_path: Path) -> None:
    base = tiny.save_base(tmp_path / "base")
    run = exactune.train(write_task(tmp_path, base, QUICK), output=str(tmp_path / "run"))
    merged = export(run, merged=True, output=tmp_path / "out")
    shutil.rmtree(base)
    exactune.load(merged)
    assert planned(tmp_path, f"start_from: {merged}").base.location == str(merged)
    merged.rename(base)
    assert planned(tmp_path, f"model: {base}").base.declared == {}


def test_a_run_with_exports_is_still_a_run(whole: Run) -> None:
    export(whole, merged=False)
    with pytest.raises(RunError, match="already holds a run"):
        whole.ensure_free()
    whole.ensure_free(overwrite=True)


def test_all_weights_need_no_merging(
    task: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, lines = (
        exactune.train(task("lora: none\nevaluate: {baselines: [majority]}\n"), assignments=["num_epochs=1"]),
        [],
    )
    folder = export(run, merged=True, say_line=lines.append)
    assert lines == ["merged  all weights were trained, so there is nothing to merge: the model is copied"]
    assert (folder / "model.safetensors").read_bytes() == (run.model / "model.safetensors").read_bytes()
    again = [row["answer"] for row in exactune.predict(folder, tmp_path / "test.jsonl")]
    assert again == [row["answer"] for row in read_jsonl(run.predictions)]
    # As on a GPU, where bases are in bfloat16, and weights that were trained in float32.
    monkeypatch.setattr("exactune.infer.model.default_dtype", lambda device: torch.bfloat16)
    assert exactune.load(folder).model.dtype == exactune.load(run.path).model.dtype == torch.float32


@pytest.mark.parametrize("block", ["lora: {r: 4}\n", "lora: none\n"])
def test_a_whole_model_is_served_as_it_was_evaluated(tmp_path: Path, block: str) -> None:
    """Its base samples and stops at another token, in a config that transformers does not write again once changed."""
    base = tiny.save_base(tmp_path / "base")
    odd = {"eos_token_id": 0, "temperature": 0.9, "top_p": 0.6}
    (base / "generation_config.json").write_text(json.dumps(odd), encoding="utf-8")
    run = exactune.train(write_task(tmp_path, base, QUICK + block), output=str(tmp_path / "run"))
    folder = export(run, merged=True)
    artifact, plain = exactune.load(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert plain.generation_config.to_diff_dict().keys() & {"temperature", "top_p", "do_sample"} == set()
    assert plain.generation_config.eos_token_id == [*artifact.template.stop_ids]
    assert set(artifact.template.stop_ids) == {0, artifact.template.stop_id}


def lora(base: Path, quantization: str = "none", **settings: object) -> PeftModel:
    """A random adapter over the tiny base that changes what it computes."""
    whole, _ = load_base(find_base(str(base)), quantization=quantization)
    model = get_peft_model(whole, LoraConfig(r=4, task_type="CAUSAL_LM", **settings))
    torch.manual_seed(1)
    for tensor in model.parameters():
        if tensor.requires_grad:
            torch.nn.init.normal_(tensor, std=0.1)
    return model.eval()


def test_layers_without_an_adapter_keep_what_the_run_computed_with(wide: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="the extra `qlora` brings it")
    model = lora(wide, quantization="4bit", target_modules=["up_proj"])
    expected = dequantize_module_weight(model.get_base_model().model.layers[1].mlp.down_proj).clone()
    merged = merge(model, torch.float32)
    assert torch.equal(merged.model.layers[1].mlp.down_proj.weight, expected)
    assert {type(module).__name__ for module in merged.modules()} & {"Linear4bit", "Linear8bitLt"} == set()


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "up_proj"])
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_an_adapter_of_one_of_two_tied_tensors_unties_them(base: Path, target: str, tmp_path: Path) -> None:
    model = lora(base, target_modules=[target])
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        live = model(ids).logits
    merge(model, torch.float32).save_pretrained(tmp_path)
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    with torch.no_grad():
        assert float((again(ids).logits - live).abs().max()) < 1e-4
    assert not info["missing_keys"]
    assert again.config.tie_word_embeddings == (target == "up_proj")


def test_merging_is_what_peft_does_on_whole_weights(base: Path) -> None:
    expected = lora(base, target_modules="all-linear").merge_and_unload().state_dict()
    found = merge(lora(base, target_modules="all-linear"), torch.float32).state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-7) for name in expected)


def test_a_merged_model_is_rounded_once(base: Path) -> None:
    exact = merge(lora(base, target_modules="all-linear"), torch.float32).state_dict()
    found = merge(lora(base, target_modules="all-linear"), torch.bfloat16).state_dict()
    assert all(torch.equal(found[name], exact[name].to(torch.bfloat16)) for name in exact)


@pytest.mark.parametrize(
    "settings", [{"modules_to_save": ["embed_tokens"]}, {"use_dora": True}, {"bias": "lora_only"}], ids=str
)
def test_an_adapter_with_other_parts_is_refused(base: Path, settings: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        merge(lora(base, target_modules=["q_proj"], **settings), torch.float32)


def test_a_run_that_computed_in_fewer_bits_is_merged_in_them(four: Run, tmp_path: Path) -> None:
    card = read_json(four.adapter / "exactune.json")
    write_json(four.adapter / "exactune.json", {**card, "dtype": "bfloat16"})
    try:
        folder = export(four, merged=True, output=tmp_path / "out")
    finally:
        write_json(four.adapter / "exactune.json", card)
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    assert AutoModelForCausalLM.from_pretrained(folder, dtype="auto").dtype == torch.bfloat16


def test_rows_that_changed_are_no_proof(whole: Run, tmp_path: Path) -> None:
    rows = whole.path.parent / "test.jsonl"
    text = rows.read_text(encoding="utf-8")
    rows.write_text(text.replace("公司", "企業"), encoding="utf-8")
    with pytest.raises(RunError, match=r"test\.jsonl changed since the run.*`exactune eval --data FILE`"):
        export(whole, merged=True, output=tmp_path / "out")
    rows.write_text(text, encoding="utf-8")
