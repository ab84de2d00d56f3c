"""Rows that cannot be read or used (D1)."""

from __future__ import annotations

from cases import Case, loaded, turns

GOOD = '{"text": "x", "label": "y"}'

CASES = {
    "D101": Case(loaded(GOOD, "{", GOOD, '{"a": NaN}'), [2, 4], loaded(GOOD, GOOD)),
    "D102": Case(loaded(GOOD, '{"x": 1}'), [2], loaded(GOOD)),
    "D103": Case(loaded(turns("assistant", "user", "assistant"), GOOD), [1], loaded(turns("user", "assistant"), GOOD)),
    "D104": Case(loaded(GOOD, turns("user")), [2], loaded(GOOD, turns("user", "assistant"))),
    "D105": Case(loaded(GOOD, '{"text": "x", "label": " "}'), [2], loaded(GOOD, '{"text": "x", "label": "none"}')),
    "D106": Case(loaded('{"text": "", "label": "y"}', GOOD), [1], loaded(GOOD)),
    "D107": Case(
        loaded(GOOD, '{"text": "caf\udce9", "label": "y"}'), [2], loaded(GOOD, '{"text": "café", "label": "y"}')
    ),
    "D108": Case(loaded(GOOD, '{"text": "x", "lab'), [2], loaded(GOOD, GOOD)),
    "D109": Case(loaded('{"text": "x", "label": "y", "label": "z"}', GOOD), [1], loaded(GOOD)),
}
