"""How fast documents become mixtures, on one core: ``python -m benchmarks.mixture``.

Deduplicates the real text beside the repository where it is, else the built-in sample, or takes the output of a
deduplication (``--input``). Then: tokenising (MB of text per second), from decisions and shards to the finished token
store (MB of text, and how fast that is beside gigatoken alone), and building a mixture from the store (MB of token
bytes, 4 per token), with the peak memory of each part, which runs in a process of its own. Bars: 80, 40 and 200 MB/s.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.tokenizing import CORPUS, MB, elapsed, in_process, report
from slimpajama import deduplicate
from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.engine.local import LocalEngine
from slimpajama.pipeline.mix import make_mixtures
from slimpajama.pipeline.tokens import make_store
from slimpajama.sample import write_sample
from slimpajama.stages.runner import Stages
from slimpajama.tokens.dedup_reader import kept_documents, open_dedup_output
from slimpajama.tokens.encoding import Encoder
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import open_store
from slimpajama.tokens.tokenizer import load_tokenizer

MEMORY = 1 << 30
LENGTH = 2048


def tokenise(dedup: Path, tokenizer: Path) -> dict[str, Any]:
    """Encode every kept document once, read before the clock starts, with a cold encoder."""
    texts = [batch.texts.encoded() for shard in open_dedup_output(dedup).shards for batch in kept_documents(shard)]
    encoder = Encoder(load_tokenizer(tokenizer), "gigatoken")
    began, busy = time.perf_counter(), time.process_time()
    tokens = sum(encoder.encode(batch)[0].size for batch in texts)
    return {"bytes": sum(len(text) for batch in texts for text in batch), "tokens": tokens, **elapsed(began, busy)}


def alone(dedup: Path, tokenizer: Path) -> float:
    """Processor seconds that gigatoken takes for every kept document, one call each, and nothing else."""
    model = Encoder(load_tokenizer(tokenizer), "gigatoken").fast
    spent = 0.0
    for shard in open_dedup_output(dedup).shards:
        for batch in kept_documents(shard):
            texts = batch.texts.encoded()
            began = time.process_time()
            for text in texts:
                model.encode(text)
            spent += time.process_time() - began
    return spent


def store(dedup: Path, tokenizer: Path | None, out: Path) -> dict[str, Any]:
    """From decisions and shards to the finished store; without a tokenizer one is trained first.

    ``share``: of its processor time, what gigatoken alone takes for the same texts, in the same process.
    """
    documents = open_dedup_output(dedup)
    own = alone(dedup, tokenizer) if tokenizer else 0.0
    config = TokenConfig(tokenizer=str(tokenizer) if tokenizer else None)
    with LocalEngine(1) as engine:
        stages = Stages(engine)
        began, busy = time.perf_counter(), time.process_time()
        summary = make_store(documents, config, out, stages=stages, memory=MEMORY)
        spent = elapsed(began, busy)
    times = ", ".join(f"{name} {record.seconds:.2f} s" for name, record in stages.records.items())
    size = sum(account.text_bytes for account in summary.sources.values())
    share = own / spent["busy"]
    return {"bytes": size, **spent, "stages": times, "store": summary.bytes, "backend": summary.backend, "share": share}


def mixture(dedup: Path, out: Path, tokens: int, format: Any) -> dict[str, Any]:
    """A mixture of all sources by their size, ``tokens`` long, from a store that is there."""
    opened = open_store(out / "tokens")
    available = {name: opened.stream(name, "train", Selection("global")).tokens for name in opened.sources}
    total = sum(available.values())
    weights = {name: 100 * count / total for name, count in available.items() if count}
    recipe = Recipe(name=format, weights=weights, tokens=tokens, sequence_length=LENGTH, max_epochs=1e6)
    config = TokenConfig(tokenizer=str(dedup.parent / "tokenizer.json"))
    with LocalEngine(1) as engine:
        stages = Stages(engine)
        began, busy = time.perf_counter(), time.process_time()
        made = make_mixtures(dedup, [recipe], config, out, stages=stages, memory=MEMORY, format=format)
        spent = elapsed(began, busy)
    if "tokenise" in stages.records:
        raise SystemExit("the token store was made again: this is not what was to be measured")
    files = made.manifests[recipe.name].files
    written = sum(file.bytes for file in files)
    plan = made.plans[recipe.name]
    epochs = max(source.epochs for source in plan.sources)
    return {"bytes": 4 * plan.sequences * LENGTH, **spent, "files": len(files), "written": written, "epochs": epochs}


def warm_up() -> None:
    """Compile what is compiled once per installation."""
    __import__("slimpajama.tokens.compiled")


def main() -> None:
    """Print the machine and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, help="output of slimpajama dedup, or folder of shards to deduplicate")
    parser.add_argument("--megabytes", type=int, default=400, help="token bytes of each mixture that is timed")
    arguments = parser.parse_args()
    print(f"{describe()}; one core, MB = 10^6 bytes\n")
    warm_up()
    folder = Path(tempfile.mkdtemp(prefix="mixture-"))
    try:
        dedup = folder / "dedup"
        source = arguments.input or CORPUS
        if DedupLayout(source).manifest.is_file():
            dedup.symlink_to(source.resolve())
        else:
            if not source.is_dir():
                source = folder / "sample"
                with LocalEngine(2) as engine:
                    write_sample(source, docs=20_000, seed=1, engine=engine, progress=lambda size: None)
            deduplicate(source, dedup)
        trained = in_process(store, dedup, None, folder / "first")
        # Beside the deduplication, for every part to use; training is not what is measured.
        tokenizer = folder / "tokenizer.json"
        shutil.copy(folder / "first" / "tokenizer.json", tokenizer)
        print(f"{'':<26}{'MB/s':>8} {'cpu MB/s':>8} {'seconds':>7} {'peak MB':>7}")
        figures = in_process(tokenise, dedup, tokenizer)
        report("tokenising, cold", figures, f"bar 80; {figures['bytes'] / figures['tokens']:.2f} bytes per token")
        figures = in_process(store, dedup, tokenizer, folder / "out" / "tokens")
        report(
            "shards to finished store",
            figures,
            f"bar 40; {figures['share']:.2f} of {figures['backend']} alone (bar 0.6); {figures['stages']}; "
            f"store {figures['store'] / MB:.0f} MB",
        )
        report("the same, training first", trained, trained["stages"])
        for name in ("parquet", "megatron"):
            figures = in_process(mixture, dedup, folder / "out", arguments.megabytes * MB // 4, name)
            remark = (
                f"{figures['epochs']:.1f} epochs, {figures['files']} files of {figures['written'] / MB:.0f} MB in all"
            )
            report(f"store to {name}", figures, f"bar 200; {remark}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
