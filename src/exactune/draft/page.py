"""The config as a page to read: every value with its reason, every doubt with its way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from exactune.bases import EMBEDDED
from exactune.config import config_keys
from exactune.data.words import count, excerpt
from exactune.draft.doubts import Doubt
from exactune.draft.facts import described_files, described_findings, described_tokens, typed
from exactune.draft.layout import block, entry, heading, listing, note
from exactune.draft.survey import Survey
from exactune.tasks import ClassificationTask, MultiLabelTask
from exactune.tasks.jsontext import canonical, parse_answer

__all__ = ["write_page"]

HUB_MODEL = "Qwen/Qwen3-4B"

LISTED = 12
"""Labels or entity types up to this number are written out; more are counted in comments and left to be inferred."""

COUNTED = 200
"""At most so many are counted there."""

SCHEMA_LINES = 40
"""A schema of more lines is left to be inferred."""

GATE = 0.7
"""A gate for data sets too small for the guide's figures."""

FEATURED = ("model", "data.train", "data.eval", "data.test", "data.eval_fraction", "data.columns", "data.instruction",
            "check.on_error", "training.seed", "lora", "gate", "output_dir")  # fmt: skip
"""Keys that have lines of their own; so have those of the task and of the recipe."""


def write_page(survey: Survey, doubts: Sequence[Doubt], data: Sequence[str], path: Path) -> str:
    """The commented YAML.

    Args:
        survey: What was seen in the rows.
        doubts: What stayed unsure.
        data: The paths as the person wrote them.
        path: Where the config will be.
    """
    head = _head(survey, doubts, data, path)
    sections = (_model, _data, _task, _check, _training, _lora, _gate, _output, _others)
    parts = [list(head), *(list(section(survey)) for section in sections)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(survey: Survey, doubts: Sequence[Doubt], data: Sequence[str], path: Path) -> Iterator[str]:
    named = " ".join(map(typed, data[:4])) + (" …" if len(data) > 4 else "")
    ready = "stops at the errors below" if survey.stops else "takes it as it is"
    yield from note(f"Written by `exactune init {named}`; `exactune train {typed(path)}` {ready}.")
    yield from ("#", "# Found")
    tokens = (f"tokens: {line}" for line in described_tokens(survey))
    for line in (*described_files(survey), *tokens, *described_findings(survey)):
        yield from note(f"- {line}", hanging="  ")
    if doubts:
        yield from ("#", "# Not sure")
        for number, doubt in enumerate(doubts, 1):
            yield from note(f"{number}. {doubt}", hanging="   ")


def _model(survey: Survey) -> Iterator[str]:
    if survey.config.model in EMBEDDED:
        yield from entry("model", survey.config.model, "embedded and tiny: works offline, shows that all is in order")
        yield from entry("model", HUB_MODEL, "for the real task, this line instead: 8 GB to fetch, a GPU", live=False)
    else:
        yield from entry("model", survey.config.model, "hub id, or a folder seen from the working directory")
        yield from entry("model", "mini", "embedded, works offline; to see that all is in order", live=False)


def _data(survey: Survey) -> Iterator[str]:
    data = survey.config.data
    yield from heading("data", "paths are relative to this file")
    yield from listing("train", data.train, f"{_rows(survey, 'train')} to learn from", indent="  ")
    if data.eval:
        yield from listing("eval", data.eval, f"{_rows(survey, 'eval')} that choose the checkpoint", indent="  ")
    else:
        held_out = f"{len(survey.splits.eval):,} of the training rows choose the checkpoint instead of being learned"
        yield from entry("eval_fraction", data.eval_fraction, held_out, indent="  ")
        yield from entry("eval", "eval.jsonl", "or a file of their own", indent="  ", live=False)
    if data.test:
        yield from listing("test", data.test, f"{_rows(survey, 'test')} kept for the final figures", indent="  ")
    else:
        why = "rows for honest final figures: the eval rows also choose the checkpoint"
        yield from entry("test", "test.jsonl", why, indent="  ", live=False)
    if data.columns:
        yield from entry("columns", data.columns, "which column is what", indent="  ")
    if data.instruction:
        yield from entry("instruction", data.instruction, "for rows without a system message", indent="  ")
    elif suggestion := _instruction(survey):
        why = "no row says what to do; a sentence here becomes the system message of each"
        yield from entry("instruction", suggestion, why, indent="  ", live=False)
    yield from _extra(survey, "data.")


def _rows(survey: Survey, split: str) -> str:
    """How many there are, and how many of them are usable."""
    read = sum(file.rows for file in survey.loaded.files if file.split == split)
    used = len(getattr(survey.splits, split))
    if split == "train" and not survey.config.data.eval:
        used += len(survey.splits.eval)
    return count(read, "row") + ("" if used == read else f" ({used:,} used)")


def _instruction(survey: Survey) -> str:
    """What rows that bring neither instruction nor system message could be given."""
    rows = survey.splits.train
    if any(row.prompt[0].content.strip() or row.format not in ("text_label", "columns") for row in rows):
        return ""
    several = isinstance(survey.task, MultiLabelTask)
    if survey.task.type == "classification" and len(survey.counts) <= LISTED:
        return f"Answer with {'a JSON list of any' if several else 'one'} of: {', '.join(survey.counts)}."
    wanted = {
        "classification": "a JSON list of labels" if several else "the label",
        "entities": "a JSON object of the entities",
        "relations": "a JSON object of the relations",
        "json": "a JSON object",
    }
    return f"Answer with {wanted.get(survey.task.type, 'the text')} only."


def _task(survey: Survey) -> Iterator[str]:
    task = survey.task
    yield from heading("task", f"how answers are read and scored: {', '.join(task.metrics)}")
    different = f"{len(survey.answers):,} different answers over {count(len(survey.splits.train), 'training row')}"
    yield from entry("type", task.type, different, indent="  ")
    settings = task.config()
    if settings.get("field") is not None:
        yield from entry("field", settings["field"], "key of the JSON answer that holds the label", indent="  ")
    if settings.get("multi_label"):
        yield from entry("multi_label", True, "an answer is a list of labels, any number of them", indent="  ")
    beside = "relation_types" in settings
    for key, what in (("labels", "rows"), ("relation_types", "triples"), ("entity_types", "spans")):
        if key in settings and key == "entity_types" and beside:
            own = survey.config.task.entity_types is not None
            why = "as set" if own else "of entities and ends: those of the training rows"
            yield from entry(key, settings[key], why, indent="  ", live=own)
        elif key in settings:
            yield from _counted(survey, key, settings[key], what)
    if "schema" in settings:
        yield from _schema(survey, settings["schema"])


def _counted(survey: Survey, key: str, names: Sequence[str], what: str) -> Iterator[str]:
    """Labels or entity types with their numbers."""
    counts = survey.counts
    if getattr(survey.config.task, key) is not None:
        yield from entry(key, list(names), "as set", indent="  ")
    elif len(names) <= LISTED:
        numbers = ", ".join(f"{number:,}" for number in counts.values())
        yield from entry(key, list(counts), f"training {what}: {numbers}", indent="  ")
    else:
        most = [f"{excerpt(name)} {number:,}" for name, number in counts.most_common(COUNTED)]
        more = [f"and {len(names) - COUNTED:,} more"] if len(names) > COUNTED else []
        listed = ", ".join([*most, *more])
        yield from note(f"{len(names):,} {key.replace('_', ' ')}, those of the training rows; {what} of each: {listed}",
                        "  ", "  ")  # fmt: skip
    if isinstance(survey.task, ClassificationTask):
        label, share = survey.majority
        yield from note(f"To beat: always answering `{excerpt(label)}` is right in {share:.0%} of the rows.", "  ")


def _schema(survey: Survey, schema: Mapping[str, Any]) -> Iterator[str]:
    lines = ["  schema:", *_schema_lines(survey, schema)]
    if survey.config.task.json_schema is not None or (
        len(lines) <= SCHEMA_LINES and not any("? " in line for line in lines)
    ):
        yield from note("As the training rows have it; an answer that does not fit it is not valid.", "  ")
        yield from lines
    else:
        fields = ", ".join(excerpt(name) for name in schema.get("properties", {})) or "any"
        yield from note(f"Its schema is that of the training rows, too long to show here; fields: {fields}", "  ", "  ")


def _schema_lines(survey: Survey, schema: Mapping[str, Any]) -> Iterator[str]:
    values = [parse_answer(example.answer).value for example in survey.splits.train]
    for name, inner in schema.items():
        if name != "properties" or not inner:
            yield from block(name, inner, "    ")
            continue
        yield "    properties:"
        for field, kind in inner.items():
            lines = list(block(field, kind, "      "))
            found = [canonical(value[field]) for value in values if isinstance(value, dict) and field in value]
            why = f"{len(set(found)):,} different in {count(len(found), 'row')}"
            yield from entry(field, kind, why, indent="      ") if len(lines) == 1 else lines


def _check(survey: Survey) -> Iterator[str]:
    yield from heading("check", "what rows with errors lead to")
    why = "stop, skip (left out and listed in the run) or ignore"
    yield from entry("on_error", survey.config.check.on_error, why, indent="  ")
    yield from _extra(survey, "check.")


def _training(survey: Survey) -> Iterator[str]:
    yield from note(
        f"The recipe for {count(survey.recipe.rows, 'training row')} (bracket {survey.recipe.bracket}) and "
        f"{survey.base.name}. It applies by itself and follows rows and model when they change; to hold a value, take "
        'the "# " off its line.'
    )
    yield "training:"
    for path, value in survey.recipe.patch.values.items():
        if path.startswith("training."):
            live = path in survey.resolved.sources
            shown = _value(survey, path) if live else value
            yield from entry(path.partition(".")[2], shown, _reason(survey, path), indent="  ", live=live)
    yield from entry("seed", survey.config.training.seed, "same seed, same rows held out, same run", indent="  ")
    yield from _extra(survey, "training.")


def _reason(survey: Survey, path: str) -> str:
    """What a value of the recipe means here, else the first sentence of its description."""
    values = survey.recipe.patch.values
    special: Mapping[str, Callable[[], str]] = {
        "training.num_epochs": lambda: "a range: early stopping decides in it; a number is exact",
        "training.learning_rate": lambda: _rate(survey),
        "training.gradient_accumulation_steps": lambda: (
            f"forward passes per step: {_batch(values)} rows learned at a time"
        ),
        "training.max_seq_length": lambda: (
            "tokens; a longer row is an error, never cut"
            + (f" (longest to learn: {survey.tokens.row:,})" if survey.tokens else "")
        ),
    }
    if path in special:
        return special[path]()
    node, _, name = path.rpartition(".")
    description = config_keys()[0][node].model_fields[name].description or ""
    sentence = " ".join(description.split()).partition(". ")[0].rstrip(".").replace("``", "`")
    return sentence[:1].lower() + sentence[1:] if sentence[1:].islower() else sentence


def _batch(values: Mapping[str, Any]) -> int:
    return int(values["training.per_device_train_batch_size"] * values["training.gradient_accumulation_steps"])


def _rate(survey: Survey) -> str:
    factor = survey.base.learning_rate_factor(full=survey.config.lora is None)
    if factor == 1:
        return "peak"
    own = survey.recipe.patch.values["training.learning_rate"] / factor
    return f"peak: {own:g} for this many rows, times {factor:g}, which {survey.base.name} declares"


def _lora(survey: Survey) -> Iterator[str]:
    if survey.config.lora is None:
        yield from entry("lora", "none", "every weight is trained")
        return
    recipe = {
        path.partition(".")[2]: value for path, value in survey.recipe.patch.values.items() if path.startswith("lora.")
    }
    own = {path.partition(".")[2]: _value(survey, path) for path in _said(survey) if path.startswith("lora.")}
    if own:
        yield from entry("lora", own, "the adapter; the rest is the recipe's")
    else:
        yield from entry("lora", recipe, "the adapter, by the recipe", live=False)
        yield from entry("lora", "none", "instead of an adapter: trains every weight", live=False)


def _gate(survey: Survey) -> Iterator[str]:
    gate, expected = survey.config.gate, survey.recipe.expected
    low = GATE if expected is None else expected.low
    why = "exit code 1 if the final figure is lower"
    if expected is not None:
        why += f"; the guide expects {expected.low:.0%}-{expected.high:.0%} with this many rows"
    yield from entry("gate", gate or {survey.task.primary: low}, why, live=bool(gate))


def _output(survey: Survey) -> Iterator[str]:
    yield from entry("output_dir", survey.config.output_dir, "the run folder, relative to the working directory")


def _others(survey: Survey) -> Iterator[str]:
    """What the person set and no section shows."""
    shown = ("model", "data", "task", "check", "training", "lora", "gate", "output_dir")
    tops = dict.fromkeys(path.partition(".")[0] for path in _said(survey))
    for top in tops:
        if top not in shown:
            yield from block(top, _chosen(survey, top), "")


def _chosen(survey: Survey, top: str) -> Any:
    if top in config_keys()[0]:
        return {path.partition(".")[2]: _value(survey, path) for path in _said(survey) if path.startswith(f"{top}.")}
    return _value(survey, top)


def _extra(survey: Survey, prefix: str) -> Iterator[str]:
    """What the person set in a section that has no line for it."""
    for path in _said(survey):
        if path.startswith(prefix) and path not in FEATURED and path not in survey.recipe.patch.values:
            yield from entry(path.removeprefix(prefix), _value(survey, path), "as set", indent="  ")


def _said(survey: Survey) -> list[str]:
    """Leaves that the person set; a key inside a mapping counts as the mapping."""
    leaves = config_keys()[1]
    found = (
        next((leaf for leaf in leaves if source == leaf or source.startswith(f"{leaf}.")), source)
        for source in survey.resolved.sources if survey.says(source)
    )  # fmt: skip
    return list(dict.fromkeys(found))


def _value(survey: Survey, path: str) -> Any:
    node: Any = survey.config.model_dump(mode="json", by_alias=True)
    for name in path.split("."):
        node = node[name]
    return node
