"""The stages of a deduplication in their order.

read and sketch → link → cluster → compare → decide → write. Each stage reads files of the one before and leaves its
own in ``OUT/work`` (or, the last two, in ``OUT``); what its items depend on, :mod:`slimpajama.pipeline.dedup_items`
says. So a replaced shard is read anew, all keys are linked and clustered anew, and then only pieces of which the
clusters say something new are decided and written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimpajama.config import Config, checked
from slimpajama.corpus.discovery import Corpus, ShardFile, discover
from slimpajama.corpus.left_out import report_left_out
from slimpajama.dedup import cluster, cluster_slices, decisions, lsh, output_shards, sketching
from slimpajama.dedup.bands import banding
from slimpajama.dedup.card import CARD, shards_card
from slimpajama.dedup.decisions import Tally
from slimpajama.dedup.index import INDEX, Index, index_content, open_index
from slimpajama.dedup.summary import run_summary
from slimpajama.engine import Retry
from slimpajama.engine.choice import EngineChoice
from slimpajama.errors import ConfigError
from slimpajama.file_list import FILE_LIST, FileList, files_in, read_file_list, write_file_list
from slimpajama.lock import locked, locked_for_reading
from slimpajama.logging import LOGGER
from slimpajama.machine import PeakMemory
from slimpajama.path_overlap import lies_inside, refuse_overlap, refuse_shards_in_output
from slimpajama.pipeline.dedup_items import DedupItems, Results, Work
from slimpajama.pipeline.dedup_outputs import BOTH, OWNED_FOLDERS, Outputs, owned_folders
from slimpajama.pipeline.output_names import refuse_long_names
from slimpajama.pipeline.replacement import announce, replaced_dedup
from slimpajama.pipeline.request import REQUEST, from_anywhere, write_request
from slimpajama.planning.disk_need import dedup_bytes, mixture_bytes, text_bytes, warn_if_full
from slimpajama.progress import progress_for
from slimpajama.sealed_json import write_sealed
from slimpajama.stage import Stages
from slimpajama.storage import place, relative_name
from slimpajama.workspace import content_digest, fingerprint
from slimpajama.written_files import DamagedFile

__all__ = ["dedup_arguments", "deduplicate", "deduplicate_on"]

KERNELS = ("slimpajama.dedup.compiled",)
STAGES = 6


def deduplicate(
    input: str | Path,
    output: str | Path,
    config: Config | None = None,
    *,
    progress: bool = False,
    engine: EngineChoice | None = None,
    keep: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Deduplicate the shards below ``input`` into ``output``, locally and globally; returns the summary.

    ``settings`` are fields of :class:`~slimpajama.config.Config`, over those of ``config``; ``progress`` shows bars on
    a terminal and logs a line every half minute elsewhere; ``engine``: this machine, if not another is chosen. What an
    earlier, interrupted or differently configured call left in ``output`` and still holds is used. With ``keep``, a
    finished result of other settings is not replaced but refused with :class:`~slimpajama.errors.OutputError`. Writes
    ``decisions/``, ``global/`` and/or ``local/``, ``quarantine/``, ``summary.json`` and ``work/``. Raises
    :class:`~slimpajama.errors.SlimpajamaError` of the kind that applies.
    """
    chosen = checked(Config, {**(config.model_dump() if config else {}), **settings}, "settings")
    with (engine or EngineChoice()).opened(chosen) as opened:
        return deduplicate_on(Stages(opened, progress_for(progress)), place(input), place(output), chosen, keep=keep)


def deduplicate_on(
    stages: Stages,
    input: Path,
    output: Path,
    config: Config,
    mixed: Sequence[int] | None = None,
    *,
    keep: bool = False,
) -> dict[str, Any]:
    """:func:`deduplicate` on an engine that is there already; ``stages`` takes the record of the stages.

    ``mixed``: tokens of each mixture that will be made beside the output, for which the disk needs room too.
    """
    refuse_overlap(input, output, subfolders=OWNED_FOLDERS)
    config = config.model_copy(update={"against": from_anywhere(config.against)})
    with contextlib.ExitStack() as holding:
        earlier = _earlier(config, output)
        if earlier:
            for earlier_run in earlier.runs if not stages.inspecting else ():
                holding.enter_context(locked_for_reading(place(earlier_run)))
            earlier.check(config)
        first_shard = earlier.shards if earlier else 0
        corpus = discover(input, config.sources, config.piece_bytes, first_shard, config.layout)
        refuse_shards_in_output(corpus.files, output)
        run = _Run(corpus, output, config, stages, earlier)
        refuse_long_names(Outputs(output, corpus, "both", stages), config.part_bytes)
        if stages.inspecting:
            return run.run()
        report_left_out(corpus, config.strict_input)
        if not (output / "request.json").exists():
            text = text_bytes(corpus.files)
            needed = dedup_bytes(text, 2 if config.scope == "both" else 1)
            warn_if_full(output, needed if mixed is None else needed + mixture_bytes(text, mixed))
        holding.enter_context(locked(output))
        arguments = dedup_arguments(input, config)
        announce(replaced_dedup(output, arguments), keep)
        holding.enter_context(stages.cleaning(owned_folders(output)))
        write_request(output, "dedup", arguments)
        try:
            return run.run()
        except DamagedFile as fault:
            LOGGER.warning("%s: it is made anew", fault.what)
            return run.run()


def dedup_arguments(input: Path, config: Config) -> dict[str, Any]:
    """What the request of a deduplication says."""
    return {"input": str(input.resolve()), "settings": config.model_dump(mode="json")}


def _earlier(config: Config, output: Path) -> Index | None:
    if config.against is None:
        return None
    earlier = open_index(place(config.against))
    for run in map(place, earlier.runs):
        if lies_inside(run, output) and lies_inside(output, run):
            raise ConfigError(f"{output} cannot be deduplicated against itself; choose another output")
        refuse_overlap(run, output, read_as="earlier run", subfolders=OWNED_FOLDERS)
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
        corpus, stages, work = self.corpus, self.stages, self.output / "work"
        outputs = Outputs(self.output, corpus, self.config.scope, stages)
        outputs.announce()
        stages.count = STAGES
        items = DedupItems(corpus, work, outputs, self.config, self.earlier)
        stages.remove(work / INDEX)  # until it holds again, nobody may compare with it
        with PeakMemory() as memory:
            sketching_work = items.sketch()
            sketched = self._stage(
                "read and sketch", sketching_work, sketching.sketch_piece, items, KERNELS, retry=sketching.try_again
            )
            self._judge_bad_records(sketched)
            stages.write_json(work / "rows.json", items.rows_list())
            linking_work = items.link(sketched, work / "rows.json")
            links = self._stage("link", linking_work, lsh.link_band, items, KERNELS)
            (clusters,) = self._stage(
                "cluster", items.cluster(links), cluster.cluster_links, items, KERNELS, self.config.lone_item_bytes()
            )
            (compared,) = self._stage("compare", items.compare(clusters), cluster_slices.slice_clusters, items)
            decided = self._stage(
                "decide", items.decide(sketched, clusters, compared["digests"]), decisions.decide_piece, items
            )
            tally = self._tally(items, decided)
            made_of = [
                fingerprint(content_digest(decision), own["content"], self.config.normalisation)
                for decision, own in zip(decided, sketched, strict=True)
            ]
            outputs.doubt_outdated(made_of, [len(own["parts"]) for own in sketched])
            written = self._stage("write", items.write(sketched, decided), output_shards.write_piece, items)
        stages.remove_tree(work / "parts")
        stages.forget_others(items.markers("sketch"), sketching_work.keys, sketched)
        stages.forget_others(items.markers("link"), linking_work.keys, links)
        current = outputs.finish(
            list(map(content_digest, decided)), made_of, [result["parts"] for result in sketched], written
        )
        self._write_index(items, sketched)
        bands, rows = banding(self.config)
        seconds = time.perf_counter() - began
        summary = run_summary(corpus, tally, clusters, bands, rows, stages.times(), seconds, stages.compile_seconds)
        self._report_replaced(written, summary)
        summary |= {
            "settings": self.config.model_dump(mode="json") | {"workers": stages.engine.workers},
            "peak_memory_bytes": memory.bytes,
        }
        stages.write_json(self.output / "summary.json", summary)
        self._write_cards(current, summary)
        self._list_files(current)
        return summary

    def _stage(
        self,
        name: str,
        work: Work,
        function: Any,
        items: DedupItems,
        kernels: tuple[str, ...] = (),
        memory: int | None = None,
        retry: Retry[Any] | None = None,
    ) -> list[dict[str, Any]]:
        return self.stages.run(
            name,
            work.items,
            function,
            markers=items.markers(name.split()[-1]),
            keys=work.keys,
            depends=work.depends,
            weights=work.weights,
            kernels=kernels,
            memory=memory,
            retry=retry,
            reads=work.reads,
        )

    def _judge_bad_records(self, sketched: Results) -> None:
        """A shard in several pieces is judged whole."""
        by_file: dict[ShardFile, sketching.PieceCounts] = {}
        for piece, result in zip(self.corpus.pieces, sketched, strict=True):
            counts = sketching.PieceCounts(**{name: result[name] for name in sketching.PieceCounts.__slots__})
            by_file.setdefault(piece.file, sketching.PieceCounts()).add(counts)
        for file, whole in by_file.items():
            if whole.bad > whole.records * self.config.max_bad_fraction:
                raise sketching.too_many_bad(file, whole, self.config.max_bad_fraction, self.config.text_field)

    def _report_replaced(self, written: Results, summary: dict[str, Any]) -> None:
        """Put the counts of values that JSON cannot hold into the summary, and warn of them."""
        names = [source.name for source in self.corpus.sources]
        counts = [sum(result["replaced"].get(str(source), 0) for result in written) for source in range(len(names))]
        for name, count in (*zip(names, counts, strict=True), ("total", sum(counts))):
            summary["sources"][name]["replaced_values"] = count
        if any(counts):
            first = next(result["first"] for result in written if result["first"])
            LOGGER.warning(
                f"{sum(counts):,} value(s) beside texts, such as NaN or a lone surrogate, have no form in JSON and "
                f"were written as null or U+FFFD, the first in {first}; repair the input if they matter"
            )

    def _tally(self, items: DedupItems, decided: Results) -> Tally:
        names = tuple(source.name for source in self.corpus.sources)
        tally = Tally(len(names), items.sources.reported_count)
        for result in decided:
            tally.merge(result["counts"], result["removed"])
        tally.check(names)
        return tally

    def _write_index(self, items: DedupItems, sketched: Results) -> None:
        """For later runs to be compared with."""
        corpus, earlier = self.corpus, self.earlier
        ranges = [*(earlier.ranges if earlier else ())]
        ranges += zip((source.name for source in corpus.sources), corpus.first_shards, strict=False)
        rows = [*(earlier.rows if earlier else ())]
        for result in sketched:
            record = result["files"][0]
            rows.append(record | {"path": relative_name(record["path"], self.output)})
        content = index_content(
            ranges, corpus.first_shard, corpus.first_shards[-1], items.documents(sketched), rows, self.config
        )
        if not self.stages.inspecting:
            write_sealed(items.work / INDEX, content)

    def _write_cards(self, current: set[str], summary: dict[str, Any]) -> None:
        """For the scopes that have shards."""
        for scope in BOTH:
            card = self.output / scope / CARD
            if any(path.startswith(f"{scope}/") for path in current):
                self.stages.write(card, shards_card(scope, summary["sources"]).encode())
            else:
                self.stages.remove(card)

    def _list_files(self, current: set[str]) -> None:
        """Shards of a scope that an earlier run wrote from the same decisions stay listed."""
        if self.stages.inspecting:
            return
        path = self.output / "work" / FILE_LIST
        earlier = read_file_list(path)
        before = {name: facts for name, facts in (earlier.files if earlier else {}).items() if name in current}
        sealed = [REQUEST, f"work/{INDEX}", *files_in(self.output, "work/done")]
        write_file_list(path, self.output, self.stages.written.values(), sealed, FileList(before, frozenset()))
