"""The data rules: examples to findings. Torch-free; a tokenizer comes as an argument.

To add a rule, write a function whose docstring has the sections *What it does*, *Why it matters*, *Example* and *Fix*,
and list it in :data:`RULES`.
"""

from __future__ import annotations

from collections.abc import Iterable

from exactune.checks.answers import (
    not_json,
    prose_around_json,
    thinking_in_answer,
)
from exactune.checks.dataset import Dataset, Probe, drop_located
from exactune.checks.kinds import dangling_argument, type_outside_set
from exactune.checks.labels import label_imbalance, label_only_in_eval, label_outside_set
from exactune.checks.leaks import eval_row_in_train, leak_with_other_answer
from exactune.checks.lengths import row_too_long
from exactune.checks.near import near_conflict, near_duplicate, near_leak
from exactune.checks.openended import open_ended
from exactune.checks.preference import (
    chosen_equals_rejected,
    chosen_longer,
    conflicting_preferences,
    empty_rejected,
)
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
from exactune.checks.spans import span_not_in_input
from exactune.checks.structure import schema_mismatch
from exactune.checks.synonyms import synonym_labels
from exactune.checks.templates import no_stop_token, template_unstable
from exactune.checks.tokens import answer_not_reproduced, control_token_in_text, prefix_labels, unknown_tokens
from exactune.checks.twins import conflicting_answers, exact_duplicate
from exactune.checks.variants import label_variants
from exactune.checks.writing import escaped_answer, json_style_drift
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
    Rule("D202", "near-duplicate", Severity.WARNING, near_duplicate),
    Rule("D203", "conflicting-answers", Severity.WARNING, conflicting_answers),
    Rule("D204", "near-conflict", Severity.WARNING, near_conflict),
    Rule("D205", "eval-row-in-train", Severity.ERROR, eval_row_in_train),
    Rule("D206", "near-leak", Severity.WARNING, near_leak),
    Rule("D207", "leak-with-other-answer", Severity.WARNING, leak_with_other_answer),
    Rule("D301", "label-imbalance", Severity.WARNING, label_imbalance),
    Rule("D302", "label-only-in-eval", Severity.WARNING, label_only_in_eval),
    Rule("D303", "label-variants", Severity.WARNING, label_variants),
    Rule("D304", "label-outside-set", Severity.WARNING, label_outside_set),
    Rule("D305", "synonym-labels", Severity.WARNING, synonym_labels),
    Rule("D306", "prefix-labels", Severity.INFO, prefix_labels),
    Rule("D401", "not-json", Severity.WARNING, not_json),
    Rule("D402", "schema-mismatch", Severity.WARNING, schema_mismatch),
    Rule("D403", "escaped-answer", Severity.WARNING, escaped_answer),
    Rule("D404", "json-style-drift", Severity.WARNING, json_style_drift),
    Rule("D405", "span-not-in-input", Severity.WARNING, span_not_in_input),
    Rule("D406", "type-outside-set", Severity.WARNING, type_outside_set),
    Rule("D407", "dangling-argument", Severity.WARNING, dangling_argument),
    Rule("D408", "prose-around-json", Severity.WARNING, prose_around_json),
    Rule("D409", "thinking-in-answer", Severity.WARNING, thinking_in_answer),
    Rule("D501", "row-too-long", Severity.ERROR, row_too_long),
    Rule("D502", "template-unstable", Severity.WARNING, template_unstable),
    Rule("D503", "no-stop-token", Severity.WARNING, no_stop_token),
    Rule("D504", "unknown-tokens", Severity.WARNING, unknown_tokens),
    Rule("D505", "answer-not-reproduced", Severity.ERROR, answer_not_reproduced),
    Rule("D506", "control-token-in-text", Severity.WARNING, control_token_in_text),
    Rule("D601", "chosen-equals-rejected", Severity.WARNING, chosen_equals_rejected),
    Rule("D602", "chosen-longer", Severity.WARNING, chosen_longer),
    Rule("D603", "prompts-differ", Severity.ERROR, prompts_differ),
    Rule("D604", "empty-rejected", Severity.WARNING, empty_rejected),
    Rule("D605", "conflicting-preferences", Severity.WARNING, conflicting_preferences),
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
