"""What a chat task is, and how its answers are written."""

from __future__ import annotations

import json

Task = tuple[str, dict[str, str], str, str]
"""Key of `wording.yaml`, what fills its curly names, the text shown, the answer."""


def dump(value: object) -> str:
    """JSON as the product writes object answers: a space after commas and colons, nothing escaped."""
    return json.dumps(value, ensure_ascii=False)
