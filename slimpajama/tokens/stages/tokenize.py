"""One piece of input becomes tokens: split, encoded, hashed, written as sorted runs.

The piece's documents are looked up in the holdout; members of a held-out cluster that are not its survivor are
counted and go no further. The rest are encoded once, for both scopes, and every document carries what the later
steps need: its place in the shuffle, its cluster, its flags and a 128-bit hash of its text. Memory: one batch, one
run (an eighth of ``memory_bytes``, twice while it is written) and what the encoder remembers (a quarter). Runs of a
piece depend on the piece and the settings alone. Rejected: tokenising per scope, which does most of the work twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConservationError
from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.encoding import Backend, Encoder
from slimpajama.tokens.holdout import SPLITS, TRAIN, Holdout, load_holdout
from slimpajama.tokens.run_files import RUN_RECORD, RunWriter, run_paths
from slimpajama.tokens.seeded_order import seeded_hash
from slimpajama.tokens.tokenizer import TokenizerFile

__all__ = ["RUNS", "VERSION", "TokenizeSettings", "runs_present", "tokenize_piece"]

VERSION = 1

RUNS = "runs"
"""The folder of sorted runs inside the store's, until the store is finished."""


@dataclass(frozen=True, slots=True)
class TokenizeSettings:
    """What tokenising depends on besides the documents.

    ``holdout``: what :meth:`Holdout.save` wrote. ``memory_bytes``: per worker, for runs and the encoder.
    ``bucket_bytes``: size of the tokens of a bucket, at most, save for the luck of the hash; the order of later epochs
    depends on the buckets, so it does not follow from memory or workers.
    """

    tokenizer: TokenizerFile
    backend: Backend
    holdout: Path
    seed: int
    memory_bytes: int = 1 << 30
    bucket_bytes: int = 1 << 28

    @property
    def run_bytes(self) -> int:
        """Size of a run in memory."""
        return self.memory_bytes // 8


def tokenize_piece(
    batches: Iterable[DocumentBatch], source: str, name: str, settings: TokenizeSettings, out: Path
) -> dict[str, Any]:
    """Tokenise one piece of ``source`` into runs below ``out``; ``name`` is unique among the source's pieces.

    Returns ``source``, ``name``, ``runs`` (their names), the records of their ``files``, ``text_bytes``, the
    ``tokens`` of each split, and per scope the ``documents`` that came ``in``, went to each split and were
    ``excluded``. Raises :class:`ConservationError` where a batch's flags and clusters contradict each other.
    """
    encoder = _encoder(settings.tokenizer, settings.backend, settings.memory_bytes * 3 // 8)
    holdout = load_holdout(settings.holdout)
    writer = RunWriter(out / RUNS / source, name, encoder.dtype, settings.run_bytes)
    counts = {state: {"global": 0, "local": 0} for state in ("in", *SPLITS, "excluded")}
    text_bytes = 0
    for batch in batches:
        beat()
        splits, wanted = _assigned(batch, source, holdout)
        _count(counts, batch, splits, wanted)
        indices = np.flatnonzero(wanted)
        encoded = [batch.texts[index].encode() for index in indices.tolist()]
        tokens, lengths = encoder.encode(encoded)
        text_bytes += sum(map(len, encoded))
        documents = np.empty(indices.size, dtype=RUN_RECORD)
        documents["split"] = splits[indices]
        documents["kept_global"] = batch.kept_global[indices]
        documents["tokens"] = lengths
        documents["id"] = batch.ids[indices]
        documents["cluster"] = batch.clusters[indices]
        documents["key"] = seeded_hash(documents["id"], settings.seed, "shuffle")
        documents["text"] = text_hashes(encoded)
        writer.add(documents, tokens)
    writer.flush()
    return {
        "source": source,
        "name": name,
        "runs": writer.names,
        "text_bytes": text_bytes,
        "tokens": dict(zip(SPLITS, writer.tokens.tolist(), strict=True)),
        "documents": counts,
        "files": writer.files,
    }


def runs_present(result: Mapping[str, Any], out: Path) -> bool:
    """Whether the runs that :func:`tokenize_piece` reported still lie below ``out``; a finished store has none."""
    folder = out / RUNS / result["source"]
    return all(path.is_file() for name in result["runs"] for path in run_paths(folder, name))


def text_hashes(documents: list[bytes]) -> NDArray[np.uint64]:
    """``uint64[n, 2]``: a 128-bit hash of each of n UTF-8 texts."""
    digests = b"".join(hashlib.blake2b(document, digest_size=16).digest() for document in documents)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2).astype(np.uint64)


def _assigned(batch: DocumentBatch, source: str, holdout: Holdout) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The split of each document's cluster, and whether the document is in it."""
    survives = batch.clusters == batch.ids
    wrong = np.flatnonzero(survives != batch.kept_global)
    if wrong.size:
        document = int(batch.ids[wrong[0]])
        raise ConservationError(
            f"document {document:#x} of source {source} is {'' if survives[wrong[0]] else 'not '}the survivor of its "
            "global cluster but marked otherwise: the decisions are inconsistent; run the deduplication again"
        )
    splits = holdout.split_of(batch.clusters)
    return splits, (splits == TRAIN) | survives


def _count(
    counts: dict[str, dict[str, int]],
    batch: DocumentBatch,
    splits: NDArray[np.uint8],
    wanted: NDArray[np.bool_],
) -> None:
    for scope, mask in (("global", batch.kept_global), ("local", np.ones_like(batch.kept_global))):
        counts["in"][scope] += int(np.count_nonzero(mask))
        counts["excluded"][scope] += int(np.count_nonzero(mask & ~wanted))
        for split, name in enumerate(SPLITS):
            counts[name][scope] += int(np.count_nonzero(mask & wanted & (splits == split)))


# Loading takes longer than a small piece does, and what the encoder has learnt of the corpus serves the next piece.
_encoder = lru_cache(maxsize=1)(Encoder)
