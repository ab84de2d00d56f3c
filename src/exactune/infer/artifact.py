"""The artifact: what leaves a run and answers anywhere as it did in evaluation."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import GenerationConfig, PreTrainedModel

from exactune.bases import Base, find_base
from exactune.errors import ModelError, RunError
from exactune.infer.answering import Answering
from exactune.infer.answers import Answer
from exactune.infer.calibration import Calibration
from exactune.infer.model import load_base, weights_digest
from exactune.language import say
from exactune.render.batch import dtype_of
from exactune.render.parity import golden, verify
from exactune.render.template import Template
from exactune.rundir import read_json, write_json
from exactune.tasks import Task, task_from_config
from exactune.types import Example, Message, input_of

__all__ = ["CARD", "Artifact", "base_of", "load_artifact", "read_card", "save_artifact", "save_whole", "with_adapter"]

CARD = "exactune.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model that answers, with all that decides how.

    Attributes:
        model: Base plus adapter, or the fully fine-tuned model; in evaluation mode.
        template: Makes its ids.
        answering: Makes and reads its answers.
        card: The content of ``exactune.json``.
    """

    model: torch.nn.Module
    template: Template
    answering: Answering
    card: Mapping[str, Any]

    @property
    def task(self) -> Task:
        """What its answers mean."""
        return self.answering.task

    @property
    def calibration(self) -> Calibration | None:
        """How its confidences are scaled."""
        return Calibration.from_card(self.card)

    def calibrated(self, answers: Sequence[Answer]) -> list[Answer]:
        """The same answers with scaled confidences."""
        scale = self.calibration
        return [*answers] if scale is None else [scale.apply(answer) for answer in answers]

    def with_calibration(self, folder: Path, calibration: Calibration | None) -> Artifact:
        """The same artifact with another scaling, in its folder too."""
        card = {**self.card, "calibration": None if calibration is None else calibration.to_card()}
        write_json(folder / CARD, card)
        return replace(self, card=card)

    def prompt(self, text: str | Sequence[Mapping[str, str]]) -> tuple[Message, ...]:
        """The turns for one input: a user text gets the run's system message and user prefix; messages are taken as
        they are."""
        if isinstance(text, str):
            head = self.card["user_prefix"]
            user = text if text.startswith(head) else head + text
            return (Message("system", self.card["system"]), Message("user", user))
        turns = tuple(Message(turn["role"], turn["content"]) for turn in text)  # type: ignore[arg-type]
        return turns if turns and turns[0].role == "system" else (Message("system", self.card["system"]), *turns)

    @contextlib.contextmanager
    def base_model(self) -> Iterator[torch.nn.Module]:
        """The model as it was before fine-tuning: without its adapter, or loaded again.

        Raises:
            ModelError: All weights were trained, and the base is missing or has other weights by now.
        """
        if isinstance(self.model, PeftModel):
            with self.model.disable_adapter():
                yield self.model
            return
        name = str(self.card["base"]["name"])
        base = find_base(name, self.card["base"].get("revision"))
        model, _ = load_base(base, full=True)
        _same_weights(Path(name), self.card, base)
        yield model

    def answer(
        self,
        prompts: Sequence[Sequence[Message]],
        *,
        batch_size: int = 32,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Answer]:
        """One answer per prompt, in order."""
        ids = [self.template.prompt_ids(prompt) for prompt in prompts]
        sources = [input_of(prompt) for prompt in prompts]
        return self.calibrated(self.answering(self.model, ids, sources=sources, batch_size=batch_size, advance=advance))

    def predict(
        self, inputs: Sequence[str | Sequence[Mapping[str, str]]], *, batch_size: int = 32
    ) -> list[dict[str, Any]]:
        """Answers to user texts or message lists: ``{"answer", "prediction", "status", "confidence"}`` each."""
        return [
            answer.to_json() for answer in self.answer([self.prompt(text) for text in inputs], batch_size=batch_size)
        ]


def save_artifact(
    folder: Path,
    model: torch.nn.Module,
    template: Template,
    *,
    base: Base,
    digest: Mapping[str, Any],
    task: Task,
    examples: Sequence[Example],
    majority: str,
    columns: Mapping[str, str],
    max_new_tokens: int,
    constraint: Mapping[str, Any] | None,
    method: str = "sft",
    parents: Sequence[Mapping[str, Any]] = (),
    quantization: str = "none",
) -> None:
    """Write an adapter or a model with everything it needs to answer the same elsewhere; safetensors and JSON only.

    Args:
        folder: Where to; empty.
        model: The adapter model or the fully fine-tuned one.
        template: The template it was trained with.
        base: What it was trained over.
        digest: Of the base's weights, taken when they were loaded: by now the files may be others.
        task: What its answers mean.
        examples: Training rows; the first ones become golden tokens.
        majority: The most frequent training answer, the simplest baseline.
        columns: ``data.columns``, for inputs to come.
        max_new_tokens: Where a generation is cut and called ``no_stop``.
        constraint: What its answers are held to.
        method: ``training.method``.
        parents: What it was trained from, the nearest first: ``{"path", "method", "sha256"}`` each.
        quantization: Of the base, beside which an adapter was trained.
    """
    if isinstance(model, PeftModel):
        model.save_pretrained(folder)
        template.tokenizer.save_pretrained(folder)
    else:
        save_whole(folder, model, template)
    system, user_prefix = _common_frame(examples)
    card = {
        "format": FORMAT,
        "base": {"name": base.name, **digest},
        "adapter": isinstance(model, PeftModel),
        "method": method,
        "parents": [*parents],
        "quantization": quantization,
        "dtype": str(dtype_of(model)).removeprefix("torch."),
        "task": task.config(),
        "template": template.describe(),
        "system": system,
        "user_prefix": user_prefix,
        "majority": majority,
        "columns": dict(columns),
        "max_new_tokens": max_new_tokens,
        "constraint": constraint,
        "golden": golden(template, examples),
    }
    write_json(folder / CARD, card)


def save_whole(folder: Path, model: PreTrainedModel, template: Template) -> None:
    """A model and its tokenizer, for whatever serves models of transformers.

    Its generation config is that of the answers here: the most probable token, until one at which they end. Published
    ones sample, stop elsewhere, or cannot be written again once a trainer has changed them.
    """
    before = model.generation_config
    model.generation_config = GenerationConfig(
        eos_token_id=[*template.stop_ids], bos_token_id=before.bos_token_id, pad_token_id=before.pad_token_id
    )
    model.save_pretrained(folder)
    template.tokenizer.save_pretrained(folder)


def _common_frame(examples: Sequence[Example]) -> tuple[str, str]:
    """The system message and the head of the user turn that a bare text needs to look like a training row.

    The head is the lines all user turns of instruction rows begin with: their instruction.
    """
    systems = {example.prompt[0].content for example in examples}
    common = os.path.commonprefix([row.prompt[1].content for row in examples])  # noqa: RUF071 - by characters
    is_instruction = len(examples) > 1 and all(row.format == "instruction" for row in examples)
    head = common[: common.rfind("\n") + 1] if is_instruction else ""
    return (systems.pop() if len(systems) == 1 else ""), head


def read_card(folder: Path) -> dict[str, Any]:
    """The content of an artifact's ``exactune.json``.

    Raises:
        RunError: There is no artifact.
        ModelError: It is of another format.
    """
    if not (folder / CARD).is_file():
        raise RunError(
            say(
                "{folder}: no artifact here (it has no {card}). The run has not finished its first evaluation.",
                folder=folder,
                card=CARD,
            )
        )
    card: dict[str, Any] = read_json(folder / CARD)
    if card["format"] != FORMAT:
        raise ModelError(
            say(
                "{folder} has the artifact format {format}; this version reads {ours}. Train again.",
                folder=folder,
                format=card["format"],
                ours=FORMAT,
            )
        )
    return card


def load_artifact(folder: Path) -> Artifact:
    """An artifact, strictly: same base weights, no missing or unexpected tensors, same token ids.

    Raises:
        RunError: There is no artifact.
        ModelError: Its base is missing or has other weights.
        TemplateError: The tokenizer gives other ids than in training.
    """
    card = read_card(folder)
    if card["adapter"]:
        base = base_of(folder, card)
        model, base_template = load_base(base, quantization=card.get("quantization", "none"))
        loaded = with_adapter(model, folder, card, base)
    else:
        base = Base(str(folder), str(folder))
        # A copy of trained weights is as they are; merged ones are in what their adapter computed in.
        loaded, base_template = load_base(base, full=card.get("export", {}).get("to") != "merged")
    template = Template.load(Base(str(folder), str(folder)), base_template.stop_ids)
    verify(template, card["golden"])
    answering = Answering.of(task_from_config(card["task"]), template, card.get("constraint"), card["max_new_tokens"])
    return Artifact(loaded.eval(), template, answering, card)


def with_adapter(
    model: PreTrainedModel, folder: Path, card: Mapping[str, Any], base: Base, *, trainable: bool = False
) -> PeftModel:
    """A base model with the adapter of an artifact folder.

    Raises:
        ModelError: The adapter was trained over other weights, is damaged, or has other tensors than it should.
    """
    _same_weights(folder, card, base)
    try:
        loaded = PeftModel.from_pretrained(model, folder, is_trainable=trainable)
    except SafetensorError as error:
        raise ModelError(
            say(
                "{folder}: the adapter is damaged ({error}). Copy it again, or train again.", folder=folder, error=error
            )
        ) from error
    _same_tensors(folder, loaded)
    return loaded


def base_of(folder: Path, card: Mapping[str, Any]) -> Base:
    """The base that an adapter was trained over.

    Raises:
        ModelError: It is missing.
    """
    try:
        return find_base(card["base"]["name"], card["base"].get("revision"))
    except ModelError as error:
        raise ModelError(
            say(
                "{folder} is an adapter over `{name}`, and that base is missing. Put it back, or train "
                "again on another base.",
                folder=folder,
                name=card["base"]["name"],
            )
        ) from error


def _same_tensors(folder: Path, loaded: PeftModel) -> None:
    """PEFT only warns of missing adapter tensors and leaves them as they start: without effect."""
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        stored = set(file.keys())
    wanted = set(get_peft_model_state_dict(loaded))
    if stored != wanted:
        raise ModelError(
            say(
                "{folder}: the adapter has {tensors} tensors, {wrong} of them missing or unexpected "
                "({first}). Copy it again, or train again.",
                folder=folder,
                tensors=len(stored),
                wrong=len(stored ^ wanted),
                first=min(stored ^ wanted),
            )
        )


def _same_weights(folder: Path, card: Mapping[str, Any], base: Base) -> None:
    expected = {key: value for key, value in card["base"].items() if key != "name"}
    found = weights_digest(base)
    if expected != found and any(expected.values()):
        raise ModelError(
            say(
                "{folder} was trained over other weights of `{name}` than are there now: {expected} "
                "against {found}. Put the old ones back, or train again.",
                folder=folder,
                name=base.name,
                expected=expected,
                found=found,
            )
        )
