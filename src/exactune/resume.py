"""Resuming: whether a run in a folder is still the same run, and where it goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from exactune import ranks
from exactune.bases import Base
from exactune.config import Config
from exactune.durable import write_text
from exactune.environment import versions
from exactune.errors import RunError
from exactune.infer.model import default_device, describe_device, weights_digest
from exactune.language import Text, join, say
from exactune.layers import read_patch, resolve, to_yaml
from exactune.plan import Plan
from exactune.render.template import Encoded
from exactune.rundir import Run, read_json, write_json
from exactune.train.checkpoints import newest_checkpoint, step_of
from exactune.used import changed_files

__all__ = [
    "CONFIG_HEAD", "Change", "best_file", "choose_checkpoint", "config_digest", "find_changes", "ids_digest",
    "is_finished", "is_trained", "note_resumption", "refuse_hard", "refuse_harmless",
]  # fmt: skip

CONFIG_HEAD = "What this run was made of; it can be trained again as it is."
HARMLESS = {
    "training.early_stopping_patience", "training.logging_steps", "training.report_to", "training.save_steps",
    "evaluate.batch_size", "evaluate.train_rows",
}  # fmt: skip
"""Config values that a checkpoint does not hang on, besides whole blocks of ``check`` and ``gate``."""
HARMLESS_BLOCKS = ("check", "gate", "gate_on", "mine", "compare")
COMPUTING = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "safetensors", "numpy", "datasets")
"""Packages whose versions may change a weight's last digits."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is not what it was when the run began.

    Attributes:
        name: A config key, a file, a package.
        before: Then; empty where a name says all.
        after: Now.
        harmless: The checkpoint can be used all the same.
    """

    name: str
    before: str = ""
    after: str = ""
    harmless: bool = False

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.name} ({self.before} -> {self.after})" if self.before or self.after else self.name


def best_file(run: Run) -> Path:
    """Written when training is over: the best evaluation, ``{"step", "epoch", "metric", "value"}``."""
    return run.train_metrics.with_name("best.json")


def is_trained(run: Run) -> bool:
    """Whether training is over and its weights are there."""
    return best_file(run).is_file() and run.artifact.is_dir()


def is_finished(run: Run) -> bool:
    """Whether the last stage has written its file, too."""
    return is_trained(run) and run.metrics.is_file() and run.report.is_file()


def refuse_hard(run: Run, changes: Sequence[Change]) -> None:
    """A resumed run must be the same run.

    Raises:
        RunError: Something has changed that the checkpoint hangs on; says what.
    """
    hard = [change for change in changes if not change.harmless]
    if hard:
        raise RunError(
            say(
                "{path} was started with another {names}, so it cannot be resumed. Start again with "
                "--overwrite or another --output.",
                path=run.path,
                names=join(", ", (change.text for change in hard)),
            )
        )


def refuse_harmless(run: Run, changes: Sequence[Change]) -> None:
    """What does not spoil a checkpoint may still change the result, so it takes a word to go on.

    Raises:
        RunError: Anything has changed; says what.
    """
    if changes:
        raise RunError(
            say(
                "{path} was started with another {names}. Its checkpoint can be used, but the weights may come out "
                "other than without the interruption: go on with --resume-anyway, or start again with --overwrite.",
                path=run.path,
                names=join(", ", (change.text for change in changes)),
            )
        )


def find_changes(plan: Plan) -> list[Change]:
    """All that is not as it was when the run in the plan's folder began."""
    return [*_changes(plan)]


def _changes(plan: Plan) -> Iterator[Change]:
    then, now = _leaves(resolve([read_patch(plan.run.config)]).config), _leaves(plan.config)
    for key in {**now, **then}:
        if now.get(key) != then.get(key):
            harmless = key in HARMLESS or key.split(".")[0] in HARMLESS_BLOCKS
            yield Change(key, f"{then.get(key)}", f"{now.get(key)}", harmless)
    files = changed_files(plan.run, plan.loaded)
    yield from (Change(name) for name in files)
    if not files:
        # Same files, other ids: another tokenizer, template or reader of rows.
        data = read_json(plan.run.data)
        if data["tokens"].get("sha256") not in (None, ids_digest(plan.encoded)):
            yield Change(say("tokenization of the training rows"))
        now_used = {name: [row.id for row in getattr(plan.splits, name)] for name in ("train", "eval", "test", "mix")}
        if any(data["splits"][name]["ids"] != ids for name, ids in now_used.items()):
            yield Change(say("choice of rows"))
    env = read_json(plan.run.env)
    model = {"config_sha256": config_digest(plan.base), **env["model"]}
    weights = {**weights_digest(plan.base), "config_sha256": config_digest(plan.base)}
    if any(model.get(key) != value for key, value in weights.items()):
        yield Change(say("base model (its weights or its config differ)"))
    if (before := env.get("ranks", 1)) != ranks.count():
        # A step would have other rows, so the steps done would not be those of this run.
        yield Change(say("number of processes ({before} -> {after})", before=before, after=ranks.count()))
    yield from _other_versions(env, plan.config.quantization)


def _other_versions(env: Mapping[str, Any], quantization: str) -> Iterator[Change]:
    here = versions()
    pairs = {name: (env[name], here[name]) for name in ("exactune", "python", "platform")}
    packages: Any = here["packages"]
    quantizing = ("bitsandbytes",) if quantization == "4bit" else ()
    pairs |= {name: (env["packages"].get(name), packages.get(name)) for name in (*COMPUTING, *quantizing)}
    pairs["device"] = (env["device"], describe_device(default_device()))
    for name, (before, after) in pairs.items():
        if before != after:
            yield Change(name, f"{before}", f"{after}", harmless=True)


def _leaves(config: Config) -> dict[str, Any]:
    """Dotted path -> value, without the folder the run happens to lie in."""
    tree = config.model_dump(mode="json", exclude={"output_dir"})
    blocks = {key: value if isinstance(value, dict) else {"": value} for key, value in tree.items()}
    return {f"{key}.{name}".rstrip("."): leaf for key, block in blocks.items() for name, leaf in block.items()}


def ids_digest(rows: Sequence[Encoded]) -> str:
    """sha256 of the ids that training sees, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.prompt_ids, row.answer_ids]).encode())
    return digest.hexdigest()


def config_digest(base: Base) -> str | None:
    """sha256 of a local base's ``config.json``: its values change what its weights compute."""
    if base.folder is None:
        return None
    return hashlib.sha256((base.folder / "config.json").read_bytes()).hexdigest()


def choose_checkpoint(run: Run, tell: Callable[[Text], None]) -> Path | None:
    """The newest checkpoint that is whole; says which, and which are not."""
    checkpoint, damaged = newest_checkpoint(run.checkpoints)
    for path, reason in damaged:
        tell(say("resume  {path} is damaged ({reason}) and left out", path=path, reason=reason))
    if checkpoint is None:
        tell(say("resume  no checkpoint yet: from the start"))
    else:
        tell(say("resume  from step {step}", step=step_of(checkpoint)))
    return checkpoint


def note_resumption(plan: Plan, checkpoint: Path | None, changes: Sequence[Change]) -> None:
    """Keep the number of threads, on which sums hang, and write down that and how the run was resumed."""
    env = read_json(plan.run.env)
    torch.set_num_threads(env.get("threads", torch.get_num_threads()))
    if not ranks.is_first():
        return
    resumed = {
        "step": 0 if checkpoint is None else step_of(checkpoint),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "changed": [change.text for change in changes],
    }
    write_json(plan.run.env, {**env, "resumed": [*env.get("resumed", []), resumed]})
    if changes:
        write_text(plan.run.config, to_yaml(plan.resolved, [CONFIG_HEAD]))
