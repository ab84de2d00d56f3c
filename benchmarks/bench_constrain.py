"""What a grammar, and copying from the input alone, do to answers and to their speed, on the same weights.

Usage: ``python benchmarks/bench_constrain.py [--sets snips,cluener,twlaw,conll04] [--train-rows 1000] [--rows 300]
[--epochs 8] [--pairs 3]``. Each set's config under ``configs/`` is trained once on ``mini``, decoding freely; its test
rows are then answered by every side. A set without a config or without its files (development data beside the checkout)
is skipped and said so. Results go into ``results/bench_constrain.json`` and the README.

Sides, taking turns:

- ``free``: ``constrain: false``.
- ``grammar``: ``constrain: true``.
- ``copying``: and ``task.copy_spans: true``; left out where training answers do not copy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import exactune
from bench_train import HERE, publish
from exactune.apply import load
from exactune.data.load import load as load_rows
from exactune.environment import versions
from exactune.errors import ConfigError
from exactune.evaluate.counted import Counted
from exactune.evaluate.metrics import summarize
from exactune.infer.answering import Answering
from exactune.infer.artifact import Artifact
from exactune.infer.model import describe_device
from exactune.layers import read_patch, resolve
from exactune.rundir import Run, read_json, write_json
from exactune.tasks import Parsed, Task
from exactune.tasks.constraint import choose_constraint
from exactune.tasks.jsontext import READABLE
from exactune.types import Example, Status

RESULT = HERE / "results" / "bench_constrain.json"
SETS = ("snips", "cluener", "twlaw", "conll04")


def trained(name: str, folder: Path, rows: Mapping[str, int], epochs: int) -> Run | None:
    """A run of a set's config, decoding freely; None where it cannot be."""
    config = HERE / "configs" / f"{name}.yaml"
    if not config.is_file():
        print(f"{name}: skipped, {config} is not here")
        return None
    train = resolve([read_patch(config)]).config.data.train[0]
    if not (config.parent / train).is_file():
        print(f"{name}: skipped, {train} is not here")
        return None
    settings = [f"data.limit={json.dumps(dict(rows))}", f"num_epochs={epochs}", "constrain=false"]
    return exactune.train(config, assignments=settings, output=str(folder / name), say=print)


def rows_of(run: Run) -> dict[str, list[Example]]:
    """The rows of a run by split, as it used them."""
    config = resolve([read_patch(run.config)]).config
    splits, record = load_rows(config, run.path).splits, read_json(run.data)["splits"]
    by_id = {row.id: row for part in (splits.train, splits.eval, splits.test) for row in part}
    return {name: [by_id[one] for one in record[name]["ids"]] for name in ("train", "eval", "test")}


def sides_of(artifact: Artifact, train: Sequence[Example]) -> dict[str, Answering]:
    """How each side answers."""
    task, answers, inputs = artifact.task, [row.answer for row in train], [row.input for row in train]
    constraints: dict[str, Mapping[str, Any] | None] = {"free": None, "grammar": choose_constraint(task, answers, True)}
    try:
        constraints["copying"] = choose_constraint(task, answers, True, copied_from=inputs)
    except ConfigError as error:
        print(f"copying is left out: {error}")
    room = artifact.card["max_new_tokens"]
    return {side: Answering.of(task, artifact.template, one, room) for side, one in constraints.items()}


def fits(task: Task, parsed: Parsed) -> bool:
    """Whether an answer has the form and the types that the task asks for."""
    if parsed.status is not Status.OK:
        return False
    block, value = task.config(), parsed.value
    kinds = {*block.get("entity_types", ()), *block.get("relation_types", ())}
    if not kinds:
        return True
    listed = value if isinstance(value, list) else [*value.get("entities", []), *value["relations"]]
    return all(item["type"] in kinds for item in listed)


def measure(name: str, run: Run, most: int, pairs: int) -> dict[str, Any]:
    """All sides on one run, taking turns."""
    artifact, rows = load(run.path), rows_of(run)
    task, test = artifact.task, rows["test"][:most]
    sides = sides_of(artifact, rows["train"])
    prompts, sources = [artifact.template.prompt_ids(row.prompt) for row in test], [row.input for row in test]
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    answers: dict[str, Any] = {}
    for answering in sides.values():
        answering(artifact.model, prompts[:8], sources=sources[:8])
    for _ in range(pairs):
        for side, answering in sides.items():
            if answering.grammar is not None:
                answering.grammar.forget()
            began = time.perf_counter()
            answers[side] = answering(artifact.model, prompts, sources=sources)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[side].append(time.perf_counter() - began)
    document: dict[str, Any] = {
        "set": name, "task": task.type, "primary": task.primary, "rows": len(test), "train": len(rows["train"]),
        "pairs": pairs, "threads": torch.get_num_threads(),
        "device": describe_device(next(artifact.model.parameters()).device), "sides": {},
    }  # fmt: skip
    for side, found in answers.items():
        scores = [
            task.score(task.parse(row.answer), one.parsed, row.input) for row, one in zip(test, found, strict=True)
        ]
        ratios = [free / taken for free, taken in zip(seconds["free"], seconds[side], strict=True)]
        document["sides"][side] = {
            "valid_json": sum(one.parsed.status in READABLE for one in found) / len(found),
            "fits": sum(fits(task, one.parsed) for one in found) / len(found),
            "at_the_limit": sum(one.parsed.status is Status.NO_STOP or one.closed for one in found) / len(found),
            "metrics": summarize(task, Counted.of(scores)).metrics,
            "rows_per_second": len(test) / statistics.median(seconds[side]),
            "times_free": statistics.median(ratios),
            "times_free_lowest": min(ratios), "times_free_highest": max(ratios),
        }  # fmt: skip
    return document


def table(documents: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of all results."""
    text = (
        "| set, rows | side | valid JSON | fits the schema | at the limit | metric (95% interval) | rows per second | "
        "times free (lowest-highest) |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for one in documents:
        where = f"{one['set']}, {one['train']} / {one['rows']}, {one['device']}, {one['pairs']} rounds"
        for side, found in one["sides"].items():
            figure = found["metrics"][one["primary"]]
            text += (
                f"| {where} | {side} | {found['valid_json']:.1%} | {found['fits']:.1%} | {found['at_the_limit']:.1%} | "
                f"{one['primary']} {figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f}) | "
                f"{found['rows_per_second']:.1f} | {found['times_free']:.2f} "
                f"({found['times_free_lowest']:.2f}-{found['times_free_highest']:.2f}) |\n"
            )
    return text


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=[*SETS])
    parser.add_argument("--train-rows", type=int, default=1000)
    parser.add_argument("--eval-rows", type=int, default=100)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--run", action="append", default=[], metavar="SET=FOLDER", help="a run that is there already")
    given = parser.parse_args()
    ready = dict(one.split("=", 1) for one in given.run)
    documents = json.loads(RESULT.read_text(encoding="utf-8"))["results"] if RESULT.is_file() else []
    limits = {"train": given.train_rows, "eval": given.eval_rows, "test": given.rows}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.sets:
            run = Run.open(ready[name]) if name in ready else trained(name, Path(folder), limits, given.epochs)
            if run is None:
                continue
            document = measure(name, run, given.rows, given.pairs)
            print(json.dumps(document, indent=1), flush=True)
            key = (name, document["device"])
            documents = [one for one in documents if (one["set"], one["device"]) != key] + [document]
            write_json(RESULT, {"versions": versions(), "results": documents})
    publish("bench_constrain", table(documents))


if __name__ == "__main__":
    main()
