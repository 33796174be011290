"""A stage tells whoever watches where it is; lines and bars say which of how many it is."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from slimpajama.engine.local import LocalEngine
from slimpajama.stages.markers import Markers
from slimpajama.stages.progress import SILENT, Bars, LogLines, StageStart, progress_for
from slimpajama.stages.runner import Stages
from slimpajama.stages.stage import Stage, StageResult, Task

LINK = StageStart("link", number=2, count=6, bytes=8_000_000_000, done=2_000_000_000)


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def started(self, stage: StageStart) -> None:
        self.told.append(stage)

    def advanced(self, size: int) -> None:
        self.told.append(size)

    def finished(self) -> None:
        self.told.append("finished")


class Shouted(StageResult, frozen=True, kw_only=True):
    upper: str


class Shout(Stage[str, Shouted]):
    """A task for each letter; the letter ``!`` cannot be done."""

    version = 1
    result_type = Shouted

    def __init__(self, title: str, letters: str) -> None:
        self.title = title  # type: ignore[misc] # one class is several stages here
        self._letters = letters

    def tasks(self) -> list[Task[str]]:
        return [Task(letter, letter, {}, 10 * (index + 1)) for index, letter in enumerate(self._letters)]

    @staticmethod
    def run(payload: str) -> Shouted:
        if payload == "!":
            raise ZeroDivisionError
        return Shouted(upper=payload.upper())


def run(stages: Stages, folder: Path, title: str, letters: str) -> None:
    stages.run(Shout(title, letters), Markers(folder / title, folder, Shouted))


def test_a_stage_tells_its_number_its_size_and_each_item(tmp_path: Path) -> None:
    run(Stages(LocalEngine(1)), tmp_path, "second", "a")
    watcher = Watcher()
    stages = Stages(LocalEngine(1), watcher, count=2)
    run(stages, tmp_path, "first", "abc")
    run(stages, tmp_path, "second", "ab")
    assert watcher.told == [
        *(StageStart("first", 1, 2, 60, 0), 10, 20, 30, "finished"),
        *(StageStart("second", 2, 2, 30, 10), 20, "finished"),
    ]


def test_a_stage_that_fails_is_over_too(tmp_path: Path) -> None:
    watcher = Watcher()
    with pytest.raises(ZeroDivisionError):
        run(Stages(LocalEngine(1), watcher), tmp_path, "first", "!")
    assert watcher.told == [StageStart("first", 1, 0, 10, 0), "finished"]


def test_titles_say_which_stage_of_how_many() -> None:
    assert LINK.title == "2 of 6 link"
    assert StageStart("verify parts", 0, 0, 1, 0).title == "verify parts"


def test_a_line_says_where_the_stage_is_and_comes_at_each_interval(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "slimpajama")
    waits: list[float] = []
    written = threading.Event()

    def wait(over: threading.Event, seconds: float) -> bool:
        """Two intervals pass at once, then nothing does until the stage is over."""
        waits.append(seconds)
        if len(waits) <= 2:
            return False
        written.set()
        return over.wait(60)

    moments = iter([100.0, 130.0, 160.0])
    lines = LogLines(clock=lambda: next(moments), wait=wait)
    lines.started(LINK)
    assert written.wait(60)
    lines.advanced(1)
    lines.finished()
    assert waits == [30.0] * 3
    assert caplog.messages == ["2 of 6 link: 30 s, 25% of 8.0 GB", "2 of 6 link: 60 s, 25% of 8.0 GB"]


def test_what_is_done_is_counted_in_the_line() -> None:
    lines = LogLines(clock=lambda: 7.0)
    lines.started(LINK)
    lines.advanced(4_000_000_000)
    lines.finished()
    assert lines.line() == "2 of 6 link: 0 s, 75% of 8.0 GB"


def test_bars_are_on_standard_error_with_the_title(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    bars.started(LINK)
    bars.advanced(5)
    bars.finished()
    output = capsys.readouterr()
    assert output.out == ""
    assert "2 of 6 link:  25%" in output.err


def test_without_a_terminal_there_are_lines_and_nothing_if_it_is_not_wanted() -> None:
    assert isinstance(progress_for(True), LogLines)
    assert progress_for(False) is SILENT
