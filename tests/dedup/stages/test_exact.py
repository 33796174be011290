"""Documents of equal text are linked, and leaving copies out of the bands changes no cluster."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.dedup.files.left_out_copies import LeftOutCopies, write_left_out
from slimpajama.dedup.files.sketches import BAD, SHORT, SOUND, Rows, RowShape, RowsWriter, read_columns
from slimpajama.dedup.lsh import KeyRange, read_links
from slimpajama.dedup.stages.cluster import ClusterPayload, ClusterStage
from slimpajama.dedup.stages.exact import ExactPayload, ExactResult, ExactStage
from slimpajama.dedup.stages.link import LinkPayload, LinkResult, LinkStage
from slimpajama.storage.atomic import atomic_file, write_json
from tests.dedup.pairs import PLENTY, pairs_of, plain, read_clusters
from tests.examples import one_in

A, B = 0, 1 << 40
BANDS = 2
Document = tuple[int, int, int]
"""Its id, its text, and its status."""


def uint64(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def hashes_of(text: int) -> tuple[int, int]:
    """Texts 8 and 9 agree in the lower half alone."""
    return (8 if text == 9 else text) << 32, text


def keys_of(text: int) -> list[int]:
    """A band of each text is that of its neighbour, so that texts are nearly equal in chains."""
    return [text // 2 + 1, (text + 1) // 2 + 100]


def rows_list(folder: Path, files: list[list[Document]]) -> Path:
    for number, documents in enumerate(files):
        ids, texts, status = ([one[at] for one in documents] for at in range(3))
        count = len(documents)
        rows = Rows(
            ids=uint64(ids),
            sources=np.zeros(count, dtype=np.uint8),
            status=np.array(status, dtype=np.uint8),
            bytes=np.full(count, 500),
            cleaned=np.full(count, 400),
            rewritten=np.zeros(count, dtype=np.bool_),
            keys=uint64([key for text in texts for key in keys_of(text)]).reshape(-1, BANDS),
            hashes=uint64([half for text in texts for half in hashes_of(text)]).reshape(-1, 2),
        )
        with atomic_file(folder / f"{number}.arrow") as file, RowsWriter(file, RowShape(BANDS)) as writer:
            writer.append(rows)
    write_json(folder / "rows.json", [f"{number}.arrow" for number in range(len(files))])
    return folder / "rows.json"


def exact(listed: Path, ranges: int = 1) -> list[tuple[ExactPayload, ExactResult]]:
    payloads = [
        ExactPayload(
            KeyRange("hash_low", number, ranges),
            100,
            listed,
            plain((0, 1)),
            listed.with_name(f"exact-{number}-of-{ranges}.arrow"),
            listed.with_name(f"left-out-{number}-of-{ranges}.arrow"),
        )
        for number in range(ranges)
    ]
    return [(one, ExactStage.run(one)) for one in payloads]


def links_in(found: list[tuple[ExactPayload, ExactResult]]) -> list[tuple[int, int]]:
    pairs = [pairs_of(read_links(payload.links_file)) for payload, _ in found]
    return sorted((int(a), int(b)) for documents, anchors in pairs for a, b in zip(documents, anchors, strict=True))


def left_out_in(found: list[tuple[ExactPayload, ExactResult]]) -> list[int]:
    return sorted(one for payload, _ in found for one in read_columns(payload.left_out_file, ["id"])[0].tolist())


EXAMPLE: list[list[Document]] = [
    [(A + 1, 5, SOUND), (A + 2, 5, SOUND), (A + 3, 8, SOUND), (A + 4, 9, SOUND), (A + 5, 5, SHORT)],
    [(B + 1, 9, SOUND), (B + 2, 5, SOUND), (B + 3, 5, SOUND), (B + 4, 9, SOUND), (B + 5, 0, BAD)],
]


@pytest.mark.parametrize("ranges", [1, 3])
def test_equal_texts_are_linked_in_a_star_and_copies_in_a_source_are_left_out(tmp_path: Path, ranges: int) -> None:
    found = exact(rows_list(tmp_path, EXAMPLE), ranges)
    # A4 is linked to A3 by one half of the hash alone, so B1, whose anchor is the first of all, A3, is linked to none.
    assert links_in(found) == [(A + 2, A + 1), (B + 2, A + 1), (B + 3, B + 2), (B + 4, B + 1)]
    assert left_out_in(found) == [A + 2, B + 3, B + 4]
    assert sum(result.linked for _, result in found) == 4
    assert sum(result.copies for _, result in found) == 3


def test_for_checked_removals_links_stay_within_sources_or_are_none(tmp_path: Path) -> None:
    listed = rows_list(tmp_path, EXAMPLE)
    payload, _ = exact(listed)[0]
    within = dataclasses.replace(payload, between_sources=False)
    assert (ExactStage.run(within).linked, links_in([(within, ExactStage.run(within))])) == (
        3,
        [(A + 2, A + 1), (B + 3, B + 2), (B + 4, B + 1)],
    )
    preferring = dataclasses.replace(within, leaves_out=False)
    assert (ExactStage.run(preferring).linked, ExactStage.run(preferring).copies) == (0, 0)
    assert left_out_in([(preferring, ExactStage.run(preferring))]) == []


def test_documents_without_copies_leave_empty_files(tmp_path: Path) -> None:
    ((payload, result),) = exact(rows_list(tmp_path, [[(A + 1, 1, SOUND), (A + 2, 2, SOUND)]]))
    assert (result.linked, result.copies) == (0, 0)
    assert read_links(payload.links_file).anchors.size == 0
    assert not LeftOutCopies([payload.left_out_file]).among(uint64([1, 2])).any()


def test_what_is_left_out_is_found_in_batches_of_one_source_and_of_several(tmp_path: Path) -> None:
    write_left_out(tmp_path / "0", uint64([A + 2, A + 7, B + 1]))
    write_left_out(tmp_path / "1", uint64([A + 3, B + 5, B + 9]))
    left_out = LeftOutCopies([tmp_path / "0", tmp_path / "1"])
    assert left_out.among(uint64([A + 1, A + 2, A + 3, A + 8])).tolist() == [False, True, True, False]
    assert left_out.among(uint64([B + 5, A + 6, B + 6, A + 7, B + 9])).tolist() == [True, False, False, True, True]
    assert left_out.among(uint64([])).tolist() == []


def bands(listed: Path, copies: tuple[Path, ...]) -> tuple[list[LinkResult], list[Path]]:
    targets = [listed.with_name(f"band-{band}-{len(copies)}.arrow") for band in range(BANDS)]
    payloads = [
        LinkPayload(KeyRange(f"band_{band}", 0, 1), 100, listed, plain((0, 1)), target, copies)
        for band, target in enumerate(targets)
    ]
    return [LinkStage.run(one) for one in payloads], targets


def clusters(listed: Path, links: list[Path]) -> list[list[int]]:
    target = listed.with_name("clusters.arrow")
    ClusterStage.run(ClusterPayload(tuple(links), plain((0, 1)), target, PLENTY))
    found = read_clusters(target)
    return [getattr(found, field.name).tolist() for field in dataclasses.fields(found)[:3]]


IDS = [*range(1, 9), *range(B + 1, B + 9)]
TEXTS = st.lists(st.integers(0, 12), min_size=16, max_size=16)


@one_in(2)
@given(TEXTS, st.integers(0, 16), st.integers(1, 3), st.booleans())
def test_clusters_are_those_of_the_bands_alone_in_both_scopes(
    tmp_path_factory: pytest.TempPathFactory, texts: list[int], cut: int, ranges: int, mixed: bool
) -> None:
    documents = [(one, text, SOUND) for one, text in zip(IDS, texts, strict=True)]
    if mixed:  # a file of two sources, whose ids do not ascend
        documents = [documents[place // 2 + 8 * (place % 2)] for place in range(16)]
    listed = rows_list(tmp_path_factory.mktemp("rows"), [documents[:cut], documents[cut:]])
    alone, band_links = bands(listed, ())
    found = exact(listed, ranges)
    fewer, fewer_links = bands(listed, tuple(payload.left_out_file for payload, _ in found))
    left_out = sum(result.copies for _, result in found)
    assert [one.keys - left_out for one in alone] == [one.keys for one in fewer]
    expected = clusters(listed, band_links)
    assert clusters(listed, [*fewer_links, *(payload.links_file for payload, _ in found)]) == expected
