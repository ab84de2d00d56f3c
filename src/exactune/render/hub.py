"""Whether the model hub can be asked."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants

__all__ = ["hub_options"]

PATIENCE = 5.0
"""Seconds to wait for a connection."""


def hub_options(location: str, revision: str | None = None) -> dict[str, Any]:
    """Arguments for ``from_pretrained``: without a way to the hub, only its local cache is looked at.

    The hub's client would try again for more than a minute before it says so.
    """
    options: dict[str, Any] = {"trust_remote_code": False}
    if not Path(location).is_dir():
        options |= {"local_files_only": not _reachable(), "revision": revision or "main"}
    return options


@cache
def _reachable() -> bool:
    if constants.HF_HUB_OFFLINE:
        return False
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # the proxy decides
    address = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((address.hostname or "", address.port or 443), PATIENCE).close()
    except OSError:
        return False
    return True
