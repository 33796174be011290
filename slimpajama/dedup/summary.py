"""The summary of a deduplication: what :func:`slimpajama.deduplicate` returns and ``summary.json`` holds.

Every field has a name and a type here, and whoever reads a summary reads these fields. A file of another shape was
written by another version and is refused as such, never half read. Rejected: pydantic models (the results of stages
are msgspec structs, too, and a JSON Schema comes with them). The settings stay the pydantic model they are.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from slimpajama.config.dedup import Config, Scope
from slimpajama.config.loading import checked
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.removal_sample import RemovalSample
from slimpajama.dedup.stages.checked import CheckFigures
from slimpajama.dedup.stages.group import LargeCluster, Matrix
from slimpajama.dedup.stages.matches import SetFigures
from slimpajama.errors import ConfigError, InputNotFound
from slimpajama.storage.atomic import read_json

__all__ = [
    "ClusterFigures",
    "Count",
    "DecontaminationFigures",
    "DedupSummary",
    "LshFigures",
    "Overlap",
    "ScopeFigures",
    "ShardFigures",
    "SourceFigures",
    "StageFigures",
    "read_summary",
]


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Documents, and the bytes of their text in UTF-8."""

    documents: int
    bytes: int


class ScopeFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one scope of deduplication keeps of a source, and what it drops as a duplicate: duplicate = exact + near.

    ``exact``: of the same cleaned text as the document that stays; ``near``: of another.
    """

    kept: Count
    duplicate: Count
    exact: Count
    near: Count


class SourceFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One source, or the total: read = short + bad + contaminated + kept + duplicate, in each scope.

    ``short``: dropped before LSH. ``bad``: records that are broken. ``global_`` and ``local``: the two scopes.
    ``replaced_values``: values beside the texts that JSON cannot hold and that were replaced; ``None`` where it is not
    known, as no shards were written (``scope: none``). ``contaminated``: documents that were removed as they hold
    evaluation items.
    """

    read: Count
    short: Count
    bad: Count
    global_: ScopeFigures = msgspec.field(name="global")
    local: ScopeFigures
    replaced_values: int | None
    contaminated: Count = Count(0, 0)

    def of(self, scope: Scope) -> ScopeFigures:
        """The figures of the scope ``"global"`` or ``"local"``."""
        return self.global_ if scope == "global" else self.local


class Overlap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which sources share documents.

    ``documents[i][j]``: documents of ``sources[i]`` that global deduplication drops for one of ``survivors[j]``;
    ``bytes``: their text. The others do not depend on which copy stays: ``shared_documents[i][j]``: documents of
    ``sources[i]`` in a global cluster that also holds one of ``survivors[j]``, or another of their own source;
    ``shared_bytes``: their text; ``clusters[i][j]``: clusters that hold documents of both, or any of the one.
    """

    sources: tuple[str, ...]
    survivors: tuple[str, ...]
    documents: Matrix
    bytes: Matrix
    shared_documents: Matrix
    shared_bytes: Matrix
    clusters: Matrix


class ClusterFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many documents are ``linked`` into how many ``clusters``, and the ``largest`` of them."""

    linked: int
    clusters: int
    largest: tuple[LargeCluster, ...]


class LshFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The banding, and the chance that it links a pair, by the pair's Jaccard similarity."""

    bands: int
    rows: int
    catch_probability: dict[str, float]


class ShardFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input: its ``files``, the ``pieces`` they are read in, and which paths are not read.

    ``held_out``: how many shards each split has that the input comes with, ``validation`` or ``test``.
    """

    files: int
    pieces: int
    ignored: tuple[str, ...]
    held_out: dict[str, int]


class StageFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One stage: its time, its tasks, how many of them an earlier run had done, and, if none, its speed."""

    seconds: float
    items: int
    reused: int
    mb_per_second: float | None = None


class DecontaminationFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was found of evaluation items. ``documents``: of each source, how many match an item; ``sets``: by name."""

    documents: dict[str, int]
    sets: dict[str, SetFigures]


class DedupSummary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The figures of a finished deduplication.

    ``sources``: by name, and ``"total"``. ``mb_per_second``: of text, without the time to compile kernels; ``None``
    where an earlier run had done a part. ``settings``: those of this run, with the number of workers it had.
    ``looked_at``: removals that were compared with what stays for them; ``checks``: where each of them was;
    ``decontamination``: where evaluation items were looked for.
    """

    input: str
    sources: dict[str, SourceFigures]
    overlap: Overlap
    clusters: ClusterFigures
    lsh: LshFigures
    versions: dict[str, str]
    shards: ShardFigures
    stages: dict[str, StageFigures]
    seconds: float
    compile_seconds: float
    mb_per_second: float | None
    settings: Config
    peak_memory_bytes: int
    looked_at: RemovalSample | None = None
    checks: CheckFigures | None = None
    decontamination: DecontaminationFigures | None = None

    @property
    def total(self) -> SourceFigures:
        """The figures of all sources together."""
        return self.sources["total"]

    def as_dict(self) -> dict[str, Any]:
        """The content of ``summary.json`` as plain values."""
        plain: dict[str, Any] = orjson.loads(msgspec.json.encode(self, enc_hook=_plain_settings))
        return plain


def read_summary(layout: DedupLayout) -> DedupSummary:
    """The summary of a finished deduplication.

    Raises :class:`InputNotFound` where there is none, and where another version of the program wrote it.
    """
    content = read_json(layout.summary)
    if not isinstance(content, dict):
        raise InputNotFound(
            f"{layout.root} holds no finished deduplication: {layout.summary} is missing or broken; give the output of "
            "slimpajama dedup"
        )
    try:
        return msgspec.convert(content, DedupSummary, dec_hook=_settings)
    except (msgspec.ValidationError, ConfigError) as fault:
        raise InputNotFound(
            f"{layout.summary} was written by another version of slimpajama or is no summary of a deduplication "
            f"({fault}); run slimpajama dedup again with the same input and output"
        ) from fault


def _settings(kind: type, value: object) -> Config:
    return checked(Config, value, "settings")


def _plain_settings(value: Any) -> Any:
    return value.model_dump(mode="json")
