"""Local and global MinHash-LSH deduplication of pretraining text, and token-exact mixtures of the result.

Everything public is here; names are loaded when first used, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slimpajama.config.dedup import Config, SourceConfig, load_config
    from slimpajama.config.recipe import Recipe
    from slimpajama.config.run import MixtureConfig, RunConfig, SampleConfig, load_run_config
    from slimpajama.config.tokens import TokenConfig
    from slimpajama.dedup.decision_tables import Decision
    from slimpajama.dedup.minhash import signature
    from slimpajama.dedup.summary import DedupSummary
    from slimpajama.engine.choice import EngineChoice
    from slimpajama.errors import (
        ConfigError,
        ConservationError,
        DamagedOutput,
        InputChanged,
        InputError,
        InputNotFound,
        OutputError,
        ShardUnreadable,
        SlimpajamaError,
        TooManyBadRecords,
        TooMuchRemoved,
        WorkerDied,
        WorkspaceLocked,
    )
    from slimpajama.evidence.duplicates import SampledRemovals, duplicates
    from slimpajama.evidence.opened_output import Pair
    from slimpajama.mixture.summary import MixtureSummary
    from slimpajama.pipeline.dedup import deduplicate
    from slimpajama.pipeline.explain import Explanation, PathStep, explain
    from slimpajama.pipeline.mix import Mixtures
    from slimpajama.pipeline.mix_api import load_ratios, load_recipe, mix
    from slimpajama.pipeline.opening import Decisions, load_mixture, open_decisions, open_store
    from slimpajama.pipeline.plan import plan
    from slimpajama.pipeline.report import MadeReport, make_report
    from slimpajama.pipeline.run import RunSummary, run
    from slimpajama.pipeline.status import RunStatus, status
    from slimpajama.pipeline.verify import Verification, verify
    from slimpajama.planning.cost_model import RunPlan
    from slimpajama.stages.progress import Progress, StageStart
    from slimpajama.stages.runner import StageRecord
    from slimpajama.stages.written_files import DamagedFile
    from slimpajama.text.cleaning import clean
    from slimpajama.text.shingles import shingle_hashes
    from slimpajama.tokens.selection import Selection, Where
    from slimpajama.tokens.store import TokenStore, TokenStream
    from slimpajama.tokens.summary import TokenSummary

_HOMES = {
    "slimpajama.config.dedup": (
        "Config",
        "SourceConfig",
        "load_config",
    ),
    "slimpajama.config.recipe": ("Recipe",),
    "slimpajama.config.run": (
        "MixtureConfig",
        "RunConfig",
        "SampleConfig",
        "load_run_config",
    ),
    "slimpajama.config.tokens": ("TokenConfig",),
    "slimpajama.dedup.decision_tables": ("Decision",),
    "slimpajama.dedup.minhash": ("signature",),
    "slimpajama.dedup.summary": ("DedupSummary",),
    "slimpajama.engine.choice": ("EngineChoice",),
    "slimpajama.errors": (
        "ConfigError",
        "ConservationError",
        "DamagedOutput",
        "InputChanged",
        "InputError",
        "InputNotFound",
        "OutputError",
        "ShardUnreadable",
        "SlimpajamaError",
        "TooManyBadRecords",
        "TooMuchRemoved",
        "WorkerDied",
        "WorkspaceLocked",
    ),
    "slimpajama.mixture.summary": ("MixtureSummary",),
    "slimpajama.pipeline.dedup": ("deduplicate",),
    "slimpajama.evidence.duplicates": (
        "SampledRemovals",
        "duplicates",
    ),
    "slimpajama.evidence.opened_output": ("Pair",),
    "slimpajama.pipeline.explain": (
        "Explanation",
        "PathStep",
        "explain",
    ),
    "slimpajama.pipeline.mix": ("Mixtures",),
    "slimpajama.pipeline.mix_api": (
        "load_ratios",
        "load_recipe",
        "mix",
    ),
    "slimpajama.pipeline.opening": (
        "Decisions",
        "load_mixture",
        "open_decisions",
        "open_store",
    ),
    "slimpajama.pipeline.plan": ("plan",),
    "slimpajama.pipeline.report": (
        "MadeReport",
        "make_report",
    ),
    "slimpajama.pipeline.run": (
        "RunSummary",
        "run",
    ),
    "slimpajama.pipeline.status": (
        "RunStatus",
        "status",
    ),
    "slimpajama.pipeline.verify": (
        "Verification",
        "verify",
    ),
    "slimpajama.planning.cost_model": ("RunPlan",),
    "slimpajama.stages.progress": (
        "Progress",
        "StageStart",
    ),
    "slimpajama.stages.runner": ("StageRecord",),
    "slimpajama.stages.written_files": ("DamagedFile",),
    "slimpajama.text.cleaning": ("clean",),
    "slimpajama.text.shingles": ("shingle_hashes",),
    "slimpajama.tokens.selection": ("Selection", "Where"),
    "slimpajama.tokens.store": ("TokenStore", "TokenStream"),
    "slimpajama.tokens.summary": ("TokenSummary",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Config",
    "ConfigError",
    "ConservationError",
    "DamagedFile",
    "DamagedOutput",
    "Decision",
    "Decisions",
    "DedupSummary",
    "EngineChoice",
    "Explanation",
    "InputChanged",
    "InputError",
    "InputNotFound",
    "MadeReport",
    "MixtureConfig",
    "MixtureSummary",
    "Mixtures",
    "OutputError",
    "Pair",
    "PathStep",
    "Progress",
    "Recipe",
    "RunConfig",
    "RunPlan",
    "RunStatus",
    "RunSummary",
    "SampleConfig",
    "SampledRemovals",
    "Selection",
    "ShardUnreadable",
    "SlimpajamaError",
    "SourceConfig",
    "StageRecord",
    "StageStart",
    "TokenConfig",
    "TokenStore",
    "TokenStream",
    "TokenSummary",
    "TooManyBadRecords",
    "TooMuchRemoved",
    "Verification",
    "Where",
    "WorkerDied",
    "WorkspaceLocked",
    "clean",
    "deduplicate",
    "duplicates",
    "explain",
    "load_config",
    "load_mixture",
    "load_ratios",
    "load_recipe",
    "load_run_config",
    "make_report",
    "mix",
    "open_decisions",
    "open_store",
    "plan",
    "run",
    "shingle_hashes",
    "signature",
    "status",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'slimpajama' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
