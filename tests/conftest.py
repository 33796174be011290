"""What all tests share: how hypothesis searches, and the real corpus where there is one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).parents[1]
REAL_CORPUS = REPOSITORY.parent / "shared" / "corpus" / "sample"

# The same examples on every machine; `pytest --hypothesis-profile=explore` looks further, with new ones each time.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", settings.get_profile("repeatable"), derandomize=False, max_examples=2000)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def real_corpus() -> Path:
    """The folder of real text in RedPajama's layout; tests that ask for it are skipped only where it is absent."""
    if not REAL_CORPUS.is_dir():
        pytest.skip(f"no real corpus at {REAL_CORPUS}")
    return REAL_CORPUS


@pytest.fixture(scope="session")
def real_texts(real_corpus: Path) -> list[str]:
    """2,000 real documents of 200 to 50,000 characters, from all shards in turn."""
    streams = [texts_of_shard(path) for path in sorted(real_corpus.rglob("*.jsonl.zst"))]
    texts: list[str] = []
    while streams:
        for stream in list(streams):
            text = next(stream, None)
            if text is None:
                streams.remove(stream)
            elif 200 <= len(text) <= 50_000:
                texts.append(text)
                if len(texts) == 2000:
                    return texts
    return texts


def texts_of_shard(path: Path) -> Iterator[str]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
        for line in io.BufferedReader(stream):
            yield orjson.loads(line)["text"]
