"""Links join exactly what agrees: against all pairs, against datasketch's index, and however keys are cut."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import InputError, signature
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.files.sketches import BAD, SHORT, SOUND, Rows, RowShape, RowsWriter
from slimpajama.dedup.key_table import KeyedDocuments, links_of_keys
from slimpajama.dedup.lsh import BYTES_PER_KEY, KeyRange, key_ranges, read_links
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.sketcher import Sketcher
from slimpajama.dedup.stages.link import LinkPayload, LinkStage
from slimpajama.storage.atomic import atomic_file, write_json
from tests.dedup.pairs import clusters_of_pairs, pairs_of, plain
from tests.twins import components

FIRST_SHARDS = (0, 2, 5)
"""Three sources: of two shards, of three, and of all further ones."""

DOCUMENTS = st.dictionaries(
    st.builds(lambda shard, position: (shard << 40) + position, st.integers(0, 7), st.integers(0, 9)),
    st.integers(0, 12) | st.integers(2**64 - 2, 2**64 - 1),
    max_size=60,
)
"""Document ids with their keys; few keys, so that many agree."""


def uint64(values: object) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def source_of(document: int) -> int:
    return sum(first <= document >> 40 for first in FIRST_SHARDS) - 1


def linked_pairs(keys: dict[int, int]) -> set[tuple[int, int]]:
    links = links_of_keys(KeyedDocuments(uint64(list(keys.values())), uint64(list(keys))), plain(FIRST_SHARDS))
    documents, anchors = pairs_of(links)
    assert (np.diff(links.documents.astype(np.int64)) > 0).all()
    assert np.array_equal(np.unique(anchors), links.anchors)
    return set(zip(documents.tolist(), anchors.tolist(), strict=True))


def agreeing_pairs(keys: dict[int, int]) -> list[tuple[int, int]]:
    """All pairs of documents with one key, by a dictionary."""
    by_key = defaultdict(list)
    for document, key in keys.items():
        by_key[key].append(document)
    return [pair for documents in by_key.values() for pair in combinations(documents, 2)]


def within_one_source(pairs: Iterator[tuple[int, int]] | list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(left, right) for left, right in pairs if source_of(left) == source_of(right)]


def test_each_document_is_linked_to_the_first_of_its_source_and_that_to_the_first_of_all() -> None:
    a1, a2, a3 = 1, 2, (1 << 40) + 1
    b1, b2 = (2 << 40) + 1, (4 << 40) + 9
    c1 = (6 << 40) + 1
    keys = {b2: 5, a3: 5, c1: 5, a1: 5, b1: 5, a2: 5, 3: 6, (5 << 40): 7}
    assert linked_pairs(keys) == {(a2, a1), (a3, a1), (b1, a1), (b2, b1), (c1, a1)}


def test_keys_that_nobody_shares_give_no_links() -> None:
    assert linked_pairs({document: document for document in range(50)}) == set()
    assert linked_pairs({}) == set()


def test_a_run_of_many_equal_keys_costs_one_link_per_document() -> None:
    count = 200_000
    links = links_of_keys(KeyedDocuments(np.full(count, 9, np.uint64), np.arange(count, dtype=np.uint64)), plain([0]))
    documents, anchors = pairs_of(links)
    assert documents.size == count - 1
    assert not anchors.any()


@given(DOCUMENTS)
def test_links_join_what_agrees_and_nothing_else(keys: dict[int, int]) -> None:
    assert components(keys, linked_pairs(keys)) == components(keys, agreeing_pairs(keys))


@given(DOCUMENTS)
def test_links_within_a_source_join_what_agrees_within_it(keys: dict[int, int]) -> None:
    expected = components(keys, within_one_source(agreeing_pairs(keys)))
    assert components(keys, within_one_source(list(linked_pairs(keys)))) == expected


@given(DOCUMENTS)
def test_a_link_points_to_a_smaller_id(keys: dict[int, int]) -> None:
    assert all(anchor < document for document, anchor in linked_pairs(keys))


@given(DOCUMENTS, st.randoms())
def test_the_order_of_documents_does_not_matter(keys: dict[int, int], shuffler: random.Random) -> None:
    shuffled = list(keys.items())
    shuffler.shuffle(shuffled)
    assert linked_pairs(dict(shuffled)) == linked_pairs(keys)


# ---------------------------------------------------------------------------------------------- ranges of keys


@pytest.mark.parametrize(
    ("documents", "memory", "ranges"),
    [
        (0, 64 << 20, 1),
        (1_000, BYTES_PER_KEY * 1_000, 1),
        (1_001, BYTES_PER_KEY * 1_000, 2),
        (1_000_000, BYTES_PER_KEY * 1_000, 1_000),
    ],
)
def test_ranges_are_as_many_as_memory_demands(documents: int, memory: int, ranges: int) -> None:
    assert key_ranges(documents, memory) == ranges


@given(st.integers(0, 10**10), st.integers(1 << 20, 1 << 42))
def test_a_range_stays_within_the_memory(documents: int, memory: int) -> None:
    ranges = key_ranges(documents, memory)
    assert documents * BYTES_PER_KEY <= memory * ranges
    assert ranges == 1 or documents * BYTES_PER_KEY > memory * (ranges - 1), "no more than needed"


def rows_of(ids: list[int], keys: list[int], status: list[int]) -> Rows:
    count = len(ids)
    return Rows(
        ids=uint64(ids),
        sources=np.zeros(count, dtype=np.uint8),
        status=np.array(status, dtype=np.uint8),
        bytes=np.full(count, 500),
        cleaned=np.full(count, 400),
        rewritten=np.zeros(count, dtype=np.bool_),
        keys=np.stack([np.ones(count, dtype=np.uint64), uint64(keys)], axis=1),
        hashes=np.zeros((count, 2), dtype=np.uint64),
    )


@pytest.fixture(scope="module")
def rows_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows files of two bands: 3,000 documents whose keys span all 64 bits, one key in three shared."""
    folder = tmp_path_factory.mktemp("rows")
    generator = random.Random(7)
    pool = [0, 1, 2**32 - 1, 2**32, 2**64 - 1, *(generator.getrandbits(64) for _ in range(1500))]
    paths = []
    for shard in (1, 6):
        ids = [(shard << 40) + position for position in range(1500)]
        keys = [generator.choice(pool) for _ in ids]
        status = generator.choices([SOUND, SHORT, BAD], weights=[8, 1, 1], k=len(ids))
        paths.append(folder / f"{shard}.arrow")
        with atomic_file(paths[-1]) as file, RowsWriter(file, RowShape(2)) as writer:
            writer.append(rows_of(ids[:700], keys[:700], status[:700]))
            writer.append(rows_of(ids[700:], keys[700:], status[700:]))
    write_json(folder / "rows.json", [str(path) for path in paths])
    return folder / "rows.json"


def links_in_ranges(rows_list: Path, ranges: int, band: int = 1, **limits: int) -> tuple[list[tuple[int, int]], int]:
    links: list[tuple[int, int]] = []
    keys = 0
    for number in range(ranges):
        target = rows_list.with_name(f"{band}-{number}-of-{ranges}.arrow")
        payload = LinkPayload(KeyRange(f"band_{band}", number, ranges), 3000, rows_list, plain(FIRST_SHARDS), target)
        result = LinkStage.run(payload, **limits)
        documents, anchors = pairs_of(read_links(target))
        assert result.linked == documents.size
        keys += result.keys
        links += zip(documents.tolist(), anchors.tolist(), strict=True)
    return sorted(links), keys


@pytest.mark.parametrize("ranges", [2, 3, 7, 64])
def test_any_number_of_ranges_gives_the_links_of_one(rows_list: Path, ranges: int) -> None:
    whole, keys = links_in_ranges(rows_list, 1)
    assert len(whole) > 500
    assert links_in_ranges(rows_list, ranges) == (whole, keys)


def test_more_keys_in_a_range_than_can_be_numbered_are_an_error(rows_list: Path) -> None:
    with pytest.raises(InputError, match=r"range 0 of 1 of band_1 has over 1,\d{3} keys, and 2,000 are the most: "):
        links_in_ranges(rows_list, 1, most_keys=2000)


def test_more_keys_than_were_announced_find_room(rows_list: Path) -> None:
    whole = links_in_ranges(rows_list, 1)
    # There is room for 1,603 in two ranges, and 1,500 rows are looked at at a time.
    assert links_in_ranges(rows_list, 64, spare_rows=10) == whole
    assert links_in_ranges(rows_list, 2, spare_rows=10) == whole


def test_short_and_bad_records_are_never_linked(rows_list: Path) -> None:
    _, keys = links_in_ranges(rows_list, 1)
    assert 2200 < keys < 2600, "eight in ten of 3,000"


def test_each_band_is_linked_by_its_own_keys(rows_list: Path) -> None:
    links, keys = links_in_ranges(rows_list, 1, band=0)
    assert len(links) == keys - 1, "all keys of this band are equal"


def test_no_rows_at_all_leave_an_empty_links_file(tmp_path: Path) -> None:
    write_json(tmp_path / "rows.json", [])
    assert links_in_ranges(tmp_path / "rows.json", 1) == ([], 0)


# ---------------------------------------------------------------------------------------------- real text


def datasketch_groups(texts: list[str]) -> dict[int, int]:
    """Components of what datasketch's own index of 9 bands of 13 rows returns for each document."""
    index = MinHashLSH(num_perm=128, params=(9, 13))
    sketches = [MinHash(hashvalues=signature(text), scheme="affine32") for text in texts]
    for number, sketch in enumerate(sketches):
        index.insert(number, sketch)
    edges = [(number, other) for number, sketch in enumerate(sketches) for other in index.query(sketch)]
    return components(range(len(texts)), edges)


def our_groups(texts: list[str]) -> dict[int, int]:
    sketcher = Sketcher(MinHashParams(min_cleaned_characters=13, normalisation="none"))
    keys = sketcher.sketch(Texts.of(texts)).keys
    ids = np.arange(len(texts), dtype=np.uint64)
    links = [pairs_of(links_of_keys(KeyedDocuments(keys[:, band].copy(), ids), plain([0]))) for band in range(9)]
    clusters = clusters_of_pairs(links, [0])
    roots = dict(zip(clusters.ids.tolist(), clusters.cluster_global.tolist(), strict=True))
    return {number: roots.get(number, number) for number in range(len(texts))}


def test_groups_of_2000_real_documents_are_datasketchs(real_texts: list[str]) -> None:
    assert len(real_texts) == 2000
    assert our_groups(real_texts) == datasketch_groups(real_texts)


def test_groups_of_real_documents_and_cut_copies_of_them_are_datasketchs(real_texts: list[str]) -> None:
    texts = list(real_texts)
    for place in range(0, len(texts), 5):
        texts[place] = texts[place - 1][place % 50 :]
    ours = our_groups(texts)
    assert ours == datasketch_groups(texts)
    assert len(texts) - len(set(ours.values())) > 200
