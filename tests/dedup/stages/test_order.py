"""What the stages say of themselves: their names lead to markers, and plans and summaries go by their titles."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from slimpajama.dedup.stages.order import DEDUP_STAGES
from slimpajama.stages.stage import Stage, StageResult


def test_the_stages_come_in_their_order_under_the_names_people_know() -> None:
    assert [stage.title for stage in DEDUP_STAGES] == [
        "read and sketch",
        "exact",
        "link",
        "cluster",
        "group",
        "diff",
        "decide",
        "write",
    ]
    assert [stage.name for stage in DEDUP_STAGES] == [
        "sketch",
        "exact",
        "link",
        "cluster",
        "group",
        "diff",
        "decide",
        "write",
    ]


def test_plans_take_how_a_stage_scales_from_the_stage() -> None:
    assert [stage.title for stage in DEDUP_STAGES if stage.single] == ["cluster", "diff"]
    by_documents = {stage.title for stage in DEDUP_STAGES if stage.scales_with == "documents"}
    assert {"exact", "link", "group", "diff", "decide"} <= by_documents
    assert not {"read and sketch", "write"} & by_documents


@pytest.mark.parametrize("stage", DEDUP_STAGES, ids=lambda stage: stage.name)
def test_a_result_refuses_fields_that_it_does_not_have(stage: type[Stage[Any, Any]]) -> None:
    result = stage.result_type
    assert issubclass(result, StageResult)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"in_lhs": 1}, result)
