"""A manifest is read as it was written, and one of another shape or version is named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import orjson
import pytest

from slimpajama.errors import InputError
from slimpajama.mixture.layout import MixtureLayout, is_output_file
from slimpajama.mixture.manifest import (
    HeldOutSource,
    MixtureFile,
    MixtureManifest,
    MixturePlan,
    MixtureSource,
    PackedDocuments,
    StoreUsed,
    read_mixture_manifest,
)
from slimpajama.mixture.summary import MixtureSummary
from slimpajama.storage.atomic import write_json

MANIFEST = MixtureManifest(
    recipe={"name": "web", "weights": {"c4": 100.0}},
    plan=MixturePlan(10, 640, (MixtureSource("c4", 1.0, 0, 10, 640, 1280, 1280, 0.5, 640),)),
    store=StoreUsed("abc", 600, 0),
    formats=("parquet",),
    holdout=(HeldOutSource("c4", 1.0, 1, 0), HeldOutSource("books", 0.0, 5, 5)),
    packed=PackedDocuments(7, 2, 0),
    warnings=("few",),
    files=(MixtureFile("train-00000-of-00001.parquet", 99, "ff", "parquet", {"c4": 10}, 7),),
    versions={"python": "3.10"},
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_json(MixtureLayout(tmp_path).manifest, msgspec.to_builtins(MANIFEST))
    assert read_mixture_manifest(tmp_path) == MANIFEST
    assert orjson.loads((tmp_path / "manifest.json").read_bytes())["version"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "is of version 3, and this slimpajama reads version 2"),
        ({"stores": 1}, "is missing or broken"),
        ({"formats": None}, "is missing or broken"),
        ({"files": [{"name": "a"}]}, "is missing or broken"),
    ],
)
def test_another_version_or_shape_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    write_json(tmp_path / "manifest.json", {**msgspec.to_builtins(MANIFEST), **change})
    with pytest.raises(InputError, match=message):
        read_mixture_manifest(tmp_path)


def test_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json is missing or broken"):
        read_mixture_manifest(tmp_path)


def test_a_summary_is_the_manifest_and_the_seconds() -> None:
    summary = MixtureSummary.of(MANIFEST, 1.23456)
    assert summary.as_dict() == {**msgspec.to_builtins(MANIFEST), "seconds": 1.235}
    assert summary.held_out == {"validation": 1, "test": 0}, "of its own sources alone"


def test_which_names_are_files_of_a_mixture() -> None:
    for name in ("train-00000-of-00012.parquet", "test-00001-of-00002.idx", "validation-0-of-1.bin.tmp"):
        assert is_output_file(name)
    for name in ("dev-00000-of-00001.parquet", "train-00000-of-00001.csv", "train.parquet"):
        assert not is_output_file(name)


def test_whose_a_folder_is(tmp_path: Path) -> None:
    layout = MixtureLayout(tmp_path / "web")
    assert not layout.is_foreign
    layout.root.mkdir()
    assert not layout.is_foreign
    (layout.root / "train-00000-of-00001.parquet.0a1b2c3d.tmp").touch()
    assert not layout.is_foreign, "begun and interrupted"
    (layout.root / "thesis.txt").touch()
    assert layout.is_foreign
    layout.done.mkdir()
    assert not layout.is_foreign, "what people put beside a mixture does not make it another thing"
    assert MixtureLayout(layout.root / "thesis.txt").is_foreign
