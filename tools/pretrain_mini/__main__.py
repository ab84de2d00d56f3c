"""Command line: `python -m tools.pretrain_mini --corpus DIR --out DIR`, from the root of the repository."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .pretrain import Settings, pretrain
from .schedule import Schedule


def main() -> None:
    """Parses the arguments and calls `pretrain`."""
    parser = argparse.ArgumentParser(
        prog="pretrain_mini", description="Corpus in, model folder out. Run it again to resume."
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder with en.txt.xz, zh_tw.txt.xz, zh_cn.txt.xz")
    parser.add_argument("--exclude", type=Path, help="folder of evaluation data (.jsonl) whose text is kept out")
    parser.add_argument("--work", type=Path, required=True, help="folder for intermediate files and the resume state")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--name", default="mini-1")
    parser.add_argument("--level-tokens", type=float, default=1e7, help="budget of phase 1; may change between runs")
    parser.add_argument(
        "--decay-tokens", type=float, default=4e6, help="budget of phase 2; may change before it begins"
    )
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--matrix-lr", type=float, default=0.002)
    parser.add_argument("--embedding-lr", type=float, default=0.003)
    parser.add_argument("--repeat-share", type=float, default=0.1, help="share of updates that teach copying")
    parser.add_argument("--learning-rate-factor", type=float, default=300)
    parser.add_argument("--full-learning-rate-factor", type=float, default=100)
    parser.add_argument("--lora-target-modules", default="all-linear")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; more than one only on idle cores")
    parser.add_argument("--device", default="cpu", help="`cuda`, for example; larger --batch-tokens then pay")
    parser.add_argument("--export-every", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    pretrain(Settings(
        corpus=given.corpus, exclude=given.exclude, work=given.work, out=given.out, name=given.name,
        schedule=Schedule(int(given.level_tokens), int(given.decay_tokens)),
        batch_tokens=given.batch_tokens, matrix_lr=given.matrix_lr, embedding_lr=given.embedding_lr,
        repeat_share=given.repeat_share,
        learning_rate_factor=given.learning_rate_factor, full_learning_rate_factor=given.full_learning_rate_factor,
        lora_target_modules=given.lora_target_modules,
        device=given.device, seed=given.seed, export_every=given.export_every,
    ))  # fmt: skip


if __name__ == "__main__":
    main()
