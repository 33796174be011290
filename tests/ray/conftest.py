"""One Ray cluster for all tests of the folder."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.ray.cluster import two_nodes


@pytest.fixture(scope="package")
def ray_cluster() -> Iterator[Any]:
    """Two nodes of a CPU each; a test removes the nodes it adds."""
    with two_nodes() as cluster:
        yield cluster
    gc.collect()  # Ray leaves files open, and no other test shall meet them
