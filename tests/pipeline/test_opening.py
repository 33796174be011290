"""Opening what is not there, and asking for what does not exist, names the choices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

import slimpajama
from tests.corpus.shards import put


class Stopping:
    """Interrupts a run when a stage begins."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def started(self, stage: slimpajama.StageStart) -> None:
        if stage.name == self.stage:
            raise KeyboardInterrupt

    def advanced(self, size: int) -> None:
        pass

    def finished(self) -> None:
        pass


def test_what_is_no_output_is_refused_with_the_folder_to_give(tmp_path: Path) -> None:
    with pytest.raises(slimpajama.InputNotFound, match="holds no deduplication; give the output of deduplicate, or"):
        slimpajama.open_decisions(tmp_path)
    with pytest.raises(slimpajama.InputNotFound, match="is no finished mixture; give a folder named after a recipe"):
        slimpajama.load_mixture(tmp_path)


def test_a_status_scope_or_column_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    slimpajama.deduplicate(put(tmp_path / "in", {"c4/a.jsonl": ["any text " * 40]}), tmp_path / "out", workers=1)
    decisions = slimpajama.open_decisions(tmp_path / "out")
    assert decisions.kept("local", columns=["position"]).to_pylist() == [{"position": 0}]
    with pytest.raises(slimpajama.ConfigError, match="there is no status 'dup' among the decisions; choose from "):
        decisions.with_status(cast(Any, "dup"))
    with pytest.raises(
        slimpajama.ConfigError, match="there is no scope 'both' among the decisions; choose from global"
    ):
        decisions.kept(cast(Any, "both"))
    with pytest.raises(slimpajama.ConfigError, match="there is no column 'text' among the decisions; choose from id, "):
        decisions.kept(columns=["text"])


def test_decisions_of_a_run_that_was_interrupted_are_not_opened(tmp_path: Path) -> None:
    source, out = put(tmp_path / "in", {"c4/a.jsonl": ["any text " * 40]}), tmp_path / "out"
    slimpajama.deduplicate(source, out, workers=1)
    with pytest.raises(KeyboardInterrupt):
        slimpajama.deduplicate(source, out, workers=1, min_cleaned_characters=1000, progress=Stopping("write"))
    with pytest.raises(
        slimpajama.InputNotFound, match="was interrupted or is at work, so its decisions are not all of"
    ):
        slimpajama.open_decisions(out)
    slimpajama.deduplicate(source, out, workers=1, min_cleaned_characters=1000)
    assert slimpajama.open_decisions(out).with_status("short").num_rows == 1
