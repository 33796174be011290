"""The tables a user reads at the end of a run."""

from __future__ import annotations

from slimpajama.cli.tables import catch_line, summary_table
from slimpajama.dedup.run_summary import source_figures
from slimpajama.dedup.summary import DedupSummary, Overlap
from slimpajama.dedup.tally import Tally
from tests.dedup.summaries import COUNTS, NAMES, REMOVED, STOOD_FOR, dedup_summary


def summary() -> DedupSummary:
    tally = Tally(3, 3)
    tally.merge(COUNTS, REMOVED, STOOD_FOR)
    tally.check(NAMES)
    nothing = ((0, 0, 0),) * 3
    shared = ((100, 50, 0), (5, 0, 0), (0, 0, 0))
    return dedup_summary(
        sources=source_figures(tally, NAMES, [0, 0, 0]),
        overlap=Overlap(NAMES, NAMES, ((38, 50, 0), (0, 0, 0), (0, 0, 0)), nothing, shared, nothing, nothing),
    )


def test_the_catch_line_gives_the_chances_of_the_chosen_bands() -> None:
    assert catch_line(9, 13) == (
        "9 bands x 13 rows link a pair of Jaccard 0.50: 0.1%, 0.60: 1.2%, 0.70: 8.4%, 0.80: 39.9%, 0.85: 68.6%, "
        "0.90: 92.9%, 0.95: 99.8%"
    )


CUT, CUT_OF_ALL = ("3.99", "9.99"), ("3.92", "9.81")


def test_the_table_has_a_row_per_source_a_total_and_the_overlap_of_sources() -> None:
    lines = [line.split() for line in summary_table(summary()).splitlines()]
    assert lines[2] == ["common_crawl", "1,000", "5.0", "2", "10", *("38", "30", "88", "60"), "950", "900", *CUT]
    assert lines[3] == ["books", "20", "0.1", *["0"] * 6, "20", "20", "0.00", "0.00"]
    assert lines[4] == ["empty", "0", "0.0", *["0"] * 8, "-", "-"]
    assert lines[6] == ["total", "1,020", "5.1", "2", "10", *("38", "30", "88", "60"), "970", "920", *CUT_OF_ALL]
    assert lines[11:14] == [["common_crawl", "38", "50", "."], ["books", ".", ".", "."], ["empty", ".", ".", "."]]
    assert lines[-3:] == [["common_crawl", "10.00", "5.00", "."], ["books", "25.00", ".", "."], ["empty", *"..."]]


def test_columns_of_the_table_are_aligned() -> None:
    first = summary_table(summary()).split("\n\n")[0].splitlines()
    assert len({len(line) for line in first}) == 1
