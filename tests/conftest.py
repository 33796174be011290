"""Shared by all tests: how hypothesis searches, which tests share a process, and the real corpus.

`make test` leaves out tests marked `slow` and tries 50 examples of each property; `make test-all` and CI run every test
with 200 examples. Tests of one file share a process under xdist, so that module fixtures are made once, and the tests
on Ray come first, as they take the longest.
"""

from __future__ import annotations

import io
import subprocess
import sys
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
    "quick",
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=200)
settings.register_profile("explore", settings.get_profile("quick"), derandomize=False, max_examples=2000)
settings.load_profile("quick")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the kernels before xdist starts its workers: each of them would compile its own otherwise."""
    if session.config.getoption("numprocesses", None):
        files = (REPOSITORY / "slimpajama").rglob("compiled.py")
        names = (".".join(file.relative_to(REPOSITORY).with_suffix("").parts) for file in files)
        imports = "; ".join(f"import {name}" for name in names)
        subprocess.run([sys.executable, "-c", imports], cwd=REPOSITORY, check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests on Ray: they take the longest."""
    items.sort(key=lambda item: scope_of(item.nodeid) != "tests/ray")


def scope_of(nodeid: str) -> str:
    """Tests that share fixtures, and so a process: those of a file, and all on Ray."""
    path = nodeid.partition("::")[0]
    return "tests/ray" if path.startswith("tests/ray/") else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Send tests with one scope to one process. xdist's own groups need a part of pytest that went with version 9."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False

    class ByScope(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return ByScope(config, log)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Call compressed bytes by their parameter: gzip writes the time into them, and xdist wants equal names."""
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None


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
