"""A small corpus with clusters across sources, the way through the stages to a store, and what should be in it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slimpajama.corpus.texts import Texts
from slimpajama.engine.local import LocalEngine
from slimpajama.tokens.contents import text_hashes
from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.draw import HoldoutRule
from slimpajama.tokens.encoding import Backend, Encoder
from slimpajama.tokens.holdout import RESERVE, SPLITS
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.pieces import PIECE, piece_keys
from slimpajama.tokens.stages.finish import FinishPayload, FinishStage, KeptFile
from slimpajama.tokens.stages.holdout import HoldoutPayload, HoldoutStage, source_candidates
from slimpajama.tokens.stages.shuffle import BucketPayload, BucketResult, ShuffleStage, plan_buckets
from slimpajama.tokens.stages.tokenize import TokenizeResult, TokenizeSettings, tokenize_documents
from slimpajama.tokens.store import TokenStore
from slimpajama.tokens.summary import TokenSummary
from slimpajama.tokens.tokenizer import TokenizerFile, load_tokenizer
from slimpajama.tokens.tokenizer_training import train_tokenizer

SYLLABLES = ["ta", "ke", "mi", "no", "su", "ra", "lé", "über", "漢", "42", "don't", "x_1", "(", "  ", "\n", "😀"]


@dataclass(frozen=True)
class Document:
    id: int
    text: str
    kept_global: bool
    cluster: int
    kept_local: bool = True


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


def batch_of(documents: Sequence[Document]) -> DocumentBatch:
    """Those kept globally stand for three documents, and those kept locally for as many as their ids say."""
    identities = np.array([document.id for document in documents], dtype=np.uint64)
    in_global = np.array([document.kept_global for document in documents], dtype=np.bool_)
    in_local = np.array([document.kept_local for document in documents], dtype=np.bool_)
    return DocumentBatch(
        ids=identities,
        texts=Texts.of([document.text for document in documents]),
        kept_global=in_global,
        kept_local=in_local,
        clusters=np.array([document.cluster for document in documents], dtype=np.uint64),
        duplicates_global=3 * in_global.astype(np.int64),
        duplicates_local=(1 + (identities % np.uint64(7)).astype(np.int64)) * in_local,
    )


def batches(documents: Sequence[Document], size: int) -> list[DocumentBatch]:
    return [batch_of(documents[begin : begin + size]) for begin in range(0, len(documents), size)]


def small_tokenizer(folder: Path, vocabulary: int = 600) -> TokenizerFile:
    rng = random.Random(7)
    train_tokenizer((text_of(rng, 200) for _ in range(100)), folder / "tokenizer.json", vocabulary)
    return load_tokenizer(folder / "tokenizer.json")


Item = tuple[list[DocumentBatch], str, str, TokenizeSettings, StoreLayout]

RULE = HoldoutRule(share=0.05, least=300, most=4000, seed=3)


def tokenize_item(item: Item) -> TokenizeResult:
    return tokenize_documents(iter(item[0]), *item[1:])


def build(
    out: Path,
    made: dict[str, list[Document]],
    tokenizer: TokenizerFile,
    *,
    rule: HoldoutRule = RULE,
    seed: int = 3,
    piece_tokens: int = 64,
    earlier: Path | None = None,
    batch: int = 7,
    pieces: int = 2,
    memory: int = 1 << 16,
    workers: int = 1,
    backend: Backend = "gigatoken",
    sort: Callable[[BucketPayload], BucketResult] = ShuffleStage.run,
    dropped: Path | None = None,
    drawn_to: Path | None = None,
) -> TokenSummary:
    """The stages in order, as a run does them; memory is so small that there are many runs and buckets.

    ``drawn_to``: where the draw's own table is kept, which a finished store no longer has.
    """
    layout = StoreLayout(out)
    settings = TokenizeSettings(tokenizer, backend, rule, seed, piece_tokens, earlier, memory, memory // 4)
    items = list(_items(made, batch, pieces, settings, layout))
    with LocalEngine(workers) as engine:
        results = [result for _, result in sorted(engine.map(tokenize_item, items), key=lambda pair: pair[0])]
        sources = source_candidates(list(made), results)
        holdout = HoldoutStage.run(HoldoutPayload(sources, rule, False, earlier, layout.drawn))
        plan = plan_buckets(list(made), results, holdout, settings, layout, dropped)
        buckets = [bucket for _, bucket in engine.map(sort, plan)]
    finished = FinishStage.run(
        FinishPayload(
            layout=layout,
            sources=tuple(made),
            tokenized=tuple(results),
            buckets=tuple(buckets),
            shuffle_seed=seed,
            piece_tokens=piece_tokens,
            backend=backend,
            tokenizer=tokenizer,
            tokenizer_name="small",
            holdout=holdout.account,
            warnings=(),
            seconds=0.0,
            tokenizer_file=KeptFile("tokenizer.json", 0, ""),
        )
    )
    layout.summary.unlink()  # it tells the ways apart that must lead to the same store
    if drawn_to is not None:
        shutil.copy(layout.drawn, drawn_to)
    shutil.rmtree(layout.runs)
    return finished.summary


def _items(
    made: dict[str, list[Document]], batch: int, pieces: int, settings: TokenizeSettings, layout: StoreLayout
) -> Iterator[Item]:
    for name, documents in made.items():
        step = max(1, -(-len(documents) // pieces))
        for number, begin in enumerate(range(0, len(documents), step)):
            yield batches(documents[begin : begin + step], batch), name, f"piece-{number}", settings, layout


SIZES = (400, 150, 30, 5)


Built = tuple[TokenStore, dict[str, list[Document]], TokenSummary, Path]


def content(document: Document) -> tuple[int, ...]:
    return tuple(text_hashes([document.text.encode()])[0].tolist())


def members(made: dict[str, list[Document]], drawn: Path, source: str, split: str, scope: str) -> list[Document]:
    """Said slowly: who belongs in a stream."""
    rows = np.load(drawn)
    states = dict(zip(rows["cluster"].tolist(), rows["state"].tolist(), strict=True))
    held_out = {tuple(row["text"].tolist()) for row in rows if 0 < row["state"] < RESERVE}
    chosen = []
    for document in made[source]:
        state = states.get(document.cluster, 0)
        if not (document.kept_global or scope == "local"):
            continue
        if split == "train" and not state and content(document) not in held_out:
            chosen.append(document)
        if split != "train" and state == SPLITS.index(split) and document.id == document.cluster:
            chosen.append(document)
    return chosen


def pieces_of(
    tokenizer: TokenizerFile, documents: list[Document], piece_tokens: int, given: dict[int, int], seed: int = 3
) -> list[list[int]]:
    """Said slowly: documents as pieces in the order of their hashes. ``given``: how many tokens each gives."""
    found = []
    for document in documents:
        tokens, _ = Encoder(tokenizer, "tokenizers").encode([document.text.encode()])
        ids = tokens.tolist()[: given.get(document.id, tokens.size)]
        row = np.zeros(1, dtype=PIECE)
        row["text"] = content(document)
        for number, begin in enumerate(range(0, len(ids), piece_tokens)):
            row["piece"] = number
            key = int(piece_keys(row, seed, "shuffle")[0])
            found.append((key, document.id, ids[begin : begin + piece_tokens]))
    return [ids for *_, ids in sorted(found)]
