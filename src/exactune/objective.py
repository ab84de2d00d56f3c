"""The objective: what is learned of the rows, by ``training.method``, as forward passes that know their loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from exactune import ranks
from exactune.config import TrainingConfig
from exactune.errors import TrainingError
from exactune.infer.artifact import with_adapter
from exactune.infer.model import evaluating
from exactune.language import say
from exactune.plan import Plan
from exactune.render.batch import dtype_of
from exactune.render.packing import CostModel
from exactune.render.parity import verify
from exactune.render.template import Encoded
from exactune.rundir import read_jsonl, write_jsonl
from exactune.train.adapter import make_trainable, set_dropout
from exactune.train.engine import answers_cutter
from exactune.train.preference import Objective, Pairs, dpo, orpo, padded_pairs, tree_pairs
from exactune.train.steps import Cutter

__all__ = ["find_reference", "log_likelihoods", "make_cutter", "trainable"]

BLOCK = 64
"""Pairs that are cut into passes together when the reference is asked."""
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 3e-2}
"""Relative, of a log-likelihood by the reference and by the model before its first step, which may be resumed on
another device."""


def trainable(plan: Plan, model: PreTrainedModel) -> torch.nn.Module:
    """What is trained: the parent's adapter where there is one, else a new one, or every weight.

    Raises:
        ModelError: The adapter was trained over other weights.
        TemplateError: Its tokenizer gave other ids.
        ConfigError: ``lora`` names layers that the model does not have.
    """
    seed, parent = plan.config.training.seed, plan.parent
    if parent is None or parent.adapter is None:
        return make_trainable(model, plan.config.lora, seed)
    verify(plan.template, parent.card["golden"])
    trained = with_adapter(model, parent.adapter, parent.card, plan.base, trainable=True)
    assert plan.config.lora is not None
    return set_dropout(trained, plan.config.lora.lora_dropout, seed)


def make_cutter(
    plan: Plan, cost: CostModel | None, reference: torch.Tensor | None, training: TrainingConfig | None = None
) -> Cutter:
    """How a step's rows are cut into forward passes.

    Args:
        plan: Method and rows.
        cost: Of trees, or ``None`` for padded batches.
        reference: For ``dpo``, see :func:`find_reference`.
        training: Instead of the plan's.
    """
    config, training = plan.config, training or plan.config.training
    if training.method == "orpo":
        return _pairs_cutter(plan, cost, training, orpo(config.orpo.beta))
    if training.method == "dpo":
        assert reference is not None
        return _pairs_cutter(plan, cost, training, dpo(reference, config.dpo.beta, config.dpo.sft_weight))
    return answers_cutter(cost, training)


def _pairs_cutter(
    plan: Plan, cost: CostModel | None, training: TrainingConfig, objective: Objective | None = None
) -> Cutter:
    if cost is None:
        return padded_pairs(training.per_device_train_batch_size, plan.rejected, objective)
    return tree_pairs(cost, plan.rejected, objective)


def find_reference(plan: Plan, model: torch.nn.Module, cost: CostModel | None) -> torch.Tensor | None:
    """Log-likelihoods of both answers of every pair by the model that training starts from (nats), float32
    ``[pairs, 2]``; None for a method without a reference.

    They lie in ``train/reference.jsonl``, one line a pair; a resumed run reads them there.

    Args:
        plan: Method and rows.
        model: Before its first step: the reference itself.
        cost: Of trees, or ``None`` for padded batches.

    Raises:
        TrainingError: What was stored is the reference of another model.
    """
    if plan.config.training.method != "dpo":
        return None
    file = plan.run.train_metrics.with_name("reference.jsonl")
    lines = [*read_jsonl(file)]
    if [line["id"] for line in lines] != [row.id for row in plan.encoded]:
        found = log_likelihoods(model, plan.encoded, _pairs_cutter(plan, cost, plan.config.training))
        lines = [
            {"id": row.id, "chosen": logps[0], "rejected": logps[1],
             "chosen_tokens": len(row.answer_ids), "rejected_tokens": len(worse.answer_ids)}
            for row, worse, logps in zip(plan.encoded, plan.rejected, found, strict=True) if worse
        ]  # fmt: skip
        ranks.from_first(lambda: write_jsonl(file, lines))
    reference = torch.tensor([[line["chosen"], line["rejected"]] for line in lines])
    _refuse_other_start(plan, model, cost, reference)
    return reference


def log_likelihoods(model: torch.nn.Module, rows: Sequence[Encoded], cutter: Cutter) -> list[tuple[float, float]]:
    """What a model gives both answers of each pair (nats).

    Args:
        model: Evaluated without dropout.
        rows: The better answers.
        cutter: Makes passes of both.
    """
    device = next(model.parameters()).device
    found = [(0.0, 0.0)] * len(rows)
    with evaluating(model), torch.no_grad():
        for start in range(0, len(rows), BLOCK):
            for part in cutter([*enumerate(rows[start : start + BLOCK], start)]):
                assert isinstance(part, Pairs)
                scores = part.scores(model, device)
                both = zip(part.rows.tolist(), scores.chosen.tolist(), scores.rejected.tolist(), strict=True)
                for place, chosen, rejected in both:
                    found[place] = chosen, rejected
    return found


def _refuse_other_start(plan: Plan, model: torch.nn.Module, cost: CostModel | None, reference: torch.Tensor) -> None:
    """Before its first step the model is the reference, so every loss is ln 2 and every margin 0.

    Raises:
        TrainingError: It is not: the stored reference is that of another model.
    """
    # In the passes in which the reference was asked: others round otherwise.
    now = torch.tensor(log_likelihoods(model, plan.encoded[:BLOCK], _pairs_cutter(plan, cost, plan.config.training)))
    then, tolerance = reference[: len(now)], TOLERANCE.get(dtype_of(model), TOLERANCE[torch.bfloat16])
    if not torch.allclose(now, then, rtol=tolerance, atol=tolerance):
        furthest = (now - then).abs().argmax()
        raise TrainingError(
            say(
                "before the first step the model gives its pairs other log-likelihoods than the reference did: "
                "{now:.4f} instead of {then:.4f}. Start again with --overwrite.",
                now=float(now.flatten()[furthest]),
                then=float(then.flatten()[furthest]),
            )
        )
