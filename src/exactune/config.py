"""The config: one strict tree. How its values are read and merged is in :mod:`exactune.layers`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from exactune.language import say

__all__ = ["PREFERENCE", "Config", "DataConfig", "Epochs", "TaskConfig", "config_keys", "to_epochs"]

PREFERENCE = ("dpo", "orpo")
"""Training methods that learn from pairs."""


@dataclass(frozen=True, slots=True)
class Epochs:
    """How long to train: at least ``minimum``, at most ``maximum`` epochs; early stopping decides in between."""

    minimum: float
    maximum: float

    def __str__(self) -> str:
        return f"{self.minimum:g}" if self.minimum == self.maximum else f"{self.minimum:g}-{self.maximum:g}"


def to_epochs(value: Any) -> Epochs:
    """A number of epochs, or a range as it is written: ``5-8``.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, Epochs):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:-\s*(\d+(?:\.\d+)?))?\s*", str(value))
    if match is None or isinstance(value, bool):
        raise ValueError(say("a number of epochs (3) or a range (5-8) is needed"))
    low = float(match[1])
    high = float(match[2] or match[1])
    if not 0 < low <= high:
        raise ValueError(say("epochs must be more than 0, and a range must rise (5-8)"))
    return Epochs(low, high)


def _epochs_to_yaml(value: Epochs) -> int | float | str:
    if value.minimum != value.maximum:
        return str(value)
    return int(value.minimum) if value.minimum.is_integer() else value.minimum


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


EpochsField = Annotated[Epochs, BeforeValidator(to_epochs), PlainSerializer(_epochs_to_yaml)]
Modules = Literal["all-linear"] | Annotated[list[str], Field(min_length=1)]
Paths = Annotated[list[str], BeforeValidator(_one_or_many)]


class _Node(BaseModel):
    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, populate_by_name=True, arbitrary_types_allowed=True
    )


class MixSource(_Node):
    """General rows that join training."""

    path: str
    """Data file, in any format that ``data.train`` may have."""
    ratio: float = Field(gt=0, le=10)
    """How many rows to add for each training row: 0.1 adds 10 for every 100, drawn once by ``training.seed`` and the
    same in every epoch."""


class DataConfig(_Node):
    """Where the rows are."""

    train: Paths = []
    """File, glob or list of them, relative to the config, or a data set of the hub: ``owner/name`` or
    ``owner/name/config``, with ``:split`` where it is not ``train`` (for ``eval`` ``validation``, for ``test``
    ``test``). A folder that such a data set was downloaded to is named the same way."""
    eval: Paths = []
    """Rows that choose the checkpoint. Without them, ``eval_fraction`` of the training rows."""
    test: Paths = []
    """Rows for the final figures; without them these are taken on the eval rows."""
    eval_fraction: float = Field(0.1, gt=0, lt=1)
    """Share of the training rows held out when ``eval`` is not given: stratified by answer, the same input never on
    both sides, drawn by ``training.seed``."""
    test_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of the training rows held out as test rows when ``test`` is not given, before eval rows are and in the same
    way; 0 holds out none. ``train --auto`` takes ``eval_fraction``, so that its last figures are of rows that chose
    nothing."""
    columns: dict[str, str] = {}
    """Names of ``input``, ``output``, ``system`` that cannot be recognised, or to choose otherwise:
    ``{input: sentence, output: tag}``."""
    limit: dict[Literal["train", "eval", "test"], Annotated[int, Field(ge=1)]] = {}
    """At most this many rows of a split, a seeded, stratified slice: ``{train: 2000}`` for a quick look."""
    instruction: str = ""
    """System message for rows that bring none."""
    mix: list[MixSource] = []
    """General rows that join training against forgetting; never evaluated."""


class TaskConfig(_Node):
    """What a right answer is."""

    type: Literal["auto", "classification", "json", "entities", "relations", "text"] = "auto"
    """``auto`` looks at the training answers and says what it took them for."""
    labels: list[str] | None = None
    """``classification``: the labels allowed; by default those of the training rows."""
    field: str | None = None
    """``classification``: the key under which a JSON answer holds its label."""
    multi_label: bool | None = None
    """``classification``: whether an answer is a JSON list of labels, any number of them, instead of one label; by
    default as the training rows are."""
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    """``json``: the JSON schema of an answer; by default inferred from the training rows."""
    entity_types: list[str] | None = None
    """``entities`` and ``relations``: the types allowed; by default those of the training rows."""
    relation_types: list[str] | None = None
    """``relations``: the relations allowed; by default those of the training rows."""
    copy_spans: bool = False
    """``json``, ``entities``, ``relations``: texts that training answers copy from their inputs, such as spans, can be
    nothing but pieces of the row's input. Holds answers to a grammar, as ``constrain: true`` does, one for each row."""


class CheckConfig(_Node):
    """What the data checks may stop."""

    on_error: Literal["stop", "skip", "ignore"] = "stop"
    """``stop`` the run, ``skip`` the rows named (listed in the run) or ``ignore`` the finding."""
    ignore: list[str] = []
    """Codes not to report."""


class TrainingConfig(_Node):
    """How to train. The defaults are the guide's base configuration."""

    method: Literal["sft", "dpo", "orpo", "sft+dpo"] = "sft"
    """``sft``: supervised fine-tuning. ``dpo``: preference pairs, from the model of another run (``start_from``), which
    is the reference. ``orpo``: pairs and single answers in one step, without a reference. ``sft+dpo``: fine-tune, mine
    pairs from the mistakes, then ``dpo`` on them."""
    num_epochs: EpochsField = Epochs(5, 8)
    """A number is exact; ``5-8`` trains at least 5, at most 8, and early stopping decides. The learning-rate schedule
    spans the maximum."""
    learning_rate: float = Field(1e-5, gt=0, lt=1)
    """Peak learning rate. A recipe's rate is multiplied by the factor the base model declares; yours is literal."""
    lr_scheduler_type: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """Shape of the schedule after warm-up."""
    per_device_train_batch_size: int = Field(4, ge=1)
    """Rows per forward pass."""
    gradient_accumulation_steps: int = Field(4, ge=1)
    """Forward passes per optimizer step, in each process."""
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW weight decay."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this norm."""
    max_seq_length: int = Field(2048, ge=8)
    """Longest row in tokens, prompt and answer together. A longer row is rejected and listed, never cut."""
    early_stopping_patience: int = Field(2, ge=1)
    """Evaluations without a better ``metric_for_best`` before stopping, once the minimum of epochs is over."""
    metric_for_best: str = "auto"
    """``auto`` (the task's primary metric), another of its metrics, or ``loss``."""
    seed: int = Field(42, ge=0)
    """Of adapter initialisation, data order, dropout and splits."""
    logging_steps: int = Field(10, ge=1)
    """Optimizer steps between two lines of ``train/metrics.jsonl``."""
    save_steps: int | None = Field(None, ge=1)
    """Optimizer steps between two checkpoints, besides those at the end of each epoch; without it, ten minutes."""
    gradient_checkpointing: bool = False
    """Trade compute for memory: recompute activations in the backward pass."""
    engine: Literal["auto", "tree", "plain"] = "auto"
    """``tree`` computes what rows share once; ``plain`` computes padded batches. ``auto`` takes trees wherever they are
    exact for the model, and says where not. Both give the same loss; with dropout, rows of a tree share the draw for
    what they share."""
    report_to: Annotated[list[str], BeforeValidator(_one_or_many)] = []
    """Trackers that transformers knows, for example ``tensorboard``. They are told of every step."""


class LoraSettings(_Node):
    """The adapter. ``lora: none`` fine-tunes every weight instead."""

    r: int = Field(32, ge=1)
    """Rank."""
    lora_alpha: float = Field(64, gt=0)
    """Scale: updates are multiplied by ``lora_alpha / r``."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input while training."""
    target_modules: Modules = ["q_proj", "k_proj", "v_proj", "o_proj"]
    """Linear layers that get an adapter, or ``all-linear``."""


class DpoConfig(_Node):
    """What ``training.method: dpo`` does. The defaults are TRL's."""

    beta: float = Field(0.1, gt=0)
    """How dear it is to leave the reference: higher stays nearer to it."""
    sft_weight: float = Field(0.0, ge=0)
    """Weight of the chosen answer's own loss beside that of the pair. It keeps right answers probable where a pair
    would be content with making wrong ones less so."""
    num_epochs: EpochsField | None = None
    """``sft+dpo``: epochs of its second step; by default the recipe's. ``training.num_epochs`` is of the first one."""
    learning_rate: float | None = Field(None, gt=0, lt=1)
    """``sft+dpo``: peak learning rate of its second step; by default the recipe's."""


class OrpoConfig(_Node):
    """What ``training.method: orpo`` does. The default is TRL's."""

    beta: float = Field(0.1, ge=0)
    """Weight of the odds ratio of a pair beside the chosen answer's own loss."""


class EvaluateConfig(_Node):
    """How evaluation is done: during training on a slice; final figures are always taken on every row."""

    rows: int = Field(500, ge=1)
    """At most this many eval rows are answered at each evaluation during training: a seeded, stratified slice."""
    train_rows: int = Field(300, ge=0)
    """At most this many training rows are answered by the finished model, a seeded, stratified slice: how well it knows
    what it has seen. 0: none."""
    batch_size: int = Field(32, ge=1)
    """Rows generated together."""
    baselines: Annotated[list[str], BeforeValidator(_one_or_many)] = ["auto"]
    """What the model has to beat. ``auto``: all that fit the task; a list: these. ``majority`` gives the most frequent
    training answer; ``linear`` (classification) is TF-IDF with logistic regression; ``fields`` (json) copies each field
    or gives its most frequent value; ``gazetteer`` (entities, relations) looks up what training rows have;
    ``zero_shot`` and ``few_shot`` are the base model, asked on at most ``rows`` rows."""
    shots: int = Field(8, ge=1)
    """Training rows that ``few_shot`` shows the base model, as far as ``training.max_seq_length`` has room for them."""
    general: Paths = []
    """Files on which forgetting is measured, before and after fine-tuning: plain text (``.txt``), rows of text
    (``{"text"}``) or instruction rows; paths are as in ``data.mix``. Of each file at most 128,000 bytes of text, or 100
    rows (no more than ``evaluate.rows``), sampled by ``training.seed``."""


class MineConfig(_Node):
    """How preference pairs are made of a run's own mistakes: ``exactune mine``."""

    folds: int = Field(3, ge=0)
    """Into how many parts the training rows are dealt: each is answered by a model that the others trained. 0 lets the
    run's own model answer the rows that it has learned: cheap, and it hides most of its mistakes."""
    max_pairs: int | None = Field(None, ge=1)
    """At most so many pairs: round robin over the labels (of other tasks, over the kinds of mistake), in each those
    first that the model was surest of."""
    max_per_label: int | None = Field(None, ge=1)
    """At most so many pairs of one right label; without it, twice as many as the median label has, and no fewer than
    10."""
    all: bool = False
    """Write the rows without a pair, too, without a rejected answer: ORPO takes such rows."""
    runner_up: bool = False
    """Classifications: rows that were answered right are pairs, too, with the most probable wrong label as the rejected
    answer."""
    keep_doubtful: bool = False
    """Keep the pairs of rows whose right answer is itself probably wrong (classifications)."""


class CompareConfig(_Node):
    """What ``exactune compare`` trains on the same rows, and answers the same rows with."""

    methods: list[Literal["base", "kshot", "sft", "sft+dpo", "orpo"]] = ["base", "kshot", "sft", "sft+dpo", "orpo"]
    """``base``: the base model as it is. ``kshot``: with ``evaluate.shots`` training rows in its prompt. The others are
    methods of training; all are held against ``sft``, which has to be among them."""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [1, 2, 3]
    """Each method is trained once for each, instead of ``training.seed``. One tells nothing of chance."""


def _none_word(value: Any) -> Any:
    return None if value in ("none", "None", False) else value


def _type_word(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Config(_Node):
    """The whole tree."""

    model: str = "mini"
    """Hub id, local folder, or ``mini`` (embedded, works offline)."""
    model_revision: str | None = None
    """Branch, tag or commit of a hub model. A run records the commit that it led to, and keeps to it."""
    start_from: str | None = None
    """Run or artifact folder whose adapter (or model, where all weights were trained) training goes on with, relative
    to the config. Base model, task, ``constrain`` and the adapter's shape are then its own; without ``data.eval`` so
    are the eval rows, and without ``data.test``, too, the test rows."""
    data: DataConfig = DataConfig()
    task: Annotated[TaskConfig, BeforeValidator(_type_word)] = TaskConfig()
    check: CheckConfig = CheckConfig()
    training: TrainingConfig = TrainingConfig()
    lora: Annotated[LoraSettings | None, BeforeValidator(_none_word)] = LoraSettings()
    dpo: DpoConfig = DpoConfig()
    orpo: OrpoConfig = OrpoConfig()
    quantization: Literal["none", "4bit"] = "none"
    """``none`` keeps the base in float32 on CPU and in bfloat16 where the device has it. ``4bit`` (QLoRA) keeps its
    linear layers in NF4, but for the output layer, and trains the adapter beside them in float32: less memory, more
    time. It needs an adapter (``lora``) and ``pip install 'exactune[qlora]'``."""
    constrain: Literal["auto", True, False] = "auto"
    """What answers are held to, in training's evaluations and afterwards. ``auto``: classifications get the most
    probable of their labels, everything else is decoded freely. ``true``: JSON answers follow a grammar of the task's
    schema, too. ``false``: every answer is decoded freely."""
    evaluate: EvaluateConfig = EvaluateConfig()
    gate: dict[str, float] = {}
    """Metric values the run must reach, for example ``{macro_f1: 0.80}``; otherwise the exit code is 1."""
    gate_on: Literal["value", "lower"] = "value"
    """What a gate looks at: the ``value``, or the end of its 95% interval that is less favourable (``lower``)."""
    mine: MineConfig = MineConfig()
    compare: CompareConfig = CompareConfig()
    output_dir: str = "runs/default"
    """The run folder, relative to the working directory."""


@cache
def config_keys() -> tuple[dict[str, type[BaseModel]], tuple[str, ...]]:
    """Dotted paths of the inner nodes with their models, and of the leaves."""
    nodes: dict[str, type[BaseModel]] = {}
    leaves: list[str] = []

    def walk(model: type[BaseModel], prefix: str) -> None:
        for name, info in model.model_fields.items():
            path = prefix + (info.alias or name)
            # A list of nodes is a leaf: only a node itself or an optional one is walked into.
            kinds = () if get_origin(info.annotation) is list else (info.annotation, *get_args(info.annotation))
            inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, _Node)]
            if inner:
                nodes[path] = inner[0]
                walk(inner[0], path + ".")
            else:
                leaves.append(path)

    walk(Config, "")
    return nodes, tuple(leaves)
