"""The work items of each stage of a deduplication, and what each depends on: all that would change its result.

An item depends on its settings and on the content of the files it reads, not on where they are or when they were made,
so that what comes out as it was before is not gone through again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from slimpajama.config import Config
from slimpajama.corpus.discovery import Corpus, Piece, content_samples
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineReader
from slimpajama.dedup import cluster, cluster_slices, decisions, lsh, output_shards, sketching
from slimpajama.dedup.bands import banding
from slimpajama.dedup.index import Index
from slimpajama.dedup.source_ranges import SourceRanges
from slimpajama.dedup.summary import versions
from slimpajama.markers import Markers
from slimpajama.pipeline.dedup_outputs import Outputs
from slimpajama.storage import place, relative_name
from slimpajama.workspace import content_digest, fingerprint
from slimpajama.written_files import WrittenFile, written_files

__all__ = ["DedupItems", "Work", "moment_text"]

READING = (
    "num_perm",
    "seed",
    "min_cleaned_characters",
    "normalisation",
    "max_document_bytes",
    "truncated",
    "text_field",
    "id_field",
)
"""Settings that the first stage depends on as they are."""

Results = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Work:
    """Items of a stage, by ``keys``, what each ``depends`` on, and the files of earlier stages that each ``reads``."""

    items: list[Any]
    keys: list[str]
    depends: list[dict[str, Any]]
    weights: list[int]
    reads: Sequence[Sequence[WrittenFile]] = ()


@dataclass(frozen=True, slots=True)
class DedupItems:
    """Of the deduplication of ``corpus``; its files lie below ``work``, its results where ``outputs`` says."""

    corpus: Corpus
    work: Path
    outputs: Outputs
    config: Config
    earlier: Index | None

    @property
    def sources(self) -> SourceRanges:
        """Whose the documents are, those of the earlier run among them."""
        names = [source.name for source in self.corpus.sources]
        return SourceRanges.of(names, self.corpus.first_shards[:-1], self.earlier.ranges if self.earlier else ())

    def documents(self, sketched: Results) -> int:
        """How many have keys."""
        own: int = sum(result["in_lsh"] for result in sketched)
        return own + (self.earlier.documents if self.earlier else 0)

    def markers(self, stage: str) -> Markers:
        """Of the finished items of a stage."""
        return Markers(self.work / "done" / stage, self.work.parent)

    def rows_file(self, piece: Piece) -> Path:
        """What the first stage found in a piece."""
        return self.work / "rows" / f"{piece.name}.arrow"

    @property
    def clusters_file(self) -> Path:
        """Who survives, of all linked documents."""
        return self.work / "clusters.arrow"

    def sketch(self) -> Work:
        """An item for each piece, as for :meth:`decide` and :meth:`write`."""
        config = self.config
        bands, rows = banding(config)
        settings = {name: getattr(config, name) for name in READING} | {"bands": bands, "rows": rows}
        depends, items = [], []
        for piece, identity in zip(self.corpus.pieces, self._identities(), strict=True):
            part_bytes = config.part_bytes if sketching.has_parts(piece, config.part_bytes) else 0
            depends.append(
                {
                    "version": [sketching.VERSION, versions()["unicode"]],
                    "settings": settings | {"part_bytes": part_bytes},
                    "input": identity,
                    "place": [[shard.index for shard in piece.shards], piece.start, piece.stop],
                }
            )
            items.append(
                sketching.SketchItem(
                    piece=piece,
                    reader=self._reader(),
                    fields=self._fields,
                    num_perm=config.num_perm,
                    seed=config.seed,
                    bands=bands,
                    rows=rows,
                    min_cleaned_characters=config.min_cleaned_characters,
                    normalisation=config.normalisation,
                    max_bad_fraction=config.max_bad_fraction,
                    rows_file=self.rows_file(piece),
                    quarantine_file=self.outputs.quarantine_file(piece),
                    part_bytes=part_bytes,
                    parts=self._parts("sketch", piece),
                    depends=depends[-1],
                )
            )
        return self._by_piece(items, depends)

    def rows_list(self) -> list[str]:
        """Where all rows are, the earlier run's first, in the order of ids where a file holds one source."""
        pieces = sorted(self.corpus.pieces, key=lambda piece: (piece.shards[0].index, piece.start))
        before = self.earlier.rows if self.earlier else ()
        return [
            *(row["path"] for row in before),
            *(relative_name(self.rows_file(piece), self.work) for piece in pieces),
        ]

    def link(self, sketched: Results, rows_list: Path) -> Work:
        """An item for each band and range of keys; ``rows_list``: a file of :meth:`rows_list`."""
        documents = self.documents(sketched)
        ranges, sources = lsh.key_ranges(documents, self.config.item_bytes()), self.sources
        bands, _ = banding(self.config)
        items = [
            lsh.LinkItem(
                band,
                number,
                ranges,
                documents,
                rows_list,
                sources,
                self.work / "links" / f"{band}-{number}.arrow",
            )
            for band in range(bands)
            for number in range(ranges)
        ]
        common = {
            "version": lsh.VERSION,
            "rows": fingerprint([content_digest({"files": result["files"][:1]}) for result in sketched]),
            "sources": asdict(sources),
            "against": self.earlier.digest if self.earlier else "",
        }
        return Work(
            items,
            [f"{item.band}-{item.number}" for item in items],
            [common | {"range": f"{item.number} of {ranges}"} for item in items],
            [8 * documents // ranges] * len(items),
            [self._all_rows(sketched)] * len(items),
        )

    def cluster(self, links: Results) -> Work:
        """One item."""
        files = tuple(place(result["files"][0]["path"]) for result in links)
        depends = {
            "version": cluster.VERSION,
            "links": fingerprint(sorted(map(content_digest, links))),
            "sources": asdict(self.sources),
        }
        item = cluster.ClusterItem(files, self.sources, self.clusters_file, self.config.lone_item_bytes())
        records = [result["files"][0] for result in links]
        return Work([item], ["all"], [depends], [sum(record["bytes"] for record in records)], [written_files(records)])

    def compare(self, clusters: dict[str, Any]) -> Work:
        """One item."""
        spans = tuple(map(cluster_slices.spans_of, self.corpus.pieces))
        depends = {
            "version": cluster_slices.VERSION,
            "clusters": content_digest(clusters),
            "pieces": fingerprint(spans),
        }
        item = cluster_slices.SliceItem(self.clusters_file, spans)
        return Work([item], ["all"], [depends], [clusters["files"][0]["bytes"]], [written_files(clusters["files"])])

    def decide(self, sketched: Results, clusters: dict[str, Any], slices: Sequence[str]) -> Work:
        """``slices``: for each piece a digest of what the clusters say of it."""
        names, sources = tuple(source.name for source in self.corpus.sources), self.sources
        items = [
            decisions.DecisionItem(
                shard=piece.file.relative,
                rows_file=self.rows_file(piece),
                clusters_file=self.clusters_file,
                decisions_file=self.outputs.decisions_file(piece),
                source_names=names,
                sources=sources,
                spans=cluster_slices.spans_of(piece),
                with_document_ids=self.config.id_field is not None,
            )
            for piece in self.corpus.pieces
        ]
        depends = [
            {
                "version": decisions.VERSION,
                "rows": content_digest({"files": own["files"][:1]}),
                "clusters": said,
                "sources": list(names),
                "ranges": asdict(sources),
                "shard": piece.file.relative,
            }
            for piece, own, said in zip(self.corpus.pieces, sketched, slices, strict=True)
        ]
        return self._by_piece(
            items, depends, [written_files([own["files"][0], *clusters["files"]]) for own in sketched]
        )

    def write(self, sketched: Results, decided: Results) -> Work:
        """The last stage's."""
        config = self.config
        depends, items = [], []
        for piece, own, identity, decision in zip(
            self.corpus.pieces, sketched, self._identities(), decided, strict=True
        ):
            files = self.outputs.shard_files(piece, len(own["parts"]))
            settings = {"normalisation": config.normalisation, "compression_level": config.compression_level}
            depends.append(
                {
                    "version": [output_shards.VERSION, versions()["unicode"]],
                    "settings": settings
                    | {
                        "scopes": list(self.outputs.scopes),
                        "truncated": config.truncated,
                        "text_field": config.text_field,
                    },
                    "input": identity,
                    "kept": decision["kept"],
                    "parts": own["parts"],
                    "content": own["content"],
                    "outputs": [relative_name(path, self.work.parent) for part in files for _, _, path in part],
                }
            )
            items.append(
                output_shards.WriteItem(
                    piece=piece,
                    reader=self._reader(),
                    fields=self._fields,
                    normalisation=config.normalisation,
                    decisions_file=self.outputs.decisions_file(piece),
                    rows_file=self.rows_file(piece),
                    parts=tuple(own["parts"]),
                    outputs=files,
                    level=config.compression_level,
                    written=self._parts("write", piece),
                    depends=depends[-1],
                    content=tuple(own["content"]),
                    sketched=self.markers("sketch").path(piece.name),
                    sketched_parts=self._parts("sketch", piece).folder,
                )
            )
        return self._by_piece(
            items,
            depends,
            [
                written_files([own["files"][0], *decision["files"]])
                for own, decision in zip(sketched, decided, strict=True)
            ],
        )

    def _by_piece(
        self, items: list[Any], depends: list[dict[str, Any]], reads: Sequence[Sequence[WrittenFile]] = ()
    ) -> Work:
        pieces = self.corpus.pieces
        weights = [piece.input_bytes for piece in pieces]
        return Work(items, [piece.name for piece in pieces], depends, weights, reads)

    def _all_rows(self, sketched: Results) -> tuple[WrittenFile, ...]:
        """Those of this run, and of the earlier ones it is compared with."""
        earlier = self.earlier.rows if self.earlier else ()
        return (
            *written_files(result["files"][0] for result in sketched),
            *(WrittenFile(place(row["path"]), row["blake2b"], _remedy(row)) for row in earlier),
        )

    def _identities(self) -> list[dict[str, Any]]:
        """What tells the content of each piece's file from another's."""
        samples = content_samples(self.corpus.files)
        return [
            {
                "path": piece.file.relative,
                "size": piece.file.size,
                "modified": moment_text(piece.file.modified_ns),
                "sample": samples[piece.file.path],
                "names": list(piece.set_names),
                "keeps_labels": piece.keeps_labels,
            }
            for piece in self.corpus.pieces
        ]

    @property
    def _fields(self) -> Fields:
        return Fields.of(self.config.text_field, self.config.id_field)

    def _reader(self) -> LineReader:
        return LineReader(max_line_bytes=self.config.max_document_bytes, truncated=self.config.truncated)

    def _parts(self, stage: str, piece: Piece) -> Markers:
        return Markers(self.work / "parts" / stage / piece.name, self.work.parent)


def _remedy(row: Mapping[str, Any]) -> str:
    return f"remove it and run the deduplication in {row['run']} again: it is made anew"


def moment_text(nanoseconds: int) -> str:
    """When a file was changed, in UTC, as people read it."""
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    except (ValueError, OverflowError, OSError):  # file systems know years before 1 and after 9999
        return f"{nanoseconds} ns since 1970"
