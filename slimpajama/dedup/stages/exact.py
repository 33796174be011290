"""Exact: documents of equal cleaned text are linked before all others, by 128 bits of a hash of it.

The links have the form of those of a band: a document to the first of its source with its text, and the first of a
source to the first of all. A copy of an earlier document *of its own source* is then left out of the bands: its keys
are those of that document, so whatever it would be linked to there, in either scope, the other is, and clusters stay
the same with fewer keys to compare. A task takes a range of one half of the hash, links what is equal in it as a band
is linked, and drops the links whose other half differs. Where removals are checked, only the links within sources are
kept, as those between sources are found in the bands; and where the preferred copy need not be the first, nothing is
left out. Costs what a band costs. Rejected: leaving out copies in other sources, too (their links within their own
source would be lost).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.clustering.union_find import Links, union
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.left_out_copies import write_left_out
from slimpajama.dedup.files.row_lookup import gather
from slimpajama.dedup.files.sketches import BATCH_ROWS
from slimpajama.dedup.key_table import MOST_KEYS, links_of_keys
from slimpajama.dedup.lsh import KeyRange, gathered_keys, key_ranges, write_links
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.all_rows import all_rows, rows_digests
from slimpajama.dedup.stages.sketch import SketchResult, documents_in
from slimpajama.engine.resources import task_bytes
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.storage.file_record import FileRecord

__all__ = ["ExactPayload", "ExactResult", "ExactStage"]


@dataclass(frozen=True, slots=True)
class ExactPayload:
    """One range of the hashes. ``rows_list``: a JSON file that lists all rows files, beside them; ``documents``: how
    many have keys, in all; ``sources``: which ids are of which. ``between_sources``: links between them are wanted;
    ``leaves_out``: copies can be left out of the bands."""

    keys: KeyRange
    documents: int
    rows_list: Path
    sources: SourceRanges
    links_file: Path
    left_out_file: Path
    between_sources: bool = True
    leaves_out: bool = True


class ExactResult(StageResult, frozen=True, kw_only=True):
    """How many documents of the range are linked, and how many of them are ``copies`` left out of the bands."""

    linked: int
    copies: int
    links: FileRecord
    left_out: FileRecord


@dataclass(frozen=True)
class ExactStage(Stage[ExactPayload, ExactResult]):
    """The links between equal documents of what was ``sketched``."""

    dedup: DedupRun
    sketched: Sequence[SketchResult]

    name: ClassVar[str] = "exact"
    title: ClassVar[str] = "exact"
    version: ClassVar[int] = 1
    result_type = ExactResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.compiled",)
    scales_with: ClassVar[Scale] = "documents"

    def tasks(self) -> Sequence[Task[ExactPayload]]:
        """One for each range of hashes."""
        dedup, layout = self.dedup, self.dedup.layout
        documents, sources = documents_in(dedup, self.sketched), dedup.sources
        ranges = key_ranges(documents, task_bytes(dedup.config), dedup.sizes.bytes_per_key)
        checked = dedup.config.checked
        leaves_out = not (checked and dedup.precedence.ranks)
        common = {
            "version": self.version,
            **rows_digests(dedup, self.sketched),
            "sources": asdict(sources),
            "between_sources": not checked,
            "leaves_out": leaves_out,
        }
        reads = all_rows(dedup, self.sketched)
        return [
            Task(
                str(number),
                ExactPayload(
                    KeyRange("hash_low", number, ranges),
                    documents,
                    layout.rows_list,
                    sources,
                    layout.exact_links(number),
                    layout.left_out(number),
                    not checked,
                    leaves_out,
                ),
                common | {"range": f"{number} of {ranges}"},
                16 * documents // ranges,
                reads,
            )
            for number in range(ranges)
        ]

    @staticmethod
    def run(payload: ExactPayload, most_keys: int = MOST_KEYS, spare_rows: int = BATCH_ROWS) -> ExactResult:
        """Write the links of one range, in the order of documents, and the ids of copies in the same source."""
        found = gathered_keys(payload.keys, payload.rows_list, payload.documents, most_keys, spare_rows)
        links = _equal_in_all(links_of_keys(found, payload.sources), payload.rows_list)
        of_documents, of_anchors = (
            payload.sources.local_of_ascending(ends) for ends in (links.documents, links.anchors)
        )
        own = of_documents == of_anchors[links.anchor_of]
        copies = links.documents[own] if payload.leaves_out else links.documents[:0]
        if not payload.between_sources:
            links = _chosen(links, own if payload.leaves_out else np.zeros_like(own))
        return ExactResult(
            linked=links.documents.size,
            copies=copies.size,
            links=write_links(links, payload.links_file),
            left_out=write_left_out(payload.left_out_file, copies),
        )


def _equal_in_all(links: Links, rows_list: Path) -> Links:
    """Those of ``links`` whose ends agree in the other half of the hash, too."""
    ids = union([links.documents, links.anchors])
    (high,) = gather(rows_list, ids, ["hash_high"])
    of_documents, of_anchors = (high[np.searchsorted(ids, ends)] for ends in (links.documents, links.anchors))
    equal = of_documents == of_anchors[links.anchor_of]
    return links if equal.all() else _chosen(links, equal)


def _chosen(links: Links, mask: NDArray[np.bool_]) -> Links:
    anchors, anchor_of = np.unique(links.anchor_of[mask], return_inverse=True)
    return Links(links.documents[mask], links.anchors[anchors], anchor_of.astype(np.int32))
