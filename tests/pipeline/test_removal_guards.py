"""A run that would throw a source away is stopped or warned of, and the summary shows how large clusters begin."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

import slimpajama
from slimpajama import TooMuchRemoved
from tests.corpus.shards import put


def page(seed: int) -> str:
    source = random.Random(seed)
    return " ".join("".join(source.choices("abcdefghijklmnopqrst", k=8)) for _ in range(40))


TEMPLATE = "Our \x1b[1mtown\u200b has  " + page(1)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Ten of c4's twelve documents are one page; arxiv has eight of its own."""
    return put(
        tmp_path / "in",
        {
            "arxiv/a.jsonl.gz": [page(100 + number) for number in range(8)],
            "c4/a.jsonl": [page(10), *[TEMPLATE] * 10, page(11)],
        },
    )


def test_a_source_that_would_lose_too_much_stops_the_run_before_it_writes(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(TooMuchRemoved) as caught:
        slimpajama.deduplicate(corpus, out, workers=1, max_removed_fraction=0.7)
    message = str(caught.value)
    assert message.startswith(
        "source 'c4' would lose 9 of 12 documents (75.0%) as duplicates across all sources, more than "
        "max_removed_fraction (0.7) allows; so would c4 within the source (75.0%); its largest clusters are 10 "
        "documents kept as 'Our "
        "\\x1b[1mtown\\u200b has "
    )
    assert message.endswith("else raise max_removed_fraction; no shard was written")
    assert caught.value.exit_code == 8
    assert not list(out.glob("global/**/*.zst"))
    assert not list(out.glob("local/**/*.zst"))


def test_a_higher_limit_goes_on_with_what_was_done(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(TooMuchRemoved):
        slimpajama.deduplicate(corpus, out, workers=1, max_removed_fraction=0.7)
    summary = slimpajama.deduplicate(corpus, out, workers=1, max_removed_fraction=0.75)
    before = [summary.stages[name] for name in ("read and sketch", "link", "cluster", "group", "decide")]
    assert all(stage.reused == stage.items for stage in before)
    assert summary.total.global_.kept.documents == 11


def test_only_scopes_that_are_written_count(tmp_path: Path) -> None:
    """c4 is all copies of arxiv: globally it goes, locally it stays."""
    source = put(
        tmp_path / "in",
        {"arxiv/a.jsonl": [page(number) for number in range(5)], "c4/a.jsonl": [page(number) for number in range(5)]},
    )
    sources = (slimpajama.SourceConfig(name="arxiv"), slimpajama.SourceConfig(name="c4"))
    settings = slimpajama.Config(workers=1, max_removed_fraction=0.5, sources=sources)
    slimpajama.deduplicate(source, tmp_path / "local", settings, scope="local")
    with pytest.raises(TooMuchRemoved, match="source 'c4' would lose 5 of 5 documents"):
        slimpajama.deduplicate(source, tmp_path / "global", settings, scope="global")


def test_status_says_what_would_stop_the_run(corpus: Path, tmp_path: Path) -> None:
    slimpajama.deduplicate(corpus, tmp_path / "out", workers=1)
    found = slimpajama.status(tmp_path / "out", settings={"max_removed_fraction": 0.5})
    assert "source 'c4' would lose 9 of 12 documents" in found.problem


def test_the_summary_shows_how_the_largest_clusters_begin(corpus: Path, tmp_path: Path) -> None:
    summary = slimpajama.deduplicate(corpus, tmp_path / "out", workers=1)
    (largest,) = summary.clusters.largest
    assert largest.documents == 10
    assert largest.beginning.startswith("Our \\x1b[1mtown\\u200b has ")
    assert len(largest.beginning) == 100
    assert summary.as_dict()["clusters"]["largest"][0]["beginning"] == largest.beginning


def test_a_large_source_that_is_nearly_all_removed_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": [page(1)] * 950 + [page(2 + number) for number in range(50)]})
    with caplog.at_level(logging.WARNING, "slimpajama"):
        slimpajama.deduplicate(source, tmp_path / "out", workers=1)
    warnings = [record.getMessage() for record in caplog.records if "are removed as" in record.getMessage()]
    assert warnings == [
        f"c4: 949 of 1,000 documents (94.9%) are removed as duplicates {where}; look at some: slimpajama duplicates "
        f"{tmp_path / 'out'} --source c4{option}; max_removed_fraction stops such a run"
        for where, option in (("across all sources", ""), ("within the source", " --scope local"))
    ]
    caplog.clear()
    small = put(tmp_path / "small", {"c4/a.jsonl": [page(1)] * 999})
    with caplog.at_level(logging.WARNING, "slimpajama"):
        slimpajama.deduplicate(small, tmp_path / "out2", workers=1)
    assert [record for record in caplog.records if "are removed as" in record.getMessage()] == []
