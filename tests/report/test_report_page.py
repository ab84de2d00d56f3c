"""What a report says, for runs of every kind."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from importlib import resources

import pytest
import yaml
from report_html import Element, parse, sections
from report_runs import figure

from exactune.report import write_report
from exactune.rundir import Run, read_json, write_json, write_jsonl

ALL = ["sentiment", "judged", "intents", "spans", "extraction", "interrupted"]


def report(run: Run) -> Element:
    path = write_report(run)
    assert path == run.report
    return parse(path.read_text(encoding="utf-8"))


@pytest.fixture(params=ALL)
def any_run(request: pytest.FixtureRequest) -> Run:
    run: Run = request.getfixturevalue(request.param)
    return run


def test_a_classification_run_has_every_section(sentiment: Run) -> None:
    found = sections(report(sentiment))
    assert list(found) == [
        "verdict", "setup", "recipe", "training", "metrics", "baselines", "labels", "confusion", "answers", "mistakes",
        "findings", "rejected", "predictions", "provenance",
    ]  # fmt: skip
    score = read_json(sentiment.metrics)["metrics"]["macro_f1"]
    assert "Better than the majority baseline" in found["verdict"]
    for part in (f"{score['value']:.3f}", f"{score['low']:.3f}–{score['high']:.3f}", "206 rows of the test split"):
        assert part in found["verdict"]
    for part in (
        "Qwen/Qwen3-4B",
        "4.02\u202fB",
        "11.8\u202fM",
        "412",
        "RTX 4090",
        "1 h 12 min",
        "2026-05-01 10:24 UTC",
    ):
        assert part in found["setup"]
    for part in ("overfit quickly", "training.learning_rate 2e-5 --set", "training.num_epochs 5-8 recipe"):
        assert part in found["recipe"]
    assert "cutoff_len -> training.max_seq_length" in found["recipe"]
    assert "Epoch 4.00 (step 104) was best by macro F1" in found["training"]
    assert "正面" in found["labels"]
    assert "正面 負面" in found["confusion"]
    assert "unknown label" in found["answers"]
    for part in ("D205", "eval-row-in-train", "Remove them from one side.", "eval.jsonl:31", "train.jsonl:312"):
        assert part in found["findings"]
    assert "--set training.num_epochs=5-8" in found["findings"]
    assert "and 10 more" in found["findings"]
    assert "train.jsonl:203" in found["rejected"]
    for part in ("transformers 5.2.0", "Linux-6.8-x86_64", "test.jsonl", f"{412:064x}"):
        assert part in found["provenance"]


def test_findings_come_worst_first(sentiment: Run) -> None:
    write_json(sentiment.findings, read_json(sentiment.findings)[::-1])
    findings = sections(report(sentiment))["findings"]
    assert findings.index("D205") < findings.index("D301") < findings.index("D107")


def test_the_most_confident_mistakes_come_first(sentiment: Run) -> None:
    document = report(sentiment)
    shown = [float(hit) for hit in re.findall(r"confidence (\d+)%", sections(document)["mistakes"])]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == len(document.find("article")) - 3


def test_of_many_mistakes_fifty_are_shown(intents: Run) -> None:
    text = sections(report(intents))["mistakes"]
    assert "These are the 50 given with most confidence" in text
    assert len(re.findall(r"confidence \d+%", text)) == 50


def test_a_json_run_shows_fields_and_no_confusion(extraction: Run) -> None:
    found = sections(report(extraction))
    assert "confusion" not in found
    assert "labels" not in found
    assert "Not distinguishable from the majority baseline." in found["verdict"]
    assert "phone gold: 02-2345-6789 → predicted: 02-2345-6798" in found["mistakes"]
    assert "address.zip gold: 110 → predicted: nothing" in found["mistakes"]
    assert "tags gold: taipei → predicted: nothing" in found["mistakes"]
    assert '{"name": "陳怡' in found["mistakes"]
    assert "invalid json" in found["answers"]


def test_many_labels_get_the_confused_ones_large_and_a_map_of_all(intents: Run) -> None:
    document = report(intents)
    pairs = read_json(intents.metrics)["errors"]["confused"]
    (matrix,) = [one for one in document.find("table") if one.attributes.get("class") == "matrix zoom"]
    names = [cell.text for cell in matrix.find("th")]
    assert "Only the 11 labels of the most frequent confusions" in sections(document)["confusion"]
    assert names[0] == "gold ↓ \xa0 predicted →"
    assert names[1:12] == names[14:], "the same labels down and across, then others and none"
    assert names[12:14] == ["(others)", "(none)"]
    assert {pairs[0]["gold"], pairs[0]["predicted"]} <= set(names)
    places = [names.index(pairs[0][side]) for side in ("gold", "predicted")]
    assert abs(places[0] - places[1]) == 1, "what is mistaken for each other stands side by side"
    row = next(one for one in matrix.find("tr") if one.text.startswith(pairs[0]["gold"] + " "))
    assert sum(int(cell.text) for cell in row.find("td")) == pairs[0]["of"]
    svg = next(one for one in document.find("svg") if one.attributes["class"] == "heat")
    hits = [rect for rect in svg.find("rect") if rect.attributes["class"] == "hit"]
    assert len(hits) == 77
    assert "card_pending → card_pending:" in svg.text
    # 77 labels, 3,080 answers and not many bytes.
    assert len(write_report(intents).read_bytes()) < 900_000


def test_confusions_without_errors_are_still_listed(intents: Run) -> None:
    document = read_json(intents.metrics)
    del document["errors"]
    write_json(intents.metrics, document)
    found = sections(report(intents))
    assert "The 12 most frequent confusions" in found["confusion"]
    assert "errors" not in found


def test_an_interrupted_run_says_how_to_go_on(interrupted: Run) -> None:
    found = sections(report(interrupted))
    assert "Training did not finish" in found["verdict"]
    assert "step-000052" in found["verdict"]
    assert "--resume" in found["verdict"]
    assert "metrics" not in found
    assert "mistakes" not in found
    assert "train/metrics.jsonl" in interrupted.report.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["recipe.json", "env.json", "data.json", "findings.json", "train/metrics.jsonl",
                                  "train/best.json", "eval/metrics.json", "eval/predictions.jsonl"])  # fmt: skip
@pytest.mark.parametrize("how", ["missing", "empty", "broken", "list", "nulls"])
def test_any_file_but_the_config_may_be_missing_or_broken(sentiment: Run, name: str, how: str) -> None:
    path = sentiment.path / name
    if how == "missing":
        path.unlink()
    elif how == "nulls":
        text = path.read_text(encoding="utf-8").strip()
        first = text.splitlines()[0] if name.endswith("l") else text
        path.write_text(re.sub(r'("\w+": )("[^"]*"|-?[\d.e-]+|\[\]|true|false)', r"\1null", first), encoding="utf-8")
    else:
        path.write_bytes({"empty": b"", "broken": b'{"a": \xff', "list": b'[[1], "x", null]\n'}[how])
    document = report(sentiment)
    assert "verdict" in sections(document)
    if how == "broken":
        assert name in next(one for one in document.find("p") if one.attributes.get("class") == "note poor").text


def test_only_a_config_is_enough(sentiment: Run) -> None:
    bare = Run(sentiment.path.parent / "bare")
    bare.path.mkdir()
    bare.config.write_bytes(sentiment.config.read_bytes())
    assert "Prepared, not trained" in sections(report(bare))["verdict"]
    bare.config.write_text("null\n", encoding="utf-8")
    assert "verdict" in sections(report(bare))


def test_a_trained_run_that_was_not_scored(sentiment: Run) -> None:
    sentiment.metrics.unlink()
    sentiment.predictions.unlink()
    assert "Trained, but not evaluated" in sections(report(sentiment))["verdict"]


@pytest.mark.parametrize(
    ("value", "width", "baselines", "words", "tone"),
    [
        (0.75, 0.02, {"majority": 0.2}, "Better than the majority baseline and within what the guide expects.", "good"),
        (0.90, 0.02, {"majority": 0.2}, "Better than the majority baseline and above what the guide expects.", "good"),
        (0.60, 0.02, {"majority": 0.2}, "Better than the majority baseline, but below what the guide expects.", "fair"),
        (0.75, 0.02, {"majority": 0.74}, "Not distinguishable from the majority baseline.", "poor"),
        (0.75, 0.02, {"majority": 0.80}, "Worse than the majority baseline.", "poor"),
        (0.75, 0.02, {"linear": 0.8, "majority": 0.2}, "but worse than the linear baseline.", "fair"),
        (0.75, 0.02, {"linear": 0.74, "majority": 0.2}, "but not distinguishable from the linear baseline.", "fair"),
        (0.75, 0.02, {"linear": 0.7, "majority": 0.2}, "Better than the majority and linear baselines and", "good"),
        (0.75, 0.02, {}, "The result is within what the guide expects.", "good"),
    ],
)
def test_the_verdict(
    sentiment: Run, value: float, width: float, baselines: dict[str, float], words: str, tone: str
) -> None:
    document = read_json(sentiment.metrics)
    document["metrics"]["macro_f1"] = figure(value, width)
    document["baselines"] = {name: {"macro_f1": figure(reached)} for name, reached in baselines.items()}
    write_json(sentiment.metrics, document)
    config = yaml.safe_load(sentiment.config.read_text(encoding="utf-8")) | {"gate": {}}
    sentiment.config.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    parsed = report(sentiment)
    assert words in sections(parsed)["verdict"]
    assert any(one.attributes.get("class") == f"verdict {tone}" for one in parsed.find("div"))


def test_a_missed_gate_is_said_and_seen(extraction: Run) -> None:
    config = yaml.safe_load(extraction.config.read_text(encoding="utf-8")) | {
        "gate": {"field_f1": 0.9, "accuracy": 0.5}
    }
    extraction.config.write_text(yaml.safe_dump(config), encoding="utf-8")
    verdict = sections(report(extraction))["verdict"]
    assert "Gate field F1 ≥ 0.900: missed with 0.610" in verdict
    assert "Gate accuracy ≥ 0.500: not measured" in verdict


def assert_only_our_script(document: Element) -> None:
    """At most the rows of the table, and the script that filters them, as it lies beside the templates."""
    ours = resources.files("exactune.report").joinpath("templates/report.js").read_text(encoding="utf-8")
    for element in document.find("script"):
        if element.attributes:
            assert element.attributes == {"type": "application/json", "id": "answers-data"}
            assert not set("<>&\u2028\u2029") & set(str(element.children[0]))
        else:
            assert element.children == [ours]


EVIL = (
    "</script></style></title><!--<script><img src=x onerror=alert(1)>\u2028"
    "\"'<svg/onload=alert(1)>{{7*7}}&amp;\x00\x1b[31m"
)


def test_nothing_in_a_run_can_become_markup(judged: Run) -> None:
    sentiment = judged

    def poison(value: object) -> object:
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()} | {EVIL: EVIL}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return value + EVIL if isinstance(value, str) else value

    for path in (sentiment.recipe, sentiment.env, sentiment.data, sentiment.findings, sentiment.metrics):
        write_json(path, poison(read_json(path)))
    row = dict.fromkeys(("id", "answer", "status", "input"), EVIL)
    row |= {"gold": {EVIL: EVIL}, "prediction": {EVIL: [EVIL]}, "confidence": 0.5, "correct": False}
    write_jsonl(sentiment.predictions, [row])
    config = poison(yaml.safe_load(sentiment.config.read_text(encoding="utf-8")))
    sentiment.config.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    document = report(sentiment)
    html = sentiment.report.read_text(encoding="utf-8")
    assert not document.find("img")
    assert_only_our_script(document)
    assert html.count("onerror") > 20, "the texts are shown"
    assert html.count("<title>") < html.count("onerror")
    assert "{{7*7}}" in html
    assert "\x00" not in html
    assert "\x1b" not in html
    for element in document.find("svg"):
        assert not [name for name in element.attributes if name.startswith("on")]


def test_labels_cannot_break_out_of_the_heat_map(intents: Run) -> None:
    document = read_json(intents.metrics)
    document["confusion"]["labels"][0] = EVIL
    write_json(intents.metrics, document)
    assert not report(intents).find("img")


def test_lone_surrogates_do_not_stop_a_report(sentiment: Run) -> None:
    line = (
        '{"id": "a:1", "gold": "x", "answer": "\\ud800", "prediction": "\\udfff", "correct": false, "confidence": 1}\n'
    )
    sentiment.predictions.write_text(line, encoding="utf-8")
    assert "\ufffd" in sections(report(sentiment))["mistakes"]


def test_no_request_leaves_the_page(any_run: Run) -> None:
    document = report(any_run)
    html = any_run.report.read_text(encoding="utf-8")
    assert not re.search(r"(https?:)?//[a-z]", html, re.IGNORECASE)
    assert "url(" not in html
    assert "@import" not in html
    for tag in ("link", "iframe", "img", "form"):
        assert not document.find(tag)
    assert_only_our_script(document)
    for anchor in document.find("a"):
        assert anchor.attributes["href"].startswith("#")
    policy = next(one for one in document.find("meta") if one.attributes.get("http-equiv"))
    allowed, *script = policy.attributes["content"].split("; script-src ")
    assert allowed == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    scripts = [one for one in document.find("script") if not one.attributes]
    digests = [hashlib.sha256(str(one.children[0]).encode()).digest() for one in scripts]
    assert script == [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def test_the_page_is_accessible(any_run: Run) -> None:
    document = report(any_run)
    assert document.find("html")[0].attributes["lang"] == "en"
    assert [len(document.find(tag)) for tag in ("main", "nav", "h1", "footer")] == [1, 1, 1, 1]
    elements = [
        one
        for tag in ("section", "h2", "title", "desc", "main", "table", "select", "input", "th")
        for one in document.find(tag)
    ]
    ids = [one.attributes["id"] for one in elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for anchor in document.find("a"):
        assert anchor.attributes["href"].removeprefix("#") in ids
    for svg in document.find("svg"):
        assert svg.attributes["role"] == "img"
        assert svg.children[0].tag == "title"  # type: ignore[union-attr]
        assert svg.children[0].text  # type: ignore[union-attr]
        assert set(svg.attributes["aria-labelledby"].split()) <= set(ids)
    for cell in document.find("th"):
        assert cell.attributes["scope"] in ("row", "col")
        assert cell.text
    for figure_element in document.find("figure"):
        assert figure_element.find("figcaption")


def test_the_same_run_gives_the_same_bytes(any_run: Run) -> None:
    first = write_report(any_run).read_bytes()
    assert write_report(any_run).read_bytes() == first


def test_reports_need_no_torch() -> None:
    code = "import sys, exactune.report; print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _luminance(color: tuple[float, float, float]) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (c / 255 for c in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_have_contrast(sentiment: Run, scheme: int) -> None:
    css = write_report(sentiment).read_text(encoding="utf-8")
    block = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[scheme]
    codes = re.findall(r"--(\w+): #(\w{6})", block)
    named = {name: tuple(int(code[i : i + 2], 16) for i in (0, 2, 4)) for name, code in codes}
    tones = {name: tuple(map(int, parts.split())) for name, parts in re.findall(r"--(\w+): (\d+ \d+ \d+)", block)}
    shade = float(re.findall(r"--shade: (\.\d+)", block)[0])
    for ground in ("paper", "card", "soft"):
        for text in (named["ink"], named["muted"], tones["hit"], tones["miss"], tones["poor"]):
            assert _contrast(text, named[ground]) >= 4.5
    for tone in ("hit", "miss"):
        cell = tuple(shade * a + (1 - shade) * b for a, b in zip(tones[tone], named["paper"], strict=True))
        assert _contrast(named["ink"], cell) >= 4.5
