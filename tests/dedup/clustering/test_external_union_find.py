"""However few documents a range of ids may hold, clusters and their file are the same."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.dedup.cluster import write_clusters
from slimpajama.dedup.clustering.external_union_find import BYTES_PER_LINKED
from slimpajama.dedup.clustering.id_ranges import ranges_of_links
from slimpajama.dedup.clustering.spill import BATCH, Column, IdRange, Scratch, Spill
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.clustering.union_find import links_of_pairs
from slimpajama.dedup.lsh import read_links, write_links
from slimpajama.errors import OutputError
from tests.dedup.clustering.test_union_find import FIRST_SHARDS, LINKS
from tests.dedup.pairs import PLENTY, plain, read_clusters
from tests.examples import one_in

RING = [(place + 1, place) for place in range(150)] + [(150, 0)]
"""Each range hands its links down to the next, so that work is quadratic in the number of ranges."""


def clustered(
    folder: Path, files: list[list[tuple[int, int]]], capacity: int | None, batch: int = BATCH, threads: int = 1
) -> tuple[int, bytes]:
    """How many are linked, and the file, with ranges of ``capacity`` documents, ``batch`` values at a time."""
    paths = tuple(folder / f"{number}.arrow" for number in range(len(files)))
    for path, links in zip(paths, files, strict=True):
        pairs = np.array(links, dtype=np.uint64).reshape(-1, 2)
        write_links(links_of_pairs(pairs[:, 0], pairs[:, 1]), path)
    memory = PLENTY if capacity is None else capacity * BYTES_PER_LINKED
    target = folder / "clusters.arrow"
    opened = [functools.partial(read_links, path) for path in paths]
    found = write_clusters(opened, plain(FIRST_SHARDS), target, memory, batch, Team(threads, fewest=1))
    assert not list(folder.glob("scratch-*")), "the scratch folder is left"
    return found.linked, target.read_bytes()


@one_in(2)
@given(files=st.lists(LINKS, max_size=4), capacity=st.integers(1, 12) | st.none(), threads=st.integers(1, 4))
def test_any_ranges_and_threads_give_the_file_of_one(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[int, int]]], capacity: int | None, threads: int
) -> None:
    folder = tmp_path_factory.mktemp("links")
    assert clustered(folder, files, capacity, 3, threads) == clustered(folder, files, None, 3)


CHAIN = RING[:-1]
"""Each document's root is known only after that of the one before it."""

ZIGZAG = [(200 + place, place + side) for place in range(75) for side in (0, 1)]
"""Neighbours are joined through a document of a higher range alone."""


@pytest.mark.parametrize("capacity", [1, 7, 20, 100])
@pytest.mark.parametrize("links", [RING, CHAIN, ZIGZAG], ids=["ring", "chain", "zigzag"])
def test_what_goes_through_all_ranges_is_one_cluster(
    tmp_path: Path, links: list[tuple[int, int]], capacity: int
) -> None:
    linked, _ = clustered(tmp_path, [links[::2], links[1::2]], capacity)
    assert linked == 151
    assert not read_clusters(tmp_path / "clusters.arrow").cluster_global.any()


@pytest.mark.parametrize("capacity", [30_000, None])
def test_threads_that_join_the_same_documents_at_the_same_time_lose_no_link(
    tmp_path: Path, capacity: int | None
) -> None:
    """A path through all documents, in each of six files in another order: whatever is lost cuts it in two."""
    rng = np.random.default_rng(4)
    ids = np.unique(rng.integers(0, 7 << 40, 60_000, dtype=np.uint64))
    files = []
    for number in range(6):
        order = rng.permutation(ids.size)
        path = tmp_path / f"{number}.arrow"
        write_links(links_of_pairs(ids[order[1:]], ids[order[:-1]]), path)
        files.append(functools.partial(read_links, path))
    memory = PLENTY if capacity is None else capacity * BYTES_PER_LINKED
    target, sources = tmp_path / "clusters.arrow", plain(FIRST_SHARDS)
    for _ in range(3):
        write_clusters(files[:1], sources, target, memory, 1000, Team(8, fewest=1000))
        assert (read_clusters(target).cluster_global == ids[0]).all()
    digests = {
        write_clusters(files, sources, target, memory, 1000, Team(threads, fewest=1000)).table.blake2b
        for threads in (1, 8)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_ranges_cover_all_ids_and_hold_at_most_so_many(tmp_path: Path, threads: int) -> None:
    rng = np.random.default_rng(1)
    files = [links_of_pairs(*np.unique(rng.integers(0, 1 << 50, 2 * 60_000, dtype=np.uint64)).reshape(2, -1))] * 3
    column = Column(Scratch(tmp_path), "ids")
    opened = [lambda links=one: links for one in files]
    ranges = ranges_of_links(opened, column, 10_000, 10_000, Team(threads, fewest=100))
    ids = np.unique(np.concatenate([files[0].documents, files[0].anchors]))
    assert np.array_equal(column.read(0, ids.size), ids)
    assert [part.first for part in ranges] == [0, *np.cumsum([part.size for part in ranges])[:-1].tolist()]
    assert sum(part.size for part in ranges) == ids.size
    # Ids are named in three files, so ranges are cut finer and joined again.
    assert min(part.size for part in ranges) > 0
    assert max(part.size for part in ranges) <= 10_000
    assert len(ranges) < 20
    for part in ranges:
        assert part.part_of(ids) == (part.first, part.first + part.size)


def test_a_range_never_holds_much_more_than_it_may_though_ids_lie_unevenly(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    uneven = np.unique((rng.pareto(1.0, 200_000) * 1e9).astype(np.uint64))
    links = links_of_pairs(uneven[1:], uneven[:-1])
    ranges = ranges_of_links([lambda: links], Column(Scratch(tmp_path), "ids"), 5_000, 5_000, Team(1))
    assert max(part.size for part in ranges) <= 5_000


def test_a_disk_that_is_full_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    for name in ("ids.tmp", "leaving-0.tmp"):
        (tmp_path / name).symlink_to("/dev/full")
    ids = np.arange(10, dtype=np.uint64)
    with pytest.raises(OutputError, match=r"cannot write .*/ids\.tmp: No space left on device; free some space"):
        Column(Scratch(tmp_path), "ids").write(0, ids)
    with pytest.raises(OutputError, match=r"cannot write .*/leaving-0\.tmp: No space left on device; free some space"):
        Spill(Scratch(tmp_path), "leaving", [IdRange(0, 10, 0, None)]).append(ids, ids)


def test_scratch_that_was_cut_short_is_noticed(tmp_path: Path) -> None:
    column = Column(Scratch(tmp_path), "ids")
    column.write(0, np.arange(10, dtype=np.uint64))
    with pytest.raises(OSError, match=r"ids\.tmp ends after 24 of 40 bytes"):
        column.read(7, 5)
