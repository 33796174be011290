"""The plan of a mixture for programs: what ``slimpajama mix --json`` prints, also where nothing is built.

Holds what the printed tables hold, as numbers: the plan, how the shared holdout measures it, and what either packing
would do to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from slimpajama.mixture.manifest import HeldOutSource, MixturePlan, PackedDocuments, held_out_sources
from slimpajama.mixture.packing import Packing
from slimpajama.mixture.packing_shares import PackingShares
from slimpajama.mixture.plan import Plan
from slimpajama.mixture.plan_text import HeldOutCounts

__all__ = ["PlannedMixture"]


class PlannedMixture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan. ``sequence_length``: tokens of a sequence. ``holdout``: how the shared one measures it, empty where
    nothing is held out. ``packing``: of each packing, about what it would do, measured on the first tokens of each
    source."""

    sequence_length: int
    plan: MixturePlan
    holdout: tuple[HeldOutSource, ...]
    packing: dict[str, PackedDocuments]

    @classmethod
    def of(cls, plan: Plan, held_out: HeldOutCounts | None, packing: Mapping[Packing, PackingShares]) -> PlannedMixture:
        """What is told of a plan."""
        return cls(
            plan.sequence_length,
            MixturePlan.of(plan),
            held_out_sources(plan, held_out) if held_out else (),
            {name: PackedDocuments(one.documents, one.cut, one.padding) for name, one in packing.items()},
        )
