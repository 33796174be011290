"""Tests of the study need PyTorch. Without it, the files of this folder are skipped; `make test-study` runs them."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

try:
    import torch
except ImportError:

    class WithoutTorch(pytest.Module):
        """A file of tests that cannot be imported here."""

        def collect(self) -> NoReturn:
            pytest.skip("PyTorch is not installed; `make test-study` sets it up", allow_module_level=True)

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
        """Skip each file, and say so, before it imports PyTorch."""
        return WithoutTorch.from_parent(parent, path=module_path)
else:
    torch.set_num_threads(1)
