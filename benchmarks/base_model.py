"""What pre-training bought: the embedded base beside random weights of its shape, adapters beside full fine-tuning.

Usage: ``python benchmarks/base_model.py PART [PART ...] [--sets A,B] [--rows 200,1000] [--seeds 1,2,3]`` measures,
``python benchmarks/base_model.py table`` writes the tables into the base's model card. The parts:

- ``gain``: base and random weights, the base's own recipe, at 200 rows (three seeds), 1,000 and all.
- ``methods``: an adapter on attention, an adapter on all linear layers and full fine-tuning.
- ``rates``: learning rates, for the factor that the base declares.
- ``forgetting``: what ``evaluate.general`` measures on texts and instruction rows, without and with a tenth of general
  rows mixed in, and what mixing saved.

Every measurement is a whole run of ``exactune train`` on development data beside the checkout, scored on test rows.
It is appended to ``results/base_model.jsonl`` once, so a stopped batch goes on, and two can run at a time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from exactune.bases import EMBEDDED, find_base
from exactune.evaluate.forgetting import compared, in_words
from exactune.rundir import Run, read_json

HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data"
RESULTS = HERE / "results" / "base_model.jsonl"
METRICS = {
    "banking77": "accuracy",
    "waimai": "macro_f1",
    "snips": "field_f1",
    "cluener": "entity_f1",
    "twlaw": "field_f1",
}
ALL = 0
"""Instead of a number of rows."""

METHODS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "attention": {"lora": {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}},
    "all-linear": {"lora": {"target_modules": "all-linear"}},
    "full": {"lora": "none"},
}
RATES = {"all-linear": (1e-3, 2.5e-3, 5e-3, 1e-2), "full": (2.5e-4, 5e-4, 1e-3, 2e-3)}
"""The rate that the recipe gives, half and twice of it, and a lower one."""
GENERAL = {
    "en": "corpus_en_wikitext2",
    "zh-TW": "corpus_zh_tw_wiki",
    "zh-CN": "corpus_zh_cn_csl",
    "instructions": "replay_alpaca_en",
}


@dataclass(frozen=True)
class Measurement:
    """One run to make.

    Attributes:
        part: A word of the usage line.
        set: Folder of the development data.
        rows: Training rows, or ``ALL``.
        seed: Of rows, adapter and order; of the weights, too, where ``start`` is ``random``.
        start: ``base`` or ``random``.
        method: A key of ``METHODS``.
        rate: A learning rate instead of the recipe's, or None.
        mix: Share of general rows.
    """

    part: str
    set: str
    rows: int
    seed: int = 42
    start: str = "base"
    method: str = "recipe"
    rate: float | None = None
    mix: float = 0.0


def planned(part: str, given: argparse.Namespace) -> Iterator[Measurement]:
    """The measurements of a part."""
    sets = given.sets or list(METRICS)
    if part == "gain":
        for rows, name, start in itertools.product(given.rows or (200, 1000, ALL), sets, ("base", "random")):
            for seed in given.seeds or ((1, 2, 3) if rows == 200 else (1,)):
                yield Measurement(part, name, rows, seed, start)
    elif part == "methods":
        for rows, name, method in itertools.product(
            given.rows or (200, 1000), sets, ("attention", "all-linear", "full")
        ):
            for seed in given.seeds or ((1, 2, 3) if rows == 200 else (1,)):
                yield Measurement(part, name, rows, seed, method=method)
    elif part == "rates":
        for rows, name, method in itertools.product(given.rows or (200,), sets, RATES):
            for rate, seed in itertools.product(RATES[method], given.seeds or (1,)):
                yield Measurement(part, name, rows, seed, method=method, rate=rate)
    elif part == "forgetting":
        for rows, mix in itertools.product(given.rows or (1000,), (0.0, 0.1)):
            yield Measurement(part, "banking77", rows, 1, mix=mix)


def measure(item: Measurement) -> dict[str, Any]:
    """Make the run, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        base = Path(find_base("mini").location)
        model = place / "random"
        if item.start == "random":
            randomised(base, model, item.seed)
        config = place / "task.yaml"
        config.write_text(json.dumps(_config(item, model if item.start == "random" else "mini")), encoding="utf-8")
        run = Run(place / "run")
        began = time.time()
        command = [sys.executable, "-c", "from exactune.cli import main; main()", "train", str(config)]
        subprocess.run([*command, "--output", str(run.path)], check=True, stdout=subprocess.DEVNULL)
        figures = read_json(run.metrics)
        result = {
            "name": EMBEDDED["mini"],
            **asdict(item),
            "metric": METRICS[item.set],
            **figures["metrics"][METRICS[item.set]],
            "test_rows": figures["n"],
            "seconds": round(time.time() - began),
            "threads": torch.get_num_threads(),
        }
        if item.part == "forgetting":
            result["general"] = figures["general"]
        return result


def _config(item: Measurement, model: Path | str) -> dict[str, Any]:
    files = {split: str(DATA / item.set / f"{split}.jsonl") for split in ("train", "eval", "test")}
    limit = {"eval": 100, "test": 500} | ({"train": item.rows} if item.rows else {})
    training: dict[str, Any] = {"seed": item.seed} | ({"learning_rate": item.rate} if item.rate else {})
    data: dict[str, Any] = {**files, "limit": limit}
    if item.mix:
        data["mix"] = [{"path": str(DATA / "replay_alpaca_en" / "train.jsonl"), "ratio": item.mix}]
    # What only describes the rows takes time and says nothing of the base.
    evaluate: dict[str, Any] = {"baselines": [], "train_rows": 0}
    config = {"model": str(model), "data": data, "training": training, "evaluate": evaluate, **METHODS[item.method]}
    if item.part == "forgetting":
        evaluate |= {"general": [str(DATA / name / "test.jsonl") for name in GENERAL.values()]}
    return config


def randomised(base: Path, folder: Path, seed: int) -> None:
    """A copy of the base with the weights that its architecture starts with."""
    shutil.copytree(base, folder)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
    tensors = {name: value.contiguous() for name, value in model.state_dict().items() if name != "lm_head.weight"}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def measure_all(items: Iterable[Measurement]) -> None:
    """Every measurement that has no result yet."""
    for item in items:
        if any(asdict(item).items() <= done.items() for done in results()):
            continue
        result = measure(item)
        line = json.dumps(result, ensure_ascii=False)
        print(line, flush=True)
        with RESULTS.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        if item.part == "forgetting":
            show_forgetting(result)


def show_forgetting(result: dict[str, Any]) -> None:
    """What a run lost, and what mixing saved beside the run of the same rows without it."""
    print(*in_words(result["general"]), sep="\n")
    for other in results():
        if other["part"] == "forgetting" and other["rows"] == result["rows"] and other["mix"] != result["mix"]:
            print(*compared(result["general"], other["general"], _label(other)), sep="\n")


def results() -> list[dict[str, Any]]:
    """Everything measured for the present base."""
    if not RESULTS.is_file():
        return []
    found = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    return [result for result in found if result["name"] == EMBEDDED["mini"]]


def _cell(found: list[dict[str, Any]]) -> str:
    """One run with its interval, or the mean of several and their standard deviation."""
    if not found:
        return "-"
    values = [result["value"] for result in found]
    if len(values) > 1:
        return f"{mean(values):.3f} ± {stdev(values):.3f}"
    return f"{values[0]:.3f} ({found[0]['low']:.3f}-{found[0]['high']:.3f})"


def tables() -> str:
    """Markdown of all parts that have results."""
    found = results()

    def of(**wanted: Any) -> list[dict[str, Any]]:
        return [result for result in found if wanted.items() <= result.items()]

    def rows_of(part: str) -> list[int]:
        return sorted({result["rows"] for result in of(part=part)}, key=lambda rows: rows or math.inf)

    text = "| set, metric | rows | from the base | from random weights |\n| --- | --- | --- | --- |\n"
    for name, metric in METRICS.items():
        for rows in rows_of("gain"):
            cells = [_cell(of(part="gain", set=name, rows=rows, start=start)) for start in ("base", "random")]
            if cells != ["-", "-"]:
                text += f"| {name}, {metric} | {rows or 'all'} | {' | '.join(cells)} |\n"
    if of(part="methods"):
        text += "\n| set, metric | rows | LoRA on attention | LoRA on all linear layers | full |\n"
        text += "| --- | --- | --- | --- | --- |\n"
        for name, rows in itertools.product(METRICS, rows_of("methods")):
            cells = [
                _cell(of(part="methods", set=name, rows=rows, method=method))
                for method in ("attention", "all-linear", "full")
            ]
            if set(cells) != {"-"}:
                text += f"| {name}, {METRICS[name]} | {rows} | {' | '.join(cells)} |\n"
    for method, rates in RATES.items():
        if of(part="rates", method=method):
            text += f"\n| {method}: learning rate | {' | '.join(f'{rate:g}' for rate in rates)} |\n"
            text += "| --- |" + " --- |" * len(rates) + "\n"
            for name, rows in itertools.product(METRICS, rows_of("rates")):
                cells = [_cell(of(part="rates", set=name, rows=rows, method=method, rate=rate)) for rate in rates]
                if set(cells) != {"-"}:
                    text += f"| {name}, {METRICS[name]}, {rows} rows | {' | '.join(cells)} |\n"
    return text + _forgotten(of(part="forgetting"))


def _forgotten(found: list[dict[str, Any]]) -> str:
    """What was lost with and without mixing."""
    if not found:
        return ""
    columns = [*(f"{name}, bits per byte" for name in GENERAL), "instructions, token F1", "accuracy"]
    text = f"\n| | {' | '.join(columns)} |\n| ---" + " | ---" * len(columns) + " |\n"
    text += f"| the base | {_general(found[0], 'before')} | |\n"
    for result in found:
        text += f"| {_label(result)} | {_general(result, 'after')} | {result['value']:.3f} |\n"
    return text


def _general(result: dict[str, Any], when: str) -> str:
    """Cells of a row, before fine-tuning or after it."""
    figures = result["general"][when].values()
    f1 = next(one["token_f1"] for one in figures if "token_f1" in one)
    return " | ".join(f"{value:.3f}" for value in (*(one["bits_per_byte"] for one in figures), f1))


def _label(result: dict[str, Any]) -> str:
    mixed = f" and {result['mix']:.0%} general rows" if result["mix"] else ""
    return f"banking77, {result['rows']} rows{mixed}"


def write_tables() -> None:
    """Replace what stands between the marks of the model card."""
    card = Path(find_base("mini").location) / "README.md"
    text = card.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- tables -->\n).*?(<!-- /tables -->)", re.DOTALL)
    if not marked.search(text):
        raise SystemExit(f"{card} has no <!-- tables --> marks")
    card.write_text(marked.sub(lambda match: match[1] + tables() + match[2], text), encoding="utf-8")


def main() -> None:
    """Measure, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="+", choices=["gain", "methods", "rates", "forgetting", "table"])
    parser.add_argument("--sets", type=lambda text: text.split(","))
    parser.add_argument("--rows", type=lambda text: [ALL if part == "all" else int(part) for part in text.split(",")])
    parser.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")])
    given = parser.parse_args()
    if not DATA.is_dir() and given.part != ["table"]:
        raise SystemExit(f"the development data are not here: {DATA}")
    for part in given.part:
        if part == "table":
            write_tables()
        else:
            measure_all(planned(part, given))


if __name__ == "__main__":
    main()
