"""Twenty steps of a trainer, on one rank or several: run by ``test_ranks.py`` under ``torch.distributed.run``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from test_methods import LORA, Recorder
from test_trees import ONE, rows

from exactune import ranks
from exactune.config import TrainingConfig
from exactune.train.adapter import make_trainable
from exactune.train.methods import answer_trainer
from exactune.train.steps import padded, trees

import tiny


def main() -> None:
    """``OUTPUT ENGINE ROWS STEP [die]``: the losses of all steps as JSON, and the weights."""
    output, engine, count, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    ranks.join()
    training = TrainingConfig(
        num_epochs=4, learning_rate=1e-2, logging_steps=1,
        per_device_train_batch_size=-(-step // ranks.count()), gradient_accumulation_steps=1,
    )  # fmt: skip
    recorder, model = Recorder(), make_trainable(tiny.model(), LORA, 0)
    if sys.argv[5:] == ["die"] and not ranks.is_first():
        recorder.on_step_end = lambda args, state, control, **_: os._exit(9) if state.global_step == 3 else None  # type: ignore[method-assign]
    cutter = trees(ONE) if engine == "tree" else padded(2)
    trainer = answer_trainer(model, tiny.byte_bpe(), rows(count), training, output.parent, [recorder], cutter)
    trainer.args.save_strategy = "no"
    trainer.train()
    if ranks.is_first():
        weights = torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])
        output.write_text(json.dumps({"lines": recorder.lines, "weights": weights.tolist()}), encoding="utf-8")


if __name__ == "__main__":
    with ranks.leaving():
        main()
