"""Who stays, in each scope; and that every record is accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import ConservationError
from slimpajama.corpus.pieces import Bundle, Piece, Shard, ShardFile
from slimpajama.dedup.files.clusters import Clusters
from slimpajama.dedup.files.groups import Groups, GroupsFiles, write_groups
from slimpajama.dedup.files.sketches import BAD, SHORT, SOUND, Rows, RowShape, RowsWriter
from slimpajama.dedup.grouping import Members, Shared, grouped, with_company
from slimpajama.dedup.run_summary import source_figures
from slimpajama.dedup.stages.decide import DecidePayload, DecideResult, DecideStage
from slimpajama.dedup.summary import Count, ScopeFigures, SourceFigures
from slimpajama.dedup.tally import RemovedFor, Tally, nested
from slimpajama.dedup.verdicts import SCHEMA, VERDICTS, Verdicts, decide
from slimpajama.storage.atomic import atomic_file
from tests.dedup.pairs import clusters_of_pairs, plain

A, B = 0, 1 << 40
"""First ids of two sources of one shard each."""
FIRST_SHARDS = (0, 1)

IDS = [A + 10, A + 20, A + 30, A + 40, A + 50, B + 10, B + 20, B + 30, B + 40]
STATUS = [SOUND, SOUND, SOUND, SHORT, BAD, SOUND, SOUND, SOUND, SOUND]
# A10 - A20 agree; B10 agrees with A20, and B20 with B10; B30 agrees with A30; B40 is alone, as are the broken ones.
LINKS = [(A + 20, A + 10), (B + 10, A + 20), (B + 20, B + 10), (B + 30, A + 30)]

MIXED = ShardFile("in/mixed/0.jsonl.zst", "mixed/0.jsonl.zst", ".jsonl.zst", 0, 0)

TEXTS = [1, 1, 2, 3, 4, 1, 5, 6, 7]
"""A number for each cleaned text."""


def uint64(values: object) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def groups_of(links: list[tuple[int, int]], scope: str) -> Groups:
    """The groups of what is linked, of texts ``TEXTS``."""
    found = clusters_of_links(links)
    members = with_company(Members(found.ids, getattr(found, f"cluster_{scope}"), found.similarity_global))
    texts = np.array([TEXTS[IDS.index(one)] for one in members.ids.tolist()], dtype=np.uint64)
    sources = plain(FIRST_SHARDS).reported_of(members.ids)
    hashes = np.stack([texts, texts], axis=1)
    return grouped(members, hashes, np.zeros(members.ids.size, np.int64), sources, [], Shared.nothing(2))


def clusters_of_links(links: list[tuple[int, int]]) -> Clusters:
    pairs = uint64(links).reshape(-1, 2)
    return clusters_of_pairs([(pairs[:, 0], pairs[:, 1])], FIRST_SHARDS)


def verdicts_of(ids: list[int], status: list[int], links: list[tuple[int, int]]) -> Verdicts:
    sources = np.array([one >> 40 for one in ids], dtype=np.uint8)
    groups = (groups_of(links, scope) for scope in ("global", "local"))
    return decide(uint64(ids), np.array(status, dtype=np.uint8), sources, 2, *groups)


def test_the_smallest_id_of_a_cluster_stays_in_each_scope() -> None:
    found = verdicts_of(IDS, STATUS, LINKS)
    in_global, in_local = found.global_, found.local
    assert [VERDICTS[code] for code in found.status] == [
        *("kept", "duplicate", "kept", "short", "bad"),
        *("duplicate", "duplicate", "duplicate", "kept"),
    ]
    assert in_global.kept.tolist() == [True, False, True, False, False, False, False, False, True]
    assert in_local.kept.tolist() == [True, False, True, False, False, True, False, True, True]
    assert in_global.grouped.tolist() == [True, True, True, False, False, True, True, True, False]
    assert in_local.grouped.tolist() == [True, True, False, False, False, True, True, False, False]
    assert in_global.survivors[in_global.grouped].tolist() == [A + 10, A + 10, A + 30, A + 10, A + 10, A + 30]
    assert in_local.survivors[in_local.grouped].tolist() == [A + 10, A + 10, B + 10, B + 10]


def test_those_that_stay_stand_for_their_clusters() -> None:
    found = verdicts_of(IDS, STATUS, LINKS)
    assert found.global_.size.tolist() == [4, 0, 2, 0, 0, 0, 0, 0, 1]
    assert found.local.size.tolist() == [2, 0, 1, 0, 0, 2, 0, 1, 1]
    assert found.global_.copies.tolist() == [3, 0, 1, 0, 0, 0, 0, 0, 1]
    assert found.global_.exact.tolist() == [False, True, False, False, False, True, False, False, False]
    assert found.sources.astype(int).tolist() == [[1, 1], [0, 0], [1, 1], *[[0, 0]] * 5, [0, 1]]


def test_without_clusters_every_sound_document_stays() -> None:
    found = verdicts_of(IDS, STATUS, [])
    sound = [status == SOUND for status in STATUS]
    assert found.global_.kept.tolist() == found.local.kept.tolist() == sound
    assert found.global_.size.tolist() == found.local.size.tolist() == [int(one) for one in sound]
    assert not found.global_.grouped.any()


def test_no_records_need_no_decisions() -> None:
    assert verdicts_of([], [], LINKS).status.size == 0


DOCUMENTS = st.sampled_from(IDS)


@given(st.lists(st.tuples(DOCUMENTS, DOCUMENTS).filter(lambda link: link[0] != link[1])))
def test_what_is_kept_globally_is_kept_locally_and_one_of_each_cluster_is(links: list[tuple[int, int]]) -> None:
    sound = [(a, b) for a, b in links if STATUS[IDS.index(a)] == SOUND and STATUS[IDS.index(b)] == SOUND]
    found = verdicts_of(IDS, STATUS, sound)
    assert not (found.global_.kept & ~found.local.kept).any()
    members = np.array(STATUS) == SOUND
    for scope in (found.global_, found.local):
        assert sorted(uint64(IDS)[scope.kept].tolist()) == sorted(set(scope.survivors[members].tolist()))
        assert scope.size.sum() == members.sum()


# ---------------------------------------------------------------------------------------------- one piece on disk


def decided(
    folder: Path, links: list[tuple[int, int]], status: list[int] = STATUS, local: Groups | None = None
) -> tuple[DecideResult, pa.Table]:
    """What the stage makes of rows of this ``status`` and of the groups of ``links``, or of other ``local`` ones."""
    both = (groups_of(links, "global"), local or groups_of(links, "local"))
    paths = [folder / f"{scope}.arrow" for scope in ("global", "local")]
    for path, groups in zip(paths, both, strict=True):
        write_groups(path, groups)
    count = len(IDS)
    rows = Rows(
        ids=uint64(IDS),
        sources=np.array([document >> 40 for document in IDS], dtype=np.uint8),
        status=np.array(status, dtype=np.uint8),
        bytes=np.array([1, 2, 4, 8, 16, 32, 64, 128, 256]),
        cleaned=np.array([301, 302, 303, 4, 0, 306, 307, 308, 309]),
        rewritten=np.zeros(count, dtype=np.bool_),
        keys=np.zeros((count, 1), dtype=np.uint64),
        hashes=np.zeros((count, 2), dtype=np.uint64),
    )
    with atomic_file(folder / "rows.arrow") as file, RowsWriter(file, RowShape(1)) as writer:
        writer.append(rows)
    payload = DecidePayload(
        bundle=Bundle((Piece(MIXED, 0, None, 0, 1, (Shard(0, 0, 0, ""), Shard(1, 1, 0, "")), ("books", "c4")),)),
        rows_file=folder / "rows.arrow",
        groups=(GroupsFiles((paths[0],), 1), GroupsFiles((paths[1],), 1)),
        decisions_file=folder / "decisions" / "0.parquet",
        source_names=("books", "c4"),
        sources=plain(FIRST_SHARDS),
    )
    return DecideStage.run(payload), pq.read_table(payload.decisions_file)


def tally_of(result: DecideResult, times: int = 1) -> Tally:
    tally = Tally(2, 2)
    for _ in range(times):
        tally.merge(result.counts, result.removed, result.stood_for)
    return tally


def test_a_result_holds_only_the_pairs_of_sources_that_share_something() -> None:
    tally = Tally(200, 201)
    tally.removed[3, 200] = (2, 900)
    tally.removed[7, 3] = (1, 500)
    assert tally.removals() == (RemovedFor(3, 200, 2, 900), RemovedFor(7, 3, 1, 500))
    other = Tally(200, 201)
    other.merge(nested(tally.counts), tally.removals(), nested(tally.stood_for))
    assert (other.removed == tally.removed).all()


def test_decisions_are_one_row_per_record_with_null_clusters_where_it_is_alone(tmp_path: Path) -> None:
    _, table = decided(tmp_path, LINKS)
    assert table.schema.equals(SCHEMA)
    assert table.to_pydict() == {
        "id": IDS,
        "source": ["books"] * 5 + ["c4"] * 4,
        "shard": ["mixed/0.jsonl.zst"] * 9,
        "position": [10, 20, 30, 40, 50, 10, 20, 30, 40],
        "status": ["kept", "duplicate", "kept", "short", "bad", "duplicate", "duplicate", "duplicate", "kept"],
        "cluster_global": [A + 10, A + 10, A + 30, None, None, A + 10, A + 10, A + 30, None],
        "cluster_local": [A + 10, A + 10, None, None, None, B + 10, B + 10, None, None],
        "kept_global": [True, False, True, False, False, False, False, False, True],
        "kept_local": [True, False, True, False, False, True, False, True, True],
        "bytes": [1, 2, 4, 8, 16, 32, 64, 128, 256],
        "cleaned_chars": [301, 302, 303, 4, None, 306, 307, 308, 309],
        "match_global": [None, "exact", None, None, None, "exact", "near", "near", None],
        "match_local": [None, "exact", None, None, None, None, "near", None, None],
        "similarity_global": [None] * 9,
        "similarity_local": [None] * 9,
        "size_global": [4, None, 2, None, None, None, None, None, 1],
        "size_local": [2, None, 1, None, None, 2, None, 1, 1],
        "exact_copies": [3, None, 1, None, None, None, None, None, 1],
        "cluster_sources": [["books", "c4"], None, ["books", "c4"], *[None] * 5, ["c4"]],
    }


def test_columns_are_those_that_others_build_on() -> None:
    assert [(field.name, str(field.type)) for field in SCHEMA] == [
        ("id", "uint64"),
        ("source", "string"),
        ("shard", "string"),
        ("position", "int64"),
        ("status", "string"),
        ("cluster_global", "uint64"),
        ("cluster_local", "uint64"),
        ("kept_global", "bool"),
        ("kept_local", "bool"),
        ("bytes", "int64"),
        ("cleaned_chars", "int64"),
        ("match_global", "string"),
        ("match_local", "string"),
        ("similarity_global", "float"),
        ("similarity_local", "float"),
        ("size_global", "int64"),
        ("size_local", "int64"),
        ("exact_copies", "int64"),
        ("cluster_sources", "list<item: string>"),
    ]


def test_a_piece_is_counted_by_source_verdict_and_scope_in_documents_and_bytes(tmp_path: Path) -> None:
    result, _ = decided(tmp_path, LINKS)
    figures = source_figures(tally_of(result), ("books", "c4"), [0, 0])
    nothing = Count(0, 0)
    half = ScopeFigures(kept=Count(2, 5), duplicate=Count(1, 2), exact=Count(1, 2), near=nothing)
    assert figures["books"] == SourceFigures(Count(5, 31), Count(1, 8), Count(1, 16), half, half, 0)
    scopes = (
        ScopeFigures(Count(1, 256), Count(3, 224), exact=Count(1, 32), near=Count(2, 192)),
        ScopeFigures(Count(3, 416), Count(1, 64), exact=nothing, near=Count(1, 64)),
    )
    assert figures["c4"] == SourceFigures(Count(4, 480), nothing, nothing, *scopes, 0)
    assert figures["total"].read == Count(9, 511)
    assert figures["total"].global_.duplicate == Count(4, 226)


def test_the_overlap_matrix_counts_whose_copies_were_removed_for_whose_sake(tmp_path: Path) -> None:
    result, _ = decided(tmp_path, LINKS)
    assert result.removed == (RemovedFor(0, 0, 1, 2), RemovedFor(1, 0, 3, 224))


def test_a_digest_of_what_documents_stand_for_changes_with_their_clusters_alone(tmp_path: Path) -> None:
    """A cluster that grows by a removed document leaves those that are kept as they are."""
    one, _ = decided(tmp_path, LINKS)
    same, _ = decided(tmp_path, [*LINKS, (B + 20, A + 10)])
    assert (same.kept, same.duplicates) == (one.kept, one.duplicates)
    local = groups_of(LINKS, "local")
    local.size[local.id == A + 10] += 1
    other, _ = decided(tmp_path, LINKS, local=local)
    assert other.kept == one.kept
    assert other.duplicates != one.duplicates


def test_tallies_of_pieces_add_up(tmp_path: Path) -> None:
    result, _ = decided(tmp_path, LINKS)
    tally = tally_of(result, 3)
    assert tally.counts[:, 0].tolist() == [[15, 93], [12, 1440]]
    tally.check(("books", "c4"))
    tally.check_sizes()


READ, SHORTER, BROKEN, KEPT, KEPT_LOCALLY, HEALTHY, EXACT, EXACT_LOCALLY = range(8)


@pytest.mark.parametrize("source", [0, 1])
@pytest.mark.parametrize("unit", [0, 1])
@pytest.mark.parametrize(
    ("column", "by"),
    [
        (READ, 1),
        (READ, -1),
        (SHORTER, 1),
        (BROKEN, 1),
        (KEPT, 1),
        (KEPT, -1),
        (HEALTHY, 1),
        (KEPT_LOCALLY, -500),
        (KEPT_LOCALLY, 500),
        (EXACT, 500),
        (EXACT_LOCALLY, 500),
    ],
)
def test_a_document_or_a_byte_too_many_or_too_few_is_noticed(
    tmp_path: Path, column: int, by: int, unit: int, source: int
) -> None:
    result, _ = decided(tmp_path, LINKS)
    tally = tally_of(result)
    tally.counts[source, column, unit] += by
    with pytest.raises(ConservationError, match=rf"^source '{('books', 'c4')[source]}': read \["):
        tally.check(("books", "c4"))


def test_a_removed_document_that_is_not_accounted_for_is_noticed(tmp_path: Path) -> None:
    result, _ = decided(tmp_path, LINKS)
    tally = tally_of(result)
    tally.removed[1, 0, 0] -= 1
    with pytest.raises(ConservationError, match=r"'c4': .* duplicate \[2, 224\]; nothing of this run may be used"):
        tally.check(("books", "c4"))


@pytest.mark.parametrize("scope", [0, 1])
def test_a_cluster_that_stands_for_too_many_is_noticed(tmp_path: Path, scope: int) -> None:
    result, _ = decided(tmp_path, LINKS)
    tally = tally_of(result)
    tally.stood_for[0, scope, 0] += 1
    message = rf"^the {('global', 'local')[scope]} clusters of documents that stay hold 8 documents and those of "
    with pytest.raises(ConservationError, match=message + "earlier runs 0, but 7 documents were compared; nothing"):
        tally.check_sizes()


def test_documents_that_an_earlier_run_has_are_counted_apart(tmp_path: Path) -> None:
    in_earlier = groups_of(LINKS, "global")
    in_earlier.survivor[in_earlier.survivor == A + 10] = 5  # which is no document here
    verdicts = decide(uint64(IDS), np.array(STATUS, np.uint8), np.zeros(9, np.uint8), 2, in_earlier, in_earlier)
    tally = Tally(2, 3)
    owners = np.where(verdicts.global_.survivors == 5, 2, 0)
    tally.add(np.zeros(9, np.uint8), np.ones(9, np.int64), np.array(STATUS, np.uint8), verdicts, (owners, owners))
    assert tally.stood_for[0].tolist() == [[3, 4], [3, 4]]
    tally.check_sizes()


def test_a_row_of_a_status_that_does_not_exist_is_not_left_out_of_the_count(tmp_path: Path) -> None:
    with pytest.raises(ConservationError, match=r"^source 'books': read \["):
        decided(tmp_path, LINKS, [STATUS[0], 9, *STATUS[2:]])


def test_what_is_kept_globally_but_not_locally_is_noticed_unless_removals_are_checked(tmp_path: Path) -> None:
    result, _ = decided(tmp_path, LINKS)
    tally = tally_of(result)
    tally.counts[1, KEPT_LOCALLY] = 0
    with pytest.raises(ConservationError, match=r"^source 'c4': read \["):
        tally.check(("books", "c4"))
    tally.check(("books", "c4"), checked=True)
