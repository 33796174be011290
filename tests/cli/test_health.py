"""What the commands say of the health of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slimpajama.cli.health import health_lines
from slimpajama.dedup.removal_sample import RemovalSample
from slimpajama.dedup.stages.group import LargeCluster
from slimpajama.dedup.summary import ClusterFigures, Count, ScopeFigures, SourceFigures
from tests.dedup.summaries import dedup_summary


def removing(documents: int) -> SourceFigures:
    """A source that loses so many documents."""
    nothing, lost = Count(0, 0), Count(documents, documents)
    scope = ScopeFigures(nothing, lost, nothing, lost)
    return SourceFigures(lost, nothing, nothing, scope, scope, 0)


def test_nothing_is_said_of_nothing() -> None:
    small = ClusterFigures(9, 1, (LargeCluster(5, 9, "nine"),))
    assert health_lines(dedup_summary(clusters=small), Path("out")) == ""


def test_the_look_at_removals_and_the_largest_clusters_in_plain_words() -> None:
    sample = RemovalSample.of(
        1, 0.8, {"c4": np.array([1.0] * 8 + [0.95] * 4 + [0.41]), "arxiv": np.array([0.85, 0.79])}
    )
    clusters = ClusterFigures(
        2000, 2, (LargeCluster(0x10000000005, 1204, "Welcome \x1b[31mto " + "x" * 100), LargeCluster(7, 20))
    )
    summary = dedup_summary(looked_at=sample, clusters=clusters, sources={"c4": removing(900), "arxiv": removing(100)})
    assert health_lines(summary, Path("out")).splitlines() == [
        "A look at 15 removals, each against the document that stays, by exact Jaccard similarity:",
        # Of c4 1 in 13 of its 900 removals, of arxiv half of its 100.
        "  2 are below 0.8, which makes about 11.9% of all removals, the least alike pair at 0.41",
        "  0.4 to 0.5  ##### 1",
        "  0.7 to 0.8  ##### 1",
        "  0.8 to 0.9  ##### 1",
        "  0.9 to 1.0  #################### 4",
        "  equal sets  ######################################## 8",
        "  below 0.8, by source: arxiv 1 of 2, c4 1 of 13",
        "  (slimpajama duplicates out --below 0.8)",
        "",
        "Largest clusters, documents in each, and how the one that stays begins:",
        "  1,204  0x10000000005  Welcome \\x1b[31mto " + "x" * 53 + "…",
        "     20  0x7            (not read)",
        "  (slimpajama explain out 0x10000000005 --members 20)",
    ]


def test_where_none_is_below_the_threshold_that_is_said() -> None:
    sample = RemovalSample.of(1, 0.8, {"c4": np.array([0.9, 1.0])})
    summary = dedup_summary(looked_at=sample, sources={"c4": removing(2)})
    lines = health_lines(summary, Path("out")).splitlines()
    assert lines[1] == "  none below 0.8, the least alike pair at 0.90"
