"""The files are RedPajama's in name, keys and faults."""

from __future__ import annotations

import re
from itertools import pairwise

import orjson
import pytest
import zstandard

from slimpajama.sample.broken import BROKEN_LINES, broken_lines
from slimpajama.sample.layout import shards
from slimpajama.sample.roles import SampleSpec
from tests.sample.sample_reading import WrittenSample

KEYS = {
    "common_crawl": ["text", "pred_label", "pred_label_prob", "wiki_prob", "source"],
    "c4": ["timestamp", "url", "language", "source"],
    "github": [
        *("content_hash", "timestamp", "source", "line_count", "max_line_length", "avg_line_length", "alnum_prop"),
        *("repo_name", "id", "size", "binary", "copies", "ref", "path", "mode", "license", "language"),
    ],
    "books": ["short_book_title", "publication_date", "url"],
    "arxiv": ["timestamp", "yymm", "arxiv_id", "language", "url"],
    "wikipedia": ["title", "url", "language", "timestamp"],
    "stackexchange": ["language", "url", "timestamp", "source", "question_score"],
}
NAMES = {
    "common_crawl": r"common_crawl/20\d\d-\d\d/en_head_\d{4}\.json\.gz\.dedup\.classifier\.jsonl\.zst",
    "c4": r"c4/c4-train\.\d{5}-of-\d{5}\.jsonl\.zst",
    "github": r"github/filtered_[0-9a-f]{32}\.sampled\.jsonl\.zst",
    "books": r"books/book\.\d{5}\.jsonl\.zst",
    "arxiv": r"arxiv/arxiv_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.jsonl\.zst",
    "wikipedia": r"wikipedia/wiki\.\d{5}\.jsonl\.zst",
    "stackexchange": r"stackexchange/stackexchange\.\d{5}\.jsonl\.zst",
}


@pytest.mark.parametrize("source", KEYS)
def test_files_and_records_have_the_published_shape(sample: WrittenSample, source: str) -> None:
    paths = [path for path in sample.records if path.startswith(source + "/")]
    assert len(paths) == (5 if source == "common_crawl" else 2)
    for path in paths:
        assert re.fullmatch(NAMES[source], path)
        for record in sample.records[path].values():
            assert list(record) == (KEYS[source] if source == "common_crawl" else ["text", "meta"])
            assert source == "common_crawl" or list(record["meta"]) == KEYS[source]


def test_json_is_spaced_as_published_and_escaped_where_published(sample: WrittenSample) -> None:
    escaped = {"c4", "github", "arxiv", "stackexchange"}
    for path, lines in sample.lines.items():
        good = [line for position, line in lines if position in sample.records[path]]
        assert all(line.startswith(b'{"text": "') for line in good)
        if path.split("/")[0] in escaped:
            assert all(line.isascii() for line in good)
    assert any(not line.isascii() for path in sample.lines if "common_crawl" in path for _, line in sample.lines[path])


def test_each_file_is_one_zstd_frame(sample: WrittenSample) -> None:
    for path in sample.truth["files"]:
        whole = zstandard.ZstdDecompressor().decompressobj()
        whole.decompress((sample.out / path).read_bytes())
        assert whole.eof
        assert whole.unused_data == b""


def test_github_figures_are_true_of_the_text(sample: WrittenSample) -> None:
    path = next(path for path in sample.records if path.startswith("github/"))
    for record in sample.records[path].values():
        widths = [len(line) for line in record["text"].split("\n")]
        meta = record["meta"]
        assert (meta["line_count"], meta["max_line_length"]) == (len(widths), max(widths))
        assert meta["size"] == str(len(record["text"].encode()))
        if record["text"].isascii():
            assert meta["alnum_prop"] == sum(map(str.isalnum, record["text"])) / len(record["text"])


def test_broken_lines_are_few_and_kept_out_of_small_shards(sample: WrittenSample) -> None:
    assert sample.summary.broken > 0
    assert sample.summary.blank > 0
    for path, lines in sample.lines.items():
        blank = sum(line == b"\n" for _, line in lines)
        broken = len(lines) - blank - len(sample.records[path])
        assert broken <= 0.005 * len(sample.records[path])


@pytest.mark.parametrize(("records", "broken"), [(199, 0), (200, 1), (399, 1), (400, 2), (1_000_000, 2)])
def test_a_shard_gets_a_broken_line_per_200_records_and_at_most_two(records: int, broken: int) -> None:
    placed = broken_lines(1, 7, records)
    lines = [line for group in placed.values() for line in group]
    assert sum(line != b"\n" for line in lines) == broken
    assert all(0 <= place < records for place in placed)


def test_six_neighbouring_shards_show_every_fault() -> None:
    seen = {line for shard in range(6) for group in broken_lines(1, shard, 250).values() for line in group}
    assert seen == {*BROKEN_LINES.values(), b"\n"}


@pytest.mark.parametrize("fault", BROKEN_LINES)
def test_no_fault_is_a_usable_record(fault: str) -> None:
    try:
        record = orjson.loads(BROKEN_LINES[fault])
    except orjson.JSONDecodeError:
        return
    assert not isinstance(record, dict) or not isinstance(record.get("text"), str)


def test_a_large_sample_has_many_shards_of_bounded_size_that_hold_every_document_once() -> None:
    recipe = SampleSpec(1, 27_000_000)  # about 100 GB
    planned = shards(recipe)
    assert 1500 < len(planned) < 4000
    assert [shard.number for shard in planned] == list(range(len(planned)))
    assert len({shard.path for shard in planned}) == len(planned)
    for kind, count in enumerate(recipe.counts()):
        runs = [(shard.start, shard.stop) for shard in planned if shard.kind == kind]
        assert runs[0][0] == 0
        assert runs[-1][1] == count
        assert all(before[1] == after[0] for before, after in pairwise(runs))
