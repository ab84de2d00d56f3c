"""Rules about the base model's chat template and stop token, whatever the rows are (D502, D503)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exactune.checks.dataset import Dataset
from exactune.data.words import count, excerpt
from exactune.language import join, say
from exactune.rules import Finding, Rule, Severity
from exactune.types import Behaviour

__all__ = ["no_stop_token", "template_unstable"]


def template_unstable(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A chat template that writes more, or other things, than the rows say.

    What it does:
        Renders conversations with the base model's chat template and compares. A warning: the date stands in the
        prompt, or an empty system message is replaced by words of the template's own while rows have none. For
        information, as Exactune trains and asks in a way that it does no harm: earlier answers of a chat are written
        differently once others follow, or a rendered prompt tokenized as text would begin with two
        begin-of-sequence tokens.

    Why it matters:
        The model is trained on one prompt and asked with another: with another day's date, or, where it is served with
        another template, without the words it was trained under.

    Example:
        each prompt has the line: Today Date: 23 Nov 2025

    Fix:
        For a date, write a fixed one into the chat template (`chat_template.jinja` in a copy of the model's folder, in
        place of `strftime_now(…)`) and name that folder as `model`. For rows without a system message, give them one
        with `data.instruction`.
    """
    behaviour = _behaviour(dataset)
    if behaviour.dated:
        yield rule.finding(
            say(
                "the model's chat template writes the date into every prompt: one day {one!r}, another {other!r}. "
                "Exactune compares tokens when it loads a trained model, and would refuse it on another day",
                one=excerpt(behaviour.dated[0], 80),
                other=excerpt(behaviour.dated[1], 80),
            ),
            evidence={"lines": list(behaviour.dated)},
        )
    if behaviour.injected and (rows := _without_system(dataset)):
        yield rule.finding(
            say(
                "{rows} without a system message, where the model's chat template writes one of its own: {text!r}. "
                "Exactune trains and asks with it; elsewhere it may be missing",
                rows=count(rows, "row"),
                text=excerpt(behaviour.injected, 80),
            ),
            evidence={"rows": rows, "text": behaviour.injected},
        )
    for message, evidence in _handled(dataset, behaviour):
        fix = say("Nothing, unless the rows or the model are used with other tools as well.")
        yield replace(rule.finding(message, evidence=evidence, fix=fix), severity=Severity.INFO)


def _behaviour(dataset: Dataset) -> Behaviour:
    return dataset.probes[0][1].behaviour if dataset.probes else Behaviour()


def _without_system(dataset: Dataset) -> int:
    return sum(not example.prompt[0].content for example, _ in dataset.probes)


def _handled(dataset: Dataset, behaviour: Behaviour) -> Iterator[tuple[str, dict[str, object]]]:
    """What the template does to other tools only."""
    chats = _rewritten(dataset, behaviour)
    if chats:
        message = say(
            "the model's chat template writes an earlier answer differently once other turns follow, as in {rows}. "
            "Exactune trains each answer on the very tokens that stand before it when it is given; tools that train "
            "on a whole chat at once learn from others",
            rows=count(chats, "row"),
        )
        yield message, {"rows": chats}
    if behaviour.doubles_start:
        message = say(
            "a rendered prompt begins with the begin-of-sequence token, and the tokenizer would add another. Exactune "
            "adds none; tools that tokenize the prompt as text have to be told so (`add_special_tokens=False`)"
        )
        yield message, {}


def _rewritten(dataset: Dataset, behaviour: Behaviour) -> int:
    """How many rows have earlier answers that are written differently in the end."""
    if behaviour.rewrites:
        return sum(bool(probe.turns) for _, probe in dataset.probes)
    if behaviour.drops_thought:
        return sum(any("</think>" in answer for answer, _ in probe.turns) for _, probe in dataset.probes)
    return 0


def no_stop_token(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Answers that end with a token at which others do not stop.

    What it does:
        Compares the token that ends each trained answer, which the chat template names, with those at which the model's
        generation config says to stop. Base models often know `<|endoftext|>` only, while their template ends turns
        with `<|im_end|>`.

    Why it matters:
        Exactune stops at both. What else serves the model goes by its generation config: the answer is right, and then
        it goes on until the limit.

    Example:
        answers end with <|im_end|>, generation_config.json has "eos_token_id": 151643 (<|endoftext|>)

    Fix:
        Where the model is served, name the token as a stop token as well (`stop_token_ids`, or `eos_token_id` in
        `generation_config.json`), or train the instruction-tuned model instead of the base model.
    """
    behaviour = _behaviour(dataset)
    if behaviour.known_stops and behaviour.stop not in behaviour.known_stops:
        yield rule.finding(
            say(
                "answers end with {stop!r}, but the model's generation config stops at {known} only",
                stop=behaviour.stop,
                known=join(", ", map(repr, behaviour.known_stops)),
            ),
            evidence={"stop": behaviour.stop, "known": list(behaviour.known_stops)},
        )
