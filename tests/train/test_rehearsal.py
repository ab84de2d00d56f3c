"""The steps that are tried before a run: the largest ones of all epochs, and how fast they are."""

from __future__ import annotations

import importlib
import random
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from exactune.config import LoraSettings, TrainingConfig
from exactune.render.packing import CostModel
from exactune.render.template import Encoded
from exactune.train.adapter import make_trainable
from exactune.train.methods import answer_trainer
from exactune.train.pace import Pace
from exactune.train.rehearsal import Size, largest_size, rehearse
from exactune.train.steps import StepSampler, padded, rows_by, trees

import tiny

rehearsal = importlib.import_module("exactune.train.rehearsal")  # `exactune.train` is a function

ROOM = 2**40
TRAINING = TrainingConfig(
    num_epochs=3, learning_rate=1e-3, per_device_train_batch_size=2, gradient_accumulation_steps=2
)  # fmt: skip
CUTTERS = {"padded": padded(2), "trees": trees(CostModel(pair=0.001, budget=120))}


def rows(count: int = 30) -> list[Encoded]:
    draw = random.Random(5)

    def ids(low: int, high: int) -> list[int]:
        return [draw.randrange(3, 390) for _ in range(draw.randrange(low, high))]

    return [Encoded(str(n), [7, 8, 9, *ids(4, 60)], [*ids(1, 20), 2]) for n in range(count)]


@pytest.mark.parametrize("looked", [rehearsal.LOOKED, 0], ids=["all", "likely"])
@pytest.mark.parametrize("cutter", CUTTERS.values(), ids=CUTTERS)
def test_the_largest_pass_is_that_of_all_steps_of_all_epochs(
    cutter: Any, looked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly where all of them are looked at, nearly where only the likely ones are."""
    data, tokens, logits = rows(120), 0, 0
    monkeypatch.setattr(rehearsal, "LOOKED", looked)
    sampler = StepSampler(len(data), 4, TRAINING.seed)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for step in sampler:
            for part in cutter([(position, data[position]) for position in step]):
                size = Size.of(part)
                tokens, logits = max(tokens, size.tokens), max(logits, size.logits)
    found = largest_size(data, TRAINING, cutter)
    assert 0.9 * tokens < found.tokens <= tokens
    assert 0.9 * logits < found.logits <= logits
    assert found == Size(tokens, logits) or not looked


def test_the_size_of_a_pass_is_what_the_model_reads_and_predicts() -> None:
    one, two = Encoded("a", [5, 6, 7], [8, 2]), Encoded("b", [5, 6, 9, 9], [8, 3, 2])
    (batch,) = padded(2)([(0, one), (1, two)])
    assert Size.of(batch) == Size(2 * 6, 2 * 3), "padded to seven; the last token is never read"
    (tree,) = trees(CostModel(pair=0.0, budget=100))([(0, one), (1, two)])
    assert Size.of(tree) == Size(8, 5), "two shared, two and four of their own"


def test_rows_by_a_step_are_those_that_the_sampler_has_drawn() -> None:
    sampler, drawn = StepSampler(10, 4, seed=1), [0]
    for epoch in range(3):
        sampler.set_epoch(epoch)
        drawn += [len(step) for step in sampler]
    assert [rows_by(step, 10, 4) for step in range(10)] == [sum(drawn[: step + 1]) for step in range(10)]


def test_a_rehearsal_measures_what_it_says() -> None:
    data = rows()
    model = make_trainable(tiny.model(), LoraSettings(r=4), 0)
    found = rehearse(model, tiny.byte_bpe(), data, TRAINING, padded(2), ROOM)
    assert found.is_measured
    assert found.largest == largest_size(data, TRAINING, padded(2))
    assert 0 < found.standing <= found.peak
    trainable = sum(tensor.nbytes for tensor in model.parameters() if tensor.requires_grad)
    moments = [tensor for tensor in found.optimizer if tensor.dim()]
    assert sum(tensor.nbytes for tensor in moments) == 2 * trainable, "AdamW keeps two numbers for each weight"
    assert [part.rows for part in found.typical] == [4, 4, 4, 4]
    seconds = sum(part.seconds for part in found.typical)
    assert found.rows_per_second == pytest.approx(16 / seconds)


def test_where_the_largest_step_has_no_room_it_is_not_tried() -> None:
    data = rows()
    model = make_trainable(tiny.model(), LoraSettings(r=4), 0)
    found = rehearse(model, tiny.byte_bpe(), data, TRAINING, padded(2), room=1)
    assert not found.is_measured
    assert found.peak >= found.standing > 1
    assert len(found.typical) == 1


def test_the_pace_leaves_out_evaluations_and_checkpoints(tmp_path: Path) -> None:
    class Slow(TrainerCallback):
        def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
            time.sleep(0.3)

        def on_save(self, *args: Any, **kwargs: Any) -> None:
            time.sleep(0.3)

    data = rows(10)
    pace = Pace(lambda step: rows_by(step, 10, 4))
    model = make_trainable(tiny.model(), LoraSettings(r=4), 0)
    trainer = answer_trainer(model, tiny.byte_bpe(), data, TRAINING, tmp_path, [Slow(), pace], padded(2))
    assert pace.rows_per_second is None
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    assert pace.rows == 30
    assert 0 < pace.seconds <= seconds - 6 * 0.3
    assert pace.rows_per_second == pace.rows / pace.seconds
