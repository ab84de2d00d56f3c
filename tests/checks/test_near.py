"""What is special about rows that are nearly the same (D202, D204, D206)."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from exactune.checking import check
from exactune.checks import Dataset, check_dataset
from exactune.rules import Finding
from exactune.types import Location, Splits

from cases import dataset, rows

NEAR = ("D202", "D204", "D206")
ASKED = "How long does a transfer to another bank take?"
SLIPPED = "How long does a tranfser to another bank take?"
FILLER = [(sha256(bytes([n])).hexdigest()[:40], "b") for n in range(30)]


def found(subject: Dataset) -> dict[str, Finding]:
    return {finding.code: finding for finding in check_dataset(subject) if finding.code in NEAR}


def test_the_later_row_is_named_and_the_pair_shown_where_it_differs() -> None:
    subject = dataset([*FILLER, (ASKED, "a"), (SLIPPED, "a")])
    (finding,) = found(subject).values()
    assert (finding.code, finding.locations, finding.related) == (
        "D202",
        (Location("train", 32),),
        (Location("train", 31),),
    )
    assert finding.evidence == {
        "pairs_found": 1,
        "pairs": [{"row": "train:32", "twin": "train:31", "text": SLIPPED, "other": ASKED}],
        "crowded": 0,
    }
    assert "train:32 and train:31" in finding.message


def test_pairs_with_other_answers_show_both() -> None:
    found_here = found(dataset([(ASKED, "a"), (SLIPPED, "b")], [(ASKED.replace("How", "Please, how"), "c")]))
    assert set(found_here) == {"D204", "D206"}
    (shown,) = found_here["D204"].evidence["pairs"]
    assert (shown["answer"], shown["other_answer"]) == ("b", "a")


def test_answers_that_copy_the_slip_agree() -> None:
    texts = ("play the newest record of emerson and palmer", "play the newest record of emersson and palmer")
    copied = [(text, json.dumps({"artist": text.split()[-3]})) for text in texts]
    assert set(found(dataset(copied))) == {"D202"}
    assert set(found(dataset([copied[0], (texts[1], '{"artist": "palmer"}')]))) == {"D204"}


def test_leaks_name_training_rows_and_their_twins_in_eval_and_test() -> None:
    subject = dataset([*FILLER, (ASKED, "a")], [(SLIPPED, "a")], [(ASKED.replace("a transfer", "transfer"), "b")])
    (finding,) = found(subject).values()
    assert (finding.code, finding.locations) == ("D206", (Location("train", 31),))
    assert finding.related == (Location("eval", 1), Location("test", 1))
    assert "2 eval or test rows nearly the same as a training row" in finding.message


def test_eval_rows_beside_test_rows_are_nobodys_finding() -> None:
    assert not found(dataset(FILLER, [(ASKED, "a")], [(SLIPPED, "a")]))


def test_rows_under_another_system_message_are_apart() -> None:
    train = (*rows("one", [(ASKED, "a")], "sentiment"), *rows("two", [(SLIPPED, "a")], "topic"))
    assert not found(Dataset(Splits(train)))


def test_the_same_row_many_times_is_one_twin() -> None:
    subject = dataset([(ASKED, "a")] * 5 + [(SLIPPED, "a")] * 5)
    assert [place.line for place in found(subject)["D202"].locations] == [6]


@pytest.mark.parametrize("instruction", ["Is this review positive or negative?\n\n", "判斷以下評論是正面還是負面："])
def test_rows_are_compared_without_the_instruction_they_share(instruction: str) -> None:
    short = [
        "很好吃",
        "很難吃",
        "速度快",
        "速度慢",
        "還可以",
        "不推薦",
        "味道淡",
        "味道好",
        "太貴了",
        "很便宜",
        "普通",
        "會再來",
    ]
    assert not found(dataset([(instruction + text, "a") for text in short]))
    found_here = found(
        dataset(
            [*((instruction + text, "a") for text in short), *((instruction + text, "a") for text in (ASKED, SLIPPED))]
        )
    )
    assert [place.line for place in found_here["D202"].locations] == [14]


def test_thousands_of_rows_of_one_pattern_are_no_finding_and_compared_with_few() -> None:
    cities = [
        f"{a}{b}{c}" for a in ("Ro", "Pa", "Lon", "Ber") for b in ("me", "ris", "don", "lin") for c in "aeiouwxyz"
    ]
    flights = [(f"please find me a cheap flight from {one} to {two} for next week", two)
               for one in cities[:40] for two in cities[:40]]  # fmt: skip
    subject = dataset(flights)
    assert not found(subject)
    assert subject.near.crowded > 1000


def test_near_rules_left_out_cost_nothing(tmp_path) -> None:
    subject = dataset([(ASKED, "a"), (SLIPPED, "a")])
    check_dataset(subject, NEAR)
    assert "near" not in vars(subject)
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": "a"}) + "\n" for text in (ASKED, SLIPPED)))
    assert "D202" in {finding.code for finding in check([path]).findings}
    assert not {finding.code for finding in check([path], ignore=["d202"]).findings} & set(NEAR)
