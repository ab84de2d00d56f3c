"""Trees by torch's FlexAttention, for ``bench_train.py``: what attention by blocks is measured against on a GPU."""

from __future__ import annotations

import torch
from torch.nn.attention.flex_attention import create_block_mask

from exactune.render.packing import CostModel, Tree
from exactune.train.steps import Answers, Cutter, trees


class FlexPass(Answers):
    """A tree whose attention is torch's FlexAttention."""

    def nll(self, model: torch.nn.Module, device: torch.device) -> torch.Tensor:
        """As :func:`exactune.render.batch.tree_nll`."""
        assert isinstance(self.inputs, Tree)
        tree = self.inputs.to(device)

        def seen(batch: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            return (key <= query) & (query < tree.end[key])

        mask = create_block_mask(seen, None, None, len(tree), len(tree), device=str(device))
        logits = model(
            input_ids=tree.input_ids[None], position_ids=tree.position_ids[None], attention_mask=mask,
            use_cache=False, logits_to_keep=tree.source,
        ).logits[0]  # fmt: skip
        losses = torch.nn.functional.cross_entropy(logits.float()[tree.predicted_from], tree.target, reduction="none")
        return losses @ tree.weight


def flex_trees(model: torch.nn.Module, budget: int) -> Cutter:
    """Trees of at most so many tokens, with FlexAttention put into the model."""
    model.get_base_model().set_attn_implementation("flex_attention")
    cutter = trees(CostModel(pair=0.0, budget=budget))
    return lambda step: [FlexPass(part.rows, part.items, part.inputs) for part in cutter(step)]
