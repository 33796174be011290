"""What the stages of one deduplication share: the corpus, the settings, where files lie, and what came before.

A task depends on its settings and on the content of the files it reads, not on where they are or when they were made,
so that what comes out as it was before is not gone through again. What several stages depend on is described here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar

from slimpajama.config.dedup import Config, Scope
from slimpajama.corpus.bundles import USUAL_LIMITS, BundleLimits
from slimpajama.corpus.discovery import Corpus, ShardFile, content_samples
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import BLOCK_BYTES, LineReader
from slimpajama.corpus.pieces import Bundle
from slimpajama.dedup.checking.text_sources import TextSource
from slimpajama.dedup.files.key_index import Index
from slimpajama.dedup.files.layout import DedupLayout, scopes_written
from slimpajama.dedup.grouping import BYTES_PER_MEMBER
from slimpajama.dedup.lsh import BYTES_PER_KEY
from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.ranks import preferred_fields, rank_keys
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.stages.markers import Markers
from slimpajama.stages.stage import Payload, ResultType, Stage, StageResult

__all__ = ["DedupRun", "WorkSizes", "moment_text", "shards_in"]

PartResult = TypeVar("PartResult", bound=StageResult)


@dataclass(frozen=True, slots=True)
class WorkSizes:
    """How much is handled at a time; what comes out is the same, but for the number of files. ``bytes_per_key``: held
    for each key linked; ``bytes_per_member``: for each document grouped. ``bundles``: which small shards are read by
    one task."""

    block_bytes: int = BLOCK_BYTES
    bytes_per_key: int = BYTES_PER_KEY
    bytes_per_member: int = BYTES_PER_MEMBER
    bundles: BundleLimits = USUAL_LIMITS


@dataclass(frozen=True, slots=True)
class DedupRun:
    """The deduplication of ``corpus`` into ``layout``, against an ``earlier`` one if there is any.

    ``earlier_texts``: where texts of earlier runs are read again, if removals are checked.
    """

    corpus: Corpus
    config: Config
    layout: DedupLayout
    earlier: Index | None = None
    sizes: WorkSizes = WorkSizes()
    earlier_texts: tuple[TextSource, ...] = ()

    @property
    def source_names(self) -> tuple[str, ...]:
        """By number."""
        return self.layout.sources

    @property
    def sources(self) -> SourceRanges:
        """Which ids are of which source, those of the earlier run among them."""
        return SourceRanges.of(
            self.source_names, self.corpus.first_shards[:-1], self.earlier.ranges if self.earlier else ()
        )

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Scopes whose shards are written, maybe none."""
        return scopes_written(self.config.scope)

    @property
    def reader(self) -> LineReader:
        """How lines are read."""
        return LineReader(self.config.max_document_bytes, self.config.truncated, self.sizes.block_bytes)

    @property
    def fields(self) -> Fields:
        """Where records hold text, id and what they are preferred by."""
        preferred = preferred_fields(rank_keys(self.config.prefer))
        return Fields.of(self.config.text_field, self.config.id_field, preferred)

    @property
    def precedence(self) -> Precedence:
        """Which of several duplicates stays."""
        return Precedence(self.config.prefer, self.sources, self.corpus.first_shard)

    def markers(self, stage: Stage[Payload, ResultType]) -> Markers[ResultType]:
        """The markers of the finished tasks of a stage."""
        return Markers(self.layout.done / stage.name, self.layout.root, stage.result_type)

    def part_markers(self, stage: str, bundle: Bundle, result_type: type[PartResult]) -> Markers[PartResult]:
        """The markers of the finished parts of a bundle."""
        return Markers(self.layout.part_markers(stage, bundle), self.layout.root, result_type)

    def identities(self) -> list[dict[str, object]]:
        """For each bundle what tells the content of its files from another's. Reads a sample of every file."""
        samples = content_samples(self.corpus.files)
        found: list[dict[str, object]] = []
        for bundle in self.corpus.bundles:
            of_files = [_identity(piece.file, samples[piece.file.path]) for piece in bundle.pieces]
            labels = {"names": list(bundle.first.set_names), "keeps_labels": bundle.first.keeps_labels}
            if len(of_files) == 1:
                found.append({"path": bundle.first.file.relative, **of_files[0], **labels})
            else:
                paths = (piece.file.relative for piece in bundle.pieces)
                found.append({"shards": dict(zip(paths, of_files, strict=True)), **labels})
        return found


def _identity(file: ShardFile, sample: str) -> dict[str, object]:
    return {"size": file.size, "modified": moment_text(file.modified_ns), "sample": sample}


def shards_in(identity: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """Size and time of change of each file in one of :meth:`DedupRun.identities`, by its path below the input."""
    files = identity["shards"] if "shards" in identity else {identity["path"]: identity}
    return {path: (facts["size"], facts["modified"]) for path, facts in files.items()}


def moment_text(nanoseconds: int) -> str:
    """When a file was changed, in UTC, as people read it."""
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    except (ValueError, OverflowError, OSError):  # file systems know years before 1 and after 9999
        return f"{nanoseconds} ns since 1970"
