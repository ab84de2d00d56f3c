"""Every rule of the diagnosis, on a healthy run folder and on one made sick of it."""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_folders import Folder, finding, preferring, write_folder

from exactune.diagnose import RULES, Symptoms, diagnose
from exactune.diagnose.knowledge import brought, explained_by, place, remedy, thresholds
from exactune.diagnose.remedies import patch_yaml
from exactune.errors import RunError
from exactune.layers import parse_mapping, read_patch, resolve
from exactune.rules import Finding, Rule
from exactune.rundir import Run, read_json, read_jsonl

from planted_folders import (
    PLANTED,
    collapsed,
    figure,
    known,
    leaked,
    lengthened,
    losses,
    overfit,
    start_better,
    trained,
    underfit,
)

CODES = {rule.code for rule in RULES}
SECTIONS = ("What it does:", "Why it matters:", "Example:", "Fix:")
by_code = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


def found(path: Path, *changes) -> list[Finding]:
    def change(folder: Folder) -> None:
        for one in changes:
            one(folder)

    return diagnose(write_folder(path, change))


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def test_codes_and_names_are_unique_and_known() -> None:
    assert len({rule.code for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    assert all(re.fullmatch(r"R\d{3}", rule.code) and re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name) for rule in RULES)
    assert set(PLANTED) == CODES
    assert sorted(map(place, CODES)) == list(range(len(CODES)))


@by_code
def test_docstrings_have_their_sections_in_order(rule: Rule[Symptoms]) -> None:
    lines = rule.doc.splitlines()
    assert [line for line in lines if line in SECTIONS] == list(SECTIONS)
    assert rule.fix


@by_code
def test_what_is_known_of_a_rule_names_rules_and_keys(rule: Rule[Symptoms]) -> None:
    assert set(explained_by(rule.code)) <= CODES - {rule.code}
    assert {operation["key"].split(".")[0] for operation in remedy(rule.code)} <= {
        "training", "lora", "constrain", "task", "dpo", "orpo"
    }  # fmt: skip


def test_every_threshold_has_a_number_and_a_source() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in Path(diagnose.__code__.co_filename).parent.glob("*.py")
    )
    for name, entry in thresholds().items():
        assert entry["value"] > 0
        assert entry["source"]
        assert f'limit("{name}")' in source, f"{name} is used nowhere"


def test_nothing_is_wrong_with_a_healthy_run(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert read_json(Run(tmp_path).diagnosis) == []


@by_code
def test_what_is_planted_is_found_first_with_its_remedy(rule: Rule[Symptoms], tmp_path: Path) -> None:
    planted = PLANTED[rule.code]
    leading, *others = found(tmp_path, planted.plant)
    assert leading.code == rule.code, leading.message
    assert others == []
    assert (leading.name, str(leading.severity)) == (rule.name, planted.severity)
    assert leading.patch == planted.patch
    assert tuple(sorted(one["code"] for one in leading.evidence.get("explains", ()))) == planted.explains
    json.dumps(leading.to_json(), allow_nan=False)


@by_code
def test_a_patch_is_a_config(rule: Rule[Symptoms], tmp_path: Path) -> None:
    (leading,) = found(tmp_path / "run", PLANTED[rule.code].plant)
    file = tmp_path / "patch.yaml"
    file.write_text(patch_yaml([leading]), encoding="utf-8")
    own = read_patch(Run(tmp_path / "run").config)
    assert read_patch(file).values == (leading.patch or {})
    before, after = resolve([own]).config, resolve([own, read_patch(file)]).config
    assert (before == after) == (leading.patch is None)
    if leading.patch:
        assert resolve([own, parse_mapping(leading.patch, "a test")]).config == after


def test_several_findings_are_one_patch_and_comments(tmp_path: Path) -> None:
    findings = found(tmp_path / "run", leaked, PLANTED["R104"].plant, PLANTED["R201"].plant)
    assert codes(findings) == ["R305", "R201", "R104"]
    text = patch_yaml(findings)
    assert text.splitlines()[1:2] == ["constrain: true"]
    assert "# training:" in text
    file = tmp_path / "patch.yaml"
    file.write_text(text, encoding="utf-8")
    assert read_patch(file).values == {"constrain": True}


def test_what_a_remedy_brought_in_planted_runs_is_said(tmp_path: Path) -> None:
    (leading,) = found(tmp_path, PLANTED["R103"].plant)
    assert leading.evidence["expected"] == (
        "In runs made sick like this on purpose, such a change was better {better} of {runs} times; the metric changed "
        "by {median:+.2f} (median)."
    ).format(**brought("R103"))
    (leading,) = found(tmp_path / "other", PLANTED["R307"].plant)
    assert "expected" not in leading.evidence


def test_what_remedies_brought_is_what_was_measured() -> None:
    """The figures that people are told are those of the planted runs."""
    results = Path(__file__).parents[2] / "benchmarks" / "results" / "doctor.jsonl"
    measured: dict[str, list[dict]] = {}
    for line in read_jsonl(results):
        if line["part"] == "patch":
            measured.setdefault(line["code"], []).append(line)
    for code in CODES:
        lines = measured.get(code, [])
        known = brought(code)
        assert (known is not None) == (len(lines) >= 3), code
        if known:
            assert known["runs"] == len(lines)
            assert known["better"] == sum(line["verdict"] == "better" for line in lines)
            median = statistics.median(line["difference"]["value"] for line in lines)
            assert known["median"] == pytest.approx(median, abs=0.005)


def test_a_broken_line_of_a_run_is_named(tmp_path: Path) -> None:
    run = write_folder(tmp_path)
    lines = run.train_metrics.read_text(encoding="utf-8")
    run.train_metrics.write_text(lines + '{"step": 3', encoding="utf-8")
    with pytest.raises(RunError, match=rf"metrics\.jsonl:{len(lines.splitlines()) + 1} is not readable JSON"):
        diagnose(run)


def test_beyond_the_recipe_goes_only_who_followed_it(tmp_path: Path) -> None:
    def patch(name: str, rate: float = 0.005, epochs: float = 8, **lora: float) -> Any:
        def used(folder: Folder) -> None:
            folder["config"]["training"].update(learning_rate=rate, num_epochs=epochs)
            folder["config"]["lora"].update(lora)

        (leading,) = found(tmp_path / name, PLANTED["R102"].plant, used)
        return leading.patch

    wider = {"lora.r": 64, "lora.lora_alpha": 128, "training.learning_rate": 0.01}
    assert patch("followed") == {**wider, "training.num_epochs": 10}
    assert patch("long", epochs=12) == wider, "epochs that were enough are no change"
    assert patch("short", epochs=2) == {"training.num_epochs": "8-10"}
    assert patch("slow", rate=0.00123456) == {"training.learning_rate": 0.005}
    assert patch("thin", r=1, lora_alpha=1) == {"lora.r": 32, "lora.lora_alpha": 64}
    assert patch("strong", r=8, lora_alpha=64) == {"lora.r": 32, "lora.lora_alpha": 256}
    assert patch("fast", rate=0.4999) == {**wider, "training.num_epochs": 10, "training.learning_rate": 0.5}


def test_a_cause_that_is_explained_explains_nothing(tmp_path: Path) -> None:
    # The weights hardly moved, so the training rows are answered badly, so the guide's band is not reached.
    (leading,) = found(tmp_path, PLANTED["R105"].plant)
    assert [one["code"] for one in leading.evidence["explains"]] == ["R102", "R302"]
    assert read_json(Run(tmp_path).diagnosis)[0]["evidence"]["explains"][0]["name"] == "underfit"


def test_not_better_than_what_has_learned_nothing_is_an_error(tmp_path: Path) -> None:
    (leading,) = found(
        tmp_path, PLANTED["R301"].plant, lambda folder: folder["metrics"]["comparison"].update(baseline="majority")
    )
    assert (leading.code, str(leading.severity)) == ("R301", "error")


def test_findings_of_the_data_checks_are_named(tmp_path: Path) -> None:
    def broken(folder: Folder) -> None:
        folder["findings"] = [finding("D401", *range(1, 41)), finding("D303", 7)]

    malformed, labels = found(tmp_path, broken)
    assert malformed.message == "the data checks found 40 rows whose answers are malformed (D401)"
    assert malformed.patch is None
    assert labels.message == "what D303 found (D303)"


def test_eval_rows_that_were_trained_are_told_of_by_the_checks(tmp_path: Path) -> None:
    def met(*lines: int, twins: int, **more: str):
        return lambda folder: folder.update(findings=[finding("D205", *lines, twins=twins, **more)])

    few, many = met(*range(1, 81), twins=7), met(1, twins=80, severity="error")
    assert found(tmp_path / "few", few) == []
    (leading,) = found(tmp_path / "many", many)
    assert (leading.code, str(leading.severity)) == ("R305", "error")
    assert leading.message.startswith("80 of 400 eval and test rows are training rows, too, or nearly (D205);")
    # Training rows that were left out for it were not trained.
    assert found(tmp_path / "skipped", many, lambda folder: folder["config"].update(check={"on_error": "skip"})) == []
    # Test rows that are withheld say nothing yet.
    assert found(tmp_path / "withheld", many, lambda folder: folder["data"]["splits"]["test"].update(rows=0)) == []


def test_answers_that_the_input_gives_away(tmp_path: Path) -> None:
    def perfect(folder: Folder) -> None:
        figure(folder, 0.995, 0.005)
        folder["metrics"]["baselines"]["linear"]["macro_f1"]["value"] = 1.0

    (leading,) = found(tmp_path, perfect)
    assert (leading.code, str(leading.severity)) == ("R305", "warning")


def test_overfitting_before_a_run_is_scored_is_seen_in_its_losses(tmp_path: Path) -> None:
    (leading,) = found(tmp_path, overfit, lambda folder: folder.update(metrics={}, best={}))
    assert leading.code == "R101"
    assert leading.evidence["best_epoch"] == 3


def test_a_gap_within_the_intervals_is_no_overfitting(tmp_path: Path) -> None:
    assert found(tmp_path, lambda folder: trained(folder, 0.99), lambda folder: figure(folder, 0.83, 0.15)) != []
    assert "R101" not in codes(
        found(tmp_path, lambda folder: trained(folder, 0.99), lambda folder: figure(folder, 0.83, 0.15))
    )


@by_code
def test_a_run_that_logged_no_step_is_diagnosed(rule: Rule[Symptoms], tmp_path: Path) -> None:
    # Fewer steps than `logging_steps`.
    def brief(folder: Folder) -> None:
        folder["lines"] = [line for line in folder["lines"] if "eval" in line]

    findings = found(tmp_path, PLANTED[rule.code].plant, brief)
    assert rule.code in {"R103", "R106", "R401"} or findings[0].code == rule.code


def test_a_run_longer_than_the_guide_has_it_goes_back_to_the_guide(tmp_path: Path) -> None:
    (leading,) = found(tmp_path, overfit, lambda folder: folder["config"]["training"].update(num_epochs=40))
    assert leading.patch == {
        "lora.lora_dropout": 0.1, "training.weight_decay": 0.05, "training.num_epochs": "8-10"
    }  # fmt: skip


def test_full_fine_tuning_gets_no_patch_for_an_adapter(tmp_path: Path) -> None:
    (leading,) = found(tmp_path, overfit, lambda folder: folder["config"].update(lora="none"))
    assert leading.patch == {"training.weight_decay": 0.05, "training.num_epochs": 3}


def test_a_run_without_training_is_nothing_to_diagnose(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing was trained"):
        found(tmp_path, lambda folder: folder.update(lines=[]))


def short(*values: float):
    """A run with so many logged lines, and one evaluation."""

    def change(folder: Folder) -> None:
        ends = [line for line in folder["lines"] if "eval" in line][:1]
        logged = [{"step": n, "epoch": n / len(values), "loss": loss} for n, loss in enumerate(values, 1)]
        folder.update(lines=[*logged, *ends], best={"step": ends[0]["step"]})

    return change


def test_a_run_too_short_for_a_logged_line_is_healthy(tmp_path: Path) -> None:
    assert found(tmp_path, short()) == []


def test_two_lines_of_noise_are_no_divergence(tmp_path: Path) -> None:
    assert found(tmp_path / "noise", short(0.5, 0.51)) == []
    assert codes(found(tmp_path / "lost", short(0.5, 0.6, 0.7, 0.7, 0.7, 0.7))) == ["R103"]


@pytest.mark.parametrize("ends", [[0.5, 0.05, 0.01, 0.02, 0.01, 0.02, 0.01, 0.015], [0.5, 0, 0.01, 0, 0.01, 0, 0, 0]])
def test_a_loss_next_to_nothing_does_not_swing(ends: list[float], tmp_path: Path) -> None:
    fallen = [1.2, 0.5, 0.1, 0.01, 0.005, 0.003, 0.002, 0.001]
    assert found(tmp_path, lambda folder: losses(folder, fallen, ends)) == []


def test_nothing_is_to_be_gained_where_all_eval_rows_are_right(tmp_path: Path) -> None:
    def perfect(folder: Folder) -> None:
        folder["lines"][-1]["eval"]["macro_f1"] = 1.0

    assert found(tmp_path, PLANTED["R106"].plant, perfect) == []


def test_weights_that_hardly_moved_may_have_learned(tmp_path: Path) -> None:
    learned = lambda folder: (trained(folder, 0.95), figure(folder, 0.9))  # noqa: E731
    assert found(tmp_path, PLANTED["R105"].plant, learned) == []


def test_few_rows_prove_little(tmp_path: Path) -> None:
    def sure(folder: Folder) -> None:
        folder["metrics"]["calibration"]["after"]["bins"] = [{"n": 6, "confidence": 0.88, "accuracy": 1.0}]

    def one_wrong(folder: Folder) -> None:
        folder["metrics"] |= {
            "n": 4,
            "confusion": {"labels": ["good", "bad"], "matrix": [[3, 0], [1, 0]]},
            "per_label": {"good": {"recall": 1.0, "support": 3}, "bad": {"recall": 0.0, "support": 1}},
        }

    def level(folder: Folder) -> None:
        folder["metrics"]["comparison"] |= {
            "baseline": "majority", "verdict": "level", "rows": 8,
            "difference": {"value": 0.1, "low": -0.2, "high": 0.4}, "rows_needed": 60,
        }  # fmt: skip

    assert found(tmp_path / "sure", sure) == []
    assert found(tmp_path / "swallowed", one_wrong) == []
    (leading,) = found(tmp_path / "level", level)
    assert (leading.code, str(leading.severity)) == ("R301", "warning")


def test_a_remedy_is_a_value_that_is_allowed(tmp_path: Path) -> None:
    fast = lambda folder: folder["config"]["training"].update(learning_rate=0.6)  # noqa: E731
    (leading,) = found(tmp_path / "fast", PLANTED["R102"].plant, fast)
    assert "training.learning_rate" not in (leading.patch or {})
    free = lambda folder: folder["config"].update(constrain=False)  # noqa: E731
    (leading,) = found(tmp_path / "free", PLANTED["R205"].plant, free)
    assert leading.patch is None


def test_grammars_are_no_remedy_where_one_held_the_answers(tmp_path: Path) -> None:
    copied = lambda folder: folder["config"]["task"].update(copy_spans=True)  # noqa: E731
    (leading,) = found(tmp_path, PLANTED["R201"].plant, copied)
    assert leading.patch is None


def test_lines_of_a_label_stay_within_the_comment(tmp_path: Path) -> None:
    def odd(folder: Folder) -> None:
        underfit(folder)
        folder["metrics"]["doubts"] = {
            "rows": 300, "share": 0.3, "low": 0.2,
            "examples": [{"id": "train.jsonl:1", "gold": "good\nmodel: other", "suggested": "bad", "confidence": 0.9}],
        }  # fmt: skip

    label = "good\nmodel: other"
    (noise,) = found(tmp_path / "run", odd)
    assert label in noise.message
    text = patch_yaml([replace(noise, patch={"training.num_epochs": 3})])
    assert text.splitlines()[1:] == ["training:", "  num_epochs: 3"]


def test_what_is_said_to_be_explained_can_be(tmp_path: Path) -> None:
    # What shows in the training rows comes first in any case.
    shown = {"R201", "R203", "R204", "R205", "R206"}
    for code in CODES - shown:
        assert all(place(code) < place(other) for other in explained_by(code)), code


# R401 to R404, and what the others say of preference runs


@pytest.mark.parametrize("method", ["dpo", "orpo"])
def test_nothing_is_wrong_with_a_healthy_preference_run(method: str, tmp_path: Path) -> None:
    assert found(tmp_path, lambda folder: preferring(folder, method)) == []


@pytest.mark.parametrize("plant", [collapsed, lengthened, known, start_better])
def test_of_other_runs_they_say_nothing(plant: Any, tmp_path: Path) -> None:
    sft = lambda folder: folder["config"]["training"].update(method="sft")  # noqa: E731
    assert not [code for code in codes(found(tmp_path, plant, sft)) if code.startswith("R4")]


def test_a_collapse_that_ended_training_says_so(tmp_path: Path) -> None:
    def stopped(folder: Folder) -> None:
        collapsed(folder)
        folder["lines"] = [line for line in folder["lines"] if line["step"] in (0, 10, 30)]
        for line in folder["lines"]:
            line.update({"step": 20, "epoch": 2.0} if line["step"] == 30 else {})

    (leading,) = found(tmp_path, stopped)
    assert leading.message == (
        "macro_f1 fell from 0.810 before the first step to 0.600 while the mean margin of the pairs grew from 0.10 to "
        "0.70; training was stopped for it after epoch 2"
    )
    assert leading.evidence["stopped"] is True


def test_orpo_has_no_start_so_it_falls_from_its_best(tmp_path: Path) -> None:
    def fallen(folder: Folder, last: float) -> None:
        preferring(folder, "orpo")
        folder["lines"][-1]["eval"]["macro_f1"] = last

    assert found(tmp_path / "within", lambda folder: fallen(folder, 0.78)) == []
    (leading,) = found(tmp_path / "below", lambda folder: fallen(folder, 0.7))
    assert leading.code == "R401"
    assert "fell from 0.830 after epoch 2 to 0.700" in leading.message
    assert leading.patch == {"training.learning_rate": 0.00025, "orpo.beta": 0.05}


def test_lengths_have_to_change_the_way_the_pairs_lead(tmp_path: Path) -> None:
    def measured(name: str, **block: Any) -> list[str]:
        def change(folder: Folder) -> None:
            lengthened(folder)
            folder["metrics"]["length"] |= block

        return codes(found(tmp_path / name, change))

    assert measured("other", difference={"value": -35, "low": -40, "high": -30}) == []
    assert measured("little", difference={"value": 5, "low": 4, "high": 6}) == []
    assert measured("chance", difference={"value": 35, "low": -2, "high": 72}) == []
    few = lambda folder: folder["data"]["pairs"].update(chosen_longer=14, rejected_longer=1)  # noqa: E731
    assert found(tmp_path / "few", lengthened, few) == []

    def shorter(folder: Folder) -> None:
        lengthened(folder)
        folder["data"]["pairs"] |= {"chosen_longer": 4, "rejected_longer": 48}
        folder["metrics"]["length"]["difference"] = {"value": -35, "low": -40, "high": -30}

    (leading,) = found(tmp_path / "shorter", shorter)
    assert "the shorter one in 48 of 52 pairs" in leading.message


def test_pairs_that_are_known_are_worth_a_word_and_a_margin_at_once_a_warning(tmp_path: Path) -> None:
    def slow(folder: Folder) -> None:
        known(folder)
        for line in folder["lines"]:
            if "margin" in line:
                line["margin"] -= 4

    (leading,) = found(tmp_path / "known", slow)
    assert (leading.code, str(leading.severity)) == ("R403", "info")
    assert leading.message.startswith("before the first step the model prefers the better answer in 100% of 60 pairs")
    (leading,) = found(tmp_path / "both", known)
    assert "; by step 10 the mean margin of the pairs was 4.1" in leading.message

    def odds(folder: Folder) -> None:
        preferring(folder, "orpo")
        folder["lines"][0]["pair_accuracy"] = 1.0

    (leading,) = found(tmp_path / "orpo", odds)
    assert (leading.code, str(leading.severity)) == ("R403", "info")


def test_a_start_that_nothing_has_beaten_is_said(tmp_path: Path) -> None:
    def level(folder: Folder) -> None:
        collapsed(folder)
        folder["lines"][-1]["eval"]["macro_f1"] = 0.79

    (leading,) = found(tmp_path, level)
    assert (leading.code, str(leading.severity)) == ("R404", "info")
    assert "(macro_f1 0.810, then 0.800 at best)" in leading.message


def test_the_loss_of_pairs_is_not_read_as_one_of_answers(tmp_path: Path) -> None:
    def dpo(folder: Folder, losses: tuple[float, ...] = (), **evaluated: list[float]) -> None:
        preferring(folder)
        ends = [line for line in folder["lines"] if "eval" in line]
        for line, loss in zip([line for line in folder["lines"] if "loss" in line], losses, strict=bool(losses)):
            line["loss"] = loss
        for name, values in evaluated.items():
            for line, value in zip(ends, values, strict=True):
                line["eval"][name] = value

    def at_the_end(folder: Folder) -> None:
        dpo(folder, macro_f1=[0.81, 0.82, 0.83, 0.84], loss=[0.4, 0.38, 0.35, 0.3])
        folder["best"] = {"step": 30, "epoch": 3.0, "metric": "macro_f1", "value": 0.84}

    assert found(tmp_path / "R106", at_the_end) == []
    unscored = lambda folder: folder.update(metrics={})  # noqa: E731
    rising = lambda folder: dpo(folder, (0.3, 0.1, 0.05), loss=[0.4, 0.5, 0.6, 0.8])  # noqa: E731
    assert found(tmp_path / "R101", rising, unscored) == []
    assert found(tmp_path / "R103-flat", lambda folder: dpo(folder, (0.6931, 0.6932, 0.6933))) == []
    assert found(tmp_path / "R103-low", lambda folder: dpo(folder, (0.6931, 0.05, 0.2))) == []
    (broken,) = found(tmp_path / "R103", lambda folder: dpo(folder, (0.6931, 0.5, 3.0)))
    assert broken.code == "R103"


def test_what_the_first_run_has_not_learned_is_no_matter_of_pairs(tmp_path: Path) -> None:
    (leading,) = found(tmp_path / "under", preferring, lambda folder: (trained(folder, 0.55), figure(folder, 0.5)))
    assert (leading.code, leading.patch) == ("R102", None)
    assert "still falling" not in leading.message
    (leading,) = found(tmp_path / "over", preferring, lambda folder: (trained(folder, 0.99), figure(folder, 0.7)))
    assert (leading.code, leading.patch) == ("R101", None)
    assert leading.fix.startswith("It is the run in `start_from`")


def test_an_adapter_that_goes_on_keeps_its_shape(tmp_path: Path) -> None:
    goes_on = lambda folder: folder["config"].update(start_from="../sft")  # noqa: E731
    (leading,) = found(tmp_path, PLANTED["R102"].plant, goes_on, lambda folder: folder["config"]["lora"].update(r=1))
    assert leading.patch == {"training.learning_rate": 0.005}


def test_small_steps_of_dpo_are_steps(tmp_path: Path) -> None:
    def small(folder: Folder, margin: float) -> None:
        preferring(folder)
        trained(folder, 0.8)
        figure(folder, 0.78)
        for line in folder["lines"]:
            line.update({"moved": 0.001} if "eval" in line and line["step"] else {})
            line.update({"margin": margin} if "margin" in line else {})

    assert "R105" not in codes(found(tmp_path / "apart", lambda folder: small(folder, 0.3)))
    assert codes(found(tmp_path / "still", lambda folder: small(folder, 0.01)))[0] == "R105"

    def kept_start(folder: Folder) -> None:
        small(folder, 0.3)
        for line in folder["lines"]:
            line.update({"moved": 0.3} if "eval" in line and line["step"] else {})
        folder["best"] |= {"step": 0}

    assert "R105" not in codes(found(tmp_path / "start", kept_start))
