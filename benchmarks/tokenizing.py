"""How fast text becomes the token store, and whether the ids are right: ``python -m benchmarks.tokenizing``.

Uses the real text beside the repository where it is, else text made up here. Prints MB of UTF-8 text per second on
one core, the peak memory of each part (each in a process of its own), and stops with an error where ids differ from
``tokenizers``. Bars: tokenising 80 MB/s, texts to finished store 40 MB/s, reading 200 MB/s of token bytes (uint32).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import multiprocessing
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import zstandard

from slimpajama.config.tokens import TokenConfig
from slimpajama.corpus.texts import Texts
from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.draw import HoldoutRule
from slimpajama.tokens.encoding import Encoder, agreeing_backend
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.run_files import copy_documents
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.stages.finish import FinishPayload, FinishStage, KeptFile
from slimpajama.tokens.stages.holdout import HoldoutPayload, HoldoutStage, source_candidates
from slimpajama.tokens.stages.shuffle import ShuffleStage, plan_buckets
from slimpajama.tokens.stages.tokenize import TokenizeSettings, tokenize_documents
from slimpajama.tokens.store import open_store
from slimpajama.tokens.tokenizer import TokenizerFile, load_tokenizer
from slimpajama.tokens.tokenizer_training import sample_documents, train_tokenizer

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus" / "sample"
MB = 1_000_000
BATCH_BYTES = 8 << 20


def sources(corpus: Path) -> dict[str, list[str]]:
    """The texts of each source, without repeats of equal text."""
    if not corpus.is_dir():
        rng = np.random.default_rng(1)
        words = np.array(["".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(20_000)])
        ranks = rng.zipf(1.3, (20_000, 300)) % words.size
        return {"made_up": [" ".join(words[row]) for row in ranks]}
    texts: dict[str, dict[str, None]] = {}
    for path in sorted(corpus.rglob("*.jsonl.zst")):
        name = path.relative_to(corpus).parts[0]
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            for line in io.BufferedReader(stream):
                try:
                    texts.setdefault(name, {})[orjson.loads(line)["text"]] = None
                except (orjson.JSONDecodeError, KeyError, TypeError):
                    continue
    return {name: list(unique) for name, unique in texts.items()}


def batches(texts: list[str], shard: int) -> Iterator[DocumentBatch]:
    """Batches of about ``BATCH_BYTES`` of one source, every document alone in its cluster."""
    begin = 0
    while begin < len(texts):
        end, size = begin, 0
        while end < len(texts) and size < BATCH_BYTES:
            size += len(texts[end])
            end += 1
        ids = (np.uint64(shard) << np.uint64(40)) + np.arange(begin, end, dtype=np.uint64)
        kept, one = np.ones(ids.size, dtype=np.bool_), np.ones(ids.size, dtype=np.int64)
        yield DocumentBatch(ids, Texts.of(texts[begin:end]), kept, kept, ids, one, one)
        begin = end


def in_process(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """``work``'s figures and the peak memory of a fresh process that ran it."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> dict[str, Any]:
    # Compiled or loaded once per installation and process: not what is measured here.
    for kind in (np.uint16, np.uint32):
        one = np.zeros(1, dtype=kind)
        copy_documents(one, np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64), one.copy())
    figures = work(*arguments)
    return {**figures, "peak": peak_memory()}


def peak_memory() -> float:
    """MB that this process has held at most. Not ``getrusage``: that one remembers the parent's peak, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MB


def elapsed(began: float, busy: float) -> dict[str, float]:
    """Seconds by the clock and of the processor; they differ by waiting for the disk and for other programs."""
    return {"seconds": time.perf_counter() - began, "busy": time.process_time() - busy}


def encode_all(corpus: Path, tokenizer: TokenizerFile) -> dict[str, Any]:
    """Encode every document once, with a cold encoder."""
    documents = [text.encode() for texts in sources(corpus).values() for text in texts]
    encoder = Encoder(tokenizer, "gigatoken")
    began, busy = time.perf_counter(), time.process_time()
    tokens = 0
    for begin in range(0, len(documents), 1000):
        tokens += encoder.encode(documents[begin : begin + 1000])[0].size
    return {"bytes": sum(map(len, documents)), "tokens": tokens, **elapsed(began, busy)}


def build(corpus: Path, tokenizer: TokenizerFile, out: Path) -> dict[str, Any]:
    """From texts in memory to a finished store, on one core."""
    texts = sources(corpus)
    began, busy = time.perf_counter(), time.process_time()
    shards = {name: shard for shard, name in enumerate(texts)}
    layout = StoreLayout(out)
    config = TokenConfig()
    rule = HoldoutRule(config.holdout, config.holdout_least, config.holdout_most, config.holdout_seed)
    settings = TokenizeSettings(tokenizer, "gigatoken", rule, config.shuffle_seed, config.piece_tokens)
    results = [tokenize_documents(batches(texts[name], shards[name]), name, "0", settings, layout) for name in texts]
    tokenized = time.perf_counter()
    candidates = source_candidates(list(texts), results)
    holdout = HoldoutStage.run(HoldoutPayload(candidates, rule, False, None, layout.drawn))
    buckets = [ShuffleStage.run(payload) for payload in plan_buckets(list(texts), results, holdout, settings, layout)]
    finished = FinishStage.run(
        FinishPayload(
            layout=layout,
            sources=tuple(texts),
            tokenized=tuple(results),
            buckets=tuple(buckets),
            shuffle_seed=settings.shuffle_seed,
            piece_tokens=settings.piece_tokens,
            backend=settings.backend,
            tokenizer=tokenizer,
            tokenizer_name="trained on excerpts",
            holdout=holdout.account,
            warnings=(),
            seconds=0.0,
            tokenizer_file=KeptFile("tokenizer.json", 0, ""),
        )
    )
    spent = elapsed(began, busy)
    size = sum(result.text_bytes for result in results)
    return {"bytes": size, **spent, "tokenizing": tokenized - began, "store": finished.summary.bytes}


def read_all(store: Path, scope: str, epoch: int) -> dict[str, Any]:
    """Read every train stream once, in parts of a million tokens."""
    opened = open_store(store)
    began, busy = time.perf_counter(), time.process_time()
    size = 0
    for name in opened.sources:
        stream = opened.stream(name, "train", Selection(scope))
        for begin in range(0, stream.tokens, 1 << 20):
            size += stream.read(begin, min(begin + (1 << 20), stream.tokens), epoch)[0].nbytes
    return {"bytes": size, **elapsed(began, busy)}


def one_document(tokenizer: TokenizerFile, kind: str) -> dict[str, Any]:
    """Encode one extreme document."""
    rng = np.random.default_rng(1)
    document = {
        "one word of 5 MB": lambda: rng.integers(97, 123, 5 * MB, dtype=np.uint8).tobytes(),
        "1 M equal letters": lambda: b"a" * MB,
        "1 M spaces": lambda: b" " * MB,
        "one document of 50 MB": lambda: b" ".join(rng.choice(WORDS, 200_000).tolist())[:MB] * 50,
    }[kind]()
    encoder = Encoder(tokenizer, "gigatoken")
    before = peak_memory()
    began, busy = time.perf_counter(), time.process_time()
    tokens, _ = encoder.encode([document])
    spent = elapsed(began, busy)
    grown = peak_memory() - before
    return {"bytes": len(document), **spent, "tokens": tokens.size, "grown": grown}


WORDS = np.array([b"the", b"of", b"quick", b"mixture", b"tokens", b"in", b"a", b"document", b"shuffle", b"17"])
EXTREMES = ("one word of 5 MB", "1 M equal letters", "1 M spaces", "one document of 50 MB")


def report(what: str, figures: dict[str, Any], remark: str = "") -> None:
    """One line of the table."""
    rates = " ".join(f"{figures['bytes'] / MB / figures[clock]:>8.1f}" for clock in ("seconds", "busy"))
    print(f"{what:<26}{rates} {figures['seconds']:>7.2f} {figures['peak']:>7.0f}  {remark}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of SOURCE/**/*.jsonl.zst")
    parser.add_argument("--skip-ids", action="store_true", help="do not compare every id with tokenizers (slow)")
    arguments = parser.parse_args()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("gigatoken", "tokenizers", "numpy"))
    print(f"{_processor()}, Python {platform.python_version()}, {versions}; one core, MB = 10^6 bytes of UTF-8\n")
    folder = Path(tempfile.mkdtemp(prefix="tokenizing-"))
    try:
        texts = sources(arguments.corpus)
        began = time.perf_counter()
        sample = [
            excerpt
            for shard, name in enumerate(texts)
            for _, excerpt in sample_documents(batches(texts[name], shard), 0.08, seed=1)
        ]
        size = train_tokenizer(sample, folder / "tokenizer.json")
        trained = sum(len(excerpt.encode()) for excerpt in sample) / MB
        print(f"trained {size} entries on {trained:.1f} MB in {time.perf_counter() - began:.1f} s")
        tokenizer = load_tokenizer(folder / "tokenizer.json")
        print(f"{'':<26}{'MB/s':>8} {'cpu MB/s':>8} {'seconds':>7} {'peak MB':>7}")
        figures = in_process(encode_all, arguments.corpus, tokenizer)
        alone = figures["bytes"] / figures["busy"]
        report("tokenising, cold", figures, f"bar 80; {figures['bytes'] / figures['tokens']:.2f} bytes per token")
        figures = in_process(build, arguments.corpus, tokenizer, folder / "store")
        share = figures["bytes"] / figures["busy"] / alone
        parts = f"{figures['tokenizing']:.2f} s until sorted runs; store {figures['store'] / MB:.0f} MB"
        parts = f"{share:.2f} of the line above by processor time; {parts}"
        report("texts to finished store", figures, f"bar 40; {parts}")
        for scope, epoch in (("local", 0), ("global", 0), ("global", 1)):
            report(f"reading, {scope}, epoch {epoch}", in_process(read_all, folder / "store", scope, epoch), "bar 200")
        for kind in EXTREMES:
            figures = in_process(one_document, tokenizer, kind)
            report(kind, figures, f"{figures['tokens']} tokens, memory grew by {figures['grown']:.0f} MB")
        if not arguments.skip_ids:
            began = time.perf_counter()
            backend, warning = agreeing_backend(tokenizer, (text for group in texts.values() for text in group))
            if backend != "gigatoken":
                raise SystemExit(f"ids differ: {warning}")
            documents = sum(map(len, texts.values()))
            print(f"ids equal to tokenizers on all {documents} documents ({time.perf_counter() - began:.0f} s)")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()


if __name__ == "__main__":
    main()
