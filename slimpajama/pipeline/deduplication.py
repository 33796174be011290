"""The stages of a deduplication in their order.

read and sketch → link → cluster → compare → decide → write. Each stage reads files of the one before and leaves its
own in ``OUT/work`` (or, the last two, in ``OUT``). An item depends on its settings and on the *content* of the files it
reads, so what comes out as it was before is not gone through again: a replaced shard is read anew, all keys are linked
and clustered anew, and then only pieces of which the clusters say something new are decided and written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from slimpajama.config import Config, checked
from slimpajama.corpus.discovery import Corpus, Piece, content_samples, discover
from slimpajama.corpus.lines import LineReader
from slimpajama.dedup import cluster, cluster_slices, decisions, lsh, output_shards, sketching
from slimpajama.dedup.bands import banding
from slimpajama.dedup.decisions import DecisionItem, Tally
from slimpajama.dedup.index import INDEX, Index, index_content, open_index
from slimpajama.dedup.source_ranges import SourceRanges
from slimpajama.dedup.summary import run_summary, versions
from slimpajama.engine.choice import EngineChoice
from slimpajama.errors import ConfigError
from slimpajama.lock import locked, locked_for_reading
from slimpajama.machine import PeakMemory
from slimpajama.pipeline.dedup_outputs import Outputs, owned_folders
from slimpajama.pipeline.request import write_request
from slimpajama.stage import Stages
from slimpajama.storage import is_remote, place, relative_name
from slimpajama.workspace import Markers, content_digest, fingerprint

__all__ = ["deduplicate", "deduplicate_on"]

KERNELS = ("slimpajama.dedup.compiled",)

READING = ("num_perm", "seed", "min_cleaned_characters", "normalisation", "max_document_bytes", "truncated")
"""Settings that the first stage depends on as they are."""


def deduplicate(
    input: str | Path,
    output: str | Path,
    config: Config | None = None,
    *,
    progress: bool = False,
    engine: EngineChoice | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Deduplicate the shards below ``input`` into ``output``, locally and globally; returns the summary.

    ``settings`` are fields of :class:`~slimpajama.config.Config`, over those of ``config``; ``progress`` shows bars
    on standard error; ``engine``: this machine, if not another is chosen. What an earlier, interrupted or differently
    configured call left in ``output`` and still holds is used. Writes ``decisions/``, ``global/`` and/or ``local/``,
    ``quarantine/``, ``summary.json`` and ``work/``. Raises :class:`~slimpajama.errors.SlimpajamaError` of the kind that
    applies.
    """
    chosen = checked(Config, {**(config.model_dump() if config else {}), **settings}, "settings")
    with (engine or EngineChoice()).opened(chosen) as opened:
        return deduplicate_on(Stages(opened, bars=progress), place(input), place(output), chosen)


def deduplicate_on(stages: Stages, input: Path, output: Path, config: Config) -> dict[str, Any]:
    """:func:`deduplicate` on an engine that is there already; ``stages`` takes the record of the stages."""
    if is_remote(input) == is_remote(output) and output.resolve().is_relative_to(input.resolve()):
        raise ConfigError(f"the output {output} lies inside the input {input}; choose another place")
    earlier = _earlier(config, output)
    corpus = discover(input, config.sources, config.piece_bytes, earlier.shards if earlier else 0)
    run = _Run(corpus, output, config, stages, earlier)
    if stages.inspecting:
        return run.run()
    reading = locked_for_reading(earlier.folder) if earlier else contextlib.nullcontext()
    with locked(output), reading, stages.cleaning(owned_folders(output)):
        write_request(output, "dedup", {"input": str(input.resolve()), "settings": config.model_dump(mode="json")})
        return run.run()


def _earlier(config: Config, output: Path) -> Index | None:
    if config.against is None:
        return None
    earlier = open_index(place(config.against))
    if earlier.folder.resolve() == output.resolve():
        raise ConfigError(f"{output} cannot be deduplicated against itself; choose another output")
    earlier.check(config)
    return earlier


@dataclass(slots=True)
class _Run:
    corpus: Corpus
    output: Path
    config: Config
    stages: Stages
    earlier: Index | None = None

    def run(self) -> dict[str, Any]:
        began = time.perf_counter()
        corpus = self.corpus
        outputs = Outputs(self.output, corpus, self.config.scope, self.stages)
        outputs.announce()
        bands, rows = banding(self.config)
        with PeakMemory() as memory:
            sketched = self._sketch(corpus, outputs, bands, rows)
            self._judge_bad_records(corpus, sketched)
            links = self._link(corpus, outputs, bands, sketched)
            clusters, slices = self._cluster(corpus, links)
            tally, decided = self._decide(corpus, outputs, sketched, slices)
            written = self._write(corpus, outputs, sketched, decided)
        self.stages.remove_tree(self._work / "parts")
        outputs.finish(list(map(content_digest, decided)), [result["parts"] for result in sketched], written)
        self._write_index(corpus, sketched)
        summary = run_summary(corpus, tally, clusters, bands, rows, self.stages.times(), time.perf_counter() - began)
        summary |= {
            "settings": self.config.model_dump(mode="json") | {"workers": self.stages.engine.workers},
            "peak_memory_bytes": memory.bytes,
        }
        self.stages.write_json(self.output / "summary.json", summary)
        return summary

    def _sources(self, corpus: Corpus) -> SourceRanges:
        names = [source.name for source in corpus.sources]
        return SourceRanges.of(names, corpus.first_shards[:-1], self.earlier.ranges if self.earlier else ())

    def _write_index(self, corpus: Corpus, sketched: list[dict[str, Any]]) -> None:
        """For later runs to be compared with."""
        earlier = self.earlier
        ranges = [*(earlier.ranges if earlier else ())]
        ranges += zip((source.name for source in corpus.sources), corpus.first_shards, strict=False)
        rows = [*(earlier.rows if earlier else ())]
        for result in sketched:
            record = result["files"][0]
            rows.append(record | {"path": relative_name(record["path"], self.output)})
        documents = sum(result["in_lsh"] for result in sketched) + (earlier.documents if earlier else 0)
        content = index_content(ranges, corpus.first_shard, corpus.first_shards[-1], documents, rows, self.config)
        self.stages.write_json(self._work / INDEX, content)

    # ------------------------------------------------------------------------------------------ stages

    def _sketch(self, corpus: Corpus, outputs: Outputs, bands: int, rows: int) -> list[dict[str, Any]]:
        config = self.config
        settings = {name: getattr(config, name) for name in READING} | {"bands": bands, "rows": rows}
        depends, items = [], []
        for piece, identity in zip(corpus.pieces, self._identities(corpus), strict=True):
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
                    num_perm=config.num_perm,
                    seed=config.seed,
                    bands=bands,
                    rows=rows,
                    min_cleaned_characters=config.min_cleaned_characters,
                    normalisation=config.normalisation,
                    max_bad_fraction=config.max_bad_fraction,
                    rows_file=self._rows_file(piece),
                    quarantine_file=outputs.quarantine_file(piece),
                    part_bytes=part_bytes,
                    parts=self._parts("sketch", piece),
                    depends=depends[-1],
                )
            )
        return self._by_piece("read and sketch", items, sketching.sketch_piece, corpus, depends, KERNELS)

    def _judge_bad_records(self, corpus: Corpus, sketched: list[dict[str, Any]]) -> None:
        """A shard in several pieces is judged whole."""
        by_file: dict[str, sketching.PieceCounts] = {}
        for piece, result in zip(corpus.pieces, sketched, strict=True):
            counts = sketching.PieceCounts(**{name: result[name] for name in sketching.PieceCounts.__slots__})
            by_file.setdefault(piece.file.path, sketching.PieceCounts()).add(counts)
        for path, whole in by_file.items():
            if whole.bad > whole.records * self.config.max_bad_fraction:
                raise sketching.too_many_bad(path, whole, self.config.max_bad_fraction)

    def _link(
        self, corpus: Corpus, outputs: Outputs, bands: int, sketched: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        rows_list = self._work / "rows.json"
        before = self.earlier.rows if self.earlier else ()
        own = [relative_name(self._rows_file(piece), self._work) for piece in corpus.pieces]
        self.stages.write_json(rows_list, [*(row["path"] for row in before), *own])
        documents = sum(result["in_lsh"] for result in sketched) + (self.earlier.documents if self.earlier else 0)
        ranges = lsh.key_ranges(documents, self.config.item_bytes())
        items = [
            lsh.LinkItem(
                band,
                number,
                ranges,
                documents,
                rows_list,
                self._sources(corpus),
                self._work / "links" / f"{band}-{number}.arrow",
            )
            for band in range(bands)
            for number in range(ranges)
        ]
        depends = {
            "version": lsh.VERSION,
            "rows": fingerprint([content_digest({"files": result["files"][:1]}) for result in sketched]),
            "sources": asdict(self._sources(corpus)),
            "against": self.earlier.digest if self.earlier else "",
        }
        return self.stages.run(
            "link",
            items,
            lsh.link_band,
            markers=self._markers("link"),
            keys=[f"{item.band}-{item.number}" for item in items],
            depends=[depends | {"range": f"{item.number} of {ranges}"} for item in items],
            weights=[8 * documents // ranges] * len(items),
            kernels=KERNELS,
        )

    def _cluster(self, corpus: Corpus, links: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
        """The clusters' figures, and for each piece a digest of what they say of it."""
        clusters_file = self._clusters_file()
        files = tuple(place(result["files"][0]["path"]) for result in links)
        sources = self._sources(corpus)
        (clusters,) = self.stages.run(
            "cluster",
            [cluster.ClusterItem(files, sources, clusters_file, self.config.lone_item_bytes())],
            cluster.cluster_links,
            markers=self._markers("cluster"),
            keys=["all"],
            depends=[
                {
                    "version": cluster.VERSION,
                    "links": fingerprint(sorted(map(content_digest, links))),
                    "sources": asdict(sources),
                }
            ],
            weights=[sum(result["files"][0]["bytes"] for result in links)],
            kernels=KERNELS,
        )
        spans = tuple(map(cluster_slices.spans_of, corpus.pieces))
        (compared,) = self.stages.run(
            "compare",
            [cluster_slices.SliceItem(clusters_file, spans)],
            cluster_slices.slice_clusters,
            markers=self._markers("compare"),
            keys=["all"],
            depends=[
                {
                    "version": cluster_slices.VERSION,
                    "clusters": content_digest(clusters),
                    "pieces": fingerprint(spans),
                }
            ],
            weights=[clusters["files"][0]["bytes"]],
        )
        return clusters, compared["digests"]

    def _decide(
        self, corpus: Corpus, outputs: Outputs, sketched: list[dict[str, Any]], slices: list[str]
    ) -> tuple[Tally, list[dict[str, Any]]]:
        """The tally of all pieces, and what became of each."""
        names = tuple(source.name for source in corpus.sources)
        items = [
            DecisionItem(
                shard=piece.file.relative,
                rows_file=self._rows_file(piece),
                clusters_file=self._clusters_file(),
                decisions_file=outputs.decisions_file(piece),
                source_names=names,
                sources=self._sources(corpus),
                spans=cluster_slices.spans_of(piece),
            )
            for piece in corpus.pieces
        ]
        depends = [
            {
                "version": decisions.VERSION,
                "rows": content_digest({"files": own["files"][:1]}),
                "clusters": said,
                "sources": list(names),
                "ranges": asdict(self._sources(corpus)),
                "shard": piece.file.relative,
            }
            for piece, own, said in zip(corpus.pieces, sketched, slices, strict=True)
        ]
        tally = Tally(len(names), self._sources(corpus).reported_count)
        results = self._by_piece("decide", items, decisions.decide_piece, corpus, depends)
        for result in results:
            tally.merge(result["counts"], result["removed"])
        tally.check(names)
        return tally, results

    def _write(
        self, corpus: Corpus, outputs: Outputs, sketched: list[dict[str, Any]], decided: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        config = self.config
        depends, items = [], []
        for piece, own, identity, decision in zip(
            corpus.pieces, sketched, self._identities(corpus), decided, strict=True
        ):
            files = outputs.shard_files(piece, len(own["parts"]))
            settings = {"normalisation": config.normalisation, "compression_level": config.compression_level}
            depends.append(
                {
                    "version": [output_shards.VERSION, versions()["unicode"]],
                    "settings": settings | {"scopes": list(outputs.scopes), "truncated": config.truncated},
                    "input": identity,
                    "kept": decision["kept"],
                    "parts": own["parts"],
                    "outputs": [relative_name(path, self.output) for part in files for _, _, path in part],
                }
            )
            items.append(
                output_shards.WriteItem(
                    piece=piece,
                    reader=self._reader(),
                    normalisation=config.normalisation,
                    decisions_file=outputs.decisions_file(piece),
                    rows_file=self._rows_file(piece),
                    parts=tuple(own["parts"]),
                    outputs=files,
                    level=config.compression_level,
                    written=self._parts("write", piece),
                    depends=depends[-1],
                )
            )
        outputs.doubt_outdated(list(map(content_digest, decided)), [len(own["parts"]) for own in sketched])
        return self._by_piece("write", items, output_shards.write_piece, corpus, depends)

    # ------------------------------------------------------------------------------------------ files

    def _by_piece(
        self,
        name: str,
        items: Sequence[Any],
        function: Any,
        corpus: Corpus,
        depends: list[dict[str, Any]],
        kernels: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """A stage of one item per piece."""
        return self.stages.run(
            name,
            items,
            function,
            markers=self._markers(name.split()[-1]),
            keys=[piece.name for piece in corpus.pieces],
            depends=depends,
            weights=[piece.input_bytes for piece in corpus.pieces],
            kernels=kernels,
        )

    @staticmethod
    def _identities(corpus: Corpus) -> list[dict[str, Any]]:
        """What tells the content of each piece's file from another's."""
        samples = content_samples(corpus.files)
        return [
            {
                "path": piece.file.relative,
                "size": piece.file.size,
                "modified": _moment(piece.file.modified_ns),
                "sample": samples[piece.file.path],
                "names": list(piece.set_names),
            }
            for piece in corpus.pieces
        ]

    @property
    def _work(self) -> Path:
        return self.output / "work"

    def _reader(self) -> LineReader:
        return LineReader(max_line_bytes=self.config.max_document_bytes, truncated=self.config.truncated)

    def _markers(self, stage: str) -> Markers:
        return Markers(self._work / "done" / stage, self.output)

    def _parts(self, stage: str, piece: Piece) -> Markers:
        return Markers(self._work / "parts" / stage / piece.name, self.output)

    def _rows_file(self, piece: Piece) -> Path:
        return self._work / "rows" / f"{piece.name}.arrow"

    def _clusters_file(self) -> Path:
        return self._work / "clusters.arrow"


def _moment(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
