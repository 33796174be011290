"""Which shards a sample has, what they are called, and which documents each holds.

File names are RedPajama-1T's. A source's documents are dealt to its shards in equal runs of the index, as
many shards as keep one near 40 MB of JSONL, so that the number of workers a large sample can use grows with
it. Costs nothing. Rejected: RedPajama's own sizes (single files of 100 GB).
"""

from __future__ import annotations

from dataclasses import dataclass

from slimpajama.sample.random_streams import RandomStream, derive_key
from slimpajama.sample.roles import SampleSpec
from slimpajama.sample.sources import DUMPS, KINDS, mean_lengths

__all__ = ["SampleShard", "shards"]

_SHARD_BYTES = 40_000_000
_NAMES = 0x4A3E


@dataclass(frozen=True, slots=True)
class SampleShard:
    """One file: ``path`` below the sample's folder, ``start`` to ``stop - 1`` of the documents of ``kind``.

    ``number`` counts all shards of the sample, in the order of sources and indices.
    """

    number: int
    kind: int
    path: str
    start: int
    stop: int


def shards(recipe: SampleSpec) -> list[SampleShard]:
    """All shards of a sample, in order."""
    counts = recipe.counts()
    found: list[SampleShard] = []
    for place, (kind, count, length) in enumerate(zip(KINDS, counts, mean_lengths(counts), strict=True)):
        files = max(min(kind.files, count), -(-count * (length + kind.overhead) // _SHARD_BYTES))
        if kind.name == "common_crawl":
            files = -(-files // len(DUMPS)) * len(DUMPS)
        for file in range(files):
            path = _path(recipe, place, file, files)
            found.append(SampleShard(len(found), place, path, count * file // files, count * (file + 1) // files))
    return found


def _path(recipe: SampleSpec, kind: int, file: int, files: int) -> str:
    name = KINDS[kind].name
    stream = RandomStream(derive_key(recipe.seed, _NAMES, kind, file))
    digits = f"{stream.number():016x}{stream.number():016x}"
    if name == "common_crawl":
        per_dump = files // len(DUMPS)
        return f"common_crawl/{DUMPS[file // per_dump]}/en_head_{file % per_dump:04}.json.gz.dedup.classifier.jsonl.zst"
    if name == "c4":
        return f"c4/c4-train.{file:05}-of-{files:05}.jsonl.zst"
    if name == "github":
        return f"github/filtered_{digits}.sampled.jsonl.zst"
    if name == "arxiv":
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        return f"arxiv/arxiv_{'-'.join(parts)}.jsonl.zst"
    short = {"books": "book", "wikipedia": "wiki", "stackexchange": "stackexchange"}[name]
    return f"{name}/{short}.{file:05}.jsonl.zst"
