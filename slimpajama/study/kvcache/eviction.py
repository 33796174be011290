"""An eviction method together with its budget, made by name.

The names are ``keyformer``, ``h2o``, ``window``, ``streaming_llm``, ``tova``, ``snapkv`` and ``full``. Other settings
than the published ones are had by building the scorer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.budget import Budget
from slimpajama.study.kvcache.h2o import HeavyHitters
from slimpajama.study.kvcache.keyformer import Keyformer
from slimpajama.study.kvcache.noise import HashedNoise
from slimpajama.study.kvcache.recency import RecentTokens
from slimpajama.study.kvcache.scorers import Scorer
from slimpajama.study.kvcache.snapkv import PromptEnd
from slimpajama.study.kvcache.tova import LastAttention

MethodName = Literal["keyformer", "h2o", "window", "streaming_llm", "tova", "snapkv", "full"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)


@dataclass(frozen=True, slots=True)
class Eviction:
    """Which tokens stay (``scorer``) and how many (``budget``); without both, every token stays."""

    scorer: Scorer | None = None
    budget: Budget | None = None

    def __post_init__(self) -> None:
        if (self.scorer is None) != (self.budget is None):
            raise ConfigError("an eviction has only one of scorer and budget; give both, or neither for a full cache")


def eviction(name: MethodName, budget: Budget, generated: int, seed: int = 0) -> Eviction:
    """The method ``name`` with its published settings, for about ``generated`` tokens after the prompt."""
    scorers: dict[MethodName, Scorer | None] = {
        "keyformer": Keyformer(generated, noise=HashedNoise(seed=seed)),
        "h2o": HeavyHitters(),
        "window": RecentTokens(),
        "streaming_llm": RecentTokens(sinks=4),
        "tova": LastAttention(),
        "snapkv": PromptEnd(),
        "full": None,
    }
    if name not in scorers:
        raise ConfigError(f"the eviction method {name!r} is unknown; use one of {', '.join(METHODS)}")
    scorer = scorers[name]
    return Eviction(scorer, budget) if scorer else Eviction()
