"""The whole run: prepare, learn from text, learn from chat tasks, export. Killed and started again, it goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from .batches import TextWindows
from .bits import bits_per_byte
from .card import model_card
from .chat import ChatTasks
from .circuits import content_width, wire
from .corpus import LANGUAGES
from .export import export
from .learner import Learner
from .prepare import clean_corpus, prepare_embeddings, prepare_tokenizer, prepare_tokens
from .repeats import Repeats
from .schedule import Schedule
from .shape import EMBEDDING_STD, new_model


@dataclass(frozen=True)
class Settings:
    """What one run is.

    Attributes:
        corpus: Folder of the three corpus files.
        exclude: Folder of evaluation data whose text is kept out, or None.
        work: Folder of intermediate files and the resume state.
        out: The model folder to write.
        name: The base's name, e.g. `mini-1`.
        schedule: The budget.
        vocabulary: Tokenizer entries.
        hidden: Width of the model; a multiple of 96, from 192 on.
        layers: Depth of the model.
        batch_tokens: Tokens an update learns from.
        matrix_lr: Peak learning rate of the layers' matrices.
        embedding_lr: Peak learning rate of the embeddings.
        chat_shares: Share of the updates of phase 1 and of phase 2 that are chat tasks; the others are plain text.
        repeat_share: Share of all updates that are repeated spans.
        learning_rate_factor: Goes to `exactune.json`.
        full_learning_rate_factor: The same for full fine-tuning.
        lora_target_modules: Layers an adapter on this base needs; goes to `exactune.json` as part of its recipe.
        device: Where the model learns.
        seed: Of everything drawn.
        save_every: Updates between resume states.
        export_every: Updates between exports of the unfinished model.
    """

    corpus: Path
    exclude: Path | None
    work: Path
    out: Path
    name: str
    schedule: Schedule
    vocabulary: int = 8192
    hidden: int = 192
    layers: int = 4
    batch_tokens: int = 2048
    matrix_lr: float = 0.002
    embedding_lr: float = 0.003
    chat_shares: tuple[float, float] = (0.25, 0.6)
    repeat_share: float = 0.1
    learning_rate_factor: float = 300
    full_learning_rate_factor: float = 100
    lora_target_modules: str = "all-linear"
    device: str = "cpu"
    seed: int = 0
    save_every: int = 100
    export_every: int = 400


def pretrain(settings: Settings, say: Callable[[str], None] = print) -> None:
    """Runs every stage that is not done yet and exports the model."""
    settings.work.mkdir(parents=True, exist_ok=True)
    tokenizer = _prepare(settings, say)
    model = new_model(tokenizer, settings.seed, hidden=settings.hidden, layers=settings.layers)
    state = settings.work / "state.pt"
    if not state.exists():
        width = content_width(settings.hidden)
        table = prepare_embeddings(list(LANGUAGES), settings.vocabulary, width, settings.seed, settings.work)
        wire(model, torch.from_numpy(table), EMBEDDING_STD, settings.seed)
    learner = Learner(model, settings.matrix_lr, settings.embedding_lr, device=settings.device)
    if state.exists():
        learner.load(state)
        say(f"resumed at step {learner.step}, {learner.tokens:,} tokens")
    _learn(settings, learner, tokenizer, say)
    learner.save(state)
    _export(settings, learner, tokenizer, say)


def _prepare(settings: Settings, say: Callable[[str], None]) -> Tokenizer:
    done = settings.work / "documents.done"
    documents = [] if done.exists() else clean_corpus(settings.corpus, settings.exclude, settings.work)
    tokenizer = prepare_tokenizer(documents, settings.vocabulary, settings.seed, settings.work)
    if not done.exists():
        prepare_tokens(documents, tokenizer, settings.work)
        done.touch()
        say("corpus encoded")
    return tokenizer


def _learn(settings: Settings, learner: Learner, tokenizer: Tokenizer, say: Callable[[str], None]) -> None:
    schedule = settings.schedule
    windows = TextWindows(settings.work, list(LANGUAGES), settings.seed)
    repeats = Repeats(windows, settings.vocabulary, settings.seed)
    tasks = ChatTasks(settings.work, tokenizer, settings.seed, settings.batch_tokens)
    log = (settings.work / "metrics.jsonl").open("a", encoding="utf-8")
    while learner.tokens < schedule.total:
        kind = _kind(settings, learner)
        if kind == "chat":
            batch = tasks.batch(learner.step)
        elif kind == "repeat":
            batch = repeats.batch(learner.step, settings.batch_tokens)
        else:
            batch = windows.batch(learner.tokens, settings.batch_tokens, schedule.length(learner.tokens))
        began = time.time()
        loss = learner.update(batch, schedule.scale(learner.tokens))
        row = {
            "step": learner.step,
            "tokens": learner.tokens,
            "phase": kind,
            "loss": round(loss, 4),
            "seconds": round(time.time() - began, 3),
        }
        print(json.dumps(row), file=log, flush=True)
        if learner.step % 20 == 0:
            say(json.dumps(row))
        if learner.step % settings.save_every == 0:
            learner.save(settings.work / "state.pt")
        if learner.step % settings.export_every == 0:
            _export(settings, learner, tokenizer, say)
    log.close()


def _kind(settings: Settings, learner: Learner) -> str:
    """What the next update learns from; shares are spread evenly over the steps."""
    if _falls_due(learner.step, settings.repeat_share):
        return "repeat"
    # Another stride than the repeats', so that these do not always take the same kind's turn.
    share = settings.chat_shares[settings.schedule.in_decay_phase(learner.tokens)]
    return "chat" if _falls_due(learner.step * 7, share) else "text"


def _falls_due(step: int, share: float) -> bool:
    """True for `share` of the steps."""
    return int((step + 1) * share) > int(step * share)


def _export(settings: Settings, learner: Learner, tokenizer: Tokenizer, say: Callable[[str], None]) -> None:
    figures = {language: round(bits_per_byte(learner, tokenizer, settings.work, language), 3) for language in LANGUAGES}
    say(f"step {learner.step}: held-out bits per byte {figures}")
    facts: dict[str, object] = {
        "name": settings.name,
        "learning_rate_factor": settings.learning_rate_factor,
        "full_learning_rate_factor": settings.full_learning_rate_factor,
        "recipe": {"lora.target_modules": settings.lora_target_modules},
        "tokens_seen": learner.tokens,
        "parameters": sum(parameter.numel() for parameter in learner.model.parameters()),
    }
    given: dict[str, object] = {
        "name": settings.name,
        "matrix_lr": settings.matrix_lr,
        "embedding_lr": settings.embedding_lr,
        "hardware": _hardware(settings.device),
        "seed": settings.seed,
    }
    card = model_card(learner, tokenizer, figures, given, settings.work)
    export(learner.model, tokenizer, settings.out, facts, card)


def _hardware(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} of {os.cpu_count()} CPU cores, shared with other work, no accelerator"
