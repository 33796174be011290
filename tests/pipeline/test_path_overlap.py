"""No command writes where it reads, however the paths are spelt."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner
from upath import UPath

from slimpajama import deduplicate
from slimpajama.cli.main import app
from slimpajama.config.dedup import Config
from slimpajama.corpus.discovery import discover
from slimpajama.errors import ConfigError
from slimpajama.pipeline.path_overlap import lies_inside, refuse_overlap, refuse_shards_in_output
from slimpajama.storage.paths import path_of
from tests.corpus.shards import files_below, put

TEXT = " ".join(f"word{number}" for number in range(100))


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ("a", "a", True),
        ("a/b", "a", True),
        ("a/./b/../c", "a", True),
        ("ab", "a", False),
        ("a", "a/b", False),
        ("a/b/..", "a/b", False),
        ("link/c", "a", True),
        ("link", "a/b", True),
        ("a/b/c", "link", True),
        ("elsewhere", "link", False),
    ],
)
def test_paths_on_a_disk_are_compared_as_they_really_are(
    tmp_path: Path, inner: str, outer: str, expected: bool
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    assert lies_inside(tmp_path / inner, tmp_path / outer) == expected
    assert lies_inside(path_of(f"file://{tmp_path}/{inner}"), tmp_path / outer) == expected
    assert lies_inside(tmp_path / inner, path_of(cast(Path, UPath(f"local://{tmp_path}/{outer}")))) == expected


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ("memory://bucket/a", "memory://bucket/a", True),
        ("memory://bucket/a/", "memory://bucket/a", True),
        ("memory://bucket//a/b", "memory://bucket/a/", True),
        ("memory://bucket/a/../b", "memory://bucket/b", True),
        ("memory://bucket/ab", "memory://bucket/a", False),
        ("memory://bucket/a", "memory://other/a", False),
        ("memory://bucket/a", "/bucket/a", False),
    ],
)
def test_places_in_a_store_are_compared_by_key(inner: str, outer: str, expected: bool) -> None:
    assert lies_inside(path_of(inner), path_of(outer)) == expected


def test_both_directions_are_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_overlap(tmp_path / "in", tmp_path / "in" / "out")
    assert (
        str(caught.value) == f"the output {tmp_path}/in/out lies inside the input {tmp_path}/in; choose another place"
    )
    with pytest.raises(ConfigError) as caught:
        refuse_overlap(tmp_path / "out" / "old", tmp_path / "out", read_as="earlier run")
    assert str(caught.value) == (
        f"the earlier run {tmp_path}/out/old lies inside the output {tmp_path}/out, which would overwrite it; choose "
        "another output"
    )
    refuse_overlap(tmp_path / "in", tmp_path / "out")


def test_a_link_from_the_output_into_the_input_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [TEXT]})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "global").symlink_to(tmp_path / "in")
    with pytest.raises(ConfigError, match=r"out/global, which this run writes, leads to the input"):
        refuse_overlap(tmp_path / "in", tmp_path / "out", subfolders=("global",))


@pytest.mark.parametrize("linked", ["c4", "c4/a.jsonl"])
def test_a_link_from_the_input_into_the_output_is_refused(tmp_path: Path, linked: str) -> None:
    put(tmp_path / "out" / "global", {"c4/a.jsonl": [TEXT]})
    link = tmp_path / "in" / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "out" / "global" / linked)
    files = discover(tmp_path / "in").files
    refuse_shards_in_output(files, tmp_path / "other")
    with pytest.raises(ConfigError, match=r"the shard .*in/c4/a\.jsonl leads into the output"):
        refuse_shards_in_output(files, tmp_path / "out")


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.mark.parametrize("spelling", ["", "file://"])
def test_every_command_refuses_before_it_writes(tmp_path: Path, spelling: str) -> None:
    out = put(tmp_path / "out", {"global/c4/a.jsonl": [TEXT]})
    config = put(tmp_path, {"run.yaml": b"input: nowhere\n"}) / "run.yaml"
    before = files_below(tmp_path)
    inside: tuple[tuple[object, ...], ...] = (("dedup", "--output", out), ("run", config, "--output", out))
    for arguments in inside:
        assert "lies inside the output" in refused(*arguments, "--input", f"{spelling}{out}/global")
    around = f"{spelling}{out}/global/x"
    for arguments in (("dedup", "--output", around), ("run", config, "--output", around)):
        assert "lies inside the input" in refused(*arguments, "--input", out)
    assert files_below(tmp_path) == before


def test_a_mixture_inside_the_deduplication_or_around_it_is_refused(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": [TEXT]})
    deduplicate(source, tmp_path / "old" / "dedup", Config(workers=1))
    recipe = put(tmp_path, {"r.yaml": b"name: r\nweights: {c4: 100}\ntokens: 100000\n"}) / "r.yaml"
    dedup = tmp_path / "old" / "dedup"
    before = files_below(tmp_path)
    mix = ("mix", "--input", dedup, "--recipe", recipe, "--output")
    assert "lies inside the deduplication" in refused(*mix, dedup / "mixtures")
    assert "lies inside the deduplication" in refused(*mix, dedup)
    assert "lies inside the output" in refused(*mix, tmp_path / "old")
    again = ("dedup", "--input", source, "--against", dedup, "--output")
    assert "lies inside the earlier run" in refused(*again, dedup / "new")
    assert "lies inside the output" in refused(*again, tmp_path / "old")
    assert files_below(tmp_path) == before
