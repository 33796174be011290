"""Link: documents that agree in a band are linked, one band and one range of keys at a time.

A task gathers the keys of its range and links what is equal (see :mod:`slimpajama.dedup.key_table`). 32 bytes per key
of the range are held at once, and the number of ranges follows from the memory allowed. Ranges are cut evenly, and no
key is cut: a page that a hundred million documents share takes 3.2 GB in the range it falls into, however many ranges
there are. Rejected: hash tables of whole bands (the 1.4 TB of the published run), and all pairs that agree (quadratic
in the size of a boilerplate cluster).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from slimpajama.dedup.banding import banding
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.sketches import BATCH_ROWS
from slimpajama.dedup.key_table import MOST_KEYS, links_of_keys
from slimpajama.dedup.lsh import KeyRange, gathered_keys, key_ranges, write_links
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.all_rows import all_rows, rows_digests
from slimpajama.dedup.stages.exact import ExactResult
from slimpajama.dedup.stages.sketch import SketchResult, documents_in
from slimpajama.engine.resources import task_bytes
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest, fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of

__all__ = ["LinkPayload", "LinkResult", "LinkStage"]


@dataclass(frozen=True, slots=True)
class LinkPayload:
    """One range of the keys of a band. ``rows_list``: a JSON file that lists all rows files, beside them;
    ``documents``: how many have keys, in all; ``sources``: which ids are of which; ``copies``: the files of those
    that are left out."""

    keys: KeyRange
    documents: int
    rows_list: Path
    sources: SourceRanges
    links_file: Path
    copies: tuple[Path, ...] = ()


class LinkResult(StageResult, frozen=True, kw_only=True):
    """How many ``keys`` the range has, and how many of them are linked."""

    keys: int
    linked: int
    links: FileRecord


@dataclass(frozen=True)
class LinkStage(Stage[LinkPayload, LinkResult]):
    """The links of documents that were ``sketched``, without the copies that ``exact`` left out."""

    dedup: DedupRun
    sketched: Sequence[SketchResult]
    exact: Sequence[ExactResult]

    name: ClassVar[str] = "link"
    title: ClassVar[str] = "link"
    version: ClassVar[int] = 3
    result_type = LinkResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.compiled",)
    scales_with: ClassVar[Scale] = "documents"

    def tasks(self) -> Sequence[Task[LinkPayload]]:
        """One for each band and range of keys."""
        dedup = self.dedup
        documents = documents_in(dedup, self.sketched) - sum(result.copies for result in self.exact)
        sources = dedup.sources
        # Where removals are checked, the linked documents of a range are paired up, which takes more.
        held = dedup.sizes.bytes_per_key * (2 if dedup.config.checked else 1)
        ranges = key_ranges(documents, task_bytes(dedup.config), held)
        bands, _ = banding(dedup.config)
        left_out = [result.left_out for result in self.exact]
        common = {
            "version": self.version,
            **rows_digests(dedup, self.sketched),
            "sources": asdict(sources),
            "left_out": fingerprint([content_digest([record]) for record in left_out]),
        }
        reads = (*all_rows(dedup, self.sketched), *written_files(left_out))
        copies = tuple(path_of(record.path) for record in left_out)
        return [
            Task(
                f"{band}-{number}",
                LinkPayload(
                    KeyRange(f"band_{band}", number, ranges),
                    documents,
                    dedup.layout.rows_list,
                    sources,
                    dedup.layout.links(band, number),
                    copies,
                ),
                common | {"range": f"{number} of {ranges}"},
                8 * documents // ranges,
                reads,
            )
            for band in range(bands)
            for number in range(ranges)
        ]

    @staticmethod
    def run(payload: LinkPayload, most_keys: int = MOST_KEYS, spare_rows: int = BATCH_ROWS) -> LinkResult:
        """Write the links of one band and range, in the order of documents.

        There is room for ``spare_rows`` more than an even share of the keys, and where that does not do, it grows.
        Raises :class:`InputError` where a range has more than ``most_keys``, which is as many as can be numbered.
        """
        found = gathered_keys(payload.keys, payload.rows_list, payload.documents, most_keys, spare_rows, payload.copies)
        keys = found.keys.size
        links = links_of_keys(found, payload.sources)
        record = write_links(links, payload.links_file)
        return LinkResult(keys=keys, linked=links.documents.size, links=record)
