"""Which engine is chosen, and what a script that starts workers is told where it is not guarded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from slimpajama import ConfigError, EngineChoice
from tests.corpus.shards import put

UNGUARDED = """
import slimpajama
slimpajama.deduplicate("in", "out", workers=2)
"""


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^there is no engine 'foo'; choose local or ray$"):
        EngineChoice(cast(Any, "foo"))


def test_a_script_without_a_guard_is_told_to_have_one(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": ["one text", "another"]})
    (tmp_path / "script.py").write_text(UNGUARDED)
    ended = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "ConfigError: a worker process runs this script again; put the calls of slimpajama below" in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("slimpajama.errors.WorkerDied: ")
    assert "if its traceback above is one of your script, put the calls of slimpajama below" in last
