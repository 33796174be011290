"""Decisions alone: ``scope: none`` writes no shards, and everything that needs texts takes them from the input."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from slimpajama import InputChanged, Recipe, TooMuchRemoved, deduplicate, explain, mix, status, verify
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.config.tokens import TokenConfig
from slimpajama.errors import InputNotFound
from slimpajama.pipeline.unwritten_shards import unwritten_shards
from slimpajama.tokens.dedup_reader import open_dedup_output
from tests.corpus.shards import decompressed, files_below, put

TOKENS = TokenConfig(holdout=0.1)
RECIPE = Recipe(name="mine", weights={"c4": 60, "arxiv": 40}, tokens=20_000, sequence_length=64, max_epochs=100)


def text(number: int, words: int = 60) -> str:
    source = random.Random(number)
    return " ".join("".join(source.choices("etaoinshrdlu", k=source.randint(2, 9))) for _ in range(words))


def record(number: int) -> dict[str, Any]:
    """One in ten occurs again with another letter; some texts change when they are normalised."""
    own = text(number - 1)[:-1] + "X" if number % 10 == 1 else text(number)
    return {"text": own + (" e\u0301" if number % 7 == 0 else ""), "meta": {"n": number}, "url": f"u{number}"}


def folders(folder: Path) -> Path:
    c4 = [record(number) for number in range(400)]
    arxiv = [record(number) for number in range(350, 600)]
    put(folder, {"c4/a.jsonl": c4[:200], "c4/b.jsonl.zst": c4[200:], "arxiv/a.jsonl.gz": arxiv})
    return folder


def mixed(folder: Path) -> Path:
    """Records of both sources in one shard; each names its own."""
    names = [REDPAJAMA_SET_NAMES["c4"], REDPAJAMA_SET_NAMES["arxiv"]]
    records = [record(number) for number in range(500)]
    for number, one in enumerate(records):
        one["meta"]["redpajama_set_name"] = names[number % 3 == 0]
    put(folder, {"chunk1/a.jsonl.zst": records[:300], "chunk1/b.jsonl.zst": records[300:]})
    return folder


def parquet(folder: Path) -> Path:
    return put(folder, {"c4/a.parquet": [record(number) for number in range(300)]})


def run(source: Path, out: Path, **settings: Any) -> None:
    deduplicate(source, out, **{"workers": 1, "sampled_removals": 0, **settings})


def shards_and_decisions(out: Path) -> dict[str, bytes]:
    return {
        path: content
        for path, content in files_below(out).items()
        if path.startswith(("global/", "local/", "decisions/", "quarantine/"))
    }


def mixture(dedup: Path, out: Path) -> dict[str, bytes]:
    """All files of a mixture and its store that hold no times."""
    mix(dedup, out, RECIPE, TOKENS, workers=1)
    found = files_below(out)
    return {
        path: found[path] for path in found if path.endswith((".npy", ".parquet", "manifest.json", "tokenizer.json"))
    }


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an input ``in``, and its deduplication ``out`` with shards."""
    folder = tmp_path_factory.mktemp("both")
    run(folders(folder / "in"), folder / "out")
    return folder


@pytest.fixture
def alone(both: Path, tmp_path: Path) -> Path:
    """A copy of the input, and its deduplication without shards."""
    shutil.copytree(both / "in", tmp_path / "in")
    run(tmp_path / "in", tmp_path / "out", scope="none")
    return tmp_path


def test_decisions_are_those_of_a_run_with_shards_and_nothing_else_is_written(both: Path, alone: Path) -> None:
    expected = shards_and_decisions(both / "out")
    found = shards_and_decisions(alone / "out")
    assert found == {path: content for path, content in expected.items() if path.startswith("decisions/")}
    assert not (alone / "out" / "global").exists()
    assert not (alone / "out" / "local").exists()


def test_such_a_run_is_finished_sound_and_can_be_explained(alone: Path) -> None:
    assert status(alone / "out").finished
    assert verify(alone / "out").findings == []
    assert explain(alone / "out", "c4/a.jsonl:1").document.status == "kept"


def test_the_shards_can_be_written_later_and_stay_when_they_are_not_asked_for(both: Path, alone: Path) -> None:
    run(alone / "in", alone / "out")
    expected = shards_and_decisions(both / "out")
    assert shards_and_decisions(alone / "out") == expected
    run(alone / "in", alone / "out", scope="none")
    assert shards_and_decisions(alone / "out") == expected
    assert verify(alone / "out").findings == []
    run(alone / "in", alone / "out", scope="none", min_cleaned_characters=10_000)
    assert not any(path.startswith(("global/", "local/")) for path in shards_and_decisions(alone / "out"))


def test_a_mixture_from_the_input_is_the_one_from_the_shards(both: Path, alone: Path, tmp_path: Path) -> None:
    expected = mixture(both / "out", tmp_path / "from shards")
    assert "tokens/tokenizer.json" in expected
    assert mixture(alone / "out", tmp_path / "from input") == expected
    assert verify(tmp_path / "from input").findings == []


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (folders, {"part_bytes": 1 << 16, "piece_bytes": 1 << 16}),
        (folders, {"duplicate_counts": False, "normalisation": "none"}),
        (mixed, {"part_bytes": 1 << 16}),
        (parquet, {}),
    ],
)
def test_each_shard_that_is_not_written_has_the_lines_it_would_have(
    tmp_path: Path, make: Any, settings: dict[str, Any]
) -> None:
    run(make(tmp_path / "in"), tmp_path / "out", **settings)
    written = files_below(tmp_path / "out")
    run(tmp_path / "in", tmp_path / "out", **{**settings, "scope": "none"})
    made = {path: b"".join(shard.lines()) for path, shard in unwritten_shards(tmp_path / "out").items()}
    assert made == {path: decompressed(tmp_path / "out" / path) for path in written if path.endswith(".jsonl.zst")}


def test_an_input_that_has_changed_or_gone_is_refused(alone: Path) -> None:
    shard = alone / "in" / "c4" / "a.jsonl"
    content, times = shard.read_bytes(), shard.stat()
    shard.write_bytes(content.replace(b"u17", b"u71"))
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(InputChanged, match=r"a\.jsonl has changed since it was deduplicated.*scope: none"):
        mixture(alone / "out", alone / "mix")
    shard.write_bytes(content)
    mixture(alone / "out", alone / "mix")
    shard.unlink()
    with pytest.raises(InputChanged, match="holds decisions alone"):
        mixture(alone / "out", alone / "again")


def test_who_reads_shards_alone_is_told_that_there_are_none(alone: Path) -> None:
    with pytest.raises(InputNotFound, match="decisions alone"):
        open_dedup_output(alone / "out")


def test_a_run_without_shards_is_stopped_too_where_a_source_loses_too_much(both: Path, tmp_path: Path) -> None:
    with pytest.raises(TooMuchRemoved):
        run(both / "in", tmp_path / "out", scope="none", max_removed_fraction=0.01)
