"""Speed of answering beside ``transformers.generate``, in one run, with the same greedy answers.

Usage: ``python benchmarks/bench_eval.py [--models mini,41m] [--rows 64] [--pairs 5] [--device cuda]``. Prompts are
those of banking77 with its 77 labels listed (development data beside the checkout). ``mini`` is the embedded base,
fine-tuned here for some minutes, whose answers end by themselves; the other models are random shapes, whose answers
get the length of the longest right one. Results go into ``results/bench_eval.json`` and the README.

Sides, taking turns:

- ``generate``: ``transformers.generate``, greedy, batches of 16 in the order of the rows.
- ``generate-sorted``: the same with rows sorted by length, batches of 64.
- ``alone``: ours without sharing: sorted, finished rows leave.
- ``ours``: and what all prompts begin with is read once.
- ``labels``: the best label, as training's evaluations ask for it.
- ``labels-1%``: the probability of every label, but for one percent of it.
- ``labels-by-rows``: the same by one padded row for each label, as evaluation harnesses do it; on one prompt.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

import exactune
from bench_train import DATA, HERE, SHAPES, listed, publish
from exactune.apply import load
from exactune.bases import find_base
from exactune.environment import versions
from exactune.infer import engine
from exactune.infer.head import Head, read_head
from exactune.infer.labels import TOLERANCE, LabelTrie, score_labels
from exactune.infer.model import describe_device
from exactune.render.batch import collate, pad_prompts
from exactune.render.template import Template
from exactune.rundir import write_json, write_jsonl

RESULT = HERE / "results" / "bench_eval.json"
BATCH = 64
CLOSE = 1e-4
"""Rows whose two best tokens are nearer than this, somewhere in the answer, may differ by rounding."""
BY_ROWS = 1
"""Prompts for ``labels-by-rows``."""


def fine_tuned(folder: Path, rows: int) -> Path:
    """A run of the embedded base on the listed prompts."""
    for split, count in (("train", rows), ("eval", 100), ("test", 100)):
        items = [
            {"messages": [*({"role": turn.role, "content": turn.content} for turn in example.prompt),
                          {"role": "assistant", "content": example.answer}]}
            for example in listed("banking77-listed", count, split)
        ]  # fmt: skip
        write_jsonl(folder / f"{split}.jsonl", items)
    data = {split: str(folder / f"{split}.jsonl") for split in ("train", "eval", "test")}
    config = folder / "task.yaml"
    config.write_text(json.dumps({"data": data, "training": {"num_epochs": 4}}), encoding="utf-8")
    return exactune.train(config, output=str(folder / "run"), say=print).path


def random_model(shape: str, device: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config = Qwen3Config(**SHAPES[shape], max_position_embeddings=8192, tie_word_embeddings=True)
    return Qwen3ForCausalLM(config).to(torch.bfloat16 if device == "cuda" else torch.float32).to(device).eval()


Answers = list[list[int]]


@torch.inference_mode()
def stock(model: torch.nn.Module, prompts: Answers, stops: Sequence[int], room: int, batch: int) -> Answers:
    """Ids after each prompt, stop token included."""
    answers: Answers = []
    for start in range(0, len(prompts), batch):
        padded = pad_prompts(prompts[start : start + batch])
        device = next(model.parameters()).device
        output = model.generate(
            input_ids=padded["input_ids"].to(device), attention_mask=padded["attention_mask"].to(device),
            max_new_tokens=room, do_sample=False, eos_token_id=list(stops) or None, pad_token_id=0,
        )  # fmt: skip
        for row in output[:, padded["input_ids"].shape[1] :].tolist():
            end = next((place + 1 for place, token in enumerate(row) if token in stops), room)
            answers.append(row[:end])
    return answers


def by_length(model: torch.nn.Module, prompts: Answers, stops: Sequence[int], room: int) -> Answers:
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    answers = dict(zip(order, stock(model, [prompts[index] for index in order], stops, room, BATCH), strict=True))
    return [answers[index] for index in range(len(prompts))]


def ours(model: torch.nn.Module, template: Template, prompts: Answers, room: int, *, share: bool = True) -> Answers:
    """The engine's own ids."""
    stops = template.stop_ids

    class Ids:
        """A template that decodes nothing."""

        stop_ids = stops

        @staticmethod
        def decode(ids: Sequence[int]) -> Any:
            return list(ids)

    def alone(model: torch.nn.Module, prompts: Answers, room: int) -> Head:
        return Head(0, read_head(model, prompts[:1], room).cache)

    with patch.object(engine, "read_head", read_head if share else alone):
        found = engine.generate(model, Ids, prompts, max_new_tokens=room, batch_size=BATCH)
    return [generation.text for generation in found]


def best_labels(model: torch.nn.Module, prompts: Answers, labels: Answers, tolerance: float) -> list[int]:
    scores = score_labels(model, prompts, LabelTrie.of(labels), batch_size=BATCH, tolerance=tolerance)
    return [score.best for score in scores]


@torch.inference_mode()
def labels_by_rows(model: torch.nn.Module, prompts: Answers, labels: Answers) -> list[int]:
    best = []
    for prompt in prompts:
        scores = []
        for start in range(0, len(labels), 16):
            part = labels[start : start + 16]
            batch = collate([prompt + label for label in part], [[-100] * len(prompt) + label for label in part])
            inputs = {name: value.to(next(model.parameters()).device) for name, value in batch.items()}
            targets = inputs.pop("labels")[:, 1:]
            logits = model(**inputs, use_cache=False).logits[:, :-1].float()
            losses = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="none"
            )
            scores += (-losses.view(targets.shape).sum(1)).tolist()
        best.append(max(range(len(labels)), key=scores.__getitem__))
    return best


@torch.inference_mode()
def is_close(model: torch.nn.Module, prompt: list[int], answer: list[int]) -> bool:
    """Whether the model's two best tokens are too near one another somewhere in the answer."""
    ids = torch.tensor([[*prompt, *answer]], device=next(model.parameters()).device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
    top = logits.topk(2).values
    return bool((top[:, 0] - top[:, 1]).min() < CLOSE)


def measure(name: str, device: str, rows: int, pairs: int, run: Path | None) -> dict[str, Any]:
    """All sides on one model, taking turns."""
    examples = listed("banking77-listed", rows, "test")
    names = sorted({example.answer for example in listed("banking77-listed", 10**6, "train")})
    if run is not None:
        artifact = load(run)
        model, template = artifact.model.to(device), artifact.template
    else:
        model, template = random_model(name, device), Template.load(find_base("mini"))
    prompts = [template.prompt_ids(example.prompt) for example in examples]
    labels = [template.answer_ids(label) for label in names]
    room = max(len(template.answer_ids(example.answer)) for example in examples)
    stops = template.stop_ids
    calls: dict[str, Callable[[], Any]] = {
        "generate": lambda: stock(model, prompts, stops, room, 16),
        "generate-sorted": lambda: by_length(model, prompts, stops, room),
        "alone": lambda: ours(model, template, prompts, room, share=False),
        "ours": lambda: ours(model, template, prompts, room),
        "labels": lambda: best_labels(model, prompts, labels, math.inf),
        "labels-1%": lambda: best_labels(model, prompts, labels, TOLERANCE),
        "labels-by-rows": lambda: labels_by_rows(model, prompts[:BY_ROWS], labels),
    }
    seconds: dict[str, list[float]] = {side: [] for side in calls}
    answers: dict[str, Any] = {}
    for call in calls.values():
        call()
    for _ in range(pairs):
        for side, call in calls.items():
            # Ours leaves its attention behind.
            model.set_attn_implementation("sdpa")
            began = time.perf_counter()
            answers[side] = call()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds[side].append(time.perf_counter() - began)
    seconds["labels-by-rows"] = [value * rows / BY_ROWS for value in seconds["labels-by-rows"]]
    differing = [row for row in range(rows) if answers["ours"][row] != answers["generate"][row]]
    close = [row for row in range(rows) if is_close(model, prompts[row], answers["generate"][row])]
    texts = [template.decode(answer) for answer in answers["ours"]]
    document: dict[str, Any] = {
        "model": name, "device": describe_device(torch.device(device)), "rows": rows, "pairs": pairs,
        "threads": torch.get_num_threads(),
        "prompt_tokens": statistics.mean(map(len, prompts)),
        "answer_tokens": statistics.mean(map(len, answers["ours"])),
        "differing": len(differing), "differing_and_not_close": len(set(differing) - set(close)), "close": len(close),
        "labels_agree_with_rows": answers["labels"][:BY_ROWS] == answers["labels-by-rows"],
        "right": sum(text == row.answer for text, row in zip(texts, examples, strict=True)),
        "right_by_labels": sum(
            names[best] == row.answer for best, row in zip(answers["labels"], examples, strict=True)
        ),
        "sides": {},
    }  # fmt: skip
    for side, taken in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(seconds["generate"], taken, strict=True)]
        document["sides"][side] = {
            "rows_per_second": rows / statistics.median(taken), "times_generate": statistics.median(ratios),
            "times_generate_lowest": min(ratios), "times_generate_highest": max(ratios),
        }  # fmt: skip
    return document


def table(documents: Sequence[dict[str, Any]]) -> str:
    """Markdown of all results."""
    text = "| model, device | side | rows per second | times generate (lowest-highest) |\n| --- | --- | --- | --- |\n"
    for one in documents:
        where = (
            f"{one['model']}, {one['device']}, {one['pairs']} rounds of {one['rows']} rows, "
            f"{one['differing']} answers differ"
        )
        for side, found in one["sides"].items():
            spread = f"{found['times_generate_lowest']:.1f}-{found['times_generate_highest']:.1f}"
            name = "labels-by-rows, extrapolated" if side == "labels-by-rows" else side
            text += (
                f"| {where} | {name} | {found['rows_per_second']:.2f} | {found['times_generate']:.1f} ({spread}) |\n"
            )
    return text


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=lambda text: text.split(","), default=["mini", "41m"])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--train-rows", type=int, default=3000)
    parser.add_argument("--run", type=Path, help="a run of the embedded base on these prompts, instead of a new one")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"the development data are not here: {DATA}")
    documents = json.loads(RESULT.read_text(encoding="utf-8"))["results"] if RESULT.is_file() else []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.models:
            run = None
            if name == "mini":
                run = given.run or fine_tuned(Path(folder), given.train_rows)
            document = measure(name, given.device, given.rows, given.pairs, run)
            print(json.dumps(document, indent=1), flush=True)
            key = (name, document["device"])
            documents = [one for one in documents if (one["model"], one["device"]) != key] + [document]
            write_json(RESULT, {"versions": versions(), "results": documents})
    publish("bench_eval", table(documents))


if __name__ == "__main__":
    main()
