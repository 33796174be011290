"""The stages of a token store in the order in which they run."""

from __future__ import annotations

from typing import Any

from slimpajama.stages.stage import Stage
from slimpajama.tokens.stages.finish import FinishStage
from slimpajama.tokens.stages.held_out_texts import HeldOutTextsStage
from slimpajama.tokens.stages.holdout import HoldoutStage
from slimpajama.tokens.stages.near_held_out import NearHeldOutStage
from slimpajama.tokens.stages.shared_runs import SharedRunsStage
from slimpajama.tokens.stages.shuffle import ShuffleStage
from slimpajama.tokens.stages.survey import SurveyStage
from slimpajama.tokens.stages.tokenize import TokenizeStage
from slimpajama.tokens.stages.tokenizer import TokenizerStage

__all__ = ["TOKEN_STAGES"]

TOKEN_STAGES: tuple[type[Stage[Any, Any]], ...] = (
    SurveyStage,
    TokenizerStage,
    TokenizeStage,
    HoldoutStage,
    HeldOutTextsStage,
    SharedRunsStage,
    NearHeldOutStage,
    ShuffleStage,
    FinishStage,
)
