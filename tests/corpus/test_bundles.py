"""Small shards are read together: which, in what order, under what names, and how little moves when one changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.config.dedup import SourceConfig
from slimpajama.corpus.bundle_records import bundle_records
from slimpajama.corpus.bundles import USUAL_LIMITS, BundleLimits
from slimpajama.corpus.discovery import POSITION_BITS, Corpus, discover
from slimpajama.corpus.fields import TEXT_ALONE
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import read_records
from slimpajama.dedup.stages.diff import spans_of
from tests.corpus.shards import put

TINY = BundleLimits(fewest=2, small_bytes=100, most_shards=4, most_bytes=256)
"""A shard counts for at least 64 bytes: four fill a bundle."""


def sized(**sizes: int) -> dict[str, bytes]:
    return {f"c4/{name}.jsonl": b" " * size for name, size in sizes.items()}


def bundles_of(corpus: Corpus) -> list[tuple[str, list[str]]]:
    """The name of each bundle, and the stems of its files."""
    return [
        (bundle.name, [piece.file.relative.split(".")[0].split("/")[-1] for piece in bundle.pieces])
        for bundle in corpus.bundles
    ]


def test_successive_small_shards_of_a_source_are_bundled(tmp_path: Path) -> None:
    put(tmp_path, sized(a=10, b=20, c=99, d=100, e=5, f=5) | {"arxiv/x.jsonl": b" ", "arxiv/y.jsonl": b" "})
    corpus = discover(tmp_path, bundles=TINY)
    assert bundles_of(corpus) == [
        ("arxiv/x", ["x"]),  # two are too few
        ("arxiv/y", ["y"]),
        ("c4/a-and-more", ["a", "b", "c"]),
        ("c4/d", ["d"]),  # not small
        ("c4/e-and-more", ["e", "f"]),
    ]
    assert [shard.index for shard in corpus.shards] == list(range(8)), "ids are as without bundles"
    assert corpus.pieces == discover(tmp_path).pieces


def test_without_many_small_shards_each_piece_is_a_bundle_of_its_own(tmp_path: Path) -> None:
    corpus = discover(put(tmp_path, sized(**{f"s{number}": 300 for number in range(USUAL_LIMITS.fewest)})))
    assert [(bundle.pieces, bundle.name, bundle.suffix) for bundle in corpus.bundles] == [
        ((piece,), piece.name, piece.part_suffix) for piece in corpus.pieces
    ]


def test_one_shard_more_and_all_are_bundled(tmp_path: Path) -> None:
    corpus = discover(put(tmp_path, sized(**{f"s{number}": 1 for number in range(USUAL_LIMITS.fewest + 1)})))
    assert len(corpus.bundles) == 1


def test_a_bundle_ends_at_so_much_text_or_so_many_shards(tmp_path: Path) -> None:
    put(tmp_path, sized(a=65, b=64, c=64, d=1, e=1, f=1, g=1, h=1, i=1))
    assert [own for _, own in bundles_of(discover(tmp_path, bundles=TINY))] == [
        ["a", "b", "c"],  # 128 + 64 + 64
        ["d"],  # the fourth of the source: each four are cut from the next
        ["e", "f", "g", "h"],
        ["i"],
    ]


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"a": 99}, {"c4/a-and-more"}),  # as many bytes, rounded up
        ({"a": 30}, {"c4/a-and-more", "c4/d"}),  # rounded down, and yet nothing behind the fourth moves
        ({"j": 1}, {"c4/i"}),
    ],
)
def test_a_change_of_one_shard_moves_few_bundles(tmp_path: Path, change: dict[str, int], moved: set[str]) -> None:
    before = {"a": 65, "b": 64, "c": 64, "d": 1, "e": 1, "f": 1, "g": 1, "h": 1, "i": 1}
    first = bundles_of(discover(put(tmp_path / "1", sized(**before)), bundles=TINY))
    second = bundles_of(discover(put(tmp_path / "2", sized(**(before | change))), bundles=TINY))
    assert {name for name, own in first if (name, own) not in second} <= moved


def test_a_bundle_is_named_as_no_shard_is(tmp_path: Path) -> None:
    put(tmp_path, sized(a=1, b=1, **{"a-and-more": 1, "a-and-more-and-more": 300}))
    assert bundles_of(discover(tmp_path, bundles=TINY)) == [
        ("c4/a-and-more-and-more", ["a-and-more-and-more"]),
        ("c4/a-and-more-and-more-and-more", ["a-and-more", "a", "b"]),
    ]


def test_shards_of_sources_that_lie_among_each_other_are_bundled_apart(tmp_path: Path) -> None:
    put(tmp_path, {f"d/{letter}{number}.jsonl": b" " for number in range(3) for letter in "xy"})
    sources = [SourceConfig(name=letter, paths=(f"d/{letter}*",)) for letter in "yx"]
    corpus = discover(tmp_path, sources, bundles=TINY)
    assert bundles_of(corpus) == [("d/x0-and-more", ["x0", "x1", "x2"]), ("d/y0-and-more", ["y0", "y1", "y2"])]
    assert spans_of(corpus.bundles[0]) == ((3 << POSITION_BITS, 6 << POSITION_BITS),)


def test_files_whose_records_name_their_sources_are_bundled_file_by_file(tmp_path: Path) -> None:
    record = b'{"text":"t","meta":{"redpajama_set_name":"RedPajamaC4"}}'
    corpus = discover(put(tmp_path, {f"{name}.jsonl": record for name in "abc"}), bundles=TINY, layout="records")
    (bundle,) = corpus.bundles
    assert bundle.name == "a-and-more"
    assert len(bundle.shards) == 3 * len(corpus.sources)
    last = corpus.sources.index(corpus.sources[-1])
    ids = np.array([shard.index << POSITION_BITS | 7 for shard in corpus.shards if shard.source == last], np.uint64)
    assert bundle.numbers_of(ids).tolist() == [0, 1, 2]
    assert bundle.piece_of(int(ids[1])).file.relative == "b.jsonl"


LIMITS = st.builds(
    BundleLimits,
    fewest=st.integers(0, 4),
    small_bytes=st.integers(0, 120),
    most_shards=st.integers(1, 5),
    most_bytes=st.integers(5, 400),
)


@given(st.lists(st.tuples(st.sampled_from(["arxiv", "c4"]), st.integers(0, 150)), min_size=1, max_size=20), LIMITS)
def test_bundles_hold_each_piece_once_and_ids_in_order(
    tmp_path_factory: pytest.TempPathFactory, shards: list[tuple[str, int]], limits: BundleLimits
) -> None:
    tree = {f"{source}/{number:02d}.jsonl": b" " * size for number, (source, size) in enumerate(shards)}
    corpus = discover(put(tmp_path_factory.mktemp("tree"), tree), piece_bytes=64, bundles=limits)
    held = [piece for bundle in corpus.bundles for piece in bundle.pieces]
    assert sorted(held, key=corpus.pieces.index) == list(corpus.pieces)
    assert len({bundle.name for bundle in corpus.bundles}) == len(corpus.bundles)
    for bundle in corpus.bundles:
        indexes = [piece.shards[0].index for piece in bundle.pieces]
        assert indexes == list(range(indexes[0], indexes[0] + len(indexes)))
        assert len({piece.shards[0].source for piece in bundle.pieces}) == 1
        if len(bundle.pieces) > 1:
            assert len(bundle.pieces) <= limits.most_shards
            assert all(piece.parts == 1 and piece.file.size < limits.small_bytes for piece in bundle.pieces)
            ((low, high),) = spans_of(bundle)
            assert (low, high) == (indexes[0] << POSITION_BITS, (indexes[-1] + 1) << POSITION_BITS)
            firsts = np.array(indexes, dtype=np.uint64) << np.uint64(POSITION_BITS)
            assert bundle.numbers_of(firsts).tolist() == list(range(len(indexes)))


SHARDS = {
    "c4/a.jsonl": [{"text": "one", "id": "1"}, {"text": "two", "id": "2"}],
    "c4/b.jsonl.gz": b"",
    "c4/c.jsonl": b'{"text": "three", "n": NaN}\n{"text": 4}\n\n{"text": "five", "id": "5"}\n',
    "c4/d.parquet": [{"text": "six"}, {"text": "seven"}],
}


@pytest.mark.parametrize("block_bytes", [8 << 20, 60, 1])
def test_the_records_of_a_bundle_are_those_of_its_pieces_in_order(tmp_path: Path, block_bytes: int) -> None:
    limits = BundleLimits(fewest=1, small_bytes=1 << 16)
    (bundle,) = discover(put(tmp_path, SHARDS), bundles=limits).bundles
    reader, contents = LineReader(block_bytes=block_bytes), list[str]()
    batches = list(bundle_records(bundle, reader, TEXT_ALONE, contents))
    alone = [batch for piece in bundle.pieces for batch in read_records(piece, reader)]
    texts = [[text for batch in found for text in batch.texts.decoded()] for found in (batches, alone)]
    assert texts[0] == texts[1] == ["one", "two", "three", "five", "six", "seven"]
    for column in ("ids", "sources", "sizes"):
        together, one_by_one = (
            [value for batch in found for value in getattr(batch, column).tolist()] for found in (batches, alone)
        )
        assert together == one_by_one, column
    told = [
        [(batch.ids[index], bad) for batch in found for index, bad in sorted(batch.bad.items())]
        for found in (batches, alone)
    ]
    assert told[0] == told[1]
    assert [document for document, _ in told[0]] == [(2 << POSITION_BITS) + 28]
    mended = [[int(batch.ids[index]) for batch in found for index in batch.repaired] for found in (batches, alone)]
    assert mended[0] == mended[1] == [2 << POSITION_BITS]
    if block_bytes == 8 << 20:
        assert len(batches) == 1
    singly: list[str] = []
    for single in discover(tmp_path).bundles:
        assert list(bundle_records(single, reader, TEXT_ALONE, singly)) or single.first.file.size < 40
    assert contents == singly, "the digest of each shard does not depend on what it is read with"


def test_a_bundle_holds_shards_of_one_published_split(tmp_path: Path) -> None:
    """What is read together leaves one file, which is of one split."""
    names = [f"{folder}/{name}.jsonl" for folder in ("train", "validation", "test") for name in "abc"]
    labels = [{"text": "t", "meta": {"redpajama_set_name": f"RedPajama{name}"}} for name in ("C4", "Wikipedia")]
    for root, records in (("one", ["t"]), ("mixed", labels)):
        corpus = discover(put(tmp_path / root, dict.fromkeys(names, records)), bundles=USUAL_LIMITS)
        assert len(corpus.bundles) == 9
        corpus = discover(tmp_path / root, bundles=BundleLimits(fewest=2, small_bytes=1000))
        of_bundles = [{piece.file.relative.split("/")[0] for piece in bundle.pieces} for bundle in corpus.bundles]
        assert of_bundles == [{"test"}, {"train"}, {"validation"}]
