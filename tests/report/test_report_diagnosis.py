"""What a report says of a diagnosis, and how it draws it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_html import Element, parse, sections
from report_runs import base_run
from sick_runs import EVIDENCE, MEASURED, NAMES, PATCH, add_margins, add_moved, diagnose, finding

import sentences
from exactune.diagnose.remedies import as_yaml
from exactune.layers import read_patch
from exactune.report import write_report
from exactune.report.bars import change_bar, difference_bar, level_bar
from exactune.report.charts import Line, line_chart, written
from exactune.report.curves import Curves, Point, read_curves
from exactune.report.diagnosis import Diagnosed, read_diagnosis
from exactune.report.page import fact
from exactune.report.scores import Confusion, Estimate
from exactune.rundir import Run, read_json, write_json

PICTURES = {
    "R101": {"loss", "score"}, "R102": {"loss", "score"}, "R103": {"loss"}, "R104": {"loss", "score"},
    "R105": {"moved"}, "R106": {"loss", "score"}, "R201": {"scored", "trained"}, "R202": {"scored", "trained"},
    "R203": {"scored", "trained"}, "R204": {"1", "2", "3", "4"}, "R205": set(), "R206": {"share"},
    "R301": {"1", "2", "3", "4", "5", "difference"}, "R302": {""}, "R303": {"1", "2"}, "R304": {"", "rows", "needed"},
    "R305": {"1", "2"}, "R306": {"reliability"}, "R307": set(),
    "R308": {"auc", "script-1", "script-2", "label-1", "label-2", "label-3"}, "R401": {"score", "margin"},
    "R402": {"pairs", "others", "answers"}, "R403": {"pairs", "margin"}, "R404": {"difference"},
}  # fmt: skip
"""Code -> names of its pictures; the figure itself has none, R307 is a table and R205 needs a run with spans."""


def report(run: Run, language: str = "en") -> Element:
    return parse(write_report(run, language).read_text(encoding="utf-8"))


def section(document: Element, name: str = "diagnosis") -> Element:
    (found,) = [one for one in document.find("section") if one.attributes["id"] == name]
    return found


def pictures(article: Element, number: int = 1) -> set[str]:
    """What a finding is drawn with."""
    named = [one.attributes["aria-labelledby"].split()[0] for one in article.find("svg")]
    assert len(named) == len(set(named))
    assert all(name.startswith(f"diagnosis-{number}-") for name in named)
    return {name.removeprefix(f"diagnosis-{number}-").removesuffix("t").removesuffix("-") for name in named}


def cells(element: Element) -> list[list[str]]:
    return [[cell.text for cell in row.children if isinstance(cell, Element)] for row in element.find("tr")]


@pytest.fixture
def sick(judged: Run) -> Run:
    """A complete run that any finding can be written into."""
    add_moved(judged)
    add_margins(judged)
    return judged


def test_a_finding_says_what_is_wrong_why_and_what_to_change(sick: Run) -> None:
    diagnose(sick, *(finding(code, patch=PATCH, expected=f"{code} gone") for code in EVIDENCE))
    document = report(sick)
    articles = section(document).find("article")
    assert len(articles) == len(EVIDENCE)
    for number, (code, article) in enumerate(zip(EVIDENCE, articles, strict=True), 1):
        for part in (code, NAMES[code], "no user turn has any text", "write null", f"{code} gone", "warning"):
            assert part in article.text
        assert "learning_rate: 1.0e-05" in article.text
        assert code not in sections(document)["findings"], "that section is about the data"
        assert pictures(article, number) == PICTURES[code], code
        assert all(one.find("figcaption") for one in article.find("figure"))


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    run = base_run(tmp_path / "bare", {"type": "classification", "labels": ["a", "b"]}, 40)
    diagnose(run, *(finding(code) | {"evidence": {}, "fix": "", "patch": None} for code in EVIDENCE))
    found = section(report(run))
    assert len(found.find("article")) == len(EVIDENCE)
    assert not found.find("svg")
    assert not found.find("table")
    assert "What to change" not in found.text


@pytest.mark.parametrize("odd", ["x", None, [1, {"a": 2}], {"value": "x"}, -3, 1e308, True])
def test_odd_evidence_does_not_stop_a_report(sick: Run, odd: Any) -> None:
    keys = ("expected", "explains", "step", "best_loss", "last_loss")
    diagnose(sick, *(finding(code) | {"evidence": dict.fromkeys((*EVIDENCE[code], *keys), odd)} for code in EVIDENCE))
    write_json(sick.metrics, read_json(sick.metrics) | dict.fromkeys(MEASURED, odd))
    found = section(report(sick))
    assert len(found.find("article")) == len(EVIDENCE)
    drawn = [one.attributes for tag in ("rect", "circle", "line", "path", "polyline") for one in found.find(tag)]
    assert drawn
    assert not [one for one in drawn if re.search(r"\b(nan|inf)\b", " ".join(one.values()))]


def test_findings_stay_in_their_order_and_are_counted(sick: Run) -> None:
    diagnose(sick, finding("R308"), finding("R101") | {"severity": "error"}, finding("R204"))
    found = section(report(sick))
    heads = [one.text for one in found.find("h3")]
    assert [head.split()[-2] for head in heads] == ["R308", "R101", "R204"]
    assert [head.split(" ")[0] for head in heads] == ["warning", "error", "warning"]
    assert "3 things stand out. Begin with the first" in found.text
    diagnose(sick, finding("R308"))
    assert "One thing stands out." in section(report(sick)).text


def test_hidden_consequences_are_folded(sick: Run) -> None:
    hidden = [{"code": "R306", "name": "badly-calibrated", "message": "too sure by 0.12"}, {"code": "R999"}]
    diagnose(sick, finding("R101", explains=hidden))
    details = [one for one in section(report(sick)).find("details") if "explains" in one.text]
    assert len(details) == 1
    assert details[0].find("summary")[0].text == "It also explains 2 other findings"
    assert "Confidence that cannot be trusted R306 badly-calibrated too sure by 0.12" in details[0].text


def test_nothing_found_is_said_with_what_was_looked_at(sick: Run) -> None:
    diagnose(sick)
    found = section(report(sick))
    assert found.text == (
        "Diagnosis Nothing was found to be wrong with this run. Looked at: the course of training, the form of the "
        "answers, the baselines, what the guide expects, answers to training rows, the labels of training rows, "
        "whether scored rows look like training rows, scored rows that stand in training, too, confidence, general "
        "ability."
    )
    sick.metrics.unlink()
    assert section(report(sick)).text.endswith("Looked at: the course of training, confidence.") is False
    assert section(report(sick)).text.endswith("Looked at: the course of training.")


@pytest.mark.parametrize("content", [None, "{}", '{"a": ', "null"])
def test_a_run_without_a_diagnosis_has_no_such_section(sick: Run, content: str | None) -> None:
    if content is not None:
        (sick.path / "diagnosis.json").write_text(content, encoding="utf-8")
    document = report(sick)
    assert "diagnosis" not in sections(document)
    assert "#diagnosis" not in [one.attributes["href"] for one in document.find("a")]
    assert ("diagnosis.json" in document.text) == (content == '{"a": ')


def test_it_stands_right_under_the_verdict(sick: Run) -> None:
    diagnose(sick, finding("R101"))
    document = report(sick)
    assert list(sections(document))[:2] == ["verdict", "diagnosis"]
    links = [one.attributes["href"] for one in document.find("nav")[0].find("a")]
    assert links[:2] == ["#verdict", "#diagnosis"]


def test_figures_stand_in_a_table_by_readable_names(sick: Run) -> None:
    diagnose(sick, finding("R301", share=0.004, made_up_count=1234.0, nothing=None, sure=False, tiny=-0.00025))
    tables = [one for one in section(report(sick)).find("table") if "facts-table" in one.attributes["class"]]
    assert cells(tables[0]) == [
        ["baseline", "linear"], ["difference", "0.007"], ["difference at least", "−0.023"],
        ["difference at most", "0.037"], ["share of answers", "0.4%"], ["made up count", "1,234"], ["sure", "no"],
        ["tiny", "−2.5e-4"],
    ]  # fmt: skip


def test_rows_that_show_it_are_linked_or_named(sick: Run) -> None:
    diagnose(sick, finding("R201"), finding("R203"))
    found = section(report(sick))
    (link,) = [one for one in found.find("a") if "data-rows" in one.attributes]
    assert link.attributes["data-rows"] == "2 8"
    assert "hidden" in link.attributes, "it needs the script"
    assert "Rows absent.jsonl:3" in found.text


def test_doubtful_rows_are_a_table_with_the_rest_folded(sick: Run) -> None:
    diagnose(sick, finding("R307"))
    tables = [one for one in section(report(sick)).find("table") if "doubts" in one.attributes["class"]]
    assert [len(one.find("tr")) for one in tables] == [11, 4]
    assert cells(tables[0])[1] == ["train.jsonl:7", "正面", "→ 負面", "98%"]


def test_a_doubt_about_an_object_is_cut_to_one_line() -> None:
    examples = [{"id": "a:1", "gold": {"x": "y" * 900}, "suggested": [{"text": "臺北", "type": "LOC"}]}]
    found = read_diagnosis([], {"doubts": {"examples": examples}})
    assert found is not None
    assert found.doubts is not None
    (doubt,) = found.doubts.examples
    assert len(doubt.gold) == 201
    assert (doubt.suggested, doubt.confidence) == ("臺北 (LOC)", None)


def test_a_label_is_drawn_with_its_shares(sick: Run) -> None:
    diagnose(sick, finding("R204"))
    (table,) = [one for one in section(report(sick)).find("table") if one.attributes["class"] == "numbers paired"]
    matrix = read_json(sick.metrics)["confusion"]
    total = sum(map(sum, matrix["matrix"]))
    for at, label in enumerate(matrix["labels"][:3]):
        (row,) = [one for one in cells(table) if one[0] == label]
        assert row[1] == f"{sum(one[at] for one in matrix['matrix']) / total:.0%}"
        assert row[2] == f"{sum(matrix['matrix'][at]) / total:.0%}"
    assert [one.text.split()[0] for one in table.find("tr") if one.attributes.get("class") == "best"] == ["負面"]


def test_a_leak_without_shared_rows_is_drawn_against_the_baselines(sick: Run) -> None:
    diagnose(sick, finding("R305") | {"evidence": {"value": 0.99, "baseline": "linear", "baseline_value": 0.98}})
    document = read_json(sick.metrics)
    write_json(sick.metrics, {key: value for key, value in document.items() if key != "overlap"})
    assert pictures(section(report(sick))) == {"1", "2", "3", "4", "5"}


def test_a_patch_can_be_copied_and_read_again(sick: Run, tmp_path: Path) -> None:
    diagnose(sick, finding("R101", patch=PATCH), finding("R204"))
    document = report(sick)
    (button,) = [one for one in document.find("button") if "data-copy" in one.attributes]
    assert "hidden" in button.attributes, "without a script there is nothing to press"
    (written_out,) = [one for one in document.find("pre") if one.attributes.get("id") == button.attributes["data-copy"]]
    path = tmp_path / "patch.yaml"
    path.write_text(str(written_out.children[0]), encoding="utf-8")
    assert read_patch(path).values == PATCH
    sick.predictions.unlink()
    document = report(sick)
    policy = next(one for one in document.find("meta") if one.attributes.get("http-equiv")).attributes["content"]
    (script,) = document.find("script")
    digest = base64.b64encode(hashlib.sha256(str(script.children[0]).encode()).digest()).decode()
    assert policy.endswith(f"img-src data:; script-src 'sha256-{digest}'"), "no table, but something to copy"
    assert "its one script only copies a patch" in document.find("footer")[0].text


@pytest.mark.parametrize(
    "patch",
    [
        {"training.num_epochs": "5-8", "data.eval_fraction": 0.1, "task.copy_spans": True, "model": "mini"},
        {"lora": None},
        {"lora.target_modules": ["q_proj", "v_proj"], "lora.r": 64},
        {"task.schema.type": "object", "gate.macro_f1": 0.5, "data.columns.input": "sentence: \n# 文"},
        {"gate": {"macro_f1": 0.5}},
    ],
)
def test_patches_of_every_kind_are_read_again(patch: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "patch.yaml"
    path.write_text(as_yaml(patch), encoding="utf-8")
    values = {key: "none" if key == "lora" and value is None else value for key, value in patch.items()}
    assert read_patch(path).values == values


def test_a_patch_of_odd_keys_is_still_shown() -> None:
    assert as_yaml({}) == ""
    odd = {"lora": None, "lora.r": 8, "": 1, "a\nb: c": 2, "training.": 3}
    assert set(yaml.safe_load(as_yaml(odd))) == {"lora", "lora.r", "", "a\nb: c", "training"}


EVIL = "</script></style><!--<img src=x onerror=alert(1)>\u2028\"'<svg/onload=alert(1)>{{7*7}}&amp;\x00"


def poison(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: poison(item) for key, item in value.items()} | {EVIL: EVIL}
    if isinstance(value, list):
        return [poison(item) for item in value]
    return value + EVIL if isinstance(value, str) else value


@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_nothing_in_a_diagnosis_can_become_markup(sick: Run, language: str) -> None:
    diagnose(sick)
    found = []
    for code in EVIDENCE:
        one = finding(code, patch=PATCH, expected="x", explains=[{"code": "R1", "name": "n", "message": "m"}])
        found.append(poison({key: value for key, value in one.items() if key not in ("said", "code")}) | {"code": code})
    diagnose(sick, *found, poison(finding("R101")))
    write_json(sick.metrics, poison(read_json(sick.metrics)))
    document = report(sick, language)
    html = sick.report.read_text(encoding="utf-8")
    assert not document.find("img")
    assert "\x00" not in html
    assert section(document).text.count("onerror") > 100, "the texts are shown"
    for script in document.find("script"):
        assert "onerror" not in str(script.children[0]) or not set("<>&") & set(str(script.children[0]))
    for tag in ("svg", "button", "a", "li", "td"):
        assert not [name for one in document.find(tag) for name in one.attributes if name.startswith("on")]


def test_ids_of_the_page_are_unique(sick: Run) -> None:
    diagnose(sick, *(finding(code, patch=PATCH) for code in EVIDENCE), finding("R101", patch=PATCH))
    document = report(sick)
    tags = ("section", "h2", "title", "desc", "pre", "table", "script")
    ids = [one.attributes["id"] for tag in tags for one in document.find(tag) if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for svg in section(document).find("svg"):
        assert svg.find("title")[0].text
        assert set(svg.attributes["aria-labelledby"].split()) <= set(ids)
    for cell in section(document).find("th"):
        assert cell.attributes["scope"] in ("row", "col")
        assert cell.text


def test_every_sentence_is_chinese(sick: Run) -> None:
    diagnose(sick, *(finding(code, patch=PATCH, explains=[{"code": "R306"}]) for code in EVIDENCE))
    document = report(sick, "zh-TW")
    assert document.find("html")[0].attributes["lang"] == "zh-TW"
    text = section(document).text
    for part in (
        "診斷",
        "過擬合",
        f"有 {len(EVIDENCE)} 個問題值得注意",
        "沒有任何 user 回合有文字",
        "請寫 null",
        "該改什麼",
        "複製",
    ):
        assert part in text

    def own(element: Element) -> str:
        if element.tag in ("code", "pre", "bdi"):
            return " · "
        return " · ".join(one if isinstance(one, str) else own(one) for one in element.children)

    assert sentences.prose(own(section(document))) == ""
    diagnose(sick)
    assert sentences.prose(section(report(sick, "zh-TW")).text) == ""


def test_the_same_diagnosis_gives_the_same_bytes(sick: Run) -> None:
    diagnose(sick, *(finding(code, patch=PATCH) for code in EVIDENCE))
    first = write_report(sick).read_bytes()
    assert write_report(sick).read_bytes() == first


def logged(losses: list[float], epochs: int) -> Curves:
    """Training losses over some epochs of ten steps, and an evaluation after each."""
    lines: list[dict[str, Any]] = [
        {"step": at * 10 * epochs // len(losses), "epoch": at * epochs / len(losses), "loss": loss}
        for at, loss in enumerate(losses, 1)
    ]
    evals = [0.9, 0.5, 0.8, 0.4, 0.35][:epochs]
    lines += [{"step": 10 * at, "epoch": float(at), "eval": {"loss": loss}} for at, loss in enumerate(evals, 1)]
    curves = read_curves(lines, {}, ())
    assert curves is not None
    return curves


@pytest.mark.parametrize(
    ("code", "evidence", "span"),
    [
        ("R101", {"best_epoch": 2.0, "last_epoch": 5.0}, (2.0, 5.0)),
        ("R101", {}, (5.0, 5.0)),
        ("R102", {"falling": 0.2}, (4.0, 5.0)),
        ("R102", {"falling": 0.01}, None),
        ("R103", {"step": 20}, (2.0, 2.0)),
        ("R103", {"best_loss": 0.1, "last_loss": 3.0}, (2.5, 5.0)),
        ("R103", {"first_loss": 2.0, "last_loss": 2.0}, None),
        ("R104", {}, (2.0, 4.0)),
        ("R106", {}, (4.0, 5.0)),
        ("R301", {}, None),
    ],
)
def test_the_span_that_tells_of_a_finding(
    code: str, evidence: dict[str, Any], span: tuple[float, float] | None
) -> None:
    document = [{"code": code, "severity": "warning", "evidence": evidence}]
    found = read_diagnosis(json.loads(json.dumps(document)), {})
    assert found is not None
    (one,) = found.found
    assert isinstance(one, Diagnosed)
    curves = logged([2.0, 1.0, 0.9, 0.8, 0.1, 3.0, 3.0, 3.0, 3.0, 3.0], 5)
    assert one.span(curves) == span


def test_a_chart_shades_a_span_and_draws_levels() -> None:
    points = [Point(0.0, 0.0), Point(4.0, 1.0)]
    svg = parse(line_chart("c", [Line(points, "main")], "t", "d", span=(2.0, 4.0), levels=[2.0])).find("svg")[0]
    (span,) = [one.attributes for one in svg.find("rect") if one.attributes["class"] == "span"]
    dots = [float(one.attributes["cx"]) for one in svg.find("circle")]
    left, width = float(span["x"]), float(span["width"])
    assert left == pytest.approx(sum(dots) / 2, abs=0.11)
    assert left + width == pytest.approx(dots[1], abs=0.11)
    (level,) = [one.attributes["d"] for one in svg.find("path") if one.attributes["class"] == "level"]
    assert level.split("H")[0].split()[1] == "14.0", "twice as high as the data: at the top"
    narrow = parse(line_chart("c", [Line(points, "main")], "t", "d", span=(4.0, 4.0))).find("rect")[0].attributes
    assert float(narrow["width"]) == 7.0
    assert float(narrow["x"]) + 7.0 == pytest.approx(dots[1], abs=0.11), "it does not leave the chart"


def test_small_ticks_are_short() -> None:
    assert [written(one) for one in (0.0, 0.25, 0.00025, -3e-6, 12.0)] == ["0", "0.25", "2.5e-4", "-3e-6", "12"]


def test_bars_are_placed_by_their_figures() -> None:
    level = parse(level_bar("l", 0.3, 0.6, "t", mark=0.15))
    assert [one.attributes["width"] for one in level.find("rect")] == ["100%", "50.00%"]
    assert level.find("line")[0].attributes["x1"] == "25.00%"
    change = parse(change_bar("c", 1.0, 1.5, 1.0, 2.0, "t"))
    assert [one.attributes["cx"] for one in change.find("circle")] == ["0.00%", "50.00%"]
    difference = parse(difference_bar("d", Estimate(0.0, -0.1, 0.1), "t"))
    assert difference.find("circle")[0].attributes["cx"] == "50.00%"
    (interval,) = [one.attributes for one in difference.find("line") if one.attributes["class"] == "interval"]
    assert float(interval["x1"].rstrip("%")) + float(interval["x2"].rstrip("%")) == pytest.approx(100)
    assert level_bar("l", 1.0, 0.0, "t") == change_bar("c", 1, 1, 2, 2, "t") == ""
    assert difference_bar("d", Estimate(0.0, None, None), "t") == ""


def test_shares_of_predictions_and_of_gold_answers() -> None:
    confusion = Confusion(("a", "b"), ("a", "b", "(none)"), ((3, 1, 0), (4, 1, 1)))
    assert confusion.shares() == [("a", 0.7, 0.4), ("b", 0.2, 0.6), ("(none)", 0.1, 0.0)]


@pytest.mark.parametrize(
    ("value", "key", "shown"),
    [(0.004, "share", "0.4%"), (0.5, "swing", "50%"), (300.0, "rows", "300"), (3, "best_epoch", "3"),
     (1.0, "gap", "1.000"), (2e-5, "learning_rate", "2e-5"), (0.0, "moved", "0.000"), (-0.5, "drop", "−0.500")],
)  # fmt: skip
def test_figures_are_written_for_people(value: float, key: str, shown: str) -> None:
    assert fact(value, key) == shown
