"""Small decoders for the measurements of caches, trained on the sample corpus in minutes.

Half of the training windows are plain text. The other half are text that comes back: a passage, other text, and the
passage again. A model of a million parameters predicts plain text from a few dozen tokens, so that any cache would do;
to continue a passage from far back, it must look at what the cache may have dropped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import torch
import zstandard
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional

from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "sample"
VOCABULARY = 1024
PROMPT, CONTINUATION = 192, 64
WINDOW = PROMPT + CONTINUATION
SHAPE = DecoderConfiguration(
    vocabulary=VOCABULARY, width=128, layers=3, heads=4, feed_forward=344, context=WINDOW, base_width=128
)


def texts(corpus: Path, bytes_each: int) -> Iterator[str]:
    """The first ``bytes_each`` of each source, document by document."""
    for source in sorted(path for path in corpus.iterdir() if path.is_dir()):
        taken = 0
        for shard in sorted(source.rglob("*.jsonl.zst")):
            with shard.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
                for line in stream.read().splitlines():
                    if taken >= bytes_each:
                        break
                    text = orjson.loads(line)["text"][:20_000]
                    taken += len(text)
                    yield text


def token_stream(corpus: Path, bytes_each: int = 1_000_000) -> NDArray[np.int64]:
    """All texts as one row of tokens, by a byte-level BPE that is trained on them."""
    found = list(texts(corpus, bytes_each))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(found[::4], trainer)
    rows = [[*encoded.ids, 0] for encoded in tokenizer.encode_batch(found)]
    return np.concatenate([np.array(row, dtype=np.int64) for row in rows])


def plain_windows(stream: NDArray[np.int64], rows: int, random: np.random.Generator) -> torch.Tensor:
    """``[rows, WINDOW]`` of running text."""
    starts = random.integers(0, len(stream) - WINDOW, rows)
    return torch.from_numpy(stream[starts[:, None] + np.arange(WINDOW)])


def returning_windows(
    stream: NDArray[np.int64], rows: int, random: np.random.Generator, first: int | None = None
) -> torch.Tensor:
    """Text whose last ``CONTINUATION`` tokens are the same as those from ``first`` on (anywhere, if it is None)."""
    windows = plain_windows(stream, rows, random)
    for row in windows:
        start = int(random.integers(0, PROMPT - CONTINUATION + 1)) if first is None else first
        row[PROMPT:] = row[start : start + CONTINUATION].clone()
    return windows


def train_proxy(stream: NDArray[np.int64], seed: int, seconds: float, device: torch.device) -> Decoder:
    """A decoder trained for ``seconds`` of processor time (of a clock, on a GPU), by AdamW with a linear decay."""
    model = Decoder(SHAPE, seed)
    model.to(device)
    random = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.95), weight_decay=0.1)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    began, step, rows = clock(), 0, 32
    while (spent := (clock() - began) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min(1, (step + 1) / 50) * (1 - spent)
        tokens = torch.cat((plain_windows(stream, rows // 2, random), returning_windows(stream, rows // 2, random)))
        tokens = tokens.to(device)
        loss = functional.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
    model.eval()
    return model
