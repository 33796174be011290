"""All links become the clusters file: the connected component of every linked document, globally and in its source.

One process, whose threads share the work: a billion documents of which a third are duplicates are some 300 million
linked ones, 5 GB at 16 bytes, and minutes of union-find on one core. Where that is more than ``memory``, ranges of ids
are taken one after the other (see :mod:`slimpajama.dedup.clustering.external_union_find`). The file is the same however
the ids are cut, and whatever the number of threads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimpajama.dedup.clustering.external_union_find import LinkedDocuments, linked_documents
from slimpajama.dedup.clustering.spill import BATCH, Scratch
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.clustering.union_find import Links
from slimpajama.dedup.files.clusters import Clusters, not_computed, write_clusters_file
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.storage.atomic import SCRATCH_PREFIX, cannot_write
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import TEMPORARY_SUFFIX, is_remote

__all__ = ["Clustered", "write_clusters"]


@dataclass(frozen=True, slots=True)
class Clustered:
    """How many documents are ``linked``, and the ``table`` of their clusters."""

    linked: int
    table: FileRecord


def write_clusters(
    links: Sequence[Callable[[], Links]],
    sources: SourceRanges,
    clusters_file: Path,
    memory: int,
    batch: int = BATCH,
    team: Team | None = None,
) -> Clustered:
    """Write the clusters of all ``links``, holding at most ``memory`` bytes; ``batch``: rows of a batch of the file.

    Without a ``team``, one thread does it.
    """
    with _scratch_beside(clusters_file) as name, team or Team(1) as team:
        found = linked_documents(links, sources, Scratch(Path(name), batch), memory, team)
        return Clustered(found.linked, write_clusters_file(clusters_file, _rows(found), batch))


def _scratch_beside(path: Path) -> tempfile.TemporaryDirectory[str]:
    """On the disk that the workspace is on, or this machine's where that is in a store."""
    try:
        if is_remote(path):
            return tempfile.TemporaryDirectory(prefix="slimpajama-")
        path.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, suffix=TEMPORARY_SUFFIX, dir=path.parent)
    except OSError as fault:
        raise cannot_write(path, fault) from fault


def _rows(found: LinkedDocuments) -> Iterator[Clusters]:
    for ids, global_roots, local_roots in found.rows:
        yield Clusters(ids, global_roots, local_roots, not_computed(ids.size), not_computed(ids.size))
