"""What is held out stays held out when a corpus grows, is taken over from an earlier store, or comes with the input."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from slimpajama import Mixtures, deduplicate, mix
from slimpajama.config.tokens import TokenConfig
from slimpajama.errors import ConfigError, InputError, InputNotFound
from slimpajama.tokens.earlier_holdout import tokenizer_difference
from slimpajama.tokens.holdout import HELD_OUT
from tests.corpus.shards import put

SETTINGS = TokenConfig(vocabulary=512, holdout_least=16_000)
Shards = Mapping[str, Sequence[str]]


def text_of(rng: random.Random, words: int) -> str:
    return " ".join(f"{rng.choice('bcdfgklmnprst')}{rng.choice('aeiou')}{rng.randrange(400)}" for _ in range(words))


def base() -> dict[str, list[str]]:
    rng = random.Random(1)
    return {
        "books/b.jsonl": [text_of(rng, 600) for _ in range(60)],
        "web/m.jsonl": [text_of(rng, rng.randrange(60, 160)) for _ in range(500)],
        "web/n.jsonl": [text_of(rng, rng.randrange(60, 160)) for _ in range(300)],
    }


def made(folder: Path, shards: Shards, config: TokenConfig = SETTINGS) -> Mixtures:
    put(folder / "in", shards)
    deduplicate(folder / "in", folder / "out", workers=1)
    return mix(folder / "out", folder / "mixed", [], config, workers=1)


def held_out(folder: Path) -> dict[bytes, int]:
    rows = np.load(folder / "mixed" / "tokens" / "holdout.npy")
    return {row["text"].tobytes(): int(row["split"]) for row in rows}


def in_train(folder: Path) -> set[bytes]:
    files = (folder / "mixed" / "tokens" / "sources").glob("*/train/*.documents.npy")
    return {text.tobytes() for file in files for text in np.load(file)["text"]}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("before")
    made(folder, base())
    return folder


def held_out_texts(before: Path) -> list[str]:
    """Texts that are held out of the source that comes last."""
    import xxhash

    known = held_out(before)
    texts = [text for name, texts in base().items() if name.startswith("web") for text in texts]
    # The hash is stored as two little-endian numbers, as the library gives its bytes.
    return [text for text in texts if xxhash.xxh3_128_digest(text.encode()) in known]


@pytest.mark.parametrize("place", ["a new first shard", "a new first source", "a copy in an earlier source"])
def test_one_document_more_leaves_the_holdout_as_it_is(before: Path, tmp_path: Path, place: str) -> None:
    shards = base()
    if place == "a copy in an earlier source":
        shards["books/a.jsonl"] = held_out_texts(before)[:1]
    else:
        name = "web/a.jsonl" if place == "a new first shard" else "a/a.jsonl"
        shards[name] = [text_of(random.Random(2), 100)]
    made(tmp_path, shards)
    was, now = held_out(before), held_out(tmp_path)
    assert len(was) > 100
    assert sum(now.get(text) == split for text, split in was.items()) >= 0.99 * len(was)
    assert not set(was) & in_train(tmp_path)
    assert len(in_train(tmp_path)) > 500


def test_a_holdout_is_taken_over_from_an_earlier_store(before: Path, tmp_path: Path) -> None:
    shards = base()
    shards["web/z.jsonl"] = [text_of(random.Random(3), 100) for _ in range(400)]
    gone = held_out_texts(before)[0]
    shards["web/m.jsonl"] = [text for text in shards["web/m.jsonl"] if text != gone]
    shards["web/n.jsonl"] = [text for text in shards["web/n.jsonl"] if text != gone]
    config = SETTINGS.model_copy(update={"holdout_from": str(before / "mixed"), "holdout_seed": 9})
    summary = made(tmp_path, shards, config).store
    assert summary is not None
    was, now = held_out(before), held_out(tmp_path)
    assert now.items() <= was.items()
    assert len(now) == len(was) - 1
    assert (summary.holdout.how, summary.holdout.gone) == ("taken over", 1)
    assert any("1 held-out documents of the earlier store are no longer kept" in line for line in summary.warnings)
    assert not set(was) & in_train(tmp_path)
    other = f"give --tokenizer {before / 'mixed' / 'tokens' / 'tokenizer.json'}"
    assert [line.endswith(other) for line in summary.warnings].count(True) == 1, "one is trained on another corpus"
    again = mix(tmp_path / "out", tmp_path / "mixed", [], config, workers=1)
    assert again.store == summary


def test_a_holdout_is_taken_over_with_its_tokenizer(before: Path, tmp_path: Path) -> None:
    store = before / "mixed" / "tokens"
    config = SETTINGS.model_copy(update={"holdout_from": str(store), "tokenizer": str(store / "tokenizer.json")})
    summary = mix(before / "out", tmp_path, [], config, workers=1).store
    assert summary is not None
    assert not any("tokenizer" in line for line in summary.warnings)


def test_a_holdout_alone_does_not_tell_its_tokenizer(before: Path, tmp_path: Path) -> None:
    alone = shutil.copy(before / "mixed" / "tokens" / "holdout.npy", tmp_path)
    assert "does not tell which one it was made with" in tokenizer_difference(Path(alone), "x", trained=True)
    assert tokenizer_difference(Path(alone), "x", trained=False) == ""


def test_a_holdout_that_cannot_be_taken_over_is_refused_before_work_starts(before: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", np.zeros(3))
    for given, error, said in (
        (tmp_path, InputNotFound, "which holds no holdout.npy; give the output of an earlier"),
        (tmp_path / "other.npy", InputError, "is no holdout, as it has other columns"),
        (before / "mixed" / "tokens", ConfigError, "is the token store .* which is the one to make"),
    ):
        output = before / "mixed" if error is ConfigError else tmp_path / "mixed"
        with pytest.raises(error, match=said):
            mix(before / "out", output, [], SETTINGS, workers=1, holdout_from=str(given))
    assert not (tmp_path / "mixed" / "tokens" / "store.json").exists()


def test_a_published_split_is_taken_as_it_is(tmp_path: Path) -> None:
    rng = random.Random(4)
    held = {split: [text_of(rng, 90) for _ in range(30)] for split in ("validation", "test")}
    train = [text_of(rng, 90) for _ in range(200)]
    shards = {"web/train/a.jsonl": train, "books/b.jsonl": [text_of(rng, 90) for _ in range(40)]}
    shards |= {f"web/{split}/a.jsonl": texts for split, texts in held.items()}
    summary = made(tmp_path, shards).store
    assert summary is not None
    assert summary.holdout.how == "published"
    counts = summary.sources["web"].global_.documents
    assert (counts.train, counts.validation, counts.test) == (200, 30, 30)
    assert summary.sources["books"].global_.documents.train == 40
    assert summary.holdout.without_test == ("books",)
    assert sorted(held_out(tmp_path).values()) == [1] * 30 + [2] * 30
    assert np.load(tmp_path / "mixed" / "tokens" / "holdout.npy").dtype == HELD_OUT
