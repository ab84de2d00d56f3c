"""The model card: figures of the run in `card_template.md`."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template

from tokenizers import Tokenizer

from .corpus import LANGUAGES
from .learner import Learner
from .tokens import load
from .vocabulary import PAD

_NAMES = {"en": "English", "zh_tw": "zh-TW", "zh_cn": "zh-CN"}


def model_card(
    learner: Learner, tokenizer: Tokenizer, bits: dict[str, float], given: dict[str, object], work: Path
) -> str:
    """Fills the template.

    Args:
        learner: The model and its counters.
        tokenizer: Its tokenizer.
        bits: Held-out bits per byte, per language.
        given: Name, learning rates, hardware and seed of the run.
        work: Folder with `metrics.jsonl`, `leakage.json`, the token arrays and perhaps a person's `notes.md`.
    """
    log = _metrics(work)
    config = learner.model.config
    total = sum(parameter.numel() for parameter in learner.model.parameters())
    values = {
        **given,
        "parameters": f"{total:,}",
        "matrix_parameters": f"{total - config.vocab_size * config.hidden_size:,}",
        "hidden": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "kv_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "mlp": config.intermediate_size,
        "theta": f"{config.rope_parameters['rope_theta']:,.0f}",
        "positions": config.max_position_embeddings,
        "longest": 448,
        "vocabulary": config.vocab_size,
        "tokens": f"{learner.tokens:,}",
        "text_tokens": f"{_tokens(log, 'text'):,}",
        "chat_tokens": f"{_tokens(log, 'chat'):,}",
        "repeat_tokens": f"{_tokens(log, 'repeat'):,}",
        "notes": _notes(work),
        "steps": f"{learner.step:,}",
        "minutes": round(sum(row["seconds"] for row in log) / 60),
        "fertility": "\n".join(_fertility(work, tokenizer, language) for language in LANGUAGES),
        "curve": _curve(log),
        "dropped": _dropped(work),
        **{f"bpb_{language}": f"{value:.3f}" for language, value in bits.items()},
    }
    return Template((Path(__file__).parent / "card_template.md").read_text(encoding="utf-8")).substitute(values)


def _metrics(work: Path) -> list[dict[str, float]]:
    """Rows of the log; of a step that was repeated after a kill, the last one."""
    rows = {}
    for line in (work / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows[row["step"]] = row
    return [rows[step] for step in sorted(rows)]


def _tokens(log: list[dict[str, float]], phase: str) -> int:
    before = [0, *(row["tokens"] for row in log)]
    return int(sum(row["tokens"] - start for start, row in zip(before, log, strict=False) if row["phase"] == phase))


def _curve(log: list[dict[str, float]], points: int = 10) -> str:
    lines = []
    for part in range(1, points + 1):
        end = part * len(log) // points
        cells = []
        for phase in ("text", "chat", "repeat"):
            recent = [row["loss"] for row in log[max(0, end - 80) : end] if row["phase"] == phase][-20:]
            cells.append(f"{sum(recent) / len(recent):.2f}" if recent else "")
        if end:
            lines.append(f"| {log[end - 1]['tokens']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _fertility(work: Path, tokenizer: Tokenizer, language: str) -> str:
    ids = load(work, language, "held_out")[:100_000].tolist()
    text = tokenizer.decode(ids)
    count = sum(token != tokenizer.token_to_id(PAD) for token in ids)
    return f"| {_NAMES[language]} | {count / len(text):.2f} | {len(text.encode()) / count:.2f} |"


def _notes(work: Path) -> str:
    path = work / "notes.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _dropped(work: Path) -> str:
    path = work / "leakage.json"
    if not path.exists():
        return "no check was run"
    report = json.loads(path.read_text(encoding="utf-8"))
    return ", ".join(
        f"{report[language]['dropped']} of {report[language]['documents']:,} {_NAMES[language]}"
        for language in LANGUAGES
    )
