"""One whole run of a small sample, which every test of the report reads and none changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import slimpajama


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of ``run``: a sample of 300 documents, deduplicated, and two mixtures of it."""
    folder = tmp_path_factory.mktemp("whole")
    weights = {"common_crawl": 60, "c4": 30, "github": 10}
    for name, more in {"mine": {}, "near": {"scope": "local", "repeat": {"buckets": {"1": 1, "2-": 2}}}}.items():
        recipe = {"name": name, "weights": weights, "tokens": 30_000, "sequence_length": 128, "max_epochs": 50, **more}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    config = {
        "sample": {"docs": 300, "seed": 2},
        "dedup": {"workers": 1, "sampled_removals": 20},
        "tokens": {"holdout": 0.05, "piece_tokens": 128, "vocabulary": 4096},
        "mixtures": {"recipes": ["mine.yaml", "near.yaml"]},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    slimpajama.run(folder / "config.yaml", folder / "out", report=False)
    return folder / "out"
