"""The methods that are compared: what each is trained on, and how the base model is asked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exactune.apply import load
from exactune.data.formats import FORMATS
from exactune.errors import DataError, RunError
from exactune.evaluate.baselines import PROMPTED
from exactune.evaluate.contest import wanted_baselines
from exactune.evaluate.evaluation import Evaluation, blocks
from exactune.evaluate.prompting import ask, choose_shots
from exactune.language import say
from exactune.layers import read_patch, resolve
from exactune.pipeline import Say, train_planned
from exactune.plan import Plan, Source, make_plan
from exactune.resume import ids_digest
from exactune.rundir import Run, read_jsonl, write_json, write_jsonl
from exactune.studies.mine import PAIRS, as_preference, mine
from exactune.studies.training import second_of_two
from exactune.train.fit import Display
from exactune.types import Example, Patch
from exactune.used import used_rows

__all__ = [
    "answer_by_base", "mine_pairs", "orpo_source", "refuse_other_ids", "sft_source", "train_further", "train_one",
    "write_rows",
]  # fmt: skip

NAME = "compare"
"""Of the layer that a comparison puts over the user's."""


def write_rows(plan: Plan, folder: Path) -> dict[str, dict[str, Any]]:
    """Write the rows of a plan as files that every run reads; split -> how many ``rows``, and ``sha256``.

    Rows are held out, limited and left out once, for all methods and seeds. Each says in ``source`` where it was.

    Raises:
        RunError: Other rows lie there.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in ("train", "eval", "test"):
        rows: Sequence[Example] = getattr(plan.splits, name)
        if not rows:
            continue
        file, lines = folder / f"{name}.jsonl", [_line(row) for row in rows]
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        if not file.is_file():
            write_jsonl(file, map(json.loads, lines))
        elif hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise RunError(
                say(
                    "{path} has other rows than the config leads to now, so the comparison cannot go on. Start again "
                    "with --overwrite or another --output.",
                    path=file,
                )
            )
        found[name] = {"rows": len(rows), "sha256": digest}
    return found


def _line(row: Example) -> str:
    return json.dumps(_row(row), ensure_ascii=False) + "\n"


def _row(row: Example) -> dict[str, Any]:
    if row.rejected is not None:
        return as_preference(row, row.rejected)
    turns = [
        {"role": turn.role, "content": turn.content} for turn in row.prompt if turn.role != "system" or turn.content
    ]
    answer = [{"role": "assistant", "content": row.answer}]
    if row.format in FORMATS and FORMATS[row.format].every_turn:
        return {"messages": [*turns, *answer], "source": row.id}
    return {"prompt": turns, "completion": answer, "source": row.id}


def sft_source(source: Source, plan: Plan, rows: Path, seed: int) -> Source:
    """Supervised fine-tuning on the comparison's rows, under a seed.

    Args:
        source: The user's.
        plan: Of it.
        rows: See :func:`write_rows`.
        seed: Instead of ``training.seed``.
    """
    config = source.resolved.config
    asked = [name for name in wanted_baselines(plan.task, config) if name not in PROMPTED]
    data: dict[str, Any] = {
        "mix": [one.model_dump() for one in config.data.mix],
        **{name: [_beside(source, rows / f"{name}.jsonl")] for name in ("train", "eval", "test")
           if getattr(plan.splits, name)},
    }  # fmt: skip
    values = {
        "data": data,
        "task": plan.config.task.model_dump(by_alias=True, exclude_none=True),
        "training.method": "sft",
        "training.seed": seed,
        # The base model is asked once for all runs, on all rows.
        "evaluate.baselines": asked,
    }
    return replace(source, patches=(*source.patches, Patch(values, NAME)))


def orpo_source(source: Source, file: Path) -> Source:
    """One step from the base, on rows with pairs among them.

    Args:
        source: See :func:`sft_source`.
        file: Its training rows.
    """
    *others, own = source.patches
    values = {
        **own.values, "training.method": "orpo", "data": {**own.values["data"], "train": [_beside(source, file)]},
    }  # fmt: skip
    return replace(source, patches=(*others, replace(own, values=values)))


def _beside(source: Source, file: Path) -> str:
    """A path as the config would have it."""
    return os.path.relpath(os.path.realpath(file), os.path.realpath(source.folder))


def refuse_other_ids(plan: Plan, rewritten: Plan) -> None:
    """Rows that were written for the comparison must be those of the config, token by token.

    Raises:
        DataError: They are not.
    """
    if ids_digest(plan.encoded) != ids_digest(rewritten.encoded):
        raise DataError(
            say(
                "the training rows, written as {path}, have other tokens than before, so they would not be what the "
                "config trains on. Write them as chat rows (`messages`) and compare again.",
                path=rewritten.loaded.files[0].path,
            )
        )


def train_one(source: Source, output: Path, tell: Say, display: Display, *, anyway: bool) -> None:
    """One run, from where it stands.

    Args:
        source: Of the run.
        output: Its folder.
        tell: Told what was decided.
        display: Told how training advances.
        anyway: Whether changed versions or harmless values are put up with.

    Raises:
        ExactuneError: It cannot be trained.
    """
    train_planned(
        lambda: make_plan(source, output=str(output)), resume=True, resume_anyway=anyway, say=tell, display=display
    )


def train_further(source: Source, first: Run, output: Path, tell: Say, display: Display, *, anyway: bool) -> None:
    """Preference training from a finished run, on the pairs of its mistakes."""
    train_one(second_of_two(source, first, first.mine / PAIRS), output, tell, display, anyway=anyway)


def mine_pairs(run: Run, file: Path, tell: Say, display: Display) -> dict[str, Any]:
    """Pairs from a run's mistakes, for DPO in the run itself; and for ORPO, all its training rows in their order, with
    the worse answer where they have one.

    Args:
        run: The finished run.
        file: Where rows for ORPO go; written only if there is a pair.
        tell: Told what is done.
        display: Told how the training of each fold advances.

    Returns:
        ``mine/mined.json``.
    """
    mined = mine(run, say=tell, display=display)
    if mined.pairs:
        pairs = {line["source"]: line for line in read_jsonl(mined.file) if line["rejected"] is not None}
        rows = used_rows(run, resolve([read_patch(run.config)]).config).splits.train
        write_jsonl(file, _with_pairs(rows, pairs))
    return dict(mined.document)


def _with_pairs(rows: Iterable[Example], pairs: Mapping[str, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    yield from (pairs.get(row.id) or as_preference(row) for row in rows)


def answer_by_base(run: Run, folder: Run, tell: Say, display: Display, *, shots: int, seed: int) -> dict[str, Any]:
    """Ask the base model all rows that a run is scored on, as the run itself is asked.

    Args:
        run: A finished run: its prompts, its constraint, its rows.
        folder: Where the answers go.
        tell: Not told anything.
        display: Not shown anything.
        shots: How many training rows stand before each question.
        seed: Of their choice.

    Returns:
        ``eval/metrics.json``, with the number of ``shots`` that there was room for.
    """
    del tell, display
    config = resolve([read_patch(run.config)]).config
    artifact, used = load(run.path), used_rows(run, config)
    split, rows = used.splits.scored
    size, limit = config.evaluate.batch_size, config.training.max_seq_length
    shown: list[Example] = []
    if shots:
        shown = choose_shots(artifact, used.splits.train, rows, shots=shots, limit=limit, seed=seed)
        if not shown:
            raise DataError(
                say(
                    "no training row fits before the longest question within training.max_seq_length ({limit})",
                    limit=limit,
                )
            )
    evaluation = Evaluation(artifact.task, split, {})
    with artifact.base_model() as model:
        lines = [
            line for part in blocks(rows, size)
            for line in evaluation.add(part, ask(artifact, model, part, shown, batch_size=size))
        ]  # fmt: skip
    document = {**evaluation.document(), "shots": len(shown)}
    write_jsonl(folder.predictions, lines)
    write_json(folder.metrics, document)
    return document
