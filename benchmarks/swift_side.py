"""ms-swift's side of ``bench_train.py``; runs in an environment of its own, where ms-swift is and Exactune is not.

Usage: ``PYTHON benchmarks/swift_side.py MODEL ROWS.jsonl OUTPUT [--gradient_checkpointing false ...]``. Trains once, as
``swift sft`` does, and prints one JSON object: seconds of each optimizer step after the first, the most memory above
what the process held when training began, and each row's tokens.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from swift import sft_main
from swift.callbacks import callbacks_map
from swift.callbacks.base import TrainerCallback

found: dict[str, Any] = {"seconds": []}


def most_memory() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


class Clock(TrainerCallback):
    """The time of each optimizer step after the first, its batch included."""

    last: float | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        found["tokens"] = [list(row["input_ids"]) for row in self.trainer.train_dataset]
        found["before"] = most_memory()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        if self.last is not None:
            found["seconds"].append(now - self.last)
        self.last = now


def main() -> None:
    """Train once and print the figures."""
    model, rows, output, *options = sys.argv[1:]
    callbacks_map["clock"] = Clock
    sft_main([
        "--model", model, "--model_type", "qwen3", "--template", "chatml", "--dataset", rows, "--output_dir", output,
        "--tuner_type", "lora", "--lora_rank", "32", "--lora_alpha", "64", "--lora_dropout", "0",
        "--target_modules", "q_proj", "k_proj", "v_proj", "o_proj", "--torch_dtype", "float32",
        "--num_train_epochs", "1", "--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "4",
        "--learning_rate", "1e-4", "--max_length", "8192", "--save_strategy", "no", "--report_to", "none",
        "--check_model", "false", "--callbacks", "clock", "--split_dataset_ratio", "0", *options,
    ])  # fmt: skip
    found["peak_bytes"] = most_memory() - found.pop("before")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
