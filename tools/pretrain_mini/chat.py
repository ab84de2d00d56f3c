"""Phase 2: chat rows made from the corpus, tokens of prompt and answer, batches of similar lengths."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer

from . import label_tasks, span_tasks
from .batches import Batch
from .corpus import LANGUAGES
from .passages import Passages
from .vocabulary import END, PAD, START

_WEIGHTS = {"en": 0.34, "zh_tw": 0.36, "zh_cn": 0.30}
_SYSTEM = {
    "en": ["You are a helpful assistant.", "Answer exactly.", "You extract and classify text."],
    "zh_tw": ["你是一個助理。", "請精確回答。", "你負責擷取與分類文字。"],
    "zh_cn": ["你是一个助手。", "请精确回答。", "你负责抽取与分类文本。"],
}
_POOL = 16
"""Batches cut from one pool of rows sorted by length: padding stays small, and the order is still random."""


@dataclass(frozen=True)
class Row:
    """One exchange.

    Attributes:
        prompt: Rendered in ChatML up to and including the assistant's header.
        answer: Without the end-of-turn token.
    """

    prompt: str
    answer: str


class ChatTasks:
    """Draws rows; the batch of a step is a function of the seed and the step."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, seed: int, batch_tokens: int, max_length: int = 448) -> None:
        """Reads the wording; `folder` holds the token arrays."""
        self._source = Passages(folder, LANGUAGES, tokenizer)
        self._tokenizer = tokenizer
        self._seed = seed
        self._batch_tokens = batch_tokens
        self._max_length = max_length
        self._wording = yaml.safe_load((Path(__file__).parent / "wording.yaml").read_text(encoding="utf-8"))
        self._pools: dict[int, list[Batch]] = {}

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step."""
        number = step // _POOL
        if number not in self._pools:
            self._pools = {number: self._pool(random.Random(f"{self._seed}/{number}"))}
        return self._pools[number][step % _POOL]

    def row(self, rng: random.Random) -> Row:
        """Draws languages, passage, task, wording and layout until a task has something to ask."""
        while True:
            language = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            passage = self._source.draw(rng, language, rng.choice([40, 80, 120, 200]))
            labelled = rng.random() < 0.4
            task = rng.choice(label_tasks.TASKS if labelled else span_tasks.TASKS)(rng, passage, self._source)
            if task is None:
                continue
            key, names, text, answer = task
            instruction = rng.choice(self._wording[key][language]).format(**names)
            if labelled and rng.random() < 0.35:
                extra, answer = label_tasks.as_json(rng, passage, answer)
                instruction += extra
            return Row(_layout(rng, language, instruction, text), answer)

    def _pool(self, rng: random.Random) -> list[Batch]:
        rows = []
        while sum(len(prompt) + len(answer) for prompt, answer in rows) < _POOL * self._batch_tokens:
            ids = self._encode(self.row(rng))
            if sum(map(len, ids)) <= self._max_length:
                rows.append(ids)
        rows.sort(key=lambda ids: len(ids[0]) + len(ids[1]))
        bounds = _even_cuts([len(prompt) + len(answer) for prompt, answer in rows], _POOL)
        batches = [self._collate(rows[start:stop]) for start, stop in pairwise(bounds)]
        rng.shuffle(batches)
        return batches

    def _encode(self, row: Row) -> tuple[list[int], list[int]]:
        """Prompt and answer are encoded apart and joined, as everywhere else: the boundary never merges."""
        prompt = self._tokenizer.encode(row.prompt, add_special_tokens=False).ids
        return prompt, self._tokenizer.encode(row.answer + END, add_special_tokens=False).ids

    def _collate(self, rows: list[tuple[list[int], list[int]]]) -> Batch:
        """The loss is the mean over answers plus the mean over prompts: a prompt is text too, and as new as any."""
        width = max(len(prompt) + len(answer) for prompt, answer in rows)
        block = torch.full((len(rows), width), self._tokenizer.token_to_id(PAD))
        weights = torch.zeros(len(rows), width - 1)
        prompts, answers = (sum(map(len, part)) for part in zip(*rows, strict=True))
        for index, (prompt, answer) in enumerate(rows):
            block[index, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
            weights[index, : len(prompt) - 1] = 1 / prompts
            weights[index, len(prompt) - 1 : len(prompt) + len(answer) - 1] = 1 / answers
        return Batch(block[:, :-1].contiguous(), block[:, 1:].contiguous(), weights)


def _even_cuts(lengths: list[int], parts: int) -> list[int]:
    """Cuts a list into parts of about equal sums; every part has at least one element."""
    total, bounds, so_far = sum(lengths), [0], 0
    for index, length in enumerate(lengths[:-1]):
        so_far += length
        still = parts - len(bounds)
        enough = so_far >= total * len(bounds) / parts
        if still and (enough or len(lengths) - (index + 1) <= still):
            bounds.append(index + 1)
    return [*bounds, len(lengths)]


def _layout(rng: random.Random, language: str, instruction: str, text: str) -> str:
    """Places the instruction: as system prompt, before the text, or after it."""
    place = rng.random()
    if place < 0.4:
        return _chatml(("system", instruction), ("user", text))
    gap = rng.choice(["\n", "\n\n"])
    user = instruction + gap + text if place < 0.8 else text + gap + instruction
    if rng.random() < 0.3:
        return _chatml(("system", rng.choice(_SYSTEM[language])), ("user", user))
    return _chatml(("user", user))


def _chatml(*turns: tuple[str, str]) -> str:
    return "".join(f"{START}{role}\n{content}{END}\n" for role, content in turns) + f"{START}assistant\n"
