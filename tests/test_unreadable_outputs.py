"""Whatever file of an output cannot be read, each command ends with an error that names it, or does not need it.

A folder in the place of a file fails as a file of a failing disk does: when it is opened.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import slimpajama
from slimpajama import Recipe, SlimpajamaError
from tests.corpus.shards import put

NUMBERS = re.compile(r"[0-9]+")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deduplication with a removal and a broken record, and a mixture of it."""
    folder = tmp_path_factory.mktemp("unreadable")
    random_words = random.Random(1)
    texts = [" ".join("".join(random_words.choices("abcdefgh", k=6)) for _ in range(40)) for _ in range(60)]
    put(folder / "in", {"c4/a.jsonl": [{"text": text} for text in [*texts, texts[0]]]})
    with (folder / "in" / "c4" / "a.jsonl").open("ab") as file:
        file.write(b'{"text": 1}\n')
    slimpajama.deduplicate(folder / "in", folder / "out", workers=1, max_bad_fraction=1, sources=["c4"])
    mix(folder)
    return folder


def mix(folder: Path) -> None:
    recipe = Recipe(name="mixture", weights={"c4": 100}, tokens=2000, sequence_length=64, max_epochs=100)
    slimpajama.mix(folder / "out", folder / "mix", recipe, workers=1, vocabulary=512, holdout=0.1)


def look(folder: Path) -> None:
    slimpajama.duplicates(folder / "out")
    slimpajama.explain(folder / "out", "c4/a.jsonl:61")
    slimpajama.explain(folder / "out", "c4/a.jsonl:62")


def one_of_each_kind(folder: Path) -> list[str]:
    """Files below ``folder`` whose names differ in more than numbers."""
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    return [*{NUMBERS.sub("", name): name for name in reversed(names)}.values()]


def refusal(command: Callable[[Path], None], made: Path, copy: Path, name: str) -> str:
    """What the command says where the file cannot be read; empty where it succeeds."""
    shutil.copytree(made, copy)
    (copy / name).unlink()
    (copy / name).mkdir()
    try:
        command(copy)
    except SlimpajamaError as error:
        return str(error)
    finally:
        shutil.rmtree(copy)
    return ""


@pytest.mark.parametrize(("command", "folder", "least"), [(look, "out", 3), (mix, "mix", 3)])
def test_a_file_that_cannot_be_read_is_named(
    made: Path, tmp_path: Path, command: Callable[[Path], None], folder: str, least: int
) -> None:
    names = [f"{folder}/{name}" for name in one_of_each_kind(made / folder) if not name.endswith(".lock")]
    refusals = {name: refusal(command, made, tmp_path / "copy", name) for name in names}
    unnamed = {name: said for name, said in refusals.items() if said and Path(name).name not in said}
    assert unnamed == {}
    assert len([said for said in refusals.values() if said]) >= least
