"""A store whose train holds nothing that says nearly what a held-out text says; and what a rerun keeps."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slimpajama
from slimpajama import Recipe, SlimpajamaError
from slimpajama.tokens.contents import text_hashes
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.store import open_store
from slimpajama.tokens.summary import TokenSummary
from tests.corpus.shards import put

PAIRS = 60
RECIPE = Recipe(name="mixture", weights={"c4": 100}, tokens=2000, sequence_length=32, max_epochs=100)


def texts_of_pairs() -> list[tuple[str, str]]:
    """Pairs of texts that share the first 50 of 80 words, which is too little to be duplicates."""
    source = random.Random(1)

    def words(count: int) -> list[str]:
        return ["".join(source.choices("abcdefgh", k=6)) for _ in range(count)]

    pairs = []
    for _ in range(PAIRS):
        common = words(50)
        pairs.append((" ".join([*common, *words(30)]), " ".join([*common, *words(30)])))
    return pairs


@pytest.fixture(scope="module")
def dedup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("near")
    pairs = texts_of_pairs()
    shards = {f"c4/{side}.jsonl": [{"text": pair[side]} for pair in pairs] for side in (0, 1)}
    put(folder / "in", shards)
    slimpajama.deduplicate(folder / "in", folder / "out", workers=1, sources=["c4"])
    return folder / "out"


def mix(dedup: Path, out: Path, **settings: Any) -> TokenSummary:
    chosen = {"vocabulary": 512, "holdout": 0.05, "holdout_least": 1000, "workers": 1}
    store = slimpajama.mix(dedup, out, RECIPE, dry_run=True, **(chosen | settings)).store
    assert store is not None
    return store


def in_split(store: Path, split: str) -> set[bytes]:
    buckets = len(open_store(store).buckets("c4", split))
    files = [StoreLayout(store).bucket("c4", split, number).documents for number in range(buckets)]
    return {content.tobytes() for file in files for content in np.load(file)["text"]}


def hashed(text: str) -> bytes:
    return bytes(text_hashes([text.encode()])[0].tobytes())


@pytest.fixture(scope="module")
def made(dedup: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TokenSummary]:
    out = tmp_path_factory.mktemp("mix")
    return out, mix(dedup, out)


def test_the_other_of_a_pair_is_not_in_train(made: tuple[Path, TokenSummary]) -> None:
    out, store = made
    held_out = in_split(out / "tokens", "validation") | in_split(out / "tokens", "test")
    train = in_split(out / "tokens", "train")
    others = {hashed(two): hashed(one) for one, two in texts_of_pairs()}
    others |= {one: two for two, one in others.items()}
    assert len(held_out) > 4
    assert {others[one] for one in held_out} & train == set()
    counts = store.sources["c4"].global_.documents
    assert counts.near_held_out > 2
    assert counts.out == counts.in_ == 2 * PAIRS
    # The other of a pair in the reserve is in train: nothing is measured on a reserve.
    assert counts.train == 2 * PAIRS - len(held_out) - counts.reserve - counts.near_held_out


def test_without_an_overlap_nothing_is_read_again(dedup: Path, made: tuple[Path, TokenSummary], tmp_path: Path) -> None:
    out, store = made
    off = mix(dedup, tmp_path, holdout_overlap=0)
    counts = off.sources["c4"].global_.documents
    assert counts.near_held_out == 0
    assert not (tmp_path / "tokens" / "done" / "shared-runs").exists()
    assert in_split(tmp_path / "tokens", "test") == in_split(out / "tokens", "test")
    # A changed setting is another store, which is that of a fresh run; so is one made by other workers.
    again = mix(dedup, tmp_path, holdout_overlap=0.5, workers=2)
    assert again.fingerprint == store.fingerprint != off.fingerprint


def test_held_out_texts_that_too_many_documents_hold_are_counted(tmp_path: Path) -> None:
    source = random.Random(2)

    def words(count: int) -> str:
        return " ".join("".join(source.choices("abcdefgh", k=6)) for _ in range(count))

    notice, other = words(40), words(40)
    pages = [{"text": f"{words(200)} {notice} {words(200)}"} for _ in range(40)]
    put(tmp_path / "in", {"c4/train/a.jsonl": [*pages, {"text": f"{words(100)} {other}"}]})
    put(tmp_path / "in", {"c4/validation/a.jsonl": [{"text": notice}, {"text": other}]})
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1, sources=["c4"])
    store = mix(tmp_path / "out", tmp_path / "mix")
    account = store.sources["c4"]
    assert (account.global_.documents.near_held_out, account.common_held_out) == (1, 1)
    assert account.global_.documents.train == 40
    (said,) = store.warnings
    assert said.startswith("held-out documents that are boilerplate: 1 of c4; at least half of each also stands in ")


def test_an_earlier_store_is_usable_until_its_buckets_are_replaced(
    dedup: Path, made: tuple[Path, TokenSummary], tmp_path: Path
) -> None:
    shutil.copytree(dedup, tmp_path / "dedup")
    shutil.copytree(made[0], tmp_path / "mix")
    mix(tmp_path / "dedup", tmp_path / "mix")
    fingerprint = open_store(tmp_path / "mix" / "tokens").fingerprint
    shard = next((tmp_path / "dedup" / "local").rglob("*.jsonl*"))
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"?")
    with pytest.raises(SlimpajamaError, match="is not what was written"):
        mix(tmp_path / "dedup", tmp_path / "mix", holdout_seed=2)
    store = open_store(tmp_path / "mix" / "tokens")
    assert store.fingerprint == fingerprint
    assert in_split(store.path, "test") == in_split(made[0] / "tokens", "test")
    shard.write_bytes(content)
    made_anew = mix(tmp_path / "dedup", tmp_path / "mix", holdout_seed=2)
    assert open_store(store.path).fingerprint == made_anew.fingerprint != fingerprint
