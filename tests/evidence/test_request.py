"""What an output was asked to be: places in it are found from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimpajama.evidence.request import from_anywhere


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        ("both", "config/both"),
        ("here", "here"),
        ("EleutherAI/gpt-neox-20b", "EleutherAI/gpt-neox-20b"),
        ("s3://bucket/run", "s3://bucket/run"),
    ],
)
def test_places_beside_the_config_come_first_then_those_here_and_names_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, found: str | None
) -> None:
    for name in ("config/both", "both", "here"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    expected = str(tmp_path / found) if found and given in ("both", "here") else found
    assert from_anywhere(given, tmp_path / "config") == expected
