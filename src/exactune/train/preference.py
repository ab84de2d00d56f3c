"""Preferences: what is learned of a better and a worse answer to one prompt, and the forward passes it is computed in.

Losses are functions of the log-likelihoods that a model gives both answers. Those of the reference are computed once,
before the first step, so no second model is held in memory and nothing can move it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from exactune.render.batch import answer_logps, collate, tree_logps
from exactune.render.packing import CostModel, Tree, cut_groups, pack
from exactune.render.template import Encoded
from exactune.train.steps import Cutter, Figures

__all__ = ["Objective", "Pairs", "Scores", "dpo", "orpo", "padded_pairs", "tree_pairs"]


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model gives the two answers of some pairs, each float32 ``[pairs]``.

    Attributes:
        chosen: Log-likelihood of the better answer (nats).
        rejected: That of the worse one; NaN where there is none.
        chosen_tokens: Tokens of the better answer, stop token included.
        rejected_tokens: Tokens of the worse one; 0 where there is none.
    """

    chosen: torch.Tensor
    rejected: torch.Tensor
    chosen_tokens: torch.Tensor
    rejected_tokens: torch.Tensor


Objective = Callable[[torch.Tensor, Scores], tuple[torch.Tensor, Figures]]
"""Positions of some pairs in the data set (int64 ``[pairs]``) and their scores -> loss of each pair (float32
``[pairs]``), and what is logged beside it."""


def dpo(reference: torch.Tensor, beta: float, sft_weight: float = 0.0) -> Objective:
    """Direct preference optimization: https://arxiv.org/abs/2305.18290, equation 7.

    Args:
        reference: Log-likelihoods by the model that training starts from, float32 ``[pairs, 2]``: chosen, rejected.
        beta: How dear it is to leave the reference.
        sft_weight: Weight of the chosen answer's negative log-likelihood per token, which keeps it probable
            (https://arxiv.org/abs/2404.19733, equation 1).
    """

    def objective(rows: torch.Tensor, scores: Scores) -> tuple[torch.Tensor, Figures]:
        chosen = scores.chosen - reference.to(scores.chosen.device)[rows, 0]
        rejected = scores.rejected - reference.to(scores.chosen.device)[rows, 1]
        margin = beta * (chosen - rejected)
        loss = -logsigmoid(margin)
        if sft_weight:
            loss = loss - sft_weight * scores.chosen / scores.chosen_tokens
        return loss, _figures(margin, scores)

    return objective


def orpo(beta: float) -> Objective:
    """Odds ratio preference optimization: https://arxiv.org/abs/2403.07691, equations 6 and 7.

    The likelihood term is taken over the answer, as in supervised fine-tuning here; TRL takes it over prompt and
    answer. A row without a worse answer counts with that term alone.

    Args:
        beta: Weight of the odds ratio (lambda in the paper).
    """

    def objective(rows: torch.Tensor, scores: Scores) -> tuple[torch.Tensor, Figures]:
        chosen = scores.chosen / scores.chosen_tokens
        pairs = scores.rejected_tokens > 0
        rejected = scores.rejected[pairs] / scores.rejected_tokens[pairs]
        margin = log_odds(chosen[pairs]) - log_odds(rejected)
        odds = torch.zeros_like(chosen).index_put((pairs.nonzero()[:, 0],), logsigmoid(margin))
        return -chosen - beta * odds, _figures(margin, scores)

    return objective


MOST = -1e-6
"""Of a mean log-probability: at 0 the odds are infinite, and their gradient is no number."""


def log_odds(logp: torch.Tensor) -> torch.Tensor:
    """``log(p / (1 - p))`` of ``log p``, without cancellation at either end."""
    logp = logp.clamp(max=MOST)
    rest = torch.where(logp < -0.6931, torch.log1p(-torch.exp(logp)), torch.log(-torch.expm1(logp)))
    return logp - rest


def _figures(margin: torch.Tensor, scores: Scores) -> Figures:
    return {
        "margin": margin.detach(),
        "pair_accuracy": (margin.detach() > 0).float(),
        "logps_chosen": scores.chosen.detach(),
        "logps_rejected": scores.rejected.detach()[scores.rejected_tokens > 0],
    }


@dataclass(frozen=True, slots=True)
class Pairs:
    """A pass over both answers of some rows.

    Attributes:
        rows: Positions of its rows in the data set, int64 ``[pairs]``.
        inputs: A tree, or a padded batch with its labels, of all their answers.
        places: Where both answers of each row stand in it, int64 ``[pairs, 2]``; -1 where there is no worse one.
        tokens: Of both answers, int64 ``[pairs, 2]``.
        objective: See :data:`Objective`.
    """

    rows: torch.Tensor
    inputs: Tree | dict[str, torch.Tensor]
    places: torch.Tensor
    tokens: torch.Tensor
    objective: Objective | None = None

    @property
    def items(self) -> int:
        """Pairs."""
        return len(self.rows)

    def scores(self, model: torch.nn.Module, device: torch.device) -> Scores:
        """What the model gives the answers."""
        if isinstance(self.inputs, Tree):
            logps = tree_logps(model, self.inputs.to(device))
        else:
            logps = answer_logps(model, {name: value.to(device) for name, value in self.inputs.items()})
        places, tokens = self.places.to(device), self.tokens.to(device)
        both = logps[places].masked_fill(places < 0, float("nan"))
        return Scores(both[:, 0], both[:, 1], tokens[:, 0], tokens[:, 1])

    def loss(self, model: torch.nn.Module, device: torch.device) -> tuple[torch.Tensor, Figures]:
        """Loss summed over the pairs (scalar), and what is logged beside it."""
        assert self.objective is not None
        losses, figures = self.objective(self.rows.to(device), self.scores(model, device))
        return losses.sum(), figures


Sides = Sequence[tuple[int, list[Encoded]]]
"""Position of a row in the data set, and its answers: the better one, and the worse one where there is one."""


def padded_pairs(pairs_per_pass: int, rejected: Sequence[Encoded | None], objective: Objective | None = None) -> Cutter:
    """Padded batches, in the order of the rows, of twice as many sequences as pairs.

    Args:
        pairs_per_pass: In one forward pass.
        rejected: The worse answer of each row of the data set.
        objective: See :data:`Objective`.
    """

    def cutter(rows: Sequence[tuple[int, Encoded]]) -> list[Pairs]:
        sides = _sides(rows, rejected)
        return [
            _batch(sides[start : start + pairs_per_pass], objective) for start in range(0, len(rows), pairs_per_pass)
        ]

    return cutter


def tree_pairs(cost: CostModel, rejected: Sequence[Encoded | None], objective: Objective | None = None) -> Cutter:
    """Trees in which the two answers of a pair share their prompt, and pairs what theirs have in common.

    Args:
        cost: See :class:`~exactune.render.packing.CostModel`.
        rejected: The worse answer of each row of the data set.
        objective: See :data:`Objective`.
    """

    def cutter(rows: Sequence[tuple[int, Encoded]]) -> list[Pairs]:
        sides = _sides(rows, rejected)
        runs = cut_groups([sorted(answer.input_ids for answer in answers) for _, answers in sides], cost)
        return [_tree([sides[index] for index in run], objective) for run in runs]

    return cutter


def _sides(rows: Sequence[tuple[int, Encoded]], rejected: Sequence[Encoded | None]) -> Sides:
    return [(place, [row] if (worse := rejected[place]) is None else [row, worse]) for place, row in rows]


def _batch(sides: Sides, objective: Objective | None) -> Pairs:
    answers = [answer for _, own in sides for answer in own]
    inputs = collate([answer.input_ids for answer in answers], [answer.labels for answer in answers])
    return _pairs(sides, inputs, range(len(answers)), objective)


def _tree(sides: Sides, objective: Objective | None) -> Pairs:
    answers = [answer for _, own in sides for answer in own]
    order = sorted(range(len(answers)), key=lambda index: answers[index].input_ids)
    tree = pack([(answers[index].input_ids, len(answers[index].answer_ids)) for index in order])
    place = {index: number for number, index in enumerate(order)}
    return _pairs(sides, tree, [place[index] for index in range(len(answers))], objective)


def _pairs(
    sides: Sides, inputs: Tree | dict[str, torch.Tensor], places: Sequence[int], objective: Objective | None
) -> Pairs:
    """A pass whose answers, one row's after another's, stand at ``places`` of its inputs."""
    found = iter(places)
    return Pairs(
        torch.tensor([position for position, _ in sides]),
        inputs,
        torch.tensor([[*(next(found) for _ in own), -1][:2] for _, own in sides]),
        torch.tensor([[*(len(answer.answer_ids) for answer in own), 0][:2] for _, own in sides]),
        objective,
    )
