"""Does pre-training pay? Fine-tunes a base and a random twin on a few rows and compares greedy answers.

    python -m tools.pretrain_mini.probe --base DIR --train train.jsonl --test test.jsonl --lr 1e-3 --init base random

Also the tool for a base's `learning_rate_factor`: the best rate here over 1e-5, the rate of the user-facing recipe.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase, Qwen3ForCausalLM

from .batches import IGNORE
from .network import ChunkedCrossEntropy, hidden_states, rotary

TARGETS: dict[str, list[str]] = {
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "all": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "full": [],
}


@dataclass(frozen=True)
class Example:
    """Token ids of a prompt, ids of its answer with the end-of-turn token, and the answer."""

    prompt: list[int]
    answer: list[int]
    gold: str


def read(path: Path, count: int, tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> list[Example]:
    """Reads `count` rows, drawn with a seed, of either row format."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    random.Random(seed).shuffle(rows)
    return [_example(row, tokenizer) for row in rows[:count]]


def _example(row: dict[str, object], tokenizer: PreTrainedTokenizerBase) -> Example:
    messages = row.get("messages") or [
        {"role": "user", "content": f"{row['instruction']}\n{row['input']}"},
        {"role": "assistant", "content": row["output"]},
    ]
    gold = messages[-1]["content"]
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=False)
    encode = tokenizer.backend_tokenizer.encode
    return Example(encode(prompt).ids, encode(gold + tokenizer.eos_token).ids, gold)


def load(base: Path, init: str, targets: str, seed: int) -> Qwen3ForCausalLM:
    """Loads the base, or draws random weights of its shape, and adds LoRA (r=32, alpha=64) unless `full`."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if init == "random":
        model = Qwen3ForCausalLM(model.config)
    if TARGETS[targets]:
        model = get_peft_model(model, LoraConfig(r=32, lora_alpha=64, target_modules=TARGETS[targets])).base_model.model
    return model


def finetune(
    model: Qwen3ForCausalLM, examples: list[Example], lr: float, epochs: int, batch: int = 16, seed: int = 0
) -> float:
    """AdamW, warm-up over a tenth, linear decay, as the product trains; returns the last epoch's mean loss."""
    params = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=lr, weight_decay=0.01, foreach=True)
    per_epoch = -(-len(examples) // batch)
    total, step, rng, losses = per_epoch * epochs, 0, random.Random(seed), []
    model.train()
    for _ in range(epochs):
        order = rng.sample(examples, len(examples))
        for start in range(0, len(order), batch):
            loss = _loss(model, order[start : start + batch])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            warm = max(1, round(0.1 * total))
            optimizer.param_groups[0]["lr"] = lr * min((step + 1) / warm, (total - step) / max(1, total - warm))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            step += 1
    return sum(losses[-per_epoch:]) / per_epoch


def _loss(model: Qwen3ForCausalLM, rows: list[Example]) -> torch.Tensor:
    width = max(len(row.prompt) + len(row.answer) for row in rows) - 1
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    targets = torch.full((len(rows), width), IGNORE)
    for index, row in enumerate(rows):
        whole = torch.tensor(row.prompt + row.answer)
        ids[index, : len(whole) - 1] = whole[:-1]
        targets[index, len(row.prompt) - 1 : len(whole) - 1] = whole[len(row.prompt) :]
    config = model.config
    hidden = hidden_states(model, ids, *rotary(width, config.head_dim, float(config.rope_parameters["rope_theta"])))
    wanted = targets != IGNORE
    weight = model.model.embed_tokens.weight
    return ChunkedCrossEntropy.apply(hidden[wanted], weight, targets[wanted], weight.new_zeros(len(weight))) / int(
        wanted.sum()
    )


@torch.no_grad()
def accuracy(
    model: Qwen3ForCausalLM, examples: list[Example], tokenizer: PreTrainedTokenizerBase, batch: int = 50
) -> float:
    """Share of greedy answers that equal the gold string."""
    model.eval()
    longest = max(len(example.answer) for example in examples) + 2
    right = 0
    for start in range(0, len(examples), batch):
        rows = examples[start : start + batch]
        width = max(len(row.prompt) for row in rows)
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(row.prompt)) + row.prompt for row in rows])
        mask = torch.tensor([[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows])
        out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=longest, do_sample=False)
        answers = tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
        right += sum(answer == row.gold for answer, row in zip(answers, rows, strict=True))
    return right / len(examples)


def main() -> None:
    """Prints one JSON line per fine-tuning."""
    parser = argparse.ArgumentParser(
        prog="probe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--test-rows", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr", type=float, nargs="+", default=[3e-3])
    parser.add_argument("--targets", nargs="+", choices=list(TARGETS), default=["all"])
    parser.add_argument("--init", nargs="+", choices=["base", "random"], default=["base"])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(given.base)
    train = read(given.train, given.rows, tokenizer)
    test = read(given.test, given.test_rows, tokenizer)
    for targets in given.targets:
        for init in given.init:
            for lr in given.lr:
                began = time.time()
                model = load(given.base, init, targets, given.seed)
                loss = finetune(model, train, lr, given.epochs, seed=given.seed)
                score = accuracy(model, test, tokenizer)
                print(
                    json.dumps(
                        {
                            "data": given.train.parent.name,
                            "targets": targets,
                            "init": init,
                            "lr": lr,
                            "loss": round(loss, 4),
                            "accuracy": round(score, 3),
                            "seconds": round(time.time() - began),
                        }
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
