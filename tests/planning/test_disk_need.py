"""The estimate of disk from sizes of files, and the warning where less is free."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from slimpajama.corpus.discovery import ShardFile
from slimpajama.corpus.file_formats import endings
from slimpajama.planning.disk_need import dedup_bytes, mixture_bytes, text_bytes, warn_if_full


def test_text_is_guessed_from_size_and_compression() -> None:
    files = [ShardFile("", "", suffix, 100, 0) for suffix in (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")]
    assert text_bytes(files) == 100 + 300 + 400 + 100


def test_every_compression_that_can_be_read_has_a_guess() -> None:
    expansions = {kind.codec.name: kind.codec.expansion for kind in endings().values()}
    assert expansions == {"none": 1, "gz": 3, "zst": 4, "bz2": 4, "xz": 5, "lz4": 2}


def test_what_is_written_goes_by_text_scopes_and_tokens() -> None:
    assert dedup_bytes(1000, 1) == 415
    assert dedup_bytes(1000, 2) == 765
    assert mixture_bytes(1000, [50, 70]) == 1100 + 240
    assert mixture_bytes(1000, []) == 1100


def test_too_little_space_is_a_warning_with_both_figures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="slimpajama"):
        warn_if_full(tmp_path / "not" / "yet", 2_500_000_000, free=2_500_000_000)
        assert caplog.messages == []
        warn_if_full(tmp_path / "not" / "yet", 2_500_000_000, free=7_000_000)
    (message,) = caplog.messages
    assert message.startswith(
        f"{tmp_path / 'not' / 'yet'} may need up to about 2.5 GB, and its disk has 7.0 MB free: free some space, "
    )


def test_the_file_system_is_asked_where_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="slimpajama"):
        warn_if_full(tmp_path / "new", 1)
        warn_if_full(tmp_path / "new", 1 << 80)
    assert len(caplog.messages) == 1
