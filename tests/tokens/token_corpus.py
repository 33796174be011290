"""A small corpus with clusters across sources, the way through the stages to a store, and what should be in it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slimpajama.engine.local import LocalEngine
from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.encoding import Backend
from slimpajama.tokens.holdout import candidates, draw_holdout
from slimpajama.tokens.stages.shuffle import HeldOutItem, finish_store, gather_held_out, plan_buckets, sort_bucket
from slimpajama.tokens.stages.tokenize import TokenizeSettings, tokenize_piece
from slimpajama.tokens.tokenizer import TokenizerFile, load_tokenizer
from slimpajama.tokens.tokenizer_training import train_tokenizer

SYLLABLES = ["ta", "ke", "mi", "no", "su", "ra", "lé", "über", "漢", "42", "don't", "x_1", "(", "  ", "\n", "😀"]


@dataclass(frozen=True)
class Document:
    id: int
    text: str
    kept_global: bool
    cluster: int


def text_of(rng: random.Random, words: int) -> str:
    return " ".join("".join(rng.choices(SYLLABLES, k=rng.randrange(1, 4))) for _ in range(words))


def corpus(seed: int, sizes: Sequence[int]) -> dict[str, list[Document]]:
    """Sources ``s0``, ``s1`` … in order of precedence; a fifth of the later documents are in earlier clusters."""
    rng = random.Random(seed)
    survivors: list[int] = []
    made: dict[str, list[Document]] = {}
    for shard, size in enumerate(sizes):
        documents = []
        for number in range(size):
            identity = shard << 40 | number * 1000 + rng.randrange(1000)
            old = [cluster for cluster in survivors if cluster >> 40 != shard]
            cluster = rng.choice(old) if old and rng.random() < 0.2 else identity
            if cluster == identity:
                survivors.append(identity)
            documents.append(Document(identity, text_of(rng, rng.randrange(60)), cluster == identity, cluster))
        made[f"s{shard}"] = documents
    return made


def batches(documents: Sequence[Document], size: int) -> list[DocumentBatch]:
    return [
        DocumentBatch(
            np.array([document.id for document in part], dtype=np.uint64),
            [document.text for document in part],
            np.array([document.kept_global for document in part], dtype=np.bool_),
            np.array([document.cluster for document in part], dtype=np.uint64),
        )
        for part in (documents[begin : begin + size] for begin in range(0, len(documents), size))
    ]


def small_tokenizer(folder: Path, vocabulary: int = 600) -> TokenizerFile:
    rng = random.Random(7)
    train_tokenizer((text_of(rng, 200) for _ in range(100)), folder / "tokenizer.json", vocabulary)
    return load_tokenizer(folder / "tokenizer.json")


Item = tuple[list[DocumentBatch], str, str, TokenizeSettings, Path]


def tokenize_item(item: Item) -> dict[str, Any]:
    return tokenize_piece(iter(item[0]), *item[1:])


def build(
    out: Path,
    made: dict[str, list[Document]],
    tokenizer: TokenizerFile,
    *,
    rate: float = 0.1,
    seed: int = 3,
    batch: int = 7,
    pieces: int = 2,
    memory: int = 1 << 16,
    workers: int = 1,
    backend: Backend = "gigatoken",
) -> dict[str, Any]:
    """The stages in order, as a run does them; memory is so small that there are many runs and buckets."""
    survivors = {name: [document.id for document in made[name] if document.kept_global] for name in made}
    chosen = {name: candidates(np.array(ids, dtype=np.uint64), rate, seed) for name, ids in survivors.items()}
    drawn, account = draw_holdout(chosen, {name: len(ids) for name, ids in survivors.items()}, rate, seed)
    drawn.save(out / "holdout.npy")
    settings = TokenizeSettings(tokenizer, backend, out / "holdout.npy", seed, memory, memory // 4)
    items = list(_items(made, batch, pieces, settings, out))
    with LocalEngine(workers) as engine:
        results = [result for _, result in sorted(engine.map(tokenize_item, items), key=lambda pair: pair[0])]
        plan = plan_buckets(list(made), results, settings, out)
        gather_held_out(HeldOutItem(out, tuple((one["source"], run) for one in results for run in one["runs"])))
        buckets = [bucket for _, bucket in engine.map(sort_bucket, plan)]
    summary = {**finish_store(list(made), results, buckets, settings, out), "holdout": account}
    shutil.rmtree(out / "runs")
    return summary


def _items(
    made: dict[str, list[Document]], batch: int, pieces: int, settings: TokenizeSettings, out: Path
) -> Iterator[Item]:
    for name, documents in made.items():
        step = max(1, -(-len(documents) // pieces))
        for number, begin in enumerate(range(0, len(documents), step)):
            yield batches(documents[begin : begin + step], batch), name, f"piece-{number}", settings, out
