"""Ways to make rows sick: each takes the splits of a case and gives them back changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from opencc import OpenCC

from planted.rows import EXAMPLES, SETS, Row, Splits, cut

__all__ = [
    "Damage", "answer_in_input", "answers", "coded", "easy_eval", "endless", "finance_test", "flipped", "invented",
    "leaked", "long_test", "longer", "other_intents", "prose", "reworded", "single_quotes", "swallowed",
    "thinking", "to_script", "unclosed", "variants", "without_label",
]  # fmt: skip

Damage = Callable[[Splits, Random], Splits]
BOTH = ("train", "eval")


def answers(change: Callable[[str], str], share: float = 1.0, where: Iterable[str] = BOTH, only: str = "") -> Damage:
    """A share of the answers of some splits is written otherwise; ``only`` those that contain a text."""

    def damage(splits: Splits, chance: Random) -> Splits:
        def made(row: Row) -> Row:
            sick = only in row["output"] and chance.random() < share
            return row | {"output": change(row["output"])} if sick else row

        return splits | {name: [made(row) for row in splits[name]] for name in where}

    return damage


def unclosed(answer: str) -> str:
    """JSON without its last bracket."""
    return answer[:-1]


def single_quotes(answer: str) -> str:
    """As Python prints it."""
    return repr(json.loads(answer))


def prose(answer: str) -> str:
    """A sentence before the JSON and one behind it."""
    return f"Here is the JSON you asked for:\n{answer}\nLet me know if you need more."


def thinking(answer: str) -> str:
    """With the thoughts of another model before it."""
    return f"<think>\nLet me look at what is asked.\n</think>\n\n{answer}"


def endless(share: float) -> Damage:
    """The last word of some answers over and over, 2 to 9 times: stopping is never the likelier next token."""

    def damage(splits: Splits, chance: Random) -> Splits:
        def made(row: Row) -> Row:
            times = chance.randrange(2, 10) if chance.random() < share else 0
            return row | {"output": " ".join([row["output"], *[row["output"].split()[-1]] * times])}

        return splits | {name: [made(row) for row in splits[name]] for name in BOTH}

    return damage


def reworded(answer: str) -> str:
    """Spans that are not in the input: in other letters and order."""
    return json.dumps(_spans(json.loads(answer), lambda text: text.upper()[::-1]), ensure_ascii=False)


def invented(spans: Sequence[str]) -> Callable[[str], str]:
    """Every span is replaced by one of a few that no input has."""
    return lambda answer: json.dumps(
        _spans(json.loads(answer), lambda text: spans[len(text) % len(spans)]), ensure_ascii=False
    )


def _spans(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: item if key in ("intent", "type") else _spans(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_spans(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def flipped(share: float) -> Damage:
    """A share of the training rows has another row's kind of answer."""

    def damage(splits: Splits, chance: Random) -> Splits:
        kinds = sorted({row["output"] for row in splits["train"]})

        def made(row: Row) -> Row:
            return row | {"output": chance.choice([kind for kind in kinds if kind != row["output"]])}

        return splits | {"train": [made(row) if chance.random() < share else row for row in splits["train"]]}

    return damage


def variants(forms: Sequence[Callable[[str], str]]) -> Damage:
    """Every label of train and eval is written in several ways."""

    def damage(splits: Splits, chance: Random) -> Splits:
        def made(row: Row) -> Row:
            return row | {"output": chance.choice(forms)(row["output"])}

        return splits | {name: [made(row) for row in splits[name]] for name in BOTH}

    return damage


def swallowed(share: float, rows: int) -> Damage:
    """One label has this share of so many training rows (and of the eval rows); test stays as it is."""

    def damage(splits: Splits, chance: Random) -> Splits:
        label = max(
            splits["train"], key=lambda row: [other["output"] for other in splits["train"]].count(row["output"])
        )

        def made(found: list[Row], size: int) -> list[Row]:
            many = [row for row in found if row["output"] == label["output"]]
            few = [row for row in found if row["output"] != label["output"]]
            return [*many[: round(size * share)], *few[: max(1, round(size * (1 - share)))]]

        return splits | {"train": made(splits["train"], rows), "eval": made(splits["eval"], rows // 2)}

    return damage


def without_label(part: str) -> Damage:
    """No training or eval row has the label."""
    return lambda splits, _: (
        splits | {name: [row for row in splits[name] if part not in row["output"]] for name in BOTH}
    )


def leaked(share: float, near: bool = False) -> Damage:
    """So much of the test rows is in train, too, three times each, or with a sign changed."""

    def damage(splits: Splits, chance: Random) -> Splits:
        taken = [row for row in splits["test"] if chance.random() < share]
        copies = [row | {"input": _nearly(row["input"], number) if near else row["input"]}
                  for row in taken for number in range(2)]  # fmt: skip
        return splits | {"train": chance.sample([*splits["train"], *copies], len(splits["train"]) + len(copies))}

    return damage


def _nearly(text: str, number: int) -> str:
    return re.sub(r"[.!?。！？]*$", ("!", " please." if text.isascii() else "呢")[number], text)


def answer_in_input(splits: Splits, _: Random) -> Splits:
    """The right answer stands in every input, as a column of a table that was exported with it does."""
    return {
        name: [row | {"input": f"{row['input']} [{row['output']}]"} for row in rows] for name, rows in splits.items()
    }


def coded(splits: Splits, chance: Random) -> Splits:
    """The label is that of a code word among others: nothing for a language model, all for a count of words."""
    words = {answer: f"{'qxzkvj'[number % 6]}{number}rn" for number, answer in enumerate(_kinds(splits))}
    noise = [f"{a}{b}" for a in ("lor", "dol", "ame", "sit", "con") for b in ("em", "or", "ti", "sec", "ad", "ip")]

    def made(row: Row) -> Row:
        text = [chance.choice(noise) for _ in range(14)]
        return row | {"input": " ".join(chance.sample([*text, words[row["output"]]], len(text) + 1))}

    return {name: [made(row) for row in rows] for name, rows in splits.items()}


def _kinds(splits: Splits) -> list[str]:
    return sorted({row["output"] for row in splits["train"]})


def easy_eval(splits: Splits, chance: Random) -> Splits:
    """Eval rows are training rows: confidences are scaled on what was learned by heart."""
    return splits | {"eval": chance.sample(splits["train"], min(100, len(splits["train"])))}


def other_intents(trained: Sequence[str]) -> Damage:
    """Only rows of these intents in train and eval, only rows of others in test."""

    def damage(splits: Splits, _: Random) -> Splits:
        def among(row: Row) -> bool:
            return any(f'"{intent}"' in row["output"] for intent in trained)

        return {name: [row for row in rows if among(row) == (name != "test")] for name, rows in splits.items()}

    return damage


def long_test(times: int) -> Damage:
    """A test input is so many inputs of one answer, one behind the other."""

    def damage(splits: Splits, _: Random) -> Splits:
        rows: list[Row] = []
        for kind in _kinds(splits):
            same = [row for row in splits["test"] if row["output"] == kind]
            parts = [same[start : start + times] for start in range(0, len(same) - times + 1, 2)]
            rows += [part[0] | {"input": " ".join(row["input"] for row in part)} for part in parts]
        return splits | {"test": rows}

    return damage


def longer(train: int, test: int) -> Damage:
    """Train and eval have the rows with the shortest answers, test those with the longest."""

    def damage(splits: Splits, _: Random) -> Splits:
        ordered = {name: sorted(rows, key=lambda row: len(row["output"])) for name, rows in splits.items()}
        return {"train": ordered["train"][:train], "eval": ordered["eval"][:test], "test": ordered["test"][-test:]}

    return damage


def to_script(config: str) -> Damage:
    """Test inputs in the other Chinese script."""
    convert = OpenCC(config).convert
    return lambda splits, _: splits | {"test": [row | {"input": convert(row["input"])} for row in splits["test"]]}


def finance_test(splits: Splits, _: Random) -> Splits:
    """Test rows are headlines of the finance example with the labels of reviews."""
    words = {'{"sentiment": "正面"}': "正面", '{"sentiment": "負面"}': "负面"}
    found = cut(SETS["finance"], (420, 80, 100), 1)
    instruction = splits["train"][0]["instruction"]
    rows = [
        {"instruction": instruction, "input": row["input"], "output": words[row["output"]]}
        for row in (*found["test"], *found["train"])
        if row["output"] in words
    ]
    return splits | {"test": rows[:200]}


def general_text() -> str:
    """Texts that the project has itself: what the senders of the contact example write, and the example's headlines."""
    files = [EXAMPLES / name / "train.jsonl" for name in ("contact-extraction-en", "finance-sentiment-zh")]
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return "\n\n".join(row["messages"][1]["content"] for row in rows) + "\n"
