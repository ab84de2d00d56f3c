"""Reading run files into facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exactune.report.curves import BUCKETS, read_curves
from exactune.report.files import RunFiles
from exactune.report.mistakes import Difference, clip, differences, read_mistakes
from exactune.report.page import breakable, compact, moment, setting, share
from exactune.report.scores import read_scores
from exactune.report.view import read_view
from exactune.rundir import Run


def evaluation(step: int, **scores: float) -> dict[str, Any]:
    return {"step": step, "epoch": step / 10, "time": 0.0, "eval": scores}


def test_the_checkpoint_that_training_kept_is_the_best() -> None:
    lines = [
        evaluation(10, loss=0.5, macro_f1=0.7),
        evaluation(20, loss=0.4, macro_f1=0.9),
        evaluation(30, macro_f1=0.9),
    ]
    kept = read_curves(lines, {"step": 10, "metric": "macro_f1"}, ())
    guessed = read_curves(lines, {}, ("auto", "macro_f1"))
    by_loss = read_curves(lines, {}, ("loss", "macro_f1"))
    assert kept is not None
    assert guessed is not None
    assert by_loss is not None
    assert kept.best is not None
    assert kept.best.step == 10
    assert guessed.best is not None
    assert guessed.best.step == 20, "the first of equals"
    assert by_loss.best is not None
    assert (by_loss.metric, by_loss.best.step, by_loss.score) == ("loss", 20, "macro_f1")


def test_steps_logged_again_after_a_resume_count_once() -> None:
    lines = [
        {"step": step, "epoch": step / 10, "loss": loss} for step, loss in ((10, 3.0), (20, 2.0), (20, 1.0), (30, 0.5))
    ]
    curves = read_curves(lines, {}, ())
    assert curves is not None
    assert [point.y for point in curves.train_loss] == [3.0, 1.0, 0.5]
    assert (curves.step, curves.epoch) == (30, 3.0)


def test_long_logs_are_thinned_by_means() -> None:
    curves = read_curves(({"step": n, "epoch": n / 100, "loss": 2.0} for n in range(1, 100_001)), {}, ())
    assert curves is not None
    assert len(curves.train_loss) <= BUCKETS
    assert {point.y for point in curves.train_loss} == {2.0}


def test_no_log_no_curves() -> None:
    assert read_curves([], {}, ()) is None
    assert read_curves([{"step": 1}], {}, ()) is None


@pytest.mark.parametrize(
    ("gold", "predicted", "found"),
    [
        ("a", "b", [("", "a", "b")]),
        ("a", None, [("", "a", None)]),
        ({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}, [("b.c", "2", "3")]),
        ({"a": 1}, {"a": True}, [("a", "1", "true")]),
        ({"a": None}, {"a": "x"}, [("a", "null", "x")]),
        ({"a": 1}, {"b": 1}, [("a", "1", None), ("b", None, "1")]),
        ([1, 1, 2], [1, 3], [("", "1", None), ("", "2", None), ("", None, "3")]),
        ([1, 2], [2, 1], [("", "[1, 2]", "[2, 1]")]),
        ([{"text": "陳怡君", "type": "PER"}], [], [("", "陳怡君 (PER)", None)]),
        ({"a": 1}, {"a": 1}, []),
    ],
)
def test_differences(gold: Any, predicted: Any, found: list[tuple[str, str | None, str | None]]) -> None:
    assert list(differences(gold, predicted)) == [Difference(*one) for one in found]


def test_the_most_confident_of_many_mistakes() -> None:
    rows = [{"id": str(n), "correct": n % 2 == 0, "confidence": (n * 37 % 1000) / 1000 or None} for n in range(2000)]
    found = read_mistakes(rows)
    expected = sorted((row["confidence"] for row in rows if not row["correct"]), key=lambda c: -(c or -1))[:50]  # type: ignore[operator]
    assert (found.rows, found.wrong) == (2000, 1000)
    assert [one.confidence for one in found.worst] == expected


def test_clipping_counts_what_it_leaves_out() -> None:
    assert clip("x" * 1600).left_out == 0
    clipped = clip("x" * 5000)
    assert (len(clipped.text), clipped.left_out) == (1500, 3500)


def test_a_confusion_without_a_name_for_its_last_column() -> None:
    document = {"confusion": {"labels": ["a", "b"], "matrix": [[1, 0, 1], [0, 2, 0]]}}
    confusion = read_scores(document, {}, {}).confusion
    assert confusion is not None
    assert confusion.columns == ("a", "b", "(none)")
    assert [(pair.gold, pair.predicted, pair.of) for pair in confusion.confused()] == [("a", "(none)", 2)]


def test_a_confusion_that_does_not_fit_is_left_out() -> None:
    for matrix in ([[1, 2], [3]], [[1, 2, 3, 4]], [[1], [2]], []):
        assert read_scores({"confusion": {"labels": ["a", "b"], "matrix": matrix}}, {}, {}).confusion is None


def test_a_gate_knows_the_direction_of_its_metric() -> None:
    document = {"metrics": {"loss": {"value": 0.3}, "accuracy": {"value": 0.9}}}
    verdict = read_scores(document, {}, {"loss": 0.5, "accuracy": 0.95}).verdict
    assert verdict is not None
    assert [gate.passed for gate in verdict.gates] == [True, False]


def test_a_parents_source_holds_for_its_children(sentiment: Run) -> None:
    others = {one.path: one.source for one in read_view(sentiment).others}
    assert others["task.type"] == others["task.labels"] == "file task.yaml"


def test_a_run_that_kept_a_best_so_far_is_still_stopped(interrupted: Run) -> None:
    assert interrupted.adapter.is_dir()
    assert read_view(interrupted).state == "stopped"


def test_lines_before_a_torn_one_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes('{"a": "好"}\n{"a": "'.encode() + "好".encode()[:2])
    files = RunFiles(Run(tmp_path))
    assert list(files.lines(path)) == [{"a": "好"}]
    assert files.broken == ["log.jsonl"]


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (setting(2e-05), "2e-5"),
        (setting(1e16), "1e16"),
        (setting(0.05), "0.05"),
        (setting(True), "true"),
        (setting(None), "none"),
        (setting(["q", "k"]), "q, k"),
        (setting([{"path": "a"}]), '[{"path": "a"}]'),
        (compact(950), "950"),
        (compact(41_000_000), "41\u202fM"),
        (compact(4_022_468_096), "4.02\u202fB"),
        (share(0.0029), "0.29%"),
        (share(0.5), "50%"),
        (share(0.0), "0%"),
        (moment("2026-05-01T10:24:31+00:00"), "2026-05-01 10:24 UTC"),
        (moment("yesterday"), "yesterday"),
        (breakable("a.b_c<"), "a.<wbr>b_<wbr>c&lt;"),
        (breakable("$[0] ok"), "$[0] ok"),
    ],
)
def test_filters(made: str, wanted: str) -> None:
    assert made == wanted
