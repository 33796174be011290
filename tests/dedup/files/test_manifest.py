"""The manifest is read as it was written, and one of another version is named as such."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from slimpajama import InputNotFound
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.files.manifest import Manifest, ManifestInput, ManifestPart, ManifestShard, read_manifest
from slimpajama.storage.atomic import write_json
from slimpajama.tokens.dedup_reader import open_dedup_output

MANIFEST = Manifest(
    (
        ManifestPart(
            bundle="c4/a",
            inputs=(ManifestInput("c4/a.jsonl.zst", (3,)),),
            decisions="decisions/c4/a.parquet",
            decided="d1",
            start=0,
            stop=70,
            shards=(
                ManifestShard("c4", "global", "global/c4/a-00000-of-00002.jsonl.zst", "s1"),
                ManifestShard("c4", "local", "local/c4/a-00000-of-00002.jsonl.zst", None),
            ),
        ),
        ManifestPart("c4/a", (ManifestInput("c4/a.jsonl.zst", (3,)),), "decisions/c4/a.parquet", "d1", 70, None, ()),
    )
)

AGAIN = "run slimpajama dedup again with the same input and output"


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    layout = DedupLayout(tmp_path)
    write_json(layout.manifest, msgspec.to_builtins(MANIFEST))
    assert read_manifest(layout) == MANIFEST


@pytest.mark.parametrize(("content", "version"), [([], 1), ([{"decisions": "a"}], 1), ({"version": 2, "x": []}, 2)])
def test_a_manifest_of_another_version_is_named_with_the_remedy(tmp_path: Path, content: object, version: int) -> None:
    layout = DedupLayout(tmp_path)
    write_json(layout.manifest, content)
    write_json(layout.summary, {"overlap": {}, "settings": {"scope": "both"}})
    for reader in (lambda: read_manifest(layout), lambda: open_dedup_output(tmp_path)):
        with pytest.raises(InputNotFound) as caught:
            reader()
        assert str(caught.value) == (
            f"{tmp_path} was deduplicated by another version of slimpajama: {layout.manifest} is of version {version}, "
            f"and this one reads version 4; {AGAIN}"
        )


@pytest.mark.parametrize("content", [None, "", "{", "3", '{"version": 4}', '{"version": 4, "parts": [], "more": 1}'])
def test_a_manifest_that_is_missing_or_broken_is_no_finished_deduplication(tmp_path: Path, content: str | None) -> None:
    layout = DedupLayout(tmp_path)
    if content is not None:
        layout.work.mkdir()
        layout.manifest.write_text(content)
    with pytest.raises(InputNotFound) as caught:
        read_manifest(layout)
    assert str(caught.value) == (
        f"{tmp_path} holds no finished deduplication: {layout.manifest} is missing or broken; {AGAIN}"
    )
