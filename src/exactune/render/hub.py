"""Whether the model hub can be asked."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants

__all__ = ["hub_options"]

PATIENCE = 5.0
"""Seconds to wait for a connection."""


def hub_options(location: str) -> dict[str, bool]:
    """Arguments for ``from_pretrained``: without a way to the hub, only its local cache is looked at.

    The hub's client would try again for more than a minute before it says so.
    """
    return {"trust_remote_code": False, "local_files_only": not Path(location).is_dir() and not _reachable()}


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
