"""Remedies: the config values that mend a finding, relative to what the run used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exactune.config import Epochs, config_keys, to_epochs
from exactune.diagnose.knowledge import remedy
from exactune.diagnose.symptoms import Symptoms
from exactune.layers import flow
from exactune.rules import Finding

__all__ = ["as_yaml", "patch_for", "patch_yaml"]

METHODS = ("sft", "dpo", "orpo")
SHAPE = ("lora.r", "lora.lora_alpha", "lora.target_modules")
"""Of an adapter: what a run that goes on from another one cannot change."""


def patch_for(code: str, seen: Symptoms) -> dict[str, Any] | None:
    """Dotted config keys with new values, or None where nothing in the config would help.

    Args:
        code: Of the finding.
        seen: What the run used, and what the guide's tables would have given it.
    """
    stages: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    for operation in remedy(code):
        if seen.method not in operation.get("of", METHODS):
            continue
        stages[operation.get("beyond", False)].update(_changes(operation, seen))
    return stages[0] or stages[1] or None


def _changes(operation: Mapping[str, Any], seen: Symptoms) -> Iterator[tuple[str, Any]]:
    """The value of one key, where it differs from what was used, and what has to change with it."""
    key, used = operation["key"], _used(seen, operation["key"])
    if used is None and key.startswith("lora."):
        # Every weight was trained, so there is no adapter to change.
        return
    if key in SHAPE and seen.config.start_from:
        return
    if isinstance(used, Epochs):
        value = _epochs(operation, used, seen)
        same = to_epochs(value) == used
    else:
        value = _value(operation, used, seen)
        same = value == used
    if same:
        return
    yield key, value
    if key == "lora.r":
        # The scale of an adapter is alpha / r; a wider one is not to be a weaker one.
        yield "lora.lora_alpha", _short(value * _used(seen, "lora.lora_alpha") / used)


def _used(seen: Symptoms, key: str) -> Any:
    value: Any = seen.config
    for name in key.split("."):
        value = None if value is None else getattr(value, name)
    return value


def _value(operation: Mapping[str, Any], used: Any, seen: Symptoms) -> Any:
    if "value" in operation:
        return operation["value"]
    if "at_least" in operation:
        return max(used, operation["at_least"])
    if "at_most" in operation:
        return min(used, operation["at_most"])
    given = seen.recipe.get(operation["key"], used)
    wanted = operation.get("recipe")
    if wanted == "same" or (wanted == "up" and used < given) or (wanted == "down" and used > given):
        return given
    times = operation.get("else", operation.get("times", 1))
    other = used if times == 1 else _short(used * times)
    return max(used, min(other, operation["most"])) if "most" in operation else other


def _epochs(operation: Mapping[str, Any], used: Epochs, seen: Symptoms) -> Any:
    """Fewer, or more; a number is exact, the recipe's may be a range."""
    if "at_most" in operation:
        return min(used.maximum, operation["at_most"])
    if "fewer" in operation:
        # Not fewer than the eval loss was falling for, nor, in a run that had more, than the guide's tables have: they
        # give few rows many epochs.
        lowest = min(seen.evaluations, key=lambda one: one.loss, default=None)
        falling = round(lowest.epoch) if lowest else 0
        given = to_epochs(seen.recipe.get(operation["key"], used))
        if used.maximum > given.maximum:
            return falling if falling > given.maximum else str(given)
        most = max(operation["fewer"], falling)
        return most if most < used.maximum else used
    if "recipe" in operation:
        # Within the recipe's range is as the recipe has it.
        given = to_epochs(seen.recipe.get(operation["key"], used))
        return str(given) if given.minimum > used.maximum else used
    return _short(max(operation["at_least"], used.maximum * operation.get("times", 1)))


def _short(number: float) -> float:
    """Four digits are enough for people, and whole numbers have no point."""
    short = float(f"{number:.4g}")
    return int(short) if short.is_integer() else short


def patch_yaml(findings: Sequence[Finding]) -> str:
    """A file for ``--patch``: the values of the leading finding that has some, those of the others as comments.

    One change at a time can be told from chance; several cannot be told apart.

    Args:
        findings: As :func:`~exactune.diagnose.diagnose` orders them.
    """
    parts, leading = [], True
    for finding in findings:
        if finding.patch is None:
            continue
        # Labels and answers that a message names may have lines.
        parts.append(" ".join(f"# {finding.code} {finding.name}: {finding.message}".split()))
        parts += [line if leading else f"# {line}" for line in as_yaml(finding.patch).splitlines()]
        leading = False
    return "\n".join(parts or ["# No finding of this run has a patch."]) + "\n"


class _Block(dict[str, Any]):
    """Keys below a key of the config, unlike a mapping that is a value."""


def as_yaml(patch: Mapping[str, Any]) -> str:
    """A patch as the YAML file that ``--patch`` reads; empty for none."""
    nodes, tree = config_keys()[0], _Block()
    for path, value in patch.items():
        block, known, rest = tree, "", path
        while (head := rest.partition("."))[1] and known + head[0] in nodes:
            below = block.setdefault(head[0], _Block())
            if not isinstance(below, _Block):
                break
            block, known, rest = below, f"{known}{head[0]}.", head[2]
        block[rest] = value
    return "\n".join(_lines(tree, ""))


def _lines(block: _Block, indent: str) -> Iterator[str]:
    for key, value in block.items():
        if isinstance(value, _Block):
            yield f"{indent}{flow(key)}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{flow(key)}: {'none' if key == 'lora' and value is None else flow(value)}"
