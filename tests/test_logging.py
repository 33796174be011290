"""Lines that are logged reach standard error on the command line, from workers too; never standard output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from slimpajama.cli.errors import reported
from slimpajama.cli.options import Json, LogLevel, LogLevelName, Quiet
from slimpajama.engine.local import LocalEngine
from slimpajama.logging import LEVELS, LOGGER, Line, captured, log_to_stderr, repeat


def speak(item: int) -> int:
    LOGGER.info("item %d begins", item)
    if item % 2:
        LOGGER.warning("item %d is odd", item)
    return item


def speak_and_fail(item: int) -> int:
    speak(item)
    raise ValueError("no more")


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["detail", "note", "warning: careful", "error: broken"]),
        ("info", ["note", "warning: careful", "error: broken"]),
        ("warning", ["warning: careful", "error: broken"]),
        ("error", ["error: broken"]),
    ],
)
def test_a_line_is_its_message_and_warnings_say_that_they_are(
    level: str, written: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with log_to_stderr(level):
        for name, text in zip(LEVELS, ("detail", "note", "careful", "broken"), strict=True):
            LOGGER.log(LEVELS[name], text)
    LOGGER.warning("after the block")
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == written


def test_a_closed_or_missing_standard_error_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = (tmp_path / "closed").open("w")
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        with log_to_stderr("info"):
            LOGGER.warning("nobody hears this")


@pytest.mark.parametrize("workers", [1, 2])
def test_lines_of_workers_are_logged_in_the_process_that_started_them(
    workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "slimpajama")
    with LocalEngine(workers) as engine:
        assert sorted(engine.map(speak, range(4))) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert sorted(caplog.messages) == sorted(
        [*(f"item {n} begins" for n in range(4)), "item 1 is odd", "item 3 is odd"]
    )
    assert {record.levelname for record in caplog.records if "odd" in record.message} == {"WARNING"}


def test_lines_below_the_level_stay_in_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "slimpajama")
    with LocalEngine(2) as engine:
        list(engine.map(speak, range(3)))
    assert caplog.messages == ["item 1 is odd"]


@pytest.mark.parametrize("workers", [1, 2])
def test_lines_of_an_item_that_fails_are_logged_too(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    with LocalEngine(workers) as engine, pytest.raises(ValueError, match="no more"):
        list(engine.map(speak_and_fail, [1]))
    assert caplog.messages == ["item 1 is odd"]


def test_what_is_captured_is_written_nowhere_and_can_be_repeated(caplog: pytest.LogCaptureFixture) -> None:
    with captured(logging.INFO) as lines:
        LOGGER.debug("too fine")
        LOGGER.info("%d%% done", 50)
    assert lines == [Line(logging.INFO, "50% done")]
    assert caplog.messages == []
    caplog.set_level(logging.INFO, "slimpajama")
    repeat(lines)
    assert caplog.messages == ["50% done"]


def speak_once() -> None:
    speak(1)


def command(work: Callable[[], None]) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def speaking(quiet: Quiet = False, json: Json = False, log_level: LogLevel = None) -> None:
        with reported(False, quiet=quiet or json, log_level=log_level):
            work()
            typer.echo("result")

    return app


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ([], ["item 1 begins", "warning: item 1 is odd"]),
        (["--quiet"], ["warning: item 1 is odd"]),
        (["--json"], ["warning: item 1 is odd"]),
        (["--quiet", "--log-level", "info"], ["item 1 begins", "warning: item 1 is odd"]),
        (["--log-level", "error"], []),
    ],
)
def test_a_command_always_shows_warnings_and_never_on_standard_output(words: list[str], written: list[str]) -> None:
    result = CliRunner().invoke(command(speak_once), words)
    assert (result.stdout, result.stderr.splitlines()) == ("result\n", written)


def test_the_levels_of_the_command_line_are_those_that_exist() -> None:
    assert [level.value for level in LogLevelName] == list(LEVELS)
