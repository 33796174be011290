"""Names of the files of the shared holdout: one for each shape of sequences, or a folder where a format wants one."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from slimpajama.config.recipe import Recipe
from slimpajama.mixture.holdout_shape import HoldoutShape
from slimpajama.mixture.layout import HoldoutLayout, is_holdout_file

SHAPES = {
    "2048": HoldoutShape(2048),
    "2049": HoldoutShape(2049),
    "extra-2048": HoldoutShape(2048, extra_token=True),
    "best-fit-2048": HoldoutShape(2048, packing="best-fit"),
    "best-fit-extra-2048": HoldoutShape(2048, extra_token=True, packing="best-fit"),
}


def test_shapes_have_names_of_their_own() -> None:
    assert [shape.name for shape in SHAPES.values()] == list(SHAPES)
    assert [shape.tokens for shape in SHAPES.values()] == [2048, 2049, 2049, 2048, 2049]
    assert SHAPES["best-fit-extra-2048"].in_words == "2,048 and one more, best-fit"
    for one, other in permutations(SHAPES, 2):
        assert not other.startswith(f"{one}-"), "a pattern for the files of one matches none of another"


def test_the_shape_of_a_recipe() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "a",
            "rule": "unimax",
            "tokens": "1M",
            "sequence_length": 64,
            "extra_token": True,
            "packing": "best-fit",
        }
    )
    assert HoldoutShape.of(recipe) == HoldoutShape(64, extra_token=True, packing="best-fit")


@pytest.mark.parametrize("shape", SHAPES)
def test_files_are_known_by_their_names(tmp_path: Path, shape: str) -> None:
    layout = HoldoutLayout(tmp_path)
    plain = layout.stem("c4", "test", shape, 0, 2)
    indexed = layout.stem("c4", "test", shape, 0, 2, indexed=True)
    assert layout.relative(plain) == f"c4/test-{shape}-00000-of-00002"
    assert layout.relative(indexed) == f"c4/test-{shape}/test-00000-of-00002"
    for name in (f"{layout.relative(plain)}.parquet", f"{layout.relative(indexed)}.mds", f"c4/test-{shape}/index.json"):
        assert is_holdout_file(name)
        assert is_holdout_file(f"{name}.tmp")


@pytest.mark.parametrize(
    "name", ["README.md", "c4/index.json", "c4/a/index.json", "c4/test-1/notes.txt", "c4/test-64.x"]
)
def test_other_files_are_not_ours(name: str) -> None:
    assert not is_holdout_file(name)
