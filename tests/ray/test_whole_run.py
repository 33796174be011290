"""A whole run on a Ray cluster gives the bytes of one on this machine, also when each stage loses a node."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from slimpajama.cli.main import app
from slimpajama.config.dedup import Config
from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.engine.local import LocalEngine
from slimpajama.engine.ray import RayEngine
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.pipeline.mix import make_mixtures
from slimpajama.sample import write_sample
from slimpajama.stages.runner import Stages
from tests.ray.cluster import MARKS, STORE_BYTES

pytest.importorskip("ray")

pytestmark = MARKS

RECIPE = Recipe(
    name="mixture",
    weights={"c4": 60, "arxiv": 40},
    tokens=100_000,
    sequence_length=128,
    max_epochs=50,
    file_tokens=30_000,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    with LocalEngine(1) as engine:
        write_sample(folder, docs=300, seed=3, engine=engine, progress=lambda size: None)
    return folder


def whole_run(engine: Any, corpus: Path, out: Path) -> dict[str, bytes]:
    """All results of a run, by path."""
    deduplicate_on(Stages(engine), corpus, out / "dedup", Config(workers=1, memory=2 << 30, piece_bytes=200 << 10))
    settings = TokenConfig(holdout=0.05)
    make_mixtures(out / "dedup", [RECIPE], settings, out / "mixtures", stages=Stages(engine), memory=1 << 28)
    endings = (".parquet", ".zst", ".npy", ".jsonl")
    files = [path for path in out.rglob("*") if path.suffix in endings and "work" not in path.parts]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def expected(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    with LocalEngine(1) as engine:
        return whole_run(engine, corpus, tmp_path_factory.mktemp("local"))


@pytest.mark.slow
def test_ray_gives_the_bytes_of_one_machine(
    ray_cluster: Any, corpus: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    with RayEngine(ray_cluster.address) as engine:
        assert whole_run(engine, corpus, tmp_path) == expected
    assert len(expected) > 30


@pytest.mark.slow
def test_checked_removals_on_ray_have_the_bytes_of_one_machine(ray_cluster: Any, corpus: Path, tmp_path: Path) -> None:
    config = Config(preset="verified", workers=1, memory=2 << 30, piece_bytes=200 << 10)
    with LocalEngine(1) as engine:
        deduplicate_on(Stages(engine), corpus, tmp_path / "local", config)
    with RayEngine(ray_cluster.address) as engine:
        deduplicate_on(Stages(engine), corpus, tmp_path / "ray", config)
    for folder in ("decisions", "global", "local"):
        files = [path.relative_to(tmp_path / "local") for path in (tmp_path / "local" / folder).rglob("*.*")]
        assert files
        for file in files:
            assert (tmp_path / "ray" / file).read_bytes() == (tmp_path / "local" / file).read_bytes()


class LosingNodes:
    """Runs items on Ray and, in each stage, kills a node that has some of them, and adds another."""

    def __init__(self, engine: RayEngine, ray_cluster: Any) -> None:
        self.workers = engine.workers
        self.lost = 0
        self._engine = engine
        self._cluster = ray_cluster
        self._node = ray_cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        name: Callable[[Any], str] = str,
        preload: Sequence[str] = (),
        memory: int | None = None,
        retry: Any = None,
    ) -> Generator[tuple[int, Any], None, None]:
        for done, result in enumerate(self._engine.map(function, items, name, preload, memory, retry)):
            if done == 0:  # others are on their way
                self._cluster.remove_node(self._node, allow_graceful=False)
                self._node = self._cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
                self.lost += 1
            yield result

    def close(self) -> None:
        """Leave the cluster as it was."""
        self._cluster.remove_node(self._node, allow_graceful=False)


@pytest.mark.slow
def test_losing_a_node_in_each_stage_changes_nothing(
    ray_cluster: Any, corpus: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    with RayEngine(ray_cluster.address) as engine:
        losing = LosingNodes(engine, ray_cluster)
        assert whole_run(losing, corpus, tmp_path) == expected
        losing.close()
    assert losing.lost > 8


@pytest.mark.slow
def test_the_command_runs_on_a_cluster(ray_cluster: Any, corpus: Path, tmp_path: Path) -> None:
    arguments = ["dedup", "--input", str(corpus), "--output", str(tmp_path / "out"), "--set", "memory=2GiB", "--quiet"]
    result = CliRunner().invoke(app, [*arguments, "--engine", "ray", "--ray-address", ray_cluster.address])
    assert (result.exit_code, result.stdout) == (0, "")  # Ray may tell of a node lost before: on standard error
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "out"), "--workers", "1"])
    assert result.output.splitlines()[-1] == "nothing is wrong"
    result = CliRunner().invoke(app, [*arguments, "--ray-address", ray_cluster.address])
    assert result.exit_code == 2
    assert "is for --engine ray; give both or neither" in result.output
