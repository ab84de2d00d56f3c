"""What a report says of an evaluation: baselines, calibration, errors, every answer, general ability."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from report_html import Element, parse, sections
from report_runs import CALIBRATION, add_baselines

from exactune.report import write_report
from exactune.report.answers import LONGEST, Table, brief
from exactune.report.curves import Point
from exactune.report.general import read_general
from exactune.report.matrix import clustered, zoomed
from exactune.report.reliability import Covered, read_calibration
from exactune.report.scores import Confusion, read_scores
from exactune.rundir import Run, append_jsonl, read_json, read_jsonl, write_json, write_jsonl


def report(run: Run, language: str = "en") -> Element:
    return parse(write_report(run, language).read_text(encoding="utf-8"))


def table_of(document: Element, section: str) -> list[list[str]]:
    """The cells of a section's tables."""
    (found,) = [one for one in document.find("section") if one.attributes["id"] == section]
    return [[cell.text for cell in row.children if isinstance(cell, Element)] for row in found.find("tr")]


def embedded(document: Element) -> dict[str, Any]:
    (data,) = [one for one in document.find("script") if one.attributes.get("id") == "answers-data"]
    found: dict[str, Any] = json.loads(str(data.children[0]))
    return found


def test_the_run_stands_among_its_baselines(judged: Run) -> None:
    document = report(judged)
    names = [row[0] for row in table_of(document, "baselines")]
    assert names == ["What answers", "This run", "Linear", "Few-shot", "Zero-shot", "Majority"]
    found = sections(document)
    assert "Better than the best baseline (linear) and above what the guide expects." in found["verdict"]
    assert (
        "On the same 206 rows the difference to the linear baseline is +0.070 (95% interval +0.040 to +0.100)"
        in found["verdict"]
    )
    assert "Few-shot baseline: the base model with some training rows before the question." in found["baselines"]
    marked = {one.attributes["id"]: one.find("line") for one in document.find("section")}
    ticks = [line for name in ("verdict", "metrics") for line in marked[name] if "baseline" in line.attributes["class"]]
    assert len(ticks) == 2, "the best baseline alone, on the verdict and on the metric it was taken by"


@pytest.mark.parametrize(
    ("verdict", "needed", "words", "tone"),
    [
        ("level", 4100, ["Not distinguishable from the linear baseline.", "that can be chance.",
                         "about 4,100 rows would be needed",
                         "The fine-tuned model is not better than a linear model that trains in seconds."], "poor"),
        ("level", None, ["that can be chance.  The fine-tuned"], "poor"),
        ("worse", None, ["Worse than the linear baseline.", "difference to the linear baseline is −0.020"], "poor"),
        ("better", None, ["Better than the best baseline (linear)"], "good"),
    ],
)  # fmt: skip
def test_the_paired_comparison_goes_before_intervals(
    sentiment: Run, verdict: str, needed: int | None, words: list[str], tone: str
) -> None:
    # By its interval the run is above 0.5; row by row it may still be told from it or not.
    value = 0.8 if verdict == "better" else 0.5
    add_baselines(sentiment, {"linear": value}, verdict, -0.02, needed)
    write_json(sentiment.metrics, read_json(sentiment.metrics))
    document = report(sentiment)
    for part in words:
        assert part.replace("  ", " ") in sections(document)["verdict"]
    assert any(one.attributes.get("class") == f"verdict {tone}" for one in document.find("div"))


def test_a_comparison_by_another_metric_is_left_out(sentiment: Run) -> None:
    add_baselines(sentiment, {"linear": 0.5}, "worse", -0.02, None)
    document = read_json(sentiment.metrics)
    document["comparison"]["metric"] = "accuracy"
    write_json(sentiment.metrics, document)
    assert "Better than the linear baseline" in sections(report(sentiment))["verdict"]


def test_a_gate_on_the_lower_end() -> None:
    document = {
        "metrics": {"loss": {"value": 0.3, "low": 0.2, "high": 0.4}, "accuracy": {"value": 0.9, "low": 0.8, "high": 1}}
    }
    verdict = read_scores(document, {}, {"loss": 0.35, "accuracy": 0.85}, "lower").verdict
    assert verdict is not None
    assert [(gate.reached, gate.passed) for gate in verdict.gates] == [(0.4, False), (0.8, False)]


def test_labels_have_intervals_and_the_weakest_stand_in_front(intents: Run) -> None:
    document = report(intents)
    rows = [row for row in table_of(document, "labels") if row[0] != "Label"]
    scores = [float(row[1].split()[0]) for row in rows]
    assert len(rows) == 77
    assert scores == sorted(scores)
    assert all(re.fullmatch(r"\d\.\d{3} \d\.\d{3}–\d\.\d{3}", row[1]) for row in rows)
    assert "The other 65 labels" in sections(document)["labels"]


def test_calibration(judged: Run) -> None:
    document = report(judged)
    text = sections(document)["calibration"]
    assert "Confidence is off by 11.8 percentage points on average; scaled, by 2.1." in text
    assert "fitted on 103 rows of the eval split" in text
    # 16/20 of the rows: 0.97 - 0.18 * 0.64 = 0.855 right from 1 - 16/25 on.
    assert "exactune predict RUN --abstain-below 0.36 would have answered 80% of these rows, 85% of them right" in text
    assert "all answered, 79% are" in text
    (svg,) = [one for one in document.find("svg") if one.attributes["aria-labelledby"].startswith("reliability-t")]
    dots = [one.attributes for one in svg.find("circle")]
    assert [one["class"] for one in dots] == ["dot thin"] * 7 + ["dot main"] * 7
    assert all(0 <= float(one["cx"]) <= 480 and 0 <= float(one["cy"]) <= 270 for one in dots)
    # What is less accurate stands lower.
    assert all(float(a["cy"]) > float(b["cy"]) for a, b in zip(dots[:7], dots[7:], strict=True))


def test_the_threshold_is_rounded_down() -> None:
    assert Covered(0.8, 0.9, 0.9999978).option == "0.999997"
    assert [Covered(0.8, 0.9, sure).option for sure in (0.412, 0.57, 0.999996)] == ["0.412", "0.57", "0.999996"]
    found = read_calibration(
        {"coverage": [{"coverage": c, "accuracy": 1 - c / 10, "threshold": 1 - c} for c in (1, 0.79, 0.85)]}
    )
    assert found is not None
    assert found.chosen == Covered(0.85, 0.915, pytest.approx(0.15))
    assert found.line[0] == Point(0.79, pytest.approx(0.921))


@pytest.mark.parametrize(
    "block", [{}, [], "x", {"before": 3}, {"before": {"bins": [{"n": 0}]}}, {"coverage": [{"coverage": 1}]}]
)
def test_a_broken_calibration_is_left_out(block: Any, sentiment: Run) -> None:
    write_json(sentiment.metrics, read_json(sentiment.metrics) | {"calibration": block})
    assert "calibration" not in sections(report(sentiment))


def test_errors_come_with_rows_to_look_at(judged: Run) -> None:
    document = report(judged)
    errors = read_json(judged.metrics)["errors"]
    (section,) = [one for one in document.find("section") if one.attributes["id"] == "errors"]
    first = errors["confused"][0]
    row = section.find("table")[0].find("tr")[1]
    assert row.text.startswith(f"{first['gold']} → taken for {first['predicted']}")
    assert row.find("td")[0].text == str(first["count"])
    shown = [code.text for code in row.find("details")[0].find("code")]
    assert shown[:3] == first["rows"][:3]
    link = row.find("a")[0]
    assert link.attributes["href"] == "#predictions"
    assert "hidden" in link.attributes, "without the script it would promise what it cannot do"
    rows = embedded(document)["rows"]
    assert [rows[int(place)][0] for place in link.attributes["data-rows"].split()] == first["rows"]


def test_missed_and_invented_things_are_listed(spans: Run) -> None:
    found = sections(report(spans))["errors"]
    errors = read_json(spans.metrics)["errors"]
    assert (
        "Invented Was given and stands in no gold answer of its row, the most frequent first What Times 地名 台灣"
        in found
    )
    assert f"{errors['missed'][0]['label']} {errors['missed'][0]['text']}" in found


def test_slices_that_are_worse_stand_in_front(judged: Run) -> None:
    document = read_json(judged.metrics)
    figure = {"value": 0.5, "low": 0.4, "high": 0.6}
    names = [("length", "40-90", True), ("language", "Chinese, traditional", True), ("file", "b_c.jsonl", False)]
    document["errors"]["slices"] = [
        {"by": by, "value": value, "n": 30, "metric": figure, "worse": worse, "rows": ["test.jsonl:1"]}
        for by, value, worse in names
    ]
    write_json(judged.metrics, document)
    found = sections(report(judged))["errors"]
    assert "2 of 3 slices are worse than all rows together" in found
    assert found.index("40–90 characters") < found.index("Chinese, traditional") < found.index("The other 1 slice")
    assert "b_c.jsonl" in found
    assert "40–90 個字元" in sections(report(judged, "zh-TW"))["errors"]


def test_general_ability_before_and_after(judged: Run) -> None:
    rows = table_of(report(judged), "general")
    assert rows[1:] == [
        ["general/wiki.txt", "bits per byte", "0.912", "0.957", "+0.045 worse", "400"],
        ["general/chat.jsonl", "bits per byte", "1.204", "1.198", "−0.006", "120"],
        ["general/chat.jsonl", "exact match", "0.310", "0.270", "−0.040 worse", "120"],
        ["general/chat.jsonl", "token F1", "0.552", "0.561", "+0.009", "120"],
    ]
    assert read_general({"before": {"a": {"n": 3}}}) == ()


def test_old_runs_have_no_new_sections(sentiment: Run) -> None:
    assert not {"calibration", "errors", "general"} & set(sections(report(sentiment)))


def test_the_table_has_every_answer(spans: Run) -> None:
    document = report(spans)
    lines = list(read_jsonl(spans.predictions))
    data = embedded(document)
    assert [row[0] for row in data["rows"]] == [line["id"] for line in lines]
    row, line = data["rows"][7], lines[7]
    assert row[1] == "; ".join(f"{one['text']} ({one['type']})" for one in line["gold"])
    assert (data["statuses"][row[3]], bool(row[4]), row[5], row[6]) == (
        "ok",
        line["correct"],
        line["confidence"],
        line["input"],
    )
    assert {data["labels"][label] for label in row[7]} == {one["type"] for one in line["gold"] + line["prediction"]}
    static = table_of(document, "predictions")
    assert len(static) == 51, "a heading and the first rows, for readers without JavaScript"
    assert [cells[0] for cells in static[1:]] == [line["id"] for line in lines[:50]]


def test_rows_past_the_cap_are_said_to_be_in_the_file(sentiment: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import exactune.report.answers as answers

    monkeypatch.setattr(answers, "MOST", 60)
    document = report(sentiment)
    assert len(embedded(document)["rows"]) == 60
    assert "The first 60 of 206 rows; all are in eval/predictions.jsonl." in sections(document)["predictions"]


def test_long_rows_do_not_make_a_page_of_many_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    import exactune.report.answers as answers

    monkeypatch.setattr(answers, "MOST_CHARACTERS", 5 * LONGEST)
    table = Table()
    for number in range(100):
        table.add({"id": str(number), "input": "x" * 10_000})
    assert (len(table.rows), table.total) == (5, 100)
    assert table.rows[0].input == "x" * (LONGEST - 1) + "…"
    assert table.places(("4", "5", "0")) == [4, 0]


@pytest.mark.parametrize(
    ("gold", "prediction", "labels"),
    [
        ("a", "b", ("a", "b")),
        ("a", None, ("a",)),
        (["x", "y"], ["y", "z"], ("x", "y", "z")),
        ([{"type": "PER", "text": "Ann"}], [{"type": "LOC", "text": "Ann"}], ("PER", "LOC")),
        ([{"head": "a", "relation": "of", "tail": "b"}], [], ("of",)),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}, ("b", "c")),
        ({"a": 1}, None, ("a",)),
        (
            {"relations": [{"head": "a", "type": "of", "tail": "b"}], "entities": [{"type": "X", "text": "a"}]},
            None,
            ("of", "X"),
        ),
        (None, None, ()),
    ],
)
def test_what_rows_are_filtered_by(gold: Any, prediction: Any, labels: tuple[str, ...]) -> None:
    table = Table()
    table.add({"gold": gold, "prediction": prediction})
    assert table.rows[0].labels == labels


def test_answers_in_brief() -> None:
    assert brief([{"type": "PER", "text": "Ann", "start": 3}]) == "Ann (PER)"
    assert brief([{"head": {"type": "PER", "text": "Ann"}, "type": "in", "tail": "Rome"}]) == "Ann (PER) → Rome (in)"
    joint = {"relations": [{"head": "a", "type": "of", "tail": "b"}], "entities": [{"type": "X", "text": "a"}]}
    assert brief(joint) == "a → b (of); a (X)"
    assert brief({"a": [1]}) == '{"a": [1]}'
    assert brief([]) == "[]"


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    "\u2028alert(1)",
    "\ud800",
    "\x00",
]


def test_hostile_answers_stay_data(sentiment: Run) -> None:
    lines = [
        {"id": f"{text}:{number}", "gold": text, "prediction": text, "answer": text, "status": text, "input": text,
         "correct": False, "confidence": 0.5}
        for number, text in enumerate(HOSTILE)
    ]  # fmt: skip
    sentiment.predictions.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    document = report(sentiment)
    html = sentiment.report.read_text(encoding="utf-8")
    assert len(document.find("script")) == 2
    assert html.count("<script") == 2
    assert html.count("<!--") == 0
    assert [row[6] for row in embedded(document)["rows"]] == [*HOSTILE[:-2], "\ufffd", "\ufffd"]


def test_a_torn_last_line_is_no_row(sentiment: Run) -> None:
    with sentiment.predictions.open("a", encoding="utf-8") as file:
        file.write('{"id": "torn')
    assert len(embedded(report(sentiment))["rows"]) == 206
    write_jsonl(sentiment.predictions, [])
    document = report(sentiment)
    assert not document.find("script")
    append_jsonl(sentiment.predictions, {"id": "a"})
    assert len(embedded(report(sentiment))["rows"]) == 1


CONFUSION = Confusion(
    ("a", "b", "c", "d"),
    ("a", "b", "c", "d", "(none)"),
    ((5, 0, 0, 3, 1), (0, 7, 0, 0, 0), (2, 1, 4, 0, 0), (0, 0, 0, 9, 0)),
)


def test_a_matrix_is_cut_to_what_is_confused() -> None:
    part = zoomed(CONFUSION, 3)
    assert part is not None
    assert part.rows == ("a", "d", "c"), "a and d are confused three times, a and c twice, b and c once"
    assert part.columns == ("a", "d", "c", "(others)", "(none)")
    assert part.matrix == ((5, 3, 0, 0, 1), (0, 9, 0, 0, 0), (2, 0, 4, 1, 0))
    clean = Confusion(("a", "b"), ("a", "b"), ((1, 0), (0, 2)))
    assert zoomed(clean) is None


def test_a_reordered_matrix_has_the_same_counts() -> None:
    whole = clustered(CONFUSION)
    assert whole.rows == ("a", "d", "c", "b")
    then = {(pair.gold, pair.predicted): pair.count for _, cells in CONFUSION.cells() for pair in cells}
    now = {(pair.gold, pair.predicted): pair.count for _, cells in whole.cells() for pair in cells}
    assert then == now


def test_calibration_documents_of_the_tests_are_whole() -> None:
    found = read_calibration(CALIBRATION)
    assert found is not None
    assert found.before is not None
    assert found.after is not None
    assert len(found.coverage) == 20
