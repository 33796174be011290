"""The rows of all documents as a stage reads them that looks at documents of any bundle, earlier runs' among them."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.stages.written_files import WrittenFile, written_files
from slimpajama.storage.atomic import content_digest, fingerprint
from slimpajama.storage.paths import path_of, relative_name

__all__ = ["all_rows", "rows_digests", "rows_paths"]


def rows_paths(dedup: DedupRun) -> list[str]:
    """The content of the list of rows: the earlier run's first, in the order of ids where a file holds one source."""
    bundles = sorted(dedup.corpus.bundles, key=lambda bundle: (bundle.first.shards[0].index, bundle.first.start))
    layout = dedup.layout
    return [
        *(row.file.path for row in (dedup.earlier.rows if dedup.earlier else ())),
        *(relative_name(layout.rows_file(bundle), layout.work) for bundle in bundles),
    ]


def all_rows(dedup: DedupRun, sketched: Sequence[SketchResult]) -> tuple[WrittenFile, ...]:
    """The rows files of this run, and of the earlier ones it is compared with."""
    earlier = dedup.earlier.rows if dedup.earlier else ()
    return (
        *written_files(result.sketches for result in sketched),
        *(
            WrittenFile(
                path_of(row.file.path),
                row.file.blake2b,
                f"remove it and run the deduplication in {row.run} again: it is made anew",
            )
            for row in earlier
        ),
    )


def rows_digests(dedup: DedupRun, sketched: Sequence[SketchResult]) -> dict[str, object]:
    """What a task depends on that reads all rows."""
    return {
        "rows": fingerprint([content_digest([result.sketches]) for result in sketched]),
        "against": dedup.earlier.digest if dedup.earlier else "",
    }
