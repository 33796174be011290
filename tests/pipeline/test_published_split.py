"""A split at the top of the input, as SlimPajama is published: read, deduplicated, and taken by mixtures as it is."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xxhash

from slimpajama import Recipe, deduplicate, mix, verify
from slimpajama.config.tokens import TokenConfig
from slimpajama.tokens.summary import PerSplit
from tests.corpus.shards import files_below, put
from tests.pipeline.small_corpora import edited
from tests.pipeline.test_growing_corpus import held_out, in_train, text_of

SETTINGS = TokenConfig(vocabulary=512, holdout_least=2_000)
C4, CODE = "RedPajamaC4", "RedPajamaGithub"
RNG = random.Random(3)
TRAIN = [text_of(RNG, 90) for _ in range(120)]
VALIDATION, TEST = ([text_of(RNG, 90) for _ in range(12)] for _ in range(2))
SOURCES = {text: C4 if number % 3 else CODE for number, text in enumerate(TRAIN + VALIDATION + TEST)}


def records(texts: list[str]) -> list[dict[str, object]]:
    return [{"text": text, "meta": {"redpajama_set_name": SOURCES.get(text, C4)}} for text in texts]


def content(text: str) -> bytes:
    return xxhash.xxh3_128_digest(text.encode())


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deduplication of the whole; beside it, that of ``train`` alone."""
    folder = tmp_path_factory.mktemp("slimpajama")
    near = [edited(VALIDATION[1]), edited(TEST[1])]
    tree = {
        "train/chunk1/example_0.jsonl.zst": records(TRAIN[:60] + near),
        "train/chunk2/example_0.jsonl.zst": records([*TRAIN[60:], VALIDATION[4]]),
        "validation/chunk1/example_0.jsonl.zst": records(VALIDATION),
        "test/chunk1/example_0.jsonl.zst": records(TEST),
    }
    put(folder / "in", tree)
    deduplicate(folder / "in", folder / "out", workers=1)
    deduplicate(folder / "in" / "train", folder / "alone", workers=1)
    return folder


def test_the_split_is_deduplicated_and_counted(output: Path) -> None:
    summary = deduplicate(output / "in", output / "out", workers=1)
    assert summary.shards.held_out == {"validation": 1, "test": 1}
    kept = summary.total.of("global").kept.documents
    assert kept == len(TRAIN) + len(VALIDATION) + len(TEST), "what is held out stays; the three copies in train do not"


def test_mixtures_take_the_split_and_draw_nothing(output: Path) -> None:
    recipe = Recipe.model_validate({"name": "all", "rule": "proportional", "sequence_length": 64, "tokens": "2K"})
    store = mix(output / "out", output / "mixed", [recipe], SETTINGS, workers=1).store
    assert store is not None
    assert store.holdout.how == "published"
    expected = dict.fromkeys(map(content, VALIDATION), 1) | dict.fromkeys(map(content, TEST), 2)
    assert held_out(output) == expected
    assert in_train(output) == set(map(content, TRAIN))
    for source, name in ((C4, "c4"), (CODE, "github")):
        documents: PerSplit = store.sources[name].global_.documents
        counts = [Counter(SOURCES[text] for text in texts)[source] for texts in (TRAIN, VALIDATION, TEST)]
        assert [documents.train, documents.validation, documents.test] == counts
    assert verify(output / "mixed", workers=1).findings == []
    assert verify(output / "out", workers=1).findings == []


def test_a_setting_draws_from_all_documents_instead(output: Path) -> None:
    config = SETTINGS.model_copy(update={"published_split": False})
    store = mix(output / "out", output / "drawn", [], config, workers=1).store
    assert store is not None
    assert store.holdout.how == "drawn"
    rows = np.load(output / "drawn" / "tokens" / "holdout.npy")
    assert rows.size
    assert not {row["text"].tobytes() for row in rows} <= set(map(content, VALIDATION + TEST))


def test_train_alone_is_a_corpus_without_a_split(output: Path) -> None:
    summary = deduplicate(output / "in" / "train", output / "alone", workers=1)
    assert summary.shards.held_out == {}
    assert sorted(set(files_below(output / "alone" / "global")) - {"README.md"}) == [
        f"{source}/{chunk}/example_0.jsonl.zst"
        for source in ("arxiv", "books", "c4", "common_crawl", "github", "stackexchange", "wikipedia")
        for chunk in ("chunk1", "chunk2")
    ]


def test_a_source_without_a_document_in_train_gives_its_split_all_the_same(tmp_path: Path) -> None:
    """What a shard is published for follows from where it lay in the input, not from which shards a source has."""
    code = [{"text": text, "meta": {"redpajama_set_name": CODE}} for text in VALIDATION]
    web = [{"text": text, "meta": {"redpajama_set_name": C4}} for text in TRAIN]
    put(tmp_path / "in", {"train/a.jsonl": web, "validation/a.jsonl": code})
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    store = mix(tmp_path / "out", tmp_path / "mixed", [], SETTINGS, workers=1).store
    assert store is not None
    code_documents = store.sources["github"].global_.documents
    assert (code_documents.train, code_documents.validation) == (0, len(VALIDATION))


def test_sources_of_a_config_keep_the_split_that_their_files_lie_in(tmp_path: Path) -> None:
    put(tmp_path / "in", {"train/web/a.jsonl": TRAIN, "validation/web/b.jsonl": VALIDATION})
    sources = [{"name": "web", "paths": ["train/web/**", "validation/web/**"]}]
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1, sources=sources)
    store = mix(tmp_path / "out", tmp_path / "mixed", [], SETTINGS, workers=1).store
    assert store is not None
    documents = store.sources["web"].global_.documents
    assert (store.holdout.how, documents.train, documents.validation) == ("published", len(TRAIN), len(VALIDATION))


def test_documents_that_a_split_loses_to_another_are_warned_of(tmp_path: Path) -> None:
    """Within a source, test comes before validation; train of an earlier source comes before both."""
    tree = {
        "web/train/a.jsonl": TRAIN[:60],
        "web/validation/a.jsonl": VALIDATION,
        "web/test/a.jsonl": [*TEST, *map(edited, VALIDATION[:5])],
        "code/train/a.jsonl": TRAIN[60:],
        "code/validation/a.jsonl": [edited(TRAIN[0]), TRAIN[1], text_of(random.Random(4), 90)],
    }
    put(tmp_path / "in", tree)
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1, sources=["web", "code"])
    store = mix(tmp_path / "out", tmp_path / "mixed", [], SETTINGS, workers=1).store
    assert store is not None
    assert store.holdout.documents("validation") == len(VALIDATION) - 5 + 1
    again = mix(tmp_path / "out", tmp_path / "mixed", [], SETTINGS, workers=1).store
    assert again is not None
    assert [*again.sources] == [*again.holdout.sources] == [*store.sources] == ["web", "code"]
    to_test, to_train = store.warnings
    so = "which stay, and so they are in no split"
    assert to_test == f"documents of validation are duplicates or near-duplicates of documents of test, {so}: 5 of web"
    assert to_train == (
        "documents of validation are duplicates or near-duplicates of documents of train of a source that comes "
        f"earlier, {so}: 2 of code"
    )
