"""The layers a config is resolved from.

Values come, weakest first, from defaults, the recipe, the config file, ``--patch`` files and ``--set``. Every layer is
a :class:`~exactune.types.Patch` with dotted keys, so each resolved value can say where it came from.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from exactune.config import Config, config_keys
from exactune.errors import ConfigError
from exactune.language import Text, join, say
from exactune.types import Patch

__all__ = ["Resolved", "flow", "parse_assignment", "parse_mapping", "read_patch", "resolve", "to_yaml"]

ALIASES: Mapping[str, str] = {
    "base_model": "model",
    "model_name": "model",
    "model_name_or_path": "model",
    "dataset": "data.train",
    "train_file": "data.train",
    "eval_file": "data.eval",
    "validation_file": "data.eval",
    "test_file": "data.test",
    "val_size": "data.eval_fraction",
    "val_set_size": "data.eval_fraction",
    "split_dataset_ratio": "data.eval_fraction",
    "num_train_epochs": "training.num_epochs",
    "epochs": "training.num_epochs",
    "lr": "training.learning_rate",
    "lr_scheduler": "training.lr_scheduler_type",
    "batch_size": "training.per_device_train_batch_size",
    "micro_batch_size": "training.per_device_train_batch_size",
    "max_length": "training.max_seq_length",
    "max_seq_len": "training.max_seq_length",
    "cutoff_len": "training.max_seq_length",
    "sequence_len": "training.max_seq_length",
    "early_stopping_steps": "training.early_stopping_patience",
    "metric_for_best_model": "training.metric_for_best",
    "rank": "lora.r",
    "lora_r": "lora.r",
    "lora_rank": "lora.r",
    "lora_target": "lora.target_modules",
    "lora_target_modules": "lora.target_modules",
}
"""Names that other tools use, and ours. A leaf's own name is also accepted alone: ``lora_dropout: 0.1``."""

PYDANTIC: Mapping[str, str] = {
    "greater_than": "Input should be greater than {gt}",
    "greater_than_equal": "Input should be greater than or equal to {ge}",
    "less_than": "Input should be less than {lt}",
    "less_than_equal": "Input should be less than or equal to {le}",
    "literal_error": "Input should be {expected}",
    "value_error": "Value error, {error}",
}
"""What pydantic says, by its name for it; other sentences of its own stand in :data:`~exactune.language.FOREIGN`."""

MAPPINGS = ("data.columns", "data.limit", "task.schema", "gate")
"""Leaves that are mappings: a key below one is merged into it."""


def _canonical(prefix: str, key: str, source: str) -> str:
    """Our dotted path for a key as the user wrote it."""
    nodes, leaves = config_keys()
    path = prefix + key
    if path in nodes or path in leaves:
        return path
    if any(path.startswith(leaf + ".") for leaf in MAPPINGS):
        return path
    name = key.rpartition(".")[2]
    if name == key and name in ALIASES:
        return ALIASES[name]
    # Only a bare name is looked for elsewhere: `evaluate.seed` must not become `training.seed`.
    same_name = [leaf for leaf in leaves if leaf.rpartition(".")[2] == path]
    if f"training.{path}" in same_name:
        # Whoever means that of one method says so.
        return f"training.{path}"
    if len(same_name) == 1:
        return same_name[0]
    near = difflib.get_close_matches(path, [*nodes, *leaves], 1, 0.6) or difflib.get_close_matches(
        name, [*ALIASES, *(leaf.rpartition(".")[2] for leaf in leaves)], 1, 0.6
    )
    hint = (
        say(" Did you mean `{near}`?", near=near[0])
        if near
        else say(" Known here: {names}.", names=", ".join(_siblings(prefix)))
    )
    raise ConfigError(say("{source}: unknown key `{path}`.{hint}", source=source, path=path, hint=hint))


def _siblings(prefix: str) -> list[str]:
    nodes, leaves = config_keys()
    return [
        path[len(prefix) :] for path in (*nodes, *leaves) if path.startswith(prefix) and "." not in path[len(prefix) :]
    ]


def _flatten(mapping: Mapping[Any, Any], source: str, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """``(written, canonical, value)`` for every leaf the user set."""
    for key, value in mapping.items():
        path = _canonical(prefix, str(key), source)
        if path in config_keys()[0] and value is None:
            raise ConfigError(
                say(
                    "{source}: `{path}` is empty. Write its values below it, or remove the line.",
                    source=source,
                    path=prefix + str(key),
                )
            )
        if path in config_keys()[0] and isinstance(value, Mapping):
            yield from _flatten(value, source, path + ".")
        else:
            yield prefix + str(key), path, value


def parse_mapping(mapping: Mapping[Any, Any], source: str) -> Patch:
    """A patch from a nested mapping with any accepted names.

    Raises:
        ConfigError: A key is unknown, or two names set the same value.
    """
    values: dict[str, Any] = {}
    renamed: list[str] = []
    for written, path, value in _flatten(mapping, source):
        if path in values:
            raise ConfigError(
                say(
                    "{source}: `{path}` is set twice (once as `{written}`). Keep one.",
                    source=source,
                    path=path,
                    written=written,
                )
            )
        values[path] = value
        if written != path:
            renamed.append(f"{written} -> {path}")
    return Patch(values, source, ", ".join(renamed))


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, which YAML loaders silently resolve to the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise ConfigError(
                    say(
                        "line {number}: key `{key}` stands twice. Keep one.",
                        number=key_node.start_mark.line + 1,
                        key=key,
                    )
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


def read_patch(path: str | Path) -> Patch:
    """A config or patch file; an empty or comments-only one is an empty patch.

    Raises:
        ConfigError: It is missing, not YAML, not a mapping, or has an unknown key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        loaded = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except ConfigError as error:
        raise ConfigError(say("{path}, {error}", path=path, error=error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            say(
                "{path}: cannot be read: {reason}.",
                path=path,
                reason=Text(getattr(error, "strerror", None) or str(error)),
            )
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(
            say("{path}: not readable YAML: {reason}", path=path, reason=" ".join(str(error).split()))
        ) from error
    if loaded is None:
        loaded = {}
    if not isinstance(loaded, Mapping):
        raise ConfigError(
            say("{path}: a config is a mapping (`model: mini`), found a {name}.", path=path, name=type(loaded).__name__)
        )
    return parse_mapping(loaded, say("file {name}", name=Path(path).name))


def parse_assignment(text: str) -> Patch:
    """A ``--set a.b=value``; the value is read as YAML.

    Raises:
        ConfigError: There is no ``=``, the value is not YAML, or the key is unknown.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(say("--set {text}: write key=value, for example --set training.num_epochs=3.", text=text))
    try:
        loaded = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(
            say(
                "--set {text}: the value is not readable YAML: {reason}", text=text, reason=" ".join(str(error).split())
            )
        ) from error
    return parse_mapping({key.strip(): loaded}, "--set")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A config with the source of each of its values.

    Attributes:
        config: The validated tree.
        sources: Dotted path -> source, for values that are not defaults.
        renamed: What was written under another tool's name: ``"file task.yaml: lora_r -> lora.r"``.
    """

    config: Config
    sources: Mapping[str, str]
    renamed: tuple[str, ...] = ()

    def source(self, path: str) -> str:
        """Where a value came from; a parent's source holds for its children."""
        while path:
            if path in self.sources:
                return self.sources[path]
            path = path.rpartition(".")[0]
        return "default"


def resolve(patches: Iterable[Patch]) -> Resolved:
    """Merge patches, weakest first, and validate.

    Raises:
        ConfigError: A value has the wrong type or range; every such value is named with its source.
    """
    tree: dict[str, Any] = {}
    sources: dict[str, str] = {}
    renamed: list[str] = []
    for patch in patches:
        for path, value in patch.values.items():
            _assign(tree, path, value)
            sources = {known: source for known, source in sources.items() if not known.startswith(path + ".")}
            sources[path] = patch.source
        if patch.reason and patch.source != "recipe":
            renamed.append(say("{source}: {reason}", source=patch.source, reason=patch.reason))
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error, sources)) from error
    return Resolved(config, sources, tuple(renamed))


def _assign(tree: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        node = tree.get(parent)
        if not isinstance(node, dict):
            # A scalar parent is a shorthand (`task: json`, `lora: none`) that a stronger layer now refines.
            node = {"type": node} if parent == "task" and isinstance(node, str) else {}
            tree[parent] = node
        tree = node
    tree[name] = value


def _explain(error: ValidationError, sources: Mapping[str, str]) -> str:
    lines = []
    for item in error.errors(include_url=False):
        parts = [str(part) for part in item["loc"] if part != "none"]
        path = ".".join(parts)
        source = next((sources[key] for key in (path, *_parents(path)) if key in sources), "default")
        lines.append(
            say(
                "{source}: `{path}`: {reason}; found {found}.",
                source=source,
                path=path,
                reason=_reason(item),
                found=repr(item["input"]),
            )
        )
    return join("\n", lines)


def _reason(item: Mapping[str, Any]) -> Text:
    """What pydantic says of a value, with its parts apart."""
    template = PYDANTIC.get(item["type"])
    parts = {
        name: value if isinstance(value, (int, float)) else Text(str(value))
        for name, value in item.get("ctx", {}).items()
    }
    return Text(item["msg"], template, parts) if template else Text(item["msg"])


def _parents(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def to_yaml(resolved: Resolved, header: Sequence[str] = ()) -> str:
    """The config as YAML that loads again, each value with its source as a comment."""
    lines = [f"# {line}" for line in header]
    tree = resolved.config.model_dump(mode="json", by_alias=True)
    nodes, _ = config_keys()

    def emit(node: Mapping[str, Any], prefix: str, indent: str) -> None:
        for key, value in node.items():
            path = prefix + key
            if path in nodes and isinstance(value, Mapping):
                lines.append(f"{indent}{key}:")
                emit(value, path + ".", indent + "  ")
            else:
                text = "none" if path == "lora" else flow(value)
                lines.append(f"{indent}{key}: {text}  # {resolved.source(path)}")

    emit(tree, "", "")
    return "\n".join(lines) + "\n"


class _Dumper(yaml.SafeDumper):
    """Keeps texts with line breaks on one line, by quoting and escaping them."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, '"' if len(text.splitlines()) > 1 else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def flow(value: Any) -> str:
    """One value as YAML on one line."""
    text = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, default_flow_style=True, width=10**9, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
