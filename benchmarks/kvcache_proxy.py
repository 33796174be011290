"""Small decoders for the measurements of caches, trained in minutes by the study's trainer on windows of their own.

Half of the training windows are plain text. The other half are text that comes back: a passage, other text, and the
passage again. A model of a million parameters predicts plain text from a few dozen tokens, so that any cache would do;
to continue a passage from far back, it must look at what the cache may have dropped.

Text is the sample corpus where it is there; on a machine without it, tokens are drawn from a chain in which each token
is followed by some of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.training.optimiser import made_optimiser
from slimpajama.study.training.settings import TrainingSettings
from slimpajama.study.training.trainer import LossOfWindows, training_step
from slimpajama.study.training.windows import WindowBatch

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "sample"
VOCABULARY = 1024
PROMPT, CONTINUATION = 192, 64
WINDOW = PROMPT + CONTINUATION
HELD_OUT = 100_000
SHAPE = DecoderConfiguration(
    vocabulary=VOCABULARY, width=128, layers=3, heads=4, feed_forward=344, context=WINDOW, base_width=128
)
TOKENS = 1_200_000
"""That one proxy is trained on."""


@dataclass(frozen=True, slots=True)
class ProxyText:
    """Tokens to train on, tokens to measure on, and what they are."""

    training: NDArray[np.int64]
    held_out: NDArray[np.int64]
    name: str


def proxy_text(drawn: bool = False) -> ProxyText:
    """The sample corpus; drawn tokens where it is missing, or they are asked for."""
    drawn = drawn or not CORPUS.is_dir()
    stream, name = (drawn_stream(), "drawn tokens") if drawn else (token_stream(CORPUS), "the sample corpus")
    return ProxyText(stream[:-HELD_OUT], stream[-HELD_OUT:], name)


def texts(corpus: Path, bytes_each: int) -> Iterator[str]:
    """The first ``bytes_each`` of each source, document by document."""
    import orjson
    import zstandard

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
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

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


def drawn_stream(tokens: int = 1_000_000, following: int = 16) -> NDArray[np.int64]:
    """Tokens each of which is followed by one of ``following`` others of its own."""
    random = np.random.default_rng(0)
    followers = random.integers(0, VOCABULARY, (VOCABULARY, following)).tolist()
    places = random.integers(0, following, tokens).tolist()
    stream, last = [], 0
    for place in places:
        last = followers[last][place]
        stream.append(last)
    return np.array(stream, dtype=np.int64)


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


def held_out_tasks(held_out: NDArray[np.int64], rows: int, seed: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Windows of the two tasks; passages that return begin the prompt, as far away as can be."""
    random = np.random.default_rng(seed)
    return {
        "running text": plain_windows(held_out, rows, random).to(device),
        "a passage from the start of the prompt returns": returning_windows(held_out, rows, random, first=0).to(device),
    }


def train_proxy(stream: NDArray[np.int64], seed: int, tokens: int, device: torch.device) -> Decoder:
    """A decoder trained on ``tokens`` tokens, by the steps of the study."""
    settings = TrainingSettings(tokens=tokens, batch_tokens=16 * WINDOW, window=WINDOW, seed=seed, final_rate=0.0)
    model = Decoder(SHAPE, seed)
    model.to(device)
    module, optimiser = LossOfWindows(model), made_optimiser(model)
    random = np.random.default_rng(seed)
    for step in range(settings.steps):
        windows = torch.cat((plain_windows(stream, 8, random), returning_windows(stream, 8, random)))
        labels = torch.cat((windows[:, 1:], torch.full_like(windows[:, :1], -100)), 1)
        training_step(module, model, optimiser, settings, WindowBatch(windows, labels, None), step, device)
    model.eval()
    return model
