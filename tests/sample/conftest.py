"""One sample of 1,500 documents for all tests of the folder."""

from __future__ import annotations

import pytest

from tests.sample.sample_reading import WrittenSample, write


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> WrittenSample:
    return write(tmp_path_factory.mktemp("sample") / "out", docs=1500)
