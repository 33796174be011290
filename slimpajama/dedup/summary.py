"""The figures of a run: per source and scope, who overlaps whom, how long it took; as JSON and as a table to read.

The duplicate share of bytes is the paper's "byte deduplication rate" per source: (duplicate + short) / read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from slimpajama.corpus.discovery import Corpus
from slimpajama.corpus.left_out import held_out_counts
from slimpajama.dedup.banding import catch_probability
from slimpajama.dedup.stages.cluster import ClusterResult
from slimpajama.dedup.verdicts import Tally
from slimpajama.text_table import aligned
from slimpajama.versions import versions

__all__ = ["catch_line", "run_summary", "source_figures", "table"]

EARLIER = "(earlier run)"
"""Whose the survivors are that were deduplicated before."""


def source_figures(tally: Tally, names: Sequence[str]) -> dict[str, Any]:
    """Per source and in all: documents and bytes read, short and bad, and kept and duplicate in each scope."""
    figures: dict[str, Any] = {}
    total = tally.counts.sum(axis=0)
    for name, counts in (*zip(names, tally.counts, strict=True), ("total", total)):
        read, short, bad, kept_global, kept_local, sound = counts.tolist()
        figures[name] = {
            "read": _both(read),
            "short": _both(short),
            "bad": _both(bad),
            "global": {"kept": _both(kept_global), "duplicate": _both(_less(sound, kept_global))},
            "local": {"kept": _both(kept_local), "duplicate": _both(_less(sound, kept_local))},
        }
    return figures


def _both(pair: Sequence[int]) -> dict[str, int]:
    return {"documents": pair[0], "bytes": pair[1]}


def _less(whole: Sequence[int], part: Sequence[int]) -> list[int]:
    return [whole[0] - part[0], whole[1] - part[1]]


def run_summary(
    corpus: Corpus,
    tally: Tally,
    clusters: ClusterResult,
    bands: int,
    rows: int,
    stages: dict[str, dict[str, Any]],
    seconds: float,
    compile_seconds: float = 0.0,
) -> dict[str, Any]:
    """What a finished run writes to ``summary.json``, but its settings.

    A stage has a speed, and the run one, only where nothing of an earlier run was reused; the
    time it took to compile kernels is not counted.
    """
    names = [source.name for source in corpus.sources]
    megabytes = int(tally.counts[:, 0, 1].sum()) / 1e6
    speeds = {
        name: stage | ({} if stage["reused"] else {"mb_per_second": round(megabytes / max(stage["seconds"], 1e-3), 1)})
        for name, stage in stages.items()
    }
    complete = not any(stage["reused"] for stage in stages.values())
    chances = {f"{at / 100:.2f}": round(catch_probability(at / 100, bands, rows), 4) for at in range(50, 100, 5)}
    return {
        "input": str(corpus.root),
        "sources": source_figures(tally, names),
        "overlap": {
            "sources": names,
            "survivors": [*names, EARLIER][: tally.owners],
            "documents": tally.removed[:, :, 0].tolist(),
            "bytes": tally.removed[:, :, 1].tolist(),
            "clusters": [list(row) for row in clusters.shared],
        },
        "clusters": {
            "linked": clusters.linked,
            "clusters": clusters.clusters,
            "largest": [msgspec.to_builtins(one) for one in clusters.largest],
        },
        "lsh": {"bands": bands, "rows": rows, "catch_probability": chances},
        "versions": versions(),
        "shards": {
            "files": len(corpus.files),
            "pieces": len(corpus.pieces),
            "ignored": list(corpus.ignored),
            "held_out": held_out_counts(corpus),
        },
        "stages": speeds,
        "seconds": round(seconds, 3),
        "compile_seconds": round(compile_seconds, 3),
        "mb_per_second": round(megabytes / (seconds - compile_seconds), 1) if complete else None,
    }


def catch_line(bands: int, rows: int) -> str:
    """One line: the chance that a pair is linked, at Jaccard 0.5 to 0.95."""
    chances = ", ".join(
        f"{similarity:.2f}: {catch_probability(similarity, bands, rows):.1%}"
        for similarity in (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
    )
    return f"{bands} bands x {rows} rows link a pair of Jaccard {chances}"


def table(summary: Mapping[str, Any]) -> str:
    """The per-source table, the overlap matrix and the speed, for a terminal."""
    lines: list[tuple[str, ...]] = [
        (
            "source",
            "documents",
            "MB",
            "bad",
            "short",
            "dup. local",
            "dup. global",
            "kept local",
            "kept global",
            "% cut local",
            "% cut global",
        )
    ]
    for name, figures in summary["sources"].items():
        read = figures["read"]
        lines.append(
            (
                name,
                f"{read['documents']:,}",
                f"{read['bytes'] / 1e6:,.1f}",
                f"{figures['bad']['documents']:,}",
                f"{figures['short']['documents']:,}",
                f"{figures['local']['duplicate']['documents']:,}",
                f"{figures['global']['duplicate']['documents']:,}",
                f"{figures['local']['kept']['documents']:,}",
                f"{figures['global']['kept']['documents']:,}",
                _cut(figures, "local"),
                _cut(figures, "global"),
            )
        )
    return aligned(lines, rule_before_last=True) + "\n\n" + _overlap(summary)


def _cut(figures: Mapping[str, Any], scope: str) -> str:
    read = figures["read"]["bytes"]
    cut = figures[scope]["duplicate"]["bytes"] + figures["short"]["bytes"]
    return f"{100 * cut / read:.2f}" if read else "-"


def _overlap(summary: Mapping[str, Any]) -> str:
    names = summary["overlap"]["sources"]
    matrix = summary["overlap"]["documents"]
    lines = [("removed from, kept in", *summary["overlap"]["survivors"])]
    lines += [
        (name, *(f"{count:,}" if count else "." for count in row)) for name, row in zip(names, matrix, strict=True)
    ]
    return "Global duplicates, by the source of the document removed and of the one kept for it:\n" + aligned(lines)
