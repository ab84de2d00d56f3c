"""What a run folder says of its plan."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import torch

from exactune import ranks
from exactune.durable import write_text
from exactune.environment import versions
from exactune.infer.model import default_device, describe_device
from exactune.language import stored
from exactune.layers import to_yaml
from exactune.plan import Plan
from exactune.resume import CONFIG_HEAD, config_digest, ids_digest
from exactune.rules import Finding
from exactune.rundir import Run, read_json, write_json
from exactune.train.adapter import parameter_counts
from exactune.train.memory import peak
from exactune.train.pace import Pace
from exactune.types import Location

__all__ = ["add_minutes", "note_peak", "write_data", "write_plan"]


def write_plan(plan: Plan, trained: torch.nn.Module, digest: Mapping[str, Any]) -> None:
    """The files of a run folder that are known before training."""
    run, recipe, resolved = plan.run, plan.recipe, plan.resolved
    write_json(run.recipe, stored({
        "rows": recipe.rows,
        "bracket": recipe.bracket,
        "reason": recipe.patch.reason,
        "values": dict(recipe.patch.values),
        "expected": None if recipe.expected is None else {
            "low": recipe.expected.low, "high": recipe.expected.high, "note": recipe.expected.note,
        },
        "sources": dict(resolved.sources),
        "renamed": list(resolved.renamed),
    }, "reason", "sources", "expected", "renamed"))  # fmt: skip
    write_json(run.env, {
        **versions(),
        "device": describe_device(default_device()),
        "threads": torch.get_num_threads(),
        "ranks": ranks.count(),
        "model": {
            "name": plan.base.name, **digest, **parameter_counts(trained), "config_sha256": config_digest(plan.base),
        },
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "minutes": 0.0,
    })  # fmt: skip
    write_data(plan)
    write_json(run.findings, [stored(finding.to_json(), "message", "fix") for finding in plan.findings])
    # The marker of a run folder, so it comes last.
    write_text(run.config, to_yaml(resolved, [CONFIG_HEAD]))


def write_data(plan: Plan) -> None:
    """Which rows the run uses, and for what."""
    write_json(plan.run.data, _data_document(plan))


def _data_document(plan: Plan) -> dict[str, Any]:
    splits = {"train": plan.splits.train, "eval": plan.splits.eval, "test": plan.splits.test, "mix": plan.splits.mix}
    kept = {row.id for rows in splits.values() for row in rows}
    rows = plan.loaded.splits
    reasons: dict[Location, str] = {}
    for finding in plan.errors:
        for place in finding.locations:
            if place.line is not None:
                # A row can have several things wrong with it.
                named = f"{finding.code} {finding.name}"
                reasons[place] = f"{reasons[place]}, {named}" if place in reasons else named
    dropped = [
        row for part in (rows.train, rows.eval, rows.test, rows.mix) for row in part
        if row.id not in kept and row.location in reasons
    ]  # fmt: skip
    return {
        "files": [
            {"path": file.path, "split": file.split, "rows": file.rows, "sha256": file.sha256, "format": file.format}
            for file in plan.loaded.files
        ],
        "splits": {name: {"rows": len(part), "ids": [row.id for row in part]} for name, part in splits.items()},
        "rejected": [
            *(_unusable(finding, number) for finding in plan.loaded.rejected
              for number in range(len(finding.locations))),
            *({"file": row.location.file, "line": row.location.line, "reason": reasons[row.location]}
              for row in dropped),
        ],
        "tokens": {
            "prompt_mean": sum(len(row.prompt_ids) for row in plan.encoded) / len(plan.encoded),
            "answer_mean": sum(len(row.answer_ids) for row in plan.encoded) / len(plan.encoded),
            "longest": max(len(row) for row in plan.encoded),
            "sha256": ids_digest(plan.encoded),
        },
        **({"pairs": _pairs(plan)} if plan.rejected else {}),
    }  # fmt: skip


def _pairs(plan: Plan) -> dict[str, Any]:
    """How long the two answers of its pairs are, in tokens."""
    sides = [
        (len(row.answer_ids), len(worse.answer_ids))
        for row, worse in zip(plan.encoded, plan.rejected, strict=True) if worse
    ]  # fmt: skip
    return {
        "rows": len(sides),
        "chosen_longer": sum(chosen > rejected for chosen, rejected in sides),
        "rejected_longer": sum(chosen < rejected for chosen, rejected in sides),
        "chosen_mean": sum(chosen for chosen, _ in sides) / len(sides),
        "rejected_mean": sum(rejected for _, rejected in sides) / len(sides),
    }


def _unusable(finding: Finding, number: int) -> dict[str, Any]:
    """A row that could not be read, with what was wrong with it."""
    place, reasons = finding.locations[number], finding.evidence.get("reasons", ())
    detail = reasons[number] if number < len(reasons) else ""
    row = {"file": place.file, "line": place.line, "reason": f"{finding.code} {finding.name}", "detail": detail}
    return stored(row, "detail")


def add_minutes(run: Run, started: float, pace: Pace) -> None:
    """Count the minutes since ``started`` (seconds since the epoch) to what the run took before; keep the pace."""
    env = read_json(run.env)
    env["minutes"] = round(env["minutes"] + (time.time() - started) / 60, 2)
    if pace.rows_per_second is not None:
        env["rows_per_second"] = round(pace.rows_per_second, 2)
    write_json(run.env, env)
    note_peak(run)


def note_peak(run: Run) -> None:
    """Keep the most memory that a process of the run has held so far."""
    env = read_json(run.env)
    env["peak_memory_mb"] = max(env.get("peak_memory_mb", 0.0), round(peak(default_device()) / 1e6, 1))
    write_json(run.env, env)
