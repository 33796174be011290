"""`slimpajama measure` says what it needs where PyTorch is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    package = str(Path(__file__).parents[2])
    result = subprocess.run(
        [sys.executable, "-m", "slimpajama", "measure", str(tmp_path), "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), package])},
        timeout=100,
    )
    message = "error: measure needs torch, which is not installed; install slimpajama[study]\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", message)
