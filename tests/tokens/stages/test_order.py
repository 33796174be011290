"""The stages of a token store: the names of their markers, the titles people see, and what plans take from them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from slimpajama.dedup.stages.evaluation import EvaluationStage
from slimpajama.dedup.stages.matches import MatchesStage
from slimpajama.dedup.stages.order import DEDUP_STAGES
from slimpajama.mixture.stages.build import BuildStage
from slimpajama.mixture.stages.shared_holdout import SharedHoldoutStage
from slimpajama.planning.cost_model import STAGES
from slimpajama.stages.stage import Stage, StageResult
from slimpajama.tokens.stages.order import TOKEN_STAGES


def test_the_stages_come_in_their_order_under_the_names_people_know() -> None:
    assert [(stage.name, stage.title) for stage in TOKEN_STAGES] == [
        ("survey", "survey"),
        ("tokenizer", "tokenizer"),
        ("tokenise", "tokenise"),
        ("holdout", "holdout"),
        ("held-out-texts", "held-out texts"),
        ("shared-runs", "shared runs"),
        ("near-held-out", "near held-out"),
        ("shuffle", "shuffle"),
        ("store", "token store"),
    ]


def test_plans_take_how_a_stage_scales_from_the_stage() -> None:
    assert [(stage.scales_with, stage.single) for stage in TOKEN_STAGES] == [
        ("documents", False),
        ("fixed", True),
        ("kept text", False),
        ("documents", True),
        ("kept text", False),
        ("kept text", False),
        ("documents", True),
        ("kept text", False),
        ("kept text", True),
    ]
    assert (EvaluationStage, MatchesStage, *DEDUP_STAGES, *TOKEN_STAGES, SharedHoldoutStage, BuildStage) == STAGES
    assert len({stage.title for stage in STAGES}) == len(STAGES)


@pytest.mark.parametrize("stage", [*TOKEN_STAGES, BuildStage], ids=lambda stage: stage.name)
def test_a_result_refuses_fields_that_it_does_not_have(stage: type[Stage[Any, Any]]) -> None:
    assert issubclass(stage.result_type, StageResult)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"text_byte": 1}, stage.result_type)
