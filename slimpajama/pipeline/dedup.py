"""The stages of a deduplication in their order.

read and sketch → exact → link → cluster → group → diff → decide → write. Each stage reads files of earlier ones and
leaves its own in ``OUT/work`` (or, the last two, in ``OUT``). A replaced shard is read anew, all keys are linked and
clustered anew, and then only bundles of which the groups say something new are decided and written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimpajama.config.dedup import Config
from slimpajama.config.loading import with_settings
from slimpajama.corpus.discovery import ShardFile, discover
from slimpajama.corpus.left_out import report_left_out
from slimpajama.corpus.shard_formats import shard_format
from slimpajama.dedup.banding import warn_of_missed_pairs
from slimpajama.dedup.checking.rounds import LOOK, PairWork
from slimpajama.dedup.dedup_run import DedupRun, WorkSizes
from slimpajama.dedup.files.key_index import Index, write_index
from slimpajama.dedup.files.layout import OWNED_FOLDERS, DedupLayout, scopes_written
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.removal_sample import RemovalSample
from slimpajama.dedup.run_summary import largest_clusters, run_summary
from slimpajama.dedup.sketching import PieceCounts, too_many_bad
from slimpajama.dedup.stages.all_rows import rows_paths
from slimpajama.dedup.stages.checked import CheckedResult
from slimpajama.dedup.stages.cluster import ClusterResult, ClusterStage
from slimpajama.dedup.stages.decide import DecideResult, DecideStage
from slimpajama.dedup.stages.diff import DiffStage
from slimpajama.dedup.stages.exact import ExactResult, ExactStage
from slimpajama.dedup.stages.group import GroupStage
from slimpajama.dedup.stages.link import LinkResult, LinkStage
from slimpajama.dedup.stages.sketch import SketchResult, SketchStage, documents_in
from slimpajama.dedup.stages.write import WriteResult, WriteStage
from slimpajama.dedup.summary import DedupSummary
from slimpajama.dedup.tally import Tally
from slimpajama.engine.choice import EngineChoice
from slimpajama.engine.machine import PeakMemory
from slimpajama.evidence.request import REQUEST, DedupRequest, write_request
from slimpajama.logging import LOGGER
from slimpajama.pipeline.checked_clusters import checked_clusters
from slimpajama.pipeline.decontamination import (
    gathered_matches,
    indexed_items,
    refuse_missing_sets,
    stage_count,
    with_places,
)
from slimpajama.pipeline.dedup_outputs import Outputs
from slimpajama.pipeline.earlier_run import earlier_run
from slimpajama.pipeline.output_names import refuse_long_names
from slimpajama.pipeline.path_overlap import refuse_overlap, refuse_shards_in_output
from slimpajama.pipeline.removal_guards import beginnings_of, refuse_too_much_removed, warn_of_lost_sources
from slimpajama.pipeline.removal_sample import sample_of_removals
from slimpajama.pipeline.replaced_input import replaced_by_input
from slimpajama.pipeline.replacement import announce, replaced_dedup
from slimpajama.pipeline.shard_cards import write_cards
from slimpajama.pipeline.text_sources import earlier_text_sources, own_text_sources
from slimpajama.planning.disk_need import dedup_bytes, mixture_bytes, text_bytes, warn_if_full
from slimpajama.stages.progress import Progress, progress_for
from slimpajama.stages.runner import Stages
from slimpajama.stages.written_files import DamagedFile
from slimpajama.storage.file_list import FileList, files_in, read_file_list, write_file_list
from slimpajama.storage.lock import locked, locked_for_reading
from slimpajama.storage.paths import path_of

__all__ = ["dedup_request", "deduplicate", "deduplicate_on"]


def deduplicate(
    input: str | Path,
    output: str | Path,
    config: Config | None = None,
    *,
    progress: bool | Progress = False,
    engine: EngineChoice | None = None,
    keep: bool = False,
    **settings: Any,
) -> DedupSummary:
    """Deduplicate the shards below ``input`` into ``output``, locally and globally; returns the summary.

    Writes ``decisions/``, ``global/`` and/or ``local/``, ``quarantine/``, ``summary.json`` and ``work/``. What an
    earlier, interrupted or differently configured call left in ``output`` and still holds is used.

    ``settings``: fields of :class:`~slimpajama.Config`, over those of ``config``. ``progress``: ``True`` shows bars on
    a terminal and logs a line every half minute elsewhere; or an observer of your own. ``engine``: this machine, unless
    another is chosen. ``keep``: do not replace a finished result of other settings, but raise
    :class:`~slimpajama.OutputError`. Raises :class:`~slimpajama.SlimpajamaError` of the kind that applies.
    """
    chosen = with_settings(Config, config, settings)
    with (engine or EngineChoice()).opened(chosen) as opened:
        return deduplicate_on(
            Stages(opened, progress_for(progress)), path_of(input), path_of(output), chosen, keep=keep
        )


def deduplicate_on(
    stages: Stages,
    input: Path,
    output: Path,
    config: Config,
    mixed: Sequence[int] | None = None,
    *,
    keep: bool = False,
    sizes: WorkSizes | None = None,
) -> DedupSummary:
    """:func:`deduplicate` on an engine that is there already; ``stages`` takes the record of the stages.

    ``mixed``: tokens of each mixture that will be made beside the output, for which the disk needs room too.
    """
    refuse_overlap(input, output, subfolders=OWNED_FOLDERS)
    config = with_places(config)
    with contextlib.ExitStack() as holding:
        earlier = earlier_run(config, output)
        if earlier:
            for run_before in earlier.runs if not stages.inspecting else ():
                holding.enter_context(locked_for_reading(path_of(run_before)))
            earlier.check(config)
        first_shard = earlier.shards if earlier else 0
        work = sizes or WorkSizes()
        corpus = discover(input, config.sources, config.piece_bytes, first_shard, config.layout, work.bundles)
        refuse_shards_in_output(corpus.files, output)
        layout = DedupLayout(
            output, tuple(source.name for source in corpus.sources), shard_format(config.shard_format).ending
        )
        texts = earlier_text_sources(earlier) if earlier and config.checked else ()
        run = _Run(DedupRun(corpus, config, layout, earlier, work, texts), stages)
        refuse_long_names(layout, corpus.bundles, config.part_bytes)
        if stages.inspecting:
            return run.run()
        refuse_missing_sets(config)
        report_left_out(corpus, config.strict_input)
        warn_of_missed_pairs(config)
        if not (output / REQUEST).exists():
            text = text_bytes(corpus.files)
            needed = dedup_bytes(text, len(scopes_written(config.scope)))
            warn_if_full(output, needed if mixed is None else needed + mixture_bytes(text, mixed))
        holding.enter_context(locked(output))
        request = dedup_request(input, config)
        replaced = replaced_dedup(output, request)
        announce(replaced or replaced_by_input(run.dedup), keep)
        if replaced:
            stages.remove(layout.index)  # decisions cannot be explained by the settings of another request
        holding.enter_context(stages.cleaning(layout.owned_folders))
        write_request(output, request)
        try:
            return run.run()
        except DamagedFile as fault:
            LOGGER.warning("%s: it is made anew", fault.what)
            return run.run()


def dedup_request(input: Path, config: Config) -> DedupRequest:
    """The request of this deduplication, as it can be repeated from any folder."""
    return DedupRequest(input=str(input.resolve()), settings=config.model_dump(mode="json"))


FEW_DOCUMENTS = 20
MOSTLY_SHORT = 0.9
"""A source of at least so many documents, of which more than this share is short, is warned of."""


@dataclass(frozen=True, slots=True)
class _Run:
    dedup: DedupRun
    stages: Stages

    def run(self) -> DedupSummary:
        began = time.perf_counter()
        dedup, stages, layout = self.dedup, self.stages, self.dedup.layout
        outputs = Outputs(dedup, stages)
        outputs.announce()
        # How many rounds of checks and passes over texts there will be is not known.
        stages.count = 0 if dedup.config.checked or dedup.config.sampled_removals else stage_count(dedup.config)
        stages.index = layout.index  # from the first changed result until the end, nobody may compare with it
        with PeakMemory() as memory:
            items = indexed_items(dedup, stages)
            sketching = SketchStage(dedup, items)
            sketched = stages.run(sketching, dedup.markers(sketching))
            self._judge_bad_records(sketched)
            self._warn_of_unranked(sketched)
            matches = gathered_matches(dedup, stages, items, sketched)
            stages.write_json(layout.rows_list, rows_paths(dedup))
            equating = ExactStage(dedup, sketched)
            exact = stages.run(equating, dedup.markers(equating))
            linking = LinkStage(dedup, sketched, exact)
            links = stages.run(linking, dedup.markers(linking))
            clusters = self._clusters(sketched, exact, links)
            grouping = GroupStage(dedup, sketched, clusters)
            groups = stages.run(grouping, dedup.markers(grouping))
            comparing = DiffStage(dedup, groups)
            diff = stages.run_one(comparing, dedup.markers(comparing))
            deciding = DecideStage(dedup, sketched, groups, diff)
            decided = stages.run(deciding, dedup.markers(deciding))
            tally = self._tally(decided)
            refuse_too_much_removed(dedup, tally, groups)
            looked_at = self._looked_at(sketched, decided)
            outputs.invalidate(sketched, decided)
            writing = WriteStage(dedup, sketched, decided)
            written = stages.run(writing, dedup.markers(writing))
        stages.remove_tree(layout.parts)
        stages.remove_tree(layout.done / "compare")  # what the stage "diff" was called before
        stages.forget_others(dedup.markers(sketching), [bundle.name for bundle in dedup.corpus.bundles], sketched)
        stages.forget_others(dedup.markers(equating), [task.key for task in equating.tasks()], exact)
        stages.forget_others(dedup.markers(linking), [task.key for task in linking.tasks()], links)
        stages.forget_others(dedup.markers(grouping), [task.key for task in grouping.tasks()], groups)
        current = outputs.finish(sketched, decided, written)
        self._write_index(sketched, clusters)
        summary = run_summary(
            dedup.corpus,
            dedup.config,
            tally,
            groups,
            stages.records,
            beginnings={} if stages.inspecting else beginnings_of(dedup, largest_clusters(groups, "global")),
            replaced=self._replaced_values(written),
            workers=stages.engine.workers,
            seconds=time.perf_counter() - began,
            compile_seconds=stages.compile_seconds,
            peak_memory_bytes=memory.bytes,
            looked_at=looked_at,
            checks=clusters.checks if isinstance(clusters, CheckedResult) else None,
            decontamination=matches,
        )
        self._warn_of_short_sources(summary)
        if not stages.inspecting:
            warn_of_lost_sources(dedup, tally)
        stages.write_json(layout.summary, summary.as_dict())
        write_cards(dedup, summary, current, stages)
        self._list_files(current)
        return summary

    def _clusters(
        self, sketched: Sequence[SketchResult], exact: Sequence[ExactResult], links: Sequence[LinkResult]
    ) -> ClusterResult:
        """By connected components, or by removals that are checked."""
        if self.dedup.config.checked:
            return checked_clusters(self.dedup, self.stages, sketched, links, exact)
        clustering = ClusterStage(self.dedup, [*exact, *links])
        return self.stages.run_one(clustering, self.dedup.markers(clustering))

    def _looked_at(self, sketched: Sequence[SketchResult], decided: Sequence[DecideResult]) -> RemovalSample | None:
        """A sample of the removals, unless each of them was checked."""
        dedup = self.dedup
        if dedup.config.checked or not dedup.config.sampled_removals:
            return None
        work = PairWork(LOOK, dedup.layout.look, dedup.layout.done / LOOK, dedup.layout.root)
        decisions = [result.decisions for result in decided]
        sources = own_text_sources(dedup, sketched)
        return sample_of_removals(dedup, self.stages, sketched, decisions, sources, work)

    def _judge_bad_records(self, sketched: Sequence[SketchResult]) -> None:
        """A shard in several pieces is judged whole."""
        config = self.dedup.config
        by_file: dict[ShardFile, PieceCounts] = {}
        for bundle, result in zip(self.dedup.corpus.bundles, sketched, strict=True):
            for piece, counts in zip(bundle.pieces, result.pieces, strict=True):
                by_file.setdefault(piece.file, PieceCounts()).add(counts)
        for file, whole in by_file.items():
            if whole.bad > whole.records * config.max_bad_fraction:
                raise too_many_bad(file, whole, config.max_bad_fraction, config.text_field)

    def _warn_of_unranked(self, sketched: Sequence[SketchResult]) -> None:
        whole = PieceCounts()
        for result in sketched:
            whole.add(result.counts)
        keys = [key for key in self.dedup.config.prefer if key != "source"]
        for key, count in zip(keys, whole.unranked, strict=False):
            if count:
                LOGGER.warning(
                    f"{count:,} of {whole.in_lsh:,} documents have no number or date for {key!r} of prefer; where that "
                    "decides, they come last: correct the field's name if they should have one"
                )

    def _replaced_values(self, written: Sequence[WriteResult]) -> list[int] | None:
        """Count, for each source, the values that JSON cannot hold, and warn of them.

        ``None`` where no shards are written: they are looked for in what is kept, when it is written.
        """
        if not self.dedup.scopes:
            return None
        sources = range(len(self.dedup.source_names))
        counts = [sum(result.replaced.get(source, 0) for result in written) for source in sources]
        if any(counts):
            first = next(result.first_replaced for result in written if result.first_replaced)
            LOGGER.warning(
                f"{sum(counts):,} value(s) beside texts, such as NaN or a lone surrogate, have no form in JSON and "
                f"were written as null or U+FFFD, the first in {first}; repair the input if they matter"
            )
        return counts

    def _warn_of_short_sources(self, summary: DedupSummary) -> None:
        """A source that is nearly all short has most likely its text in another field."""
        config = self.dedup.config
        for name in self.dedup.source_names:
            figures = summary.sources[name]
            short, sound = figures.short.documents, figures.read.documents - figures.bad.documents
            if sound >= FEW_DOCUMENTS and short > MOSTLY_SHORT * sound:
                LOGGER.warning(
                    f"{name}: {short:,} of {sound:,} documents have fewer than {config.min_cleaned_characters} cleaned "
                    f"characters and are dropped; if their text is in another field than {config.text_field!r}, set "
                    "text_field, else set min_cleaned_characters"
                )

    def _tally(self, decided: Sequence[DecideResult]) -> Tally:
        names = self.dedup.source_names
        tally = Tally(len(names), self.dedup.sources.reported_count)
        for result in decided:
            tally.merge(result.counts, result.removed, result.stood_for)
        tally.check(names, self.dedup.config.checked)
        tally.check_sizes()
        return tally

    def _write_index(self, sketched: Sequence[SketchResult], clusters: ClusterResult) -> None:
        """For later runs to be compared with."""
        dedup, corpus, earlier = self.dedup, self.dedup.corpus, self.dedup.earlier
        if self.stages.inspecting:
            return
        index = Index(
            folder=dedup.layout.root,
            ranges=(
                *(earlier.ranges if earlier else ()),
                *zip(dedup.source_names, corpus.first_shards, strict=False),
            ),
            first_shard=corpus.first_shard,
            shards=corpus.first_shards[-1],
            documents=documents_in(dedup, sketched),
            rows=earlier.rows if earlier else (),
            clusters=earlier.clusters if earlier else (),
            settings=MinHashParams.of(dedup.config),
        )
        table = [clusters.table] if dedup.config.checked else []
        write_index(index, [result.sketches for result in sketched], table)

    def _list_files(self, current: set[str]) -> None:
        """Shards of a scope that an earlier run wrote from the same decisions stay listed."""
        if self.stages.inspecting:
            return
        layout = self.dedup.layout
        earlier = read_file_list(layout.file_list)
        before = {name: facts for name, facts in (earlier.files if earlier else {}).items() if name in current}
        own = [REQUEST, layout.relative(layout.index), layout.relative(layout.claims)]
        sealed = [*own, *files_in(layout.root, layout.relative(layout.done))]
        records = self.stages.written.values()
        write_file_list(layout.file_list, layout.root, records, sealed, FileList(before, frozenset()))
