"""The numbers of a report as tables: one CSV and one JSON file each, and what the page shows below its figures.

A table has a name, columns and rows of plain values. ``report.json`` beside them holds all structs. The page and the
files are made from the same tables, so no number of the page is missing in ``data/``. Texts of documents stand
in ``report.json`` alone: a cell of a CSV that begins with ``=`` is a formula to some programs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from slimpajama.printable import printable
from slimpajama.report.figures.comparison import ComparedRuns
from slimpajama.report.figures.deduplication import (
    ClusterSection,
    EvidenceSection,
    Glance,
    LshSection,
    OverlapSection,
    ScopeRow,
    SourceRow,
    SourceSection,
)
from slimpajama.report.figures.kvcache import CacheResults, NoisePoint, QualityPoint, SpeedPoint
from slimpajama.report.figures.mixtures import MixtureSection, TokenSection
from slimpajama.report.figures.study import StudyFigures
from slimpajama.report.figures.whole import Report, TimeSection

__all__ = ["DataTable", "Value", "as_csv", "as_json", "comparison_tables", "tables", "whole_json"]

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class DataTable:
    """One table. ``name``: of its files."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


def as_csv(table: DataTable) -> bytes:
    """The table as CSV in UTF-8; nothing for ``None``. What steers a terminal is written out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow("" if value is None else printable(value) if isinstance(value, str) else value for value in row)
    return text.getvalue().encode()


def as_json(table: DataTable) -> bytes:
    """The table as a list of objects."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return msgspec.json.format(msgspec.json.encode(_sound(rows)), indent=1) + b"\n"


def _sound(value: object) -> object:
    """``value`` with no lone surrogates, which names of files may have and JSON may not."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {str(_sound(key)): _sound(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(item) for item in value]
    return value


def whole_json(report: msgspec.Struct) -> bytes:
    """All structs of a report."""
    return msgspec.json.format(msgspec.json.encode(_sound(msgspec.to_builtins(report))), indent=1) + b"\n"


def tables(report: Report) -> dict[str, DataTable]:
    """All tables of a report by their names; none for what the report lacks."""
    found: list[DataTable] = []
    if report.glance:
        found += _glance(report.glance)
    if report.sources:
        found += _sources(report.sources)
    if report.overlap:
        found.append(_overlap(report.overlap))
    if report.clusters:
        found += _clusters(report.clusters)
    if report.evidence:
        found.append(_evidence(report.evidence))
    if report.lsh:
        found.append(_lsh(report.lsh))
    if report.tokens:
        found += _tokens(report.tokens)
    if report.mixtures:
        found += _mixtures(report.mixtures)
    if report.study:
        found += _study(report.study)
    if report.caches:
        found += _caches(report.caches)
    if report.time:
        found.append(_time(report.time))
    return {table.name: table for table in found}


def _glance(glance: Glance) -> Iterator[DataTable]:
    rows: list[tuple[Value, ...]] = [
        ("", "read", glance.read_documents, glance.read_bytes),
        ("", "short", glance.short_documents, glance.short_bytes),
        ("", "bad", glance.bad_records, glance.bad_bytes),
        ("", "contaminated", glance.contaminated_documents, glance.contaminated_bytes),
    ]
    for name, scope in (("global", glance.global_), ("local", glance.local)):
        rows += [
            (name, "kept", scope.kept_documents, scope.kept_bytes),
            (name, "removed, exact", scope.exact_documents, scope.exact_bytes),
            (name, "removed, near", scope.near_documents, scope.near_bytes),
        ]
    yield DataTable("glance", ("scope", "what", "documents", "bytes"), tuple(rows))
    settings = [("setting", one.name, one.value, one.standard) for one in glance.settings]
    settings += [("version", one.name, one.value, one.standard) for one in glance.versions]
    yield DataTable("settings", ("kind", "name", "value", "standard"), tuple(settings))


def _sources(section: SourceSection) -> Iterator[DataTable]:
    rows = (*section.rows, section.total)
    own = tuple(field for field in SourceRow.__struct_fields__ if field not in ("global_", "local"))
    yield _of_structs("sources", rows, own)
    fields = ScopeRow.__struct_fields__
    scopes = tuple(
        (row.source, name, *(getattr(scope, field) for field in fields))
        for row in rows
        for name, scope in (("global", row.global_), ("local", row.local))
    )
    yield DataTable("source-scopes", ("source", "scope", *fields), scopes)


def _overlap(overlap: OverlapSection) -> DataTable:
    """A row for each pair of sources that has anything, however many sources there are."""
    rows: list[tuple[Value, ...]] = []
    for i, source in enumerate(overlap.sources):
        whole = overlap.read_documents[i], overlap.read_bytes[i]
        for j, other in enumerate(overlap.survivors):
            both = j < len(overlap.sources)  # an earlier run has survivors, too
            shared = (overlap.shared_documents[i][j], overlap.shared_bytes[i][j]) if both else (0, 0)
            removed = overlap.removed_documents[i][j], overlap.removed_bytes[i][j]
            if any((*shared, *removed)):
                rows.append((source, other, *whole, *shared, *removed))
    columns = (
        "source",
        "other",
        "read_documents",
        "read_bytes",
        "shared_documents",
        "shared_bytes",
        "removed_documents",
        "removed_bytes",
    )
    return DataTable("overlap", columns, tuple(rows))


def _clusters(clusters: ClusterSection) -> Iterator[DataTable]:
    yield _of_structs("cluster-sizes", clusters.sizes, ("scope", "least", "most", "clusters", "documents"))
    rows = tuple(
        (f"{row.cluster:#x}", row.documents, ", ".join(row.sources), row.lowest, row.median, row.path, row.position)
        for row in clusters.largest
    )
    columns = ("cluster", "documents", "sources", "lowest_similarity", "median_similarity", "path", "position")
    yield DataTable("largest-clusters", columns, rows)
    yield _of_structs("similarities", clusters.similarities, ("least", "below", "removals"))
    yield _of_structs("alarms", clusters.alarms, ("severity", "what", "remedy"))


def _evidence(evidence: EvidenceSection) -> DataTable:
    fields = (
        "scope",
        "match",
        "id",
        "source",
        "path",
        "place",
        "survivor_id",
        "survivor_source",
        "survivor_path",
        "survivor_place",
        "jaccard",
        "shared_in_document",
        "shared_in_survivor",
        "bands",
        "cluster_documents",
    )
    return _of_structs("evidence", evidence.pairs, fields)


def _lsh(lsh: LshSection) -> DataTable:
    rows = [("curve", one.similarity, one.caught, None, None, None) for one in lsh.curve]
    measured = [("measured", one.similarity, one.caught, one.pairs, one.low, one.high) for one in lsh.measured]
    return DataTable("lsh-curve", ("kind", "similarity", "caught", "pairs", "low", "high"), (*rows, *measured))


def _tokens(tokens: TokenSection) -> Iterator[DataTable]:
    fields = ("source", "global_tokens", "global_documents", "local_tokens", "local_documents", "bytes_per_token")
    yield _of_structs("source-tokens", tokens.sources, fields)
    yield _of_structs("document-lengths", tokens.lengths, ("source", "least", "most", "documents", "tokens"))
    names = tokens.compared
    yield DataTable(
        "divergence",
        ("subset", "source", "other", "kl_nats", "js_nats"),
        tuple(
            (subset.name, source, other, subset.kl[i][j], subset.js[i][j])
            for subset in tokens.subsets
            for i, source in enumerate(names)
            for j, other in enumerate(names)
        ),
    )
    yield DataTable(
        "token-subsets",
        ("subset", "types", "source", "share", "floor_nats"),
        tuple(
            (subset.name, subset.types, source, subset.shares[i], subset.floor[i])
            for subset in tokens.subsets
            for i, source in enumerate(names)
        ),
    )


def _mixtures(section: MixtureSection) -> Iterator[DataTable]:
    fields = (
        "name",
        "title",
        "scope",
        "sequences",
        "sequence_length",
        "tokens",
        "documents",
        "cut_documents",
        "padding",
        "packing",
    )
    yield _of_structs("mixtures", section.mixtures, fields)
    of_source = ("source", "asked", "got", "tokens", "available", "epochs", "unused")
    parts = [
        (mixture.name, *(getattr(part, field) for field in of_source))
        for mixture in section.mixtures
        for part in mixture.sources
    ]
    yield DataTable("mixture-sources", ("mixture", *of_source), tuple(parts))
    repeats = [(mixture.name, *one) for mixture in section.mixtures for one in mixture.repeats]
    yield DataTable("repeats", ("mixture", "found", "tokens"), tuple(repeats))
    held = (
        "source",
        "validation_documents",
        "validation_tokens",
        "test_documents",
        "test_tokens",
        "near_held_out_documents",
        "excluded_documents",
    )
    yield _of_structs("holdout", section.holdout, held)


def _study(study: StudyFigures) -> Iterator[DataTable]:
    fields = ("mixture", "model", "source", "seeds", "nats", "bits", "spread", "best", "beyond", "trained_on")
    yield _of_structs("study-losses", study.cells, fields)
    points = [
        (curve.mixture, curve.model, point.tokens, point.loss) for curve in study.curves for point in curve.points
    ]
    yield DataTable("study-curves", ("mixture", "model", "tokens", "loss"), tuple(points))
    scopes = ("local_mixture", "global_mixture", "model", "source", "difference", "beyond")
    yield _of_structs("study-scopes", study.scopes, scopes)
    choices = ("task", "mixture", "model", "questions", "per_token", "per_byte", "chance", "rrgs")
    yield _of_structs("study-choices", study.choices, choices)


def _caches(caches: CacheResults) -> Iterator[DataTable]:
    for name, points, kind in (
        ("cache-quality", caches.quality, QualityPoint),
        ("cache-speed", caches.speed, SpeedPoint),
        ("cache-noise", caches.noise, NoisePoint),
    ):
        yield _of_structs(name, points, kind.__struct_fields__)


def _time(time: TimeSection) -> DataTable:
    return _of_structs("stages", time.stages, ("part", "stage", "seconds", "tasks", "reused", "mb_per_second"))


def _of_structs(name: str, structs: Sequence[msgspec.Struct], fields: tuple[str, ...]) -> DataTable:
    return DataTable(name, fields, tuple(tuple(getattr(one, field) for field in fields) for one in structs))


def comparison_tables(runs: ComparedRuns) -> dict[str, DataTable]:
    """All tables of two runs compared."""
    fields = ("name", "first", "second")
    rows: list[tuple[Value, ...]] = []
    for one in (*runs.sources, runs.total):
        amounts = (one.first_read, one.second_read, one.first_kept, one.second_kept)
        apart = (one.both, one.first_alone, one.second_alone)
        counts: list[Value] = []
        for amount in (*amounts, *apart):
            counts += [amount.documents, amount.bytes] if amount else [None, None]
        rows.append((one.source, *counts, one.first_byte_rate, one.second_byte_rate))
    parts = ("first_read", "second_read", "first_kept", "second_kept", "kept_by_both", "first_alone", "second_alone")
    columns = [f"{part}_{unit}" for part in parts for unit in ("documents", "bytes")]
    decided = [
        (name, status, documents)
        for name, alone in (("first", runs.first_alone), ("second", runs.second_alone))
        for status, documents in (alone.statuses if alone else ())
    ]
    found = (
        _of_structs("settings-that-differ", runs.settings, fields),
        _of_structs("versions-that-differ", runs.versions, fields),
        DataTable("compared-sources", ("source", *columns, "first_byte_rate", "second_byte_rate"), tuple(rows)),
        DataTable("kept-alone", ("kept_by", "status_in_the_other", "documents"), tuple(decided)),
    )
    return {table.name: table for table in found}
