"""The probability of every label, beside the plain way: each label a row of its own."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
import torch
from transformers import PreTrainedModel

from exactune.infer import head
from exactune.infer import labels as module
from exactune.infer.labels import LabelTrie, score_labels
from exactune.render.batch import answer_nll, collate

import tiny

STOP = 2
HEAD = [*range(11, 23)]


def model() -> PreTrainedModel:
    return tiny.model().eval()


@pytest.fixture(autouse=True)
def by_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few the labels."""
    monkeypatch.setattr(head, "CALL", 0)


@pytest.fixture(scope="module")
def taught() -> PreTrainedModel:
    """Sure of a label after each prompt, and of some more than of others."""
    learner, labels = tiny.model(), label_set()
    batch = collate(
        [[*prompt, *label] for prompt, label in zip(prompts(), labels, strict=False)],
        [[-100] * len(prompt) + label for prompt, label in zip(prompts(), labels, strict=False)],
    )
    optimizer = torch.optim.Adam(learner.parameters(), 1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        answer_nll(learner, batch).backward()
        optimizer.step()
    return learner.eval()


def prompts(count: int = 9) -> list[list[int]]:
    draw = random.Random(1)
    return [HEAD + [draw.randrange(20, 90) for _ in range(draw.randrange(7))] for _ in range(count)]


def label_set(count: int = 30, letters: int = 4) -> list[list[int]]:
    draw = random.Random(2)
    return [[*ids, STOP] for ids in {tuple(draw.choices(range(100, 100 + letters), k=draw.randrange(1, 6)))
                                     for _ in range(count)}]  # fmt: skip


@torch.no_grad()
def one_by_one(model: PreTrainedModel, prompt: Sequence[int], label: Sequence[int]) -> float:
    logprobs = model(input_ids=torch.tensor([[*prompt, *label]])).logits[0].log_softmax(-1)
    return sum(float(logprobs[len(prompt) - 1 + place, token]) for place, token in enumerate(label))


def assert_as_rows(model: PreTrainedModel, prompts: list[list[int]], labels: list[list[int]], tolerance: float) -> int:
    """Labels score as rows of their own would; gives how many were left out."""
    left_out = 0
    for prompt, scores in zip(
        prompts, score_labels(model, prompts, LabelTrie.of(labels), batch_size=4, tolerance=tolerance), strict=True
    ):
        wanted = [one_by_one(model, prompt, label) for label in labels]
        assert scores.best == max(range(len(labels)), key=wanted.__getitem__)
        kept = [index for index, value in enumerate(scores.logprobs) if value > -math.inf]
        assert [scores.logprobs[index] for index in kept] == pytest.approx([wanted[index] for index in kept], abs=2e-4)
        lost = sum(math.exp(value) for index, value in enumerate(wanted) if index not in kept)
        assert lost <= tolerance * scores.mass * 1.001 + 1e-9
        weights = torch.tensor(wanted).softmax(0)
        if tolerance < 1:
            assert scores.probabilities == pytest.approx(weights.tolist(), abs=tolerance + 1e-4)
        assert sum(scores.probabilities) == pytest.approx(1)
        left_out += len(labels) - len(kept)
    return left_out


@pytest.mark.parametrize("is_taught", [False, True])
@pytest.mark.parametrize("tolerance", [0.0, 1e-4, 0.01, 0.3, math.inf])
def test_scores_are_those_of_each_label_as_a_row(is_taught: bool, tolerance: float, taught: PreTrainedModel) -> None:
    left_out = assert_as_rows(taught if is_taught else model(), prompts(), label_set(), tolerance)
    assert left_out if tolerance >= 0.01 else tolerance or not left_out


def test_what_cannot_matter_is_not_read(taught: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def counted(descent: object, wanted: list[list[int]]) -> None:
        nonlocal read
        read += sum(map(len, wanted))
        plain(descent, wanted)  # type: ignore[arg-type]

    plain = module._Descent._read
    monkeypatch.setattr(module._Descent, "_read", counted)
    assert_as_rows(taught, prompts(), label_set(), 0.01)
    assert read < len(prompts()) * len(LabelTrie.of(label_set()).token) / 2


@pytest.mark.parametrize("logits", [1, 4 * 400 * 3])
def test_however_few_logits_are_held_at_a_time(
    logits: int, taught: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOGITS", logits)
    assert_as_rows(model(), prompts(), label_set(), 0.01)
    assert_as_rows(taught, prompts(), label_set(), 0.01)


def test_the_whole_trie_is_read_where_that_costs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    calls = []
    few = [[100, STOP], [101, STOP]]
    handle = (found := model()).register_forward_pre_hook(lambda *_: calls.append(1))
    scores = score_labels(found, prompts(4), LabelTrie.of(few))
    handle.remove()
    assert len(calls) == 3, "what the prompts begin with, the rest of them, the trie"
    assert [value for score in scores for value in score.logprobs] == pytest.approx(
        [one_by_one(found, prompt, label) for prompt in prompts(4) for label in few], abs=2e-4
    )


@pytest.mark.parametrize("given", [[[5]], [[5], [6]], [[5, 6], [5]], [[5, 6]] * 3], ids=str)
def test_short_and_equal_prompts(given: list[list[int]]) -> None:
    assert_as_rows(model(), given, label_set(), 0.01)


@pytest.mark.parametrize("labels", [[[STOP]], [[100, STOP]], [[100, 101, 102, STOP], [100, 101, STOP]]], ids=str)
def test_small_sets(labels: list[list[int]]) -> None:
    assert_as_rows(model(), prompts(3), labels, 0.01)


@pytest.mark.parametrize("places", [1, 200])
def test_however_few_places_are_looked_up_at_a_time(
    places: int, taught: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PLACES", places)
    monkeypatch.setattr("exactune.render.attention.SCORES", places)
    assert_as_rows(model(), prompts(), label_set(), 0.01)
    assert_as_rows(taught, prompts(), label_set(), 0.0)


def test_labels_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        LabelTrie.of([[100, STOP], [100, STOP]])


def test_mass_is_what_a_free_answer_would_hit_the_set_with() -> None:
    everything = [[token] for token in range(model().config.vocab_size)]
    (score,) = score_labels(model(), [HEAD], LabelTrie.of(everything), tolerance=0.0)
    assert score.mass == pytest.approx(1, abs=1e-4)
    (half,) = score_labels(model(), [HEAD], LabelTrie.of(everything[::2]), tolerance=0.0)
    assert half.mass < 0.9


def test_progress_and_mode() -> None:
    told: list[int] = []
    trained = model().train()
    score_labels(trained, prompts(9), LabelTrie.of(label_set()), batch_size=4, advance=told.append)
    assert told == [4, 4, 1]
    assert trained.training
    assert score_labels(trained, [], LabelTrie.of(label_set())) == []


@pytest.mark.parametrize("tolerance", [0.5, math.inf])
def test_labels_left_unread_share_the_probability_above_them(taught: PreTrainedModel, tolerance: float) -> None:
    labels = label_set()
    trie = LabelTrie.of(labels)
    exact = score_labels(taught, prompts(), trie, tolerance=0)
    pruned = score_labels(taught, prompts(), trie, tolerance=tolerance)
    assert all(one.estimates == one.logprobs for one in exact)
    unread = 0
    for whole, part in zip(exact, pruned, strict=True):
        for truth, known, estimate in zip(whole.logprobs, part.logprobs, part.estimates, strict=True):
            unread += known == -math.inf
            assert known == -math.inf or (estimate == known and estimate == pytest.approx(truth, abs=1e-4))
        # What is above a label holds at least as much as the labels below it do, and no more than there is.
        held, guessed = (sum(map(math.exp, values)) for values in (whole.logprobs, part.estimates))
        assert held - 1e-5 <= guessed <= 1 + 1e-5
        assert max(part.estimates) == part.estimates[part.best]
    assert unread > 20


def test_an_estimate_is_the_even_share_of_the_node_above(taught: PreTrainedModel) -> None:
    """Either the first token was read, and its three labels share it, or the second one, too, and it stands alone."""
    labels = [
        [100, 101, STOP],
        [100, 102, STOP],
        [100, 104, STOP],
        [103, 100, STOP],
        [103, 105, STOP],
        [103, 106, STOP],
    ]
    trie, shared = LabelTrie.of(labels), 0
    for prompt in prompts():
        (found,) = score_labels(taught, [prompt], trie, tolerance=math.inf)
        for (first, second, _), known, estimate in zip(labels, found.logprobs, found.estimates, strict=True):
            if known == -math.inf:
                logprobs = taught(torch.tensor([[*prompt, first]])).logits[0, -2:].detach().float().log_softmax(-1)
                third, alone = logprobs[0, first] - math.log(3), logprobs[0, first] + logprobs[1, second]
                near = [estimate == pytest.approx(float(value), abs=1e-3) for value in (third, alone)]
                assert any(near)
                shared += near[0]
    assert shared
