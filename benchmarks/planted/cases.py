"""The cases: one line for each run, what was done to it, and the codes that are right about it."""

# A case is a line of a table.
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from planted import damage as sick

__all__ = ["CASES", "Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """One run.

    Attributes:
        name: Of its folder.
        set: A key of :data:`planted.rows.SETS`.
        planted: What was done, in words.
        expects: Codes of which one should be the first or second finding; none for a healthy run.
        rows: Of train, eval and test, before any damage.
        settings: Dotted config keys.
        damage: What was done to the rows.
        patched: Whether the sickness is in the config, so that a patch should mend it.
        general: Whether forgetting is measured.
        seed: Of rows and training.
    """

    name: str
    set: str
    planted: str
    expects: tuple[str, ...] = ()
    rows: tuple[int, int, int] = (200, 100, 200)
    settings: Mapping[str, Any] = field(default_factory=dict)
    damage: sick.Damage | None = None
    patched: bool = False
    general: bool = False
    seed: int = 1


def _long(epochs: int) -> dict[str, Any]:
    return {"training.num_epochs": epochs, "training.early_stopping_patience": 99}


def _rate(value: float, epochs: int = 6) -> dict[str, Any]:
    return {"training.learning_rate": value, "training.num_epochs": epochs}


THIN = {"lora.r": 1, "lora.lora_alpha": 1, "training.num_epochs": 6}
FREE = {"constrain": False}
FEW = (60, 50, 200)
SHORT = (120, 40, 60)

CURVES = (
    Case("overfit-waimai", "waimai", "60 rows, 40 epochs, no early stop", ("R101",), FEW, _long(40), patched=True),
    Case("overfit-banking", "banking-8", "60 rows, 40 epochs, no early stop", ("R101",), FEW, _long(40), patched=True),
    Case("overfit-finance", "finance", "60 rows, 40 epochs, no early stop", ("R101",), FEW, _long(40), patched=True),
    Case("overfit-snips", "snips", "60 rows, 30 epochs, no early stop", ("R101",), (60, 30, 100), _long(30), patched=True),
    Case("slow-100-waimai", "waimai", "rate / 100", ("R105", "R102"), settings=_rate(5e-5), patched=True),
    Case("slow-100-banking", "banking-8", "rate / 100", ("R105", "R102"), settings=_rate(5e-5), patched=True),
    Case("slow-500-contact", "contact", "the guide's rate typed as it is, 1/500 of the base's", ("R105", "R102"), SHORT, _rate(1e-5, 3), patched=True),
    Case("slow-1000-finance", "finance", "rate / 1000", ("R105", "R102"), settings=_rate(5e-6), patched=True),
    Case("slow-1000-snips", "snips", "rate / 1000", ("R105", "R102"), SHORT, _rate(5e-6, 3), patched=True),
    Case("fast-100-waimai", "waimai", "rate x 100", ("R103",), settings=_rate(0.5, 4), patched=True),
    Case("fast-100-snips", "snips", "rate x 100", ("R103",), SHORT, _rate(0.5, 4), patched=True),
    Case("fast-20-banking", "banking-8", "rate x 20", ("R103", "R104"), settings=_rate(0.1), patched=True),
    Case("fast-20-finance", "finance", "rate x 20", ("R103", "R104"), settings=_rate(0.1), patched=True),
    Case("fast-8-contact", "contact", "rate x 8", ("R103", "R104"), SHORT, _rate(0.04, 5), patched=True),
    Case("one-epoch-banking", "banking-8", "1 epoch at a fifth of the rate", ("R106", "R102"), settings=_rate(1e-3, 1), patched=True),
    Case("two-epochs-snips", "snips", "2 epochs at a fifth of the rate", ("R106", "R102"), SHORT, _rate(1e-3, 2), patched=True),
    Case("one-epoch-finance", "finance", "1 epoch at a fifth of the rate", ("R106", "R102"), settings=_rate(1e-3, 1), patched=True),
    Case("thin-banking", "banking-8", "LoRA of rank 1 on v_proj, scale 1", ("R102", "R105"), settings=THIN | {"lora.target_modules": ["v_proj"]}, patched=True),
    Case("thin-contact", "contact", "LoRA of rank 1 on q_proj, scale 1", ("R102", "R105"), SHORT, THIN | {"lora.target_modules": ["q_proj"]}, patched=True),
)  # fmt: skip

WAYS = [lambda label: label, lambda label: label + "。", lambda label: f"「{label}」", lambda label: label + "评价"]
JOINTS = [lambda label: label, lambda label: label.replace("_", " "), str.upper, lambda label: label.replace("_", "-")]

ANSWERS = (
    Case("unclosed-snips", "snips", "answers of one intent lack the last bracket", ("R201",), damage=sick.answers(sick.unclosed, only="PlayMusic")),
    Case("unclosed-finance", "finance", "answers of one label lack the last bracket, decoded freely", ("R201",), settings=FREE, damage=sick.answers(sick.unclosed, only="負面")),
    Case("quotes-contact", "contact", "single quotes in a third of the answers", ("R201",), SHORT, damage=sick.answers(sick.single_quotes, 0.33)),
    Case("quotes-cluener", "cluener", "single quotes in a third of the answers", ("R201",), SHORT, damage=sick.answers(sick.single_quotes, 0.33)),
    Case("prose-contact", "contact", "a sentence around a third of the answers", ("R201",), SHORT, damage=sick.answers(sick.prose, 0.33)),
    Case("thinking-contact", "contact", "a thinking block before most answers", ("R206",), SHORT, damage=sick.answers(sick.thinking, 0.8)),
    Case("thinking-banking", "banking-8", "a thinking block before half of the answers, decoded freely", ("R206",), SHORT, FREE, sick.answers(sick.thinking, 0.5)),
    Case("endless-snips", "snips", "the last word of half of the answers is repeated 2 to 9 times", ("R202", "R201"), (120, 20, 40), _rate(5e-3, 5), sick.endless(0.5)),
    Case("endless-banking", "banking-8", "the last word of half of the answers is repeated 2 to 9 times, decoded freely", ("R202",), (120, 20, 40), FREE | _rate(5e-3, 5), sick.endless(0.5)),
    Case("reworded-cluener", "cluener", "spans of the answers are written backwards", ("R205",), SHORT, damage=sick.answers(sick.reworded)),
    Case("invented-news", "news", "spans of the answers are in no input", ("R205",), SHORT, damage=sick.answers(sick.invented(("台北市政府", "王大明", "新產品")))),
    Case("invented-cluener", "cluener", "half of the answers have spans that are in no input", ("R205",), SHORT, damage=sick.answers(sick.invented(("北京大学", "李雷", "人民银行")), 0.5)),
    Case("variants-waimai", "waimai", "labels written in four ways, decoded freely", ("R203",), settings=FREE, damage=sick.variants(WAYS)),
    Case("variants-banking", "banking-8", "labels written in four ways, decoded freely", ("R203",), settings=FREE, damage=sick.variants(JOINTS)),
)  # fmt: skip

DATA = (
    Case("flipped-30-waimai", "waimai", "30 % of the training labels are wrong", ("R307",), (600, 100, 200), damage=sick.flipped(0.3)),
    Case("flipped-15-waimai", "waimai", "15 % of the training labels are wrong", ("R307",), (600, 100, 200), damage=sick.flipped(0.15)),
    Case("flipped-30-banking", "banking-8", "30 % of the training labels are wrong", ("R307",), (400, 100, 200), damage=sick.flipped(0.3)),
    Case("flipped-30-finance", "finance", "30 % of the training labels are wrong", ("R307",), (420, 80, 100), damage=sick.flipped(0.3)),
    Case("swallowed-waimai", "waimai", "95 % of train and eval have one label, test does not", ("R204", "R308"), (800, 400, 200), damage=sick.swallowed(0.95, 200)),
    Case("swallowed-finance", "finance", "92 % of train and eval have one label, test does not", ("R204", "R308"), (420, 80, 100), damage=sick.swallowed(0.92, 120)),
    Case("missing-finance", "finance", "a label that no training row has", ("R204", "R203", "R308"), (300, 80, 100), damage=sick.without_label("中立")),
    Case("missing-banking", "banking-8", "an intent that no training row has", ("R204", "R203", "R308"), damage=sick.without_label("card_payment_fee_charged")),
    Case("leaked-waimai", "waimai", "80 % of the test rows are training rows, too", ("R305",), (200, 100, 100), damage=sick.leaked(0.8)),
    Case("leaked-banking", "banking-8", "half of the test rows are training rows, too", ("R305",), (200, 100, 100), damage=sick.leaked(0.5)),
    Case("nearly-leaked-banking", "banking-8", "all test rows are training rows but for the last sign", ("R305",), (200, 100, 100), damage=sick.leaked(1.0, near=True)),
    Case("nearly-leaked-finance", "finance", "all test rows are training rows but for the last sign", ("R305",), (200, 80, 100), damage=sick.leaked(1.0, near=True)),
    Case("answer-in-input-banking", "banking-8", "the answer stands in every input", ("R305",), damage=sick.answer_in_input),
    Case("answer-in-input-finance", "finance", "the answer stands in every input", ("R305",), damage=sick.answer_in_input),
    Case("domain-waimai", "waimai", "trained on reviews, tested on headlines", ("R308",), damage=sick.finance_test),
    Case("script-waimai", "waimai", "trained on simplified, tested on traditional characters", ("R308",), damage=sick.to_script("s2twp")),
    Case("script-finance", "finance", "trained on traditional, tested on simplified characters", ("R308",), (420, 80, 100), damage=sick.to_script("tw2sp")),
    Case("intents-snips", "snips", "tested on intents that no training row has", ("R308",), (200, 80, 250), damage=sick.other_intents(("GetWeather", "PlayMusic", "RateBook", "AddToPlaylist"))),
    Case("long-waimai", "waimai", "test inputs are eight times as long", ("R308",), (200, 100, 400), damage=sick.long_test(8)),
    Case("longer-conll04", "conll04", "trained on short answers, tested on the longest", ("R308", "R202"), (400, 100, 288), damage=sick.longer(120, 40)),
    Case("easy-eval-waimai", "waimai", "eval rows are training rows, so confidences are scaled on those", ("R306", "R305"), (100, 100, 200), _long(16), sick.easy_eval),
    Case("easy-eval-banking", "banking-8", "eval rows are training rows, so confidences are scaled on those", ("R306", "R305"), (80, 80, 200), _long(16), sick.easy_eval),
    Case("few-test-waimai", "waimai", "20 test rows", ("R304",), (200, 100, 20)),
    Case("few-test-contact", "contact", "15 test rows", ("R304",), (140, 20, 15)),
    Case("coded-banking", "banking-8", "the label is that of a code word: a count of words does it", ("R301",), (80, 60, 200), damage=sick.coded),
    Case("few-rows-banking", "banking-20", "80 rows of 20 intents: a linear model is far ahead", ("R301",), (80, 60, 200)),
    Case("forgotten-banking", "banking-8", "general ability lost at four times the rate", ("R303",), settings=_rate(0.02), general=True),
    Case("forgotten-snips", "snips", "general ability lost at twice the rate", ("R303",), SHORT, _rate(0.01, 8), general=True),
)  # fmt: skip

HEALTHY = (
    Case("healthy-waimai-1", "waimai", "nothing", rows=(300, 100, 200)),
    Case("healthy-waimai-2", "waimai", "nothing, another seed", rows=(300, 100, 200), seed=2),
    Case("healthy-waimai-3", "waimai", "nothing, another seed", rows=(300, 100, 200), seed=3),
    Case("healthy-waimai-600", "waimai", "nothing", rows=(600, 100, 200)),
    Case("healthy-banking-8", "banking-8", "nothing", rows=(300, 100, 200)),
    Case("healthy-banking-20", "banking-20", "nothing; many labels", rows=(400, 100, 200)),
    Case("healthy-snips", "snips", "nothing; low, as the base is small", rows=(200, 50, 150)),
    Case("healthy-twlaw", "twlaw", "nothing", rows=(120, 30, 80)),
    Case("healthy-cluener", "cluener", "nothing; low, as the base is small", rows=(200, 50, 150)),
    Case("healthy-conll04", "conll04", "nothing; low, as the base is small", rows=(120, 30, 60)),
    Case("healthy-finance", "finance", "nothing", rows=(420, 80, 100)),
    Case("healthy-contact", "contact", "nothing", rows=(140, 20, 40)),
    Case("healthy-news", "news", "nothing", rows=(140, 20, 40)),
    Case("healthy-rate-half", "finance", "nothing but half of the rate", rows=(420, 80, 100), settings={"training.learning_rate": 2.5e-3}),
)  # fmt: skip

CASES: Mapping[str, Case] = {case.name: case for case in (*CURVES, *ANSWERS, *DATA, *HEALTHY)}
