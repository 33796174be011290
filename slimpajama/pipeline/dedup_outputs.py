"""Which of the outputs of a deduplication that lie in its folder are still somebody's.

``work/outputs.json`` lists what runs wrote or meant to write, with a digest of the decisions and texts behind each
file, so that a shard of a source that is gone, or one that a killed run left for decisions or texts that have changed
since, never stays to be taken for a result. Only files that a run listed are ever removed. A run adds to the list
before it changes anything, so the list carries its own digest: a run that fails leaves the result before it as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from slimpajama.corpus.pieces import Bundle
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.layout import BOTH, DedupLayout
from slimpajama.dedup.files.manifest import Manifest, ManifestInput, ManifestPart, ManifestShard
from slimpajama.dedup.stages.decide import DecideResult
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.dedup.stages.write import WriteResult
from slimpajama.stages.runner import Stages
from slimpajama.storage.atomic import content_digest, fingerprint, read_json
from slimpajama.storage.sealed_json import read_sealed, write_sealed

__all__ = ["Outputs"]


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files of one run."""

    dedup: DedupRun
    stages: Stages

    def announce(self) -> None:
        """List the tables this run may write before it writes any, so that a later one knows whose they are."""
        listed = self._listed()
        for bundle in self.dedup.corpus.bundles:
            for path in self._tables(bundle):
                listed.setdefault(path, "")
        self._write_list(listed)

    def invalidate(self, sketched: Sequence[SketchResult], decided: Sequence[DecideResult]) -> None:
        """List the shards this run will write, and strike out what was made of something else.

        Should this run be interrupted, the next one cannot take what lies there for the right thing.
        """
        listed = self._listed()
        for bundle, own, decision in zip(self.dedup.corpus.bundles, sketched, decided, strict=True):
            digest = self._made_of(own, decision)
            for path in (*self._tables(bundle), *self._shards(bundle, len(own.parts))):
                listed[path] = digest if listed.get(path) == digest else ""
        self._write_list(listed)

    def finish(
        self, sketched: Sequence[SketchResult], decided: Sequence[DecideResult], written: Sequence[WriteResult]
    ) -> set[str]:
        """Write the manifest, and remove what an earlier run wrote and this one neither did nor would.

        Shards of a scope that was not asked for this time stay while their decisions and texts do. Returns the paths of
        all outputs that are of these decisions and texts, relative to the root.
        """
        earlier = self._listed()
        listed: dict[str, str] = {}
        parts: list[ManifestPart] = []
        written_now = {self._layout.relative(file.path): file.blake2b for result in written for file in result.shards}
        for bundle, own, decision in zip(self.dedup.corpus.bundles, sketched, decided, strict=True):
            digest = self._made_of(own, decision)
            tables, shards = self._tables(bundle), self._shards(bundle, len(own.parts))
            listed |= dict.fromkeys(tables, digest)
            listed |= {path: digest for path in shards if path in written_now or earlier.get(path) == digest}
            parts += self._parts(bundle, own.parts, content_digest([decision.decisions]), written_now)
        for outdated in sorted(set(earlier) - set(listed)):
            self.stages.remove(self._layout.root / outdated)
        self.stages.write_json(self._layout.manifest, msgspec.to_builtins(Manifest(tuple(parts))))
        self._write_list(listed)
        return set(listed)

    @property
    def _layout(self) -> DedupLayout:
        return self.dedup.layout

    def _made_of(self, own: SketchResult, decision: DecideResult) -> str:
        """A digest of the decisions on a bundle and of its texts."""
        decided = content_digest([decision.decisions])
        config = self.dedup.config
        return fingerprint(decided, list(own.content), config.normalisation, config.duplicate_counts)

    def _parts(
        self, bundle: Bundle, starts: Sequence[int], decided: str, digests: Mapping[str, str]
    ) -> list[ManifestPart]:
        layout = self._layout
        inputs = tuple(
            ManifestInput(piece.file.relative, tuple(shard.index for shard in piece.shards)) for piece in bundle.pieces
        )
        parts = []
        begins = (bundle.first.start, *starts[1:])
        stops = (*starts[1:], None)
        for start, stop, outputs in zip(begins, stops, layout.shards(bundle, len(starts), BOTH), strict=True):
            paths = [layout.relative(output.path) for output in outputs]
            shards = tuple(
                ManifestShard(layout.sources[output.source], output.scope, path, digests.get(path))
                for output, path in zip(outputs, paths, strict=True)
            )
            decisions = layout.relative(layout.decisions(bundle))
            parts.append(ManifestPart(bundle.name, inputs, decisions, decided, start, stop, shards))
        return parts

    def _tables(self, bundle: Bundle) -> list[str]:
        layout = self._layout
        return [layout.relative(path) for path in (layout.decisions(bundle), layout.quarantine(bundle.name))]

    def _shards(self, bundle: Bundle, parts: int) -> list[str]:
        """In both scopes."""
        return [self._layout.relative(one.path) for part in self._layout.shards(bundle, parts, BOTH) for one in part]

    def _listed(self) -> dict[str, str]:
        content = read_sealed(self._layout.claims)
        if content is not None:
            return dict(content["outputs"])
        unsealed = read_json(self._layout.claims)  # as earlier versions wrote it
        return unsealed if isinstance(unsealed, dict) and "outputs" not in unsealed else {}

    def _write_list(self, listed: Mapping[str, str]) -> None:
        if not self.stages.inspecting:
            write_sealed(self._layout.claims, {"outputs": dict(listed)})
