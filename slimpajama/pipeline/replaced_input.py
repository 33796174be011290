"""Whether a finished output was made of other input than there is now, told before anything is replaced.

A deduplication depends on the shards of its input, a token store on the decisions and shards of its deduplication. Both
are compared by what markers and manifests say, so nothing is read again: shards by path, size and time of change. A
shard that was exchanged for one of the same size and time is found later, by its content, and redone without a
warning. Costs one small file for each bundle of shards. Rejected: samples of the shards, which the stages read anyway.
"""

from __future__ import annotations

from slimpajama.dedup.dedup_run import DedupRun, moment_text, shards_in
from slimpajama.dedup.files.manifest import read_manifest
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.errors import InputNotFound
from slimpajama.storage.paths import requests_at_once
from slimpajama.storage.sealed_json import read_sealed
from slimpajama.tokens.stages.finish import FinishStage, store_inputs
from slimpajama.tokens.token_run import TokenRun

__all__ = ["replaced_by_input", "replaced_store"]


def replaced_by_input(dedup: DedupRun) -> list[str]:
    """A sentence where the output of ``dedup`` is finished, and its input holds other shards by now."""
    layout = dedup.layout
    if not layout.index.exists():
        return []
    try:
        parts = read_manifest(layout).parts
    except InputNotFound:
        return []
    before: dict[str, tuple[object, object] | None] = {one.path: None for part in parts for one in part.inputs}
    markers = dedup.markers(SketchStage(dedup))
    with requests_at_once(layout.root) as threads:
        for marker in threads.map(read_sealed, [markers.path(name) for name in {part.bundle for part in parts}]):
            identity = (marker or {}).get("inputs", {}).get("input")
            before.update(shards_in(identity) if identity else {})
    now = {file.relative: (file.size, moment_text(file.modified_ns)) for file in dedup.corpus.files}
    added, removed = len(now.keys() - before.keys()), len(before.keys() - now.keys())
    changed = sum(before[path] not in (None, now[path]) for path in now.keys() & before.keys())
    counts = {"added": added, "changed": changed, "removed": removed}
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    what = "a finished deduplication that would be replaced"
    return [f"{layout.root} holds {what} (shards of the input: {said})"] if said else []


def replaced_store(tokens: TokenRun, stale: str = "") -> list[str]:
    """A sentence where the token store is finished, and was made of other shards or decisions.

    ``stale``: what of it, as :func:`slimpajama.pipeline.replacement.stale_mixtures` says.
    """
    layout = tokens.layout
    if not layout.index.exists():
        return []
    marker = read_sealed(layout.done / FinishStage.name / "all.json")
    before = (marker or {}).get("inputs", {}).get("documents")
    if before is None or before == store_inputs(tokens)["documents"]:
        return []
    why = f"{tokens.documents.folder} holds other decisions or shards than it was made of"
    return [f"{layout.root} is a finished token store that would be replaced ({why}){stale}"]
