"""Rules about what is wrong with the answers (R201 to R206)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exactune.diagnose.knowledge import limit
from exactune.diagnose.remedies import patch_for
from exactune.diagnose.symptoms import NAMED, Symptoms
from exactune.language import join, say
from exactune.rules import Finding, Rule

__all__ = ["invented_spans", "malformed", "no_stop", "outside_labels", "swallowed", "thinking"]

THOUGHT = "<think>"


def malformed(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Answers that no program can read.

    What it does:
        Fires when 2 % or more of the answers are no JSON, do not fit the schema or are empty, or when the data checks
        found rows with such answers (D401, D402, D403, D408), as many as 2 % of the training rows or more.

    Why it matters:
        A broken answer is lost in production, whatever it says. Broken training answers teach the model to give more.

    Example:
        31 of 200 answers cannot be read; the data checks found 52 rows whose answers are malformed (D401)

    Fix:
        Correct the answers that the data checks name (`exactune check`). Ask for the form in the prompt, with an
        example. Hold answers to a grammar with `constrain: true`.
    """
    count, of = seen.statuses("invalid_json", "invalid_schema", "empty"), seen.scored.get("n", 0)
    found = seen.check_findings("D401", "D402", "D403", "D408")
    rows = len({(place["file"], place["line"]) for one in found for place in one["locations"]})
    if count < limit("malformed") * (of or 1) and rows < limit("malformed") * seen.rows:
        return
    codes = ", ".join(one["code"] for one in found)
    parts = [say("{count} of {of} answers cannot be read", count=count, of=of)] if count else []
    if rows:
        parts.append(
            say("the data checks found {rows} rows whose answers are malformed ({codes})", rows=rows, codes=codes)
        )
    yield rule.finding(
        join("; ", parts),
        evidence={
            "share": count / of if of else None, "of": of,
            "rows": seen.rows_with("invalid_json", "invalid_schema", "empty"), "training_findings": codes,
        },
        patch=patch_for(rule.code, seen) if count and _grammar_helps(seen) else None,
    )  # fmt: skip


def no_stop(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Answers that do not end by themselves.

    What it does:
        Fires when 2 % or more of the answers reached the token limit, or were only ended there by a grammar.

    Why it matters:
        Such an answer is cut or rambles on, and costs as much time as ten that end. Either the stop token was never
        learned, or the answers asked for are longer than any that was trained.

    Example:
        190 of 200 answers did not end by themselves

    Fix:
        Look at how the training answers end. Where right answers are longer than all of these, add training rows with
        answers as long. Train longer if the loss was still falling; a grammar (`constrain: true`) ends JSON answers.
    """
    count, of = seen.statuses("no_stop") + seen.scored.get("closed", 0), seen.scored.get("n", 0)
    if not of or count < limit("unstopped") * of:
        return
    yield rule.finding(
        say("{count} of {of} answers did not end by themselves", count=count, of=of),
        evidence={"share": count / of, "of": of, "rows": seen.rows_with("no_stop")},
        patch=patch_for(rule.code, seen) if _grammar_helps(seen) else None,
    )


def _grammar_helps(seen: Symptoms) -> bool:
    """Whether answers are JSON that no grammar held yet."""
    held = seen.config.constrain is True or seen.config.task.copy_spans
    return seen.task in ("json", "entities", "relations") and not held


def outside_labels(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Labels that do not exist, or exist in several spellings.

    What it does:
        Fires when 1 % or more of the answers are none of the labels, or the data checks found labels that are outside
        the set, only in the eval rows or variants of each other (D302, D303, D304).

    Why it matters:
        A label outside the set is always wrong. One label in two spellings is two labels to the model: it splits its
        rows between them, and half of the answers are counted as wrong.

    Example:
        12 of 200 answers are none of the labels; `Refund` and `refund` are two labels (D303)

    Fix:
        Give each label one spelling; list the labels in `task.labels`. With `constrain: auto` only they can be given.
    """
    count, of = seen.statuses("unknown_label"), seen.scored.get("n", 0)
    found = seen.check_findings("D302", "D303", "D304")
    if not found and (not of or count < limit("outside") * of):
        return
    parts = [say("{count} of {of} answers are none of the labels", count=count, of=of)] if count else []
    parts += [say("{message} ({code})", message=one["message"], code=one["code"]) for one in found]
    free = seen.task == "classification" and seen.config.constrain is False
    yield rule.finding(
        join("; ", parts),
        evidence={
            "share": count / of if of else None, "of": of, "rows": seen.rows_with("unknown_label"),
            "training_findings": ", ".join(one["code"] for one in found),
        },
        patch=patch_for(rule.code, seen) if free and count else None,
    )  # fmt: skip


def swallowed(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """One label is given instead of the others.

    What it does:
        Fires when a label is given 20 points more often than it is right, beyond chance, and the other labels are found
        in fewer than half of their rows.

    Why it matters:
        Accuracy can look fine where that label is frequent; whoever needs the others gets nothing.

    Example:
        `other` is 92% of the answers and 33% of the right ones; of the rows of other labels 11% are found; it is 95% of
        the training rows

    Fix:
        Collect training rows of the other labels, or leave out some of this one, until it is at most a few times as
        frequent as they are.
    """
    confusion = seen.scored.get("confusion")
    if not confusion or not seen.scored.get("n"):
        return
    labels, n = confusion["labels"], seen.scored["n"]
    given = {label: sum(row[at] for row in confusion["matrix"]) / n for at, label in enumerate(labels)}
    gold = {label: sum(row) / n for label, row in zip(labels, confusion["matrix"], strict=False)}
    # Answers that are no label stand in the matrix, too; they are R203's.
    known = [label for label in labels if label in seen.scored["per_label"]]
    if not known:
        return
    most = max(known, key=lambda label: given[label] - gold.get(label, 0.0))
    recalls = [
        scores["recall"] for label, scores in seen.scored["per_label"].items() if label != most and scores["support"]
    ]
    excess, recall = given[most] - gold.get(most, 0.0), sum(recalls) / len(recalls) if recalls else 1.0
    if excess < limit("swallowed") or recall >= limit("swallowed_recall"):
        return
    # Rows that the label took or lost: were either as likely, so many more are seldom taken (McNemar, 1947).
    at = labels.index(most)
    changed = n * (given[most] + gold.get(most, 0.0)) - 2 * confusion["matrix"][at][at]
    if n * excess < 1.96 * changed**0.5:
        return
    evidence: dict[str, Any] = {
        "label": most, "predicted_share": given[most], "gold_share": gold.get(most, 0.0), "recall_of_others": recall,
    }  # fmt: skip
    told = {"label": most, "given": given[most], "gold": gold.get(most, 0.0), "recall": recall}
    message = say(
        "`{label}` is {given:.0%} of the answers and {gold:.0%} of the right ones; of the rows of other labels "
        "{recall:.0%} are found",
        **told,
    )
    share = seen.scored.get("shift", {}).get("labels", {}).get("train", {}).get(most, 0.0)
    if share >= gold.get(most, 0.0) + limit("swallowed"):
        evidence["training_share"] = share
        message = join("; ", [message, say("it is {share:.0%} of the training rows", share=share)])
    yield rule.finding(message, evidence=evidence, patch=patch_for(rule.code, seen))


def invented_spans(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Spans that do not stand in the input.

    What it does:
        Fires when 5 % or more of the spans that entity and relation answers give do not stand in the row's input.

    Why it matters:
        Such a span can never be right, and whoever reads it believes that the text said so. Training answers that
        paraphrase teach it (D405).

    Example:
        37 of 410 spans do not stand in the input, first `Mr. Lee` (test.jsonl:12)

    Fix:
        Correct training spans that are not in their texts. With `task.copy_spans: true` the model can only give pieces
        of the input.
    """
    if seen.task not in ("entities", "relations"):
        return
    spans, invented = 0, []
    for line in seen.answers:
        for span in _spans(line["prediction"]):
            spans += 1
            if span not in line["input"]:
                invented.append((line["id"], span))
    found = seen.check_findings("D405")
    if not spans or len(invented) < limit("invented") * spans:
        return
    message = say(
        "{invented} of {spans} spans do not stand in the input, first `{span}` ({row})",
        invented=len(invented), spans=spans, span=invented[0][1], row=invented[0][0],
    )  # fmt: skip
    if found:
        message = join(
            "; ", [message, say("the data checks found such spans in the data, too ({codes})", codes="D405")]
        )
    yield rule.finding(
        message,
        evidence={
            "share": len(invented) / spans, "of": spans,
            "rows": list(dict.fromkeys(row for row, _ in invented))[:NAMED],
            "training_findings": ", ".join(one["code"] for one in found),
        },
        # A grammar of copied spans has no way to write training answers that do not copy, and `constrain: false` none.
        patch=None if found or seen.config.constrain is False else patch_for(rule.code, seen),
    )  # fmt: skip


def _spans(prediction: Any) -> Iterator[str]:
    """The texts that an entity or relation answer says it took from the input."""
    if isinstance(prediction, Mapping):
        prediction = [*prediction.get("entities", ()), *prediction.get("relations", ())]
    for item in prediction if isinstance(prediction, Sequence) and not isinstance(prediction, str) else ():
        yield from (item[part] for part in ("text", "head", "tail") if part in item)


def thinking(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Thinking text in answers.

    What it does:
        Fires when 1 % or more of the answers hold `<think>`, or the data checks found such blocks in training answers
        (D409).

    Why it matters:
        What reads the answer expects a label or JSON. Thoughts that were trained come back in every answer, ten times
        as long; those of a base that thinks by itself come back where it was not told not to.

    Example:
        198 of 200 answers have a thinking block

    Fix:
        Take the thinking blocks out of the training answers. Where these have none, the base thinks by itself: hold
        JSON to a grammar with `constrain: true`, or choose a base that does not think.
    """
    rows = [line["id"] for line in seen.answers if THOUGHT in line["answer"]]
    found, of = seen.check_findings("D409"), seen.scored.get("n", 0)
    if not found and (not of or len(rows) < limit("thinking") * of):
        return
    parts = [say("{count} of {of} answers have a thinking block", count=len(rows), of=of)] if rows else []
    parts += [say("{message} ({code})", message=one["message"], code=one["code"]) for one in found]
    yield rule.finding(
        join("; ", parts),
        evidence={
            "share": len(rows) / of if of else None, "of": of, "rows": rows[:NAMED],
            "training_findings": ", ".join(one["code"] for one in found),
        },
    )  # fmt: skip
