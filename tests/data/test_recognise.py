"""Columns of unknown names: taken where they are plain, in any order, and never guessed at."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from exactune import evaluate, predict, train
from exactune.config import Config
from exactune.data.load import load, load_paths
from exactune.data.recognise import recognise

TEXTS = ["好吃", "太難吃了", "還可以", "會再來", "不會再來了", "普通", "服務很好", "等太久"]
LABELS = ["positive", "negative"]


def rows(count: int = 8, **more: Any) -> list[dict[str, Any]]:
    return [
        {"文章": TEXTS[n % 8] + "!" * (n // 8), "mood": LABELS[n % 2], **{key: value(n) for key, value in more.items()}}
        for n in range(count)
    ]


PLAIN = {"input": "文章", "output": "mood"}


@pytest.mark.parametrize("more", [
    {},
    {"id": lambda n: n},
    {"number": lambda n: str(n * 7)},
    {"row_id": lambda n: f"r{n}"},
    {"always": lambda n: "shop"},
    {"length": lambda n: n * 1.5},
    {"tokens": lambda n: ["a"]},
    {"empty": lambda n: None},
    {"id": lambda n: n, "url": lambda n: f"http://x/{n}", "always": lambda n: 1},
])  # fmt: skip
def test_a_text_and_a_label_are_found_among_others_in_any_order(more: dict[str, Any]) -> None:
    made = rows(**more)
    for names in itertools.permutations(made[0]):
        assert recognise([{name: row[name] for name in names} for row in made]) == PLAIN
    assert recognise(made[::-1]) == PLAIN


@pytest.mark.parametrize("label", [1, True, 4.0])
def test_labels_may_be_numbers(label: Any) -> None:
    made = [{"t": text, "n": label if index % 2 else 0} for index, text in enumerate(TEXTS)]
    assert recognise(made) == {"input": "t", "output": "n"}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("question", "answer"), {"input": "question", "output": "answer"}),
        (("answer", "question"), {"input": "question", "output": "answer"}),
        (("user_query", "model_response"), {"input": "user_query", "output": "model_response"}),
        (("eins", "zwei"), None),
        (("question", "comment"), None),
        (("answer", "output"), None),
    ],
)
def test_free_answers_are_told_by_their_names_only(names: tuple[str, str], found: dict[str, str] | None) -> None:
    assert recognise([{names[0]: f"some {n}", names[1]: f"other {n}"} for n in range(8)]) == found


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"title": lambda n: f"title {n}"}, None),
        ({"colour": lambda n: "rgb"[n % 3]}, None),
        ({"title": lambda n: f"title {n}", "stars": lambda n: n % 3}, None),
        ({"answer": lambda n: f"because {n}"}, None),
    ],
)
def test_two_candidates_are_not_chosen_between(more: dict[str, Any], found: None) -> None:
    assert recognise(rows(**more)) is found


def test_names_decide_between_candidates() -> None:
    made = [{"title": f"t {n}", "review": f"long text {n}", "stars": n % 3, "colour": "rg"[n % 2]} for n in range(9)]
    assert recognise(made) == {"input": "review", "output": "stars"}


def test_names_that_contradict_the_values_are_not_overruled() -> None:
    assert recognise([{"question": "ab"[n % 2], "answer": f"free {n}"} for n in range(8)]) is None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_few_rows_show_nothing(count: int) -> None:
    assert recognise(rows(count)) is None


def write(path: Path, made: list[dict[str, Any]], kind: str) -> None:
    names = list(made[0])
    lines = {
        "csv": [",".join(names), *(",".join(str(row[name]) for name in names) for row in made)],
        "tsv": ["\t".join(names), *("\t".join(str(row[name]) for name in names) for row in made)],
        "jsonl": [json.dumps(row, ensure_ascii=False) for row in made],
    }[kind]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_file_says_what_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "train.x", rows(), kind)
    # Alone, three rows would show nothing.
    write(tmp_path / "eval.x", rows(3), kind)
    loaded = load_paths(["eval.x", "train.x"])
    assert loaded.rejected == ()
    assert [example.answer for example in loaded.splits.eval] == ["positive", "negative", "positive"]
    assert loaded.splits.train[1].input == "太難吃了"
    assert loaded.columns == PLAIN
    assert loaded.notes == (
        "eval.x, train.x: took `文章` as the input and `mood` as the answer; set data.columns to choose otherwise.",
    )


def test_named_columns_win_and_known_formats_are_not_guessed_at(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", rows(), "csv")
    config = {"data": {"train": "train.csv", "columns": {"input": "mood", "output": "文章"}}}
    loaded = load(Config.model_validate(config), tmp_path)
    assert (loaded.splits.train[0].answer, loaded.notes, loaded.columns) == ("好吃", (), {})
    write(tmp_path / "train.csv", [{"text": "x", "label": f"free {n}", "mood": "ab"[n % 2]} for n in range(8)], "csv")
    loaded = load(Config.model_validate({"data": {"train": "train.csv"}}), tmp_path)
    assert (loaded.splits.train[0].answer, loaded.notes) == ("free 0", ())


def test_what_is_not_plain_is_an_error_with_the_line_to_write(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", rows(title=lambda n: f"a long title {n}"), "csv")
    (finding,) = load_paths([str(tmp_path / "train.csv")]).rejected
    assert (finding.code, len(finding.locations)) == ("D102", 8)
    assert "`文章`, `mood`, `title`" in finding.message
    assert "write `data: {columns: {input: title, output:" in finding.message


def test_a_run_reads_and_answers_rows_by_the_columns_it_recognised(base: Path, tmp_path: Path) -> None:
    write(tmp_path / "train.csv", rows(24), "csv")
    write(tmp_path / "eval.csv", [{**row, "文章": row["文章"] + "?2"} for row in rows(2)], "csv")
    config = tmp_path / "task.yaml"
    config.write_text(
        f"model: {base}\ndata: {{train: train.csv, eval: eval.csv}}\ncheck: {{on_error: ignore}}\n"
        f"training: {{num_epochs: 1}}\noutput_dir: {tmp_path / 'run'}\n",
        encoding="utf-8",
    )
    said: list[str] = []
    run = train(config, say=said.append)
    assert any("took `文章` as the input and `mood` as the answer" in line for line in said)
    write(tmp_path / "new.csv", [{"文章": "好", "other": "x"}], "csv")
    assert len(list(predict(run.path, tmp_path / "new.csv"))) == 1
    # Two rows alone would show nothing.
    assert evaluate(run.path, data=tmp_path / "eval.csv")["n"] == 2
