"""The data rules: examples to findings. Torch-free; a tokenizer comes as an argument.

To add a rule, write a function whose docstring has the sections *What it does*, *Why it matters*, *Example* and *Fix*,
and list it in :data:`RULES`.
"""

from __future__ import annotations

from collections.abc import Iterable

from exactune.checks.answers import not_json
from exactune.checks.dataset import Dataset, Probe, drop_located
from exactune.checks.labels import label_imbalance, label_only_in_eval, label_outside_set
from exactune.checks.openended import open_ended
from exactune.checks.preference import chosen_equals_rejected, chosen_longer
from exactune.checks.rows import (
    cut_last_line,
    duplicate_keys,
    empty_answer,
    empty_prompt,
    file_encoding,
    no_answer,
    prompts_differ,
    unknown_format,
    unreadable_row,
    wrong_roles,
)
from exactune.checks.size import few_rows_per_label, too_few_rows
from exactune.checks.synonyms import synonym_labels
from exactune.checks.tokens import answer_not_reproduced, control_token_in_text, row_too_long
from exactune.checks.twins import conflicting_answers, eval_row_in_train, exact_duplicate
from exactune.checks.variants import label_variants
from exactune.errors import ConfigError
from exactune.language import say
from exactune.rules import Finding, Rule, Severity, run_rules, worst_first

__all__ = ["RULES", "Dataset", "Probe", "check_dataset", "drop_located"]

RULES: tuple[Rule[Dataset], ...] = (
    Rule("D101", "unreadable-row", Severity.ERROR, unreadable_row),
    Rule("D102", "unknown-format", Severity.ERROR, unknown_format),
    Rule("D103", "wrong-roles", Severity.ERROR, wrong_roles),
    Rule("D104", "no-answer", Severity.ERROR, no_answer),
    Rule("D105", "empty-answer", Severity.ERROR, empty_answer),
    Rule("D106", "empty-prompt", Severity.ERROR, empty_prompt),
    Rule("D107", "file-encoding", Severity.ERROR, file_encoding),
    Rule("D108", "cut-last-line", Severity.ERROR, cut_last_line),
    Rule("D109", "duplicate-keys", Severity.ERROR, duplicate_keys),
    Rule("D201", "exact-duplicate", Severity.WARNING, exact_duplicate),
    Rule("D203", "conflicting-answers", Severity.WARNING, conflicting_answers),
    Rule("D205", "eval-row-in-train", Severity.ERROR, eval_row_in_train),
    Rule("D301", "label-imbalance", Severity.WARNING, label_imbalance),
    Rule("D302", "label-only-in-eval", Severity.WARNING, label_only_in_eval),
    Rule("D303", "label-variants", Severity.WARNING, label_variants),
    Rule("D304", "label-outside-set", Severity.WARNING, label_outside_set),
    Rule("D305", "synonym-labels", Severity.WARNING, synonym_labels),
    Rule("D401", "not-json", Severity.WARNING, not_json),
    Rule("D501", "row-too-long", Severity.ERROR, row_too_long),
    Rule("D505", "answer-not-reproduced", Severity.ERROR, answer_not_reproduced),
    Rule("D506", "control-token-in-text", Severity.WARNING, control_token_in_text),
    Rule("D601", "chosen-equals-rejected", Severity.WARNING, chosen_equals_rejected),
    Rule("D602", "chosen-longer", Severity.WARNING, chosen_longer),
    Rule("D603", "prompts-differ", Severity.ERROR, prompts_differ),
    Rule("D701", "open-ended", Severity.WARNING, open_ended),
    Rule("D702", "too-few-rows", Severity.WARNING, too_few_rows),
    Rule("D703", "few-rows-per-label", Severity.WARNING, few_rows_per_label),
)


def check_dataset(dataset: Dataset, ignore: Iterable[str] = ()) -> list[Finding]:
    """What the data rules find, worst first.

    Args:
        dataset: Rows, rejected rows and, if token rules are wanted, a tokenizer probe.
        ignore: Codes not to report (``check.ignore``).

    Raises:
        ConfigError: ``ignore`` names no rule.
    """
    unwanted = {code.upper() for code in ignore}
    unknown = sorted(unwanted - {rule.code for rule in RULES})
    if unknown:
        known = ", ".join(rule.code for rule in RULES)
        raise ConfigError(
            say("`check.ignore`: no data rule has the code {unknown}. Known: {known}.", unknown=unknown[0], known=known)
        )
    return worst_first(run_rules((rule for rule in RULES if rule.code not in unwanted), dataset))
