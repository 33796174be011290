"""What the commands say of the health of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slimpajama.cli.health import health_lines
from slimpajama.dedup.removal_sample import RemovalSample
from slimpajama.dedup.stages.group import LargeCluster
from slimpajama.dedup.summary import ClusterFigures
from tests.dedup.summaries import dedup_summary


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
    assert health_lines(dedup_summary(looked_at=sample, clusters=clusters), Path("out")).splitlines() == [
        "A look at 15 removals, each against the document that stays, by exact Jaccard similarity:",
        "  2 (13.3%) are below 0.8, the least alike pair at 0.41",
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
    lines = health_lines(dedup_summary(looked_at=sample), Path("out")).splitlines()
    assert lines[1] == "  none below 0.8, the least alike pair at 0.90"
