"""Local and global MinHash-LSH deduplication of pretraining text, and token-exact mixtures of the result.

Everything public is here; names are loaded when first used, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slimpajama.config.dedup import Config, SourceConfig, load_config
    from slimpajama.dedup.minhash import signature
    from slimpajama.dedup.summary import DedupSummary
    from slimpajama.errors import (
        ConfigError,
        ConservationError,
        InputChanged,
        InputError,
        InputNotFound,
        OutputError,
        ShardUnreadable,
        SlimpajamaError,
        TooManyBadRecords,
        WorkerDied,
    )
    from slimpajama.pipeline import deduplicate
    from slimpajama.text.cleaning import clean
    from slimpajama.text.shingles import shingle_hashes

_HOMES = {
    "slimpajama.config.dedup": ("Config", "SourceConfig", "load_config"),
    "slimpajama.dedup.minhash": ("signature",),
    "slimpajama.dedup.summary": ("DedupSummary",),
    "slimpajama.errors": (
        "ConfigError",
        "ConservationError",
        "InputChanged",
        "InputError",
        "InputNotFound",
        "OutputError",
        "ShardUnreadable",
        "SlimpajamaError",
        "TooManyBadRecords",
        "WorkerDied",
    ),
    "slimpajama.pipeline": ("deduplicate",),
    "slimpajama.text.cleaning": ("clean",),
    "slimpajama.text.shingles": ("shingle_hashes",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Config",
    "ConfigError",
    "ConservationError",
    "DedupSummary",
    "InputChanged",
    "InputError",
    "InputNotFound",
    "OutputError",
    "ShardUnreadable",
    "SlimpajamaError",
    "SourceConfig",
    "TooManyBadRecords",
    "WorkerDied",
    "clean",
    "deduplicate",
    "load_config",
    "shingle_hashes",
    "signature",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'slimpajama' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
