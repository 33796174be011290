"""The ground truth against the files themselves, and against Python sets."""

from __future__ import annotations

from collections import Counter

from tests.sample.sample_reading import WrittenSample, jaccard_of_sets, shingles


def test_every_pair_is_where_it_says_and_as_similar_as_it_says(sample: WrittenSample) -> None:
    assert len(sample.pairs) > 100
    for pair in sample.pairs:
        first = sample.records[pair["shard_a"]][pair["position_a"]]["text"]
        second = sample.records[pair["shard_b"]][pair["position_b"]]["text"]
        assert pair["jaccard"] == jaccard_of_sets(first, second)
        assert (pair["kind"] == "exact") == (first == second)
        assert pair["shard_a"].startswith(pair["source_a"] + "/")
        assert pair["shard_b"].startswith(pair["source_b"] + "/")


def test_similarities_spread_over_the_range_and_lie_near_their_targets(sample: WrittenSample) -> None:
    near = [pair for pair in sample.pairs if pair["jaccard"] < 1]
    bins = Counter(int(pair["jaccard"] * 10) for pair in near)
    assert all(bins[tenth] for tenth in range(3, 10))
    assert sum(bins[tenth] for tenth in range(6, 10)) > 0.6 * len(near)
    off = sorted(abs(pair["jaccard"] - pair["target"]) for pair in near)
    assert off[len(off) // 2] < 0.02
    assert off[-1] < 0.25


def test_a_tenth_to_a_sixth_of_the_documents_are_copies_within_and_across_sources(sample: WrittenSample) -> None:
    assert 0.10 < len(sample.pairs) / sample.summary.documents < 0.16
    assert 0.15 < sum(pair["kind"] == "exact" for pair in sample.pairs) / len(sample.pairs) < 0.35
    crossings = Counter((pair["source_a"], pair["source_b"]) for pair in sample.pairs)
    assert crossings["common_crawl", "c4"] > 5
    assert crossings["c4", "common_crawl"] > 2
    assert {source for source, other in crossings if source == other} == set(sample.truth["sources"])


def test_some_originals_have_several_copies_and_no_copy_is_copied(sample: WrittenSample) -> None:
    originals = Counter((pair["shard_a"], pair["position_a"]) for pair in sample.pairs)
    copies = {(pair["shard_b"], pair["position_b"]) for pair in sample.pairs}
    assert not copies & set(originals)
    assert len(copies) == len(sample.pairs)
    assert max(originals.values()) >= 3
    assert sum(count == 1 for count in originals.values()) > len(originals) / 2


def test_documents_that_are_no_pair_are_unlike(sample: WrittenSample) -> None:
    paired = {(pair[f"shard_{side}"], pair[f"position_{side}"]) for pair in sample.pairs for side in "ab"}
    for source in sample.truth["sources"]:
        found = []
        for path, records in sample.records.items():
            if path.startswith(source + "/"):
                found += [
                    shingles(record["text"][:20_000])
                    for position, record in records.items()
                    if (path, position) not in paired and len(record["text"]) > 200
                ]
        found = found[:40]
        highest = max(len(a & b) / len(a | b) for i, a in enumerate(found) for b in found[:i])
        assert highest < 0.2, source
