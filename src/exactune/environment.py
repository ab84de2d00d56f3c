"""The environment: versions, what is installed, what is missing and how to get it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from exactune import __version__

__all__ = ["EXTRAS", "PACKAGES", "cache", "versions"]

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "safetensors", "numpy",
            "scikit-learn", "pydantic", "jsonschema")  # fmt: skip
EXTRAS: Mapping[str, str] = {"bitsandbytes": "qlora", "tensorboard": "tensorboard"}
"""Optional package -> extra that brings it."""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, object]:
    """Exactune, Python, platform and package versions; ``None`` for what is not installed."""
    return {
        "exactune": __version__,
        "python": sys.version.split()[0],
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in (*PACKAGES, *EXTRAS)},
    }


def cache() -> dict[str, object]:
    """Where token ids are kept for the next run, and how many bytes they take."""
    from exactune.render.cache import cache_folder, cache_size  # brings torch with it

    return {"folder": str(cache_folder()), "bytes": cache_size()}
