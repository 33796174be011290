"""What a report tells of a deduplication: at a glance, sources, overlap, clusters, evidence, the LSH curve."""

from __future__ import annotations

import msgspec

from slimpajama.report.figures.base import Figures

__all__ = [
    "Alarm",
    "ClusterSection",
    "CurvePoint",
    "EvidencePair",
    "EvidenceSection",
    "Glance",
    "LargeClusterRow",
    "LshSection",
    "OverlapSection",
    "ScopeAmounts",
    "ScopeRow",
    "Setting",
    "SimilarityBin",
    "SizeBin",
    "Snippet",
    "SourceRow",
    "SourceSection",
]


# 1. At a glance


class Setting(Figures, frozen=True, kw_only=True):
    """One setting or version: ``standard`` says whether it has its default value."""

    name: str
    value: str
    standard: bool


class ScopeAmounts(Figures, frozen=True, kw_only=True):
    """Documents and bytes that one scope keeps and removes; removed = exact + near."""

    kept_documents: int
    kept_bytes: int
    exact_documents: int
    exact_bytes: int
    near_documents: int
    near_bytes: int


class Glance(Figures, frozen=True, kw_only=True):
    """The whole run in numbers. ``command``: what makes it again, a line for each command; ``finished``: when, in UTC.
    ``read`` = short + bad + contaminated + kept + removed, in each scope. ``mb_per_second``: of text; ``None`` where an
    earlier run had done a part."""

    input: str
    output: str
    command: str
    finished: str
    read_documents: int
    read_bytes: int
    short_documents: int
    short_bytes: int
    bad_records: int
    bad_bytes: int
    contaminated_documents: int
    contaminated_bytes: int
    global_: ScopeAmounts = msgspec.field(name="global")
    local: ScopeAmounts
    seconds: float
    mb_per_second: float | None
    peak_memory_bytes: int
    settings: tuple[Setting, ...]
    versions: tuple[Setting, ...]


# 2. Per source


class ScopeRow(ScopeAmounts, frozen=True, kw_only=True):
    """One scope of one source. ``byte_rate``: the paper's "byte deduplication rate", (short + duplicate) / read, in
    percent; ``share``: percent of the bytes that stay that are of this source."""

    byte_rate: float
    share: float


class SourceRow(Figures, frozen=True, kw_only=True):
    """One source before and after. ``published_byte_rate``, ``published_short_rate``: SlimPajama's percentages (its
    dataset card), where it has a source of this name."""

    source: str
    read_documents: int
    read_bytes: int
    read_share: float
    short_documents: int
    short_bytes: int
    short_rate: float
    bad_records: int
    contaminated_documents: int
    global_: ScopeRow = msgspec.field(name="global")
    local: ScopeRow
    published_byte_rate: float | None
    published_short_rate: float | None


class SourceSection(Figures, frozen=True, kw_only=True):
    """All sources in the order of the output, and ``total``. ``settings_differ``: in words, what of the settings is not
    SlimPajama's, so that its published rates compare only so far; empty where all are."""

    rows: tuple[SourceRow, ...]
    total: SourceRow
    settings_differ: str


# 3. Overlap


class OverlapSection(Figures, frozen=True, kw_only=True):
    """Source by source. ``removed_*[i][j]``: of ``sources[i]``, removed for a survivor in ``survivors[j]`` (whose copy
    stayed). ``shared_*[i][j]``: of ``sources[i]``, in a cluster with another document of ``sources[j]``, whichever copy
    stays. ``read_*``: of each source, to take shares of."""

    sources: tuple[str, ...]
    survivors: tuple[str, ...]
    removed_documents: tuple[tuple[int, ...], ...]
    removed_bytes: tuple[tuple[int, ...], ...]
    shared_documents: tuple[tuple[int, ...], ...]
    shared_bytes: tuple[tuple[int, ...], ...]
    read_documents: tuple[int, ...]
    read_bytes: tuple[int, ...]


# 4. Clusters


class SizeBin(Figures, frozen=True, kw_only=True):
    """Clusters of ``least`` to ``most`` documents, in a scope, and the documents in them."""

    scope: str
    least: int
    most: int
    clusters: int
    documents: int


class LargeClusterRow(Figures, frozen=True, kw_only=True):
    """One of the largest clusters. ``sources``: whose documents are in it. ``similarity``: lowest and median of its
    sampled members with the survivor, ``None`` where none was sampled. ``beginning``: of the survivor's text."""

    cluster: int
    documents: int
    sources: tuple[str, ...]
    beginning: str
    lowest: float | None
    median: float | None
    path: str
    position: int


class SimilarityBin(Figures, frozen=True, kw_only=True):
    """Removals whose Jaccard similarity with the survivor is at least ``least`` and below ``below``."""

    least: float
    below: float
    removals: int


class Alarm(Figures, frozen=True, kw_only=True):
    """Something a person should look at: ``what`` was seen, with its numbers, and ``remedy``: what to change.

    ``severity``: ``"serious"`` or ``"look"``."""

    severity: str
    what: str
    remedy: str


class ClusterSection(Figures, frozen=True, kw_only=True):
    """Clusters by size, the largest, and removals by similarity with the survivor.

    ``compared``: removals that were compared; ``all_compared``: whether these are all (``verified``), else a sample
    drawn by ``seed``. ``below_threshold``: those of them that are less alike than ``threshold``.
    """

    clusters: int
    linked_documents: int
    sizes: tuple[SizeBin, ...]
    largest: tuple[LargeClusterRow, ...]
    similarities: tuple[SimilarityBin, ...]
    compared: int
    all_compared: bool
    seed: int | None
    threshold: float
    below_threshold: int
    alarms: tuple[Alarm, ...]


# 5. Evidence


class Snippet(Figures, frozen=True, kw_only=True):
    """A run of text in a document. ``kind``: ``"same"``, ``"differs"`` (from the other document), or ``"left_out"``:
    then ``text`` is empty, and ``characters`` says how many are not shown."""

    kind: str
    text: str
    characters: int


class EvidencePair(Figures, frozen=True, kw_only=True):
    """A removed document and its survivor. ``id``, ``survivor_id``: in hexadecimal, as ``slimpajama explain`` takes
    them. ``*_path``, ``*_place``: the shard below the input, and ``byte 1,234`` or ``row 12``. ``shared_in_*``: the
    share of that document's shingles that the other has, too (containment). ``bands``: how many of the bands agree; 0
    where the two were linked through others. ``cluster_documents``: size of the cluster."""

    scope: str
    match: str
    id: str
    source: str
    path: str
    place: str
    survivor_id: str
    survivor_source: str
    survivor_path: str
    survivor_place: str
    jaccard: float
    shared_in_document: float
    shared_in_survivor: float
    bands: int
    cluster_documents: int
    document: tuple[Snippet, ...]
    survivor: tuple[Snippet, ...]


class EvidenceSection(Figures, frozen=True, kw_only=True):
    """Pairs to look at: drawn by ``seed`` from ``removals``, from every source and every similarity, the least alike
    first; of each text at most ``most_characters`` are shown."""

    seed: int
    removals: int
    most_characters: int
    pairs: tuple[EvidencePair, ...]


# 6. LSH curve


class CurvePoint(Figures, frozen=True, kw_only=True):
    """The chance that a pair of this similarity is caught; ``pairs``: how many it was measured on, 0 on the curve;
    ``low``, ``high``: the 95 % interval of a measured point."""

    similarity: float
    caught: float
    pairs: int
    low: float
    high: float


class LshSection(Figures, frozen=True, kw_only=True):
    """``curve``: 1 - (1 - s^rows)^bands. ``measured``: sampled pairs sketched anew under ``seeds`` other seeds, so the
    points do not suffer from the pairs having been chosen because the run caught them."""

    bands: int
    rows: int
    threshold: float
    half_point: float
    seeds: int
    curve: tuple[CurvePoint, ...]
    measured: tuple[CurvePoint, ...]
