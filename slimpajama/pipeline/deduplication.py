"""The stages of a deduplication in their order.

read and sketch → link → cluster → decide → write. Each stage reads files of the one before and leaves its own in
``OUT/work`` (or, the last two, in ``OUT``); what a stage depends on goes into the fingerprints of its items.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimpajama.config import Config, checked
from slimpajama.corpus.discovery import Corpus, Piece, discover
from slimpajama.corpus.lines import LineReader
from slimpajama.dedup import cluster, decisions, lsh, output_shards, sketching
from slimpajama.dedup.bands import banding
from slimpajama.dedup.decisions import DecisionItem, Tally
from slimpajama.dedup.summary import run_summary, versions
from slimpajama.engine import Engine
from slimpajama.engine.local import LocalEngine
from slimpajama.errors import ConfigError
from slimpajama.stage import StageTimes, run_stage
from slimpajama.workspace import Markers, fingerprint, read_json, remove_stale_temporaries, write_json

__all__ = ["KERNELS", "PIECES", "deduplicate", "deduplicate_on"]

KERNELS = ("slimpajama.dedup.compiled",)
"""What an engine should preload for this."""

OUTPUTS = ("decisions", "global", "local", "quarantine")
"""Folders of the output that hold nothing but what runs wrote."""

LISTING = "outputs.json"
"""In ``work/``: what runs wrote into ``OUTPUTS``, with the fingerprint of the decisions behind each file."""

PIECES = "pieces.json"
"""In ``work/``: for each piece its decisions and, by source and scope, its shards."""


def deduplicate(
    input: str | Path,
    output: str | Path,
    config: Config | None = None,
    *,
    progress: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Deduplicate the shards below ``input`` into ``output``, locally and globally; returns the summary.

    ``settings`` are fields of :class:`~slimpajama.config.Config`, over those of ``config``; ``progress`` shows bars
    on standard error. What an earlier, interrupted or differently configured call left in ``output`` and still holds
    is used. Writes ``decisions/``, ``global/`` and/or ``local/``, ``quarantine/``, ``summary.json`` and ``work/``.
    Raises :class:`~slimpajama.errors.SlimpajamaError` of the kind that applies.
    """
    chosen = checked(Config, {**(config.model_dump() if config else {}), **settings}, "settings")
    with LocalEngine(chosen.worker_count(), KERNELS) as engine:
        return deduplicate_on(engine, Path(input), Path(output), chosen, StageTimes(bars=progress))


def deduplicate_on(engine: Engine, input: Path, output: Path, config: Config, times: StageTimes) -> dict[str, Any]:
    """:func:`deduplicate` on an engine that is there already; ``times`` takes the stages' seconds."""
    return _Run(input, output, config, engine, times).run()


@dataclass(slots=True)
class _Run:
    input: Path
    output: Path
    config: Config
    engine: Engine
    times: StageTimes

    def run(self) -> dict[str, Any]:
        began = time.perf_counter()
        if self.output.resolve().is_relative_to(self.input.resolve()):
            raise ConfigError(f"the output {self.output} lies inside the input {self.input}; choose another place")
        corpus = discover(self.input, self.config.sources, self.config.piece_bytes)
        remove_stale_temporaries(self.output / name for name in (*OUTPUTS, "work"))
        self._announce_outputs(corpus)
        bands, rows = banding(self.config)
        counts, sketched = self._sketch(corpus, bands, rows)
        self._judge_bad_records(corpus, counts)
        links, linked = self._link(corpus, bands, sum(count["in_lsh"] for count in counts), sketched)
        clusters, clustered = self._cluster(corpus, links, linked)
        tally, decided = self._decide(corpus, sketched, clustered)
        self._write(corpus, decided)
        summary = self._summary(corpus, tally, clusters, bands, rows, time.perf_counter() - began)
        write_json(self.output / "summary.json", summary)
        return summary

    # ------------------------------------------------------------------------------------------ stages

    def _sketch(self, corpus: Corpus, bands: int, rows: int) -> tuple[list[dict[str, Any]], list[str]]:
        config = self.config
        items = [
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
                quarantine_file=self.output / "quarantine" / f"{piece.name}.jsonl",
            )
            for piece in corpus.pieces
        ]
        settings: list[Any] = [
            config.num_perm,
            config.seed,
            bands,
            rows,
            config.min_cleaned_characters,
            config.normalisation,
        ]
        settings += [config.max_document_bytes, config.truncated, versions()["unicode"]]
        prints = [
            fingerprint(sketching.VERSION, settings, _identity(piece), [shard.index for shard in piece.shards])
            for piece in corpus.pieces
        ]
        return self._stage("read and sketch", items, sketching.sketch_piece, corpus.pieces, prints), prints

    def _judge_bad_records(self, corpus: Corpus, counts: list[dict[str, Any]]) -> None:
        """A shard in several pieces is judged whole."""
        by_file: dict[str, sketching.PieceCounts] = {}
        for piece, count in zip(corpus.pieces, counts, strict=True):
            whole = by_file.setdefault(piece.file.path, sketching.PieceCounts())
            whole.records += count["records"]
            whole.bad += count["bad"]
            whole.first_bad = whole.first_bad or count["first_bad"]
        for path, whole in by_file.items():
            if whole.bad > whole.records * self.config.max_bad_fraction:
                raise sketching.too_many_bad(path, whole, self.config.max_bad_fraction)

    def _link(self, corpus: Corpus, bands: int, documents: int, sketched: list[str]) -> tuple[list[Path], str]:
        work = self.output / "work"
        rows_list = work / "rows.json"
        write_json(rows_list, [str(self._rows_file(piece)) for piece in corpus.pieces])
        ranges = lsh.key_ranges(documents, self.config.memory_bytes(), self.engine.workers)
        items = [
            lsh.LinkItem(
                band,
                number,
                ranges,
                rows_list,
                corpus.first_shards[:-1],
                work / "links" / f"{band}-{number}.arrow",
            )
            for band in range(bands)
            for number in range(ranges)
        ]
        value = fingerprint(lsh.VERSION, sketched, corpus.first_shards)
        run_stage(
            "link",
            items,
            lsh.link_band,
            engine=self.engine,
            markers=self._markers("link"),
            keys=[f"{item.band}-{item.number}" for item in items],
            fingerprints=[fingerprint(value, item.band, item.number, ranges) for item in items],
            weights=[8 * documents // ranges] * len(items),
            times=self.times,
            present=lambda item, _: item.links_file.is_file(),
        )
        return [item.links_file for item in items], value

    def _cluster(self, corpus: Corpus, links: list[Path], linked: str) -> tuple[dict[str, Any], str]:
        item = cluster.ClusterItem(tuple(links), corpus.first_shards[:-1], self._clusters_file())
        value = fingerprint(cluster.VERSION, linked)
        (result,) = run_stage(
            "cluster",
            [item],
            cluster.cluster_links,
            engine=self.engine,
            markers=self._markers("cluster"),
            keys=["all"],
            fingerprints=[value],
            weights=[sum(path.stat().st_size for path in links)],
            times=self.times,
            present=lambda item, _: item.clusters_file.is_file(),
        )
        return result, value

    def _decide(self, corpus: Corpus, sketched: list[str], clustered: str) -> tuple[Tally, list[str]]:
        names = tuple(source.name for source in corpus.sources)
        items = [
            DecisionItem(
                shard=piece.file.relative,
                rows_file=self._rows_file(piece),
                clusters_file=self._clusters_file(),
                decisions_file=self._decisions_file(corpus, piece),
                source_names=names,
                first_shards=corpus.first_shards[:-1],
            )
            for piece in corpus.pieces
        ]
        prints = [fingerprint(decisions.VERSION, own, clustered, names) for own in sketched]
        tally = Tally(len(names))
        for result in self._stage("decide", items, decisions.decide_piece, corpus.pieces, prints):
            tally.merge(result["counts"], result["removed"])
        tally.check(names)
        return tally, prints

    def _write(self, corpus: Corpus, decided: list[str]) -> None:
        config = self.config
        scopes = self._scopes()
        items = []
        for piece in corpus.pieces:
            outputs = tuple(
                (scope, shard.source, self.output / self._shard_path(corpus, piece, scope, at))
                for scope in scopes
                for at, shard in enumerate(piece.shards)
            )
            items.append(
                output_shards.WriteItem(
                    piece=piece,
                    reader=self._reader(),
                    normalisation=config.normalisation,
                    decisions_file=self._decisions_file(corpus, piece),
                    rows_file=self._rows_file(piece),
                    outputs=outputs,
                    level=config.compression_level,
                )
            )
        prints = [
            fingerprint(output_shards.VERSION, own, scopes, config.compression_level, piece.set_names)
            for own, piece in zip(decided, corpus.pieces, strict=True)
        ]
        self._doubt_outdated(corpus, decided)
        self._stage("write", items, output_shards.write_piece, corpus.pieces, prints)
        write_json(self.output / "work" / PIECES, [self._places(corpus, piece) for piece in corpus.pieces])
        self._remove_outdated(corpus, scopes, decided)

    # ------------------------------------------------------------------------------------------ files

    def _stage(self, name: str, items: list[Any], function: Any, pieces: tuple[Piece, ...], prints: list[str]) -> Any:
        """A stage of one item per piece."""
        return run_stage(
            name,
            items,
            function,
            engine=self.engine,
            markers=self._markers(name.split()[-1]),
            keys=[piece.name for piece in pieces],
            fingerprints=prints,
            weights=[piece.input_bytes for piece in pieces],
            times=self.times,
            present=lambda item, _: all(path.is_file() for path in item.output_files),
        )

    def _places(self, corpus: Corpus, piece: Piece) -> dict[str, Any]:
        """Where the decisions on a piece and its shards lie, below the output; for who reads the kept documents."""
        shards = {
            corpus.sources[shard.source].name: {
                scope: self._shard_path(corpus, piece, scope, at).as_posix() for scope in ("global", "local")
            }
            for at, shard in enumerate(piece.shards)
        }
        return {
            "decisions": self._decisions_file(corpus, piece).relative_to(self.output).as_posix(),
            "shards": shards,
        }

    def _reader(self) -> LineReader:
        return LineReader(max_line_bytes=self.config.max_document_bytes, truncated=self.config.truncated)

    def _markers(self, stage: str) -> Markers:
        return Markers(self.output / "work" / "done" / stage)

    def _rows_file(self, piece: Piece) -> Path:
        return self.output / "work" / "rows" / f"{piece.name}.arrow"

    def _clusters_file(self) -> Path:
        return self.output / "work" / "clusters.arrow"

    def _decisions_file(self, corpus: Corpus, piece: Piece) -> Path:
        if piece.mixed:
            return self.output / "decisions" / f"{piece.name}.parquet"
        return self.output / self._shard_path(corpus, piece, "decisions", 0).with_suffix("").with_suffix(".parquet")

    @staticmethod
    def _shard_path(corpus: Corpus, piece: Piece, folder: str, at: int) -> Path:
        shard = piece.shards[at]
        return Path(folder, corpus.sources[shard.source].name, f"{shard.stem}{piece.part_suffix}.jsonl.zst")

    def _outputs(self, corpus: Corpus, piece: Piece) -> dict[str, list[str]]:
        """All files a piece may have in the output, by folder, relative to it."""
        shards = {
            scope: [str(self._shard_path(corpus, piece, scope, at)) for at in range(len(piece.shards))]
            for scope in ("global", "local")
        }
        decisions = str(self._decisions_file(corpus, piece).relative_to(self.output))
        return {**shards, "decisions": [decisions], "quarantine": [f"quarantine/{piece.name}.jsonl"]}

    def _announce_outputs(self, corpus: Corpus) -> None:
        """List what this run may write before it writes any of it, so that a later one knows whose it is."""
        listing = self.output / "work" / LISTING
        listed: dict[str, str] = read_json(listing) or {}
        folders = ("decisions", "quarantine", *self._scopes())
        for piece in corpus.pieces:
            outputs = self._outputs(corpus, piece)
            for folder in folders:
                for path in outputs[folder]:
                    listed.setdefault(path, "")
        write_json(listing, listed)

    def _scopes(self) -> tuple[str, ...]:
        return ("global", "local") if self.config.scope == "both" else (self.config.scope,)

    def _doubt_outdated(self, corpus: Corpus, decided: list[str]) -> None:
        """Strike out of the list of outputs those that other decisions made, before any is written anew.

        Should this run be interrupted, the next one cannot take what lies there for the right thing.
        """
        listing = self.output / "work" / LISTING
        listed: dict[str, str] = read_json(listing) or {}
        for piece, value in zip(corpus.pieces, decided, strict=True):
            for paths in self._outputs(corpus, piece).values():
                listed.update({path: "" for path in paths if listed.get(path, value) != value})
        write_json(listing, listed)

    def _remove_outdated(self, corpus: Corpus, scopes: tuple[str, ...], decided: list[str]) -> None:
        """Remove what an earlier run wrote here and this one neither wrote nor would write the same.

        Only files that an earlier run listed are ever removed. Shards of a scope that was not asked for this time
        stay while their decisions do.
        """
        listing = self.output / "work" / LISTING
        earlier: dict[str, str] = read_json(listing) or {}
        written: dict[str, str] = {}
        for piece, value in zip(corpus.pieces, decided, strict=True):
            for folder, paths in self._outputs(corpus, piece).items():
                for path in paths:
                    if folder in ("decisions", "quarantine", *scopes) or earlier.get(path) == value:
                        written[path] = value
        for path in sorted(set(earlier) - set(written)):
            (self.output / path).unlink(missing_ok=True)
        write_json(listing, written)

    def _summary(
        self, corpus: Corpus, tally: Tally, clusters: dict[str, Any], bands: int, rows: int, seconds: float
    ) -> dict[str, Any]:
        return run_summary(corpus, tally, clusters, bands, rows, self.times.stages, seconds) | {
            "settings": self.config.model_dump(mode="json") | {"workers": self.engine.workers}
        }


def _identity(piece: Piece) -> list[Any]:
    file = piece.file
    return [file.relative, file.size, file.modified_ns, piece.start, piece.stop, piece.set_names]
