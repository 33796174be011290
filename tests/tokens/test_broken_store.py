"""Stores that are broken or contradict themselves, and what is said of them."""

from __future__ import annotations

from dataclasses import replace as replace_rule
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from slimpajama.errors import ConservationError, InputError
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.stages.finish import check_store
from slimpajama.tokens.stages.holdout import HoldoutPayload, HoldoutStage, source_candidates
from slimpajama.tokens.stages.shuffle import BucketPayload, BucketResult, ShuffleStage, plan_buckets
from slimpajama.tokens.stages.tokenize import TokenizeSettings, tokenize_documents
from slimpajama.tokens.store import open_store
from slimpajama.tokens.tokenizer import TokenizerFile
from tests.tokens.token_corpus import (
    RULE,
    SIZES,
    Document,
    batches,
    build,
    corpus,
)


def test_a_store_that_is_missing_old_or_broken(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing or not readable"):
        open_store(tmp_path)
    build(tmp_path, corpus(5, (40,)), tokenizer)
    store = open_store(tmp_path)
    StoreLayout(tmp_path).bucket("s0", "train", 0).tokens.unlink()
    with pytest.raises(InputError, match="cannot read the token store"):
        store.stream("s0", "train", Selection("local")).read(0, 1, 0)
    (tmp_path / "store.json").write_text('{"version": 0}')
    with pytest.raises(InputError, match="is of another version"):
        open_store(tmp_path)


def test_contradicting_flags_are_refused(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    for kept_global, cluster in ((True, 1), (False, 2)):
        with pytest.raises(ConservationError, match="document 0x2 of source s is"):
            build(tmp_path, {"s": [Document(2, "text", kept_global, cluster)]}, tokenizer)


def test_a_cluster_on_both_sides_is_found_in_what_was_written(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    summary = build(tmp_path, corpus(1, SIZES), tokenizer)
    store = open_store(tmp_path)
    check_store(store.layout, store.sources, store.index.sources)
    held_out = np.load(store.layout.bucket("s0", "test", 0).documents)["cluster"][0]
    path = store.layout.bucket("s1", "train", 0).documents
    whole = np.load(path)

    def check(field: str, place: int, value: Any) -> None:
        pieces = whole.copy()
        pieces[field][place] = value
        np.save(path, pieces)
        check_store(store.layout, store.sources, store.index.sources)

    with pytest.raises(ConservationError, match=f"global cluster {int(held_out):#x} has a document in s1/train"):
        check("cluster", -1, held_out)
    with pytest.raises(ConservationError, match=r"has a document in s1/train and one, or its text"):
        check("text", -1, np.load(store.layout.holdout)["text"][0])
    with pytest.raises(ConservationError, match="does not hold the tokens"):
        check("tokens", 0, whole["tokens"][0] + 1)
    first = int(np.flatnonzero((whole["piece"] == 0) & ~whole["ends"])[0])
    last = int(np.flatnonzero((whole["piece"] > 0) & whole["ends"])[0])
    for field, place in (("piece", first), ("piece", last), ("id", first), ("id", last)):
        with pytest.raises(ConservationError, match="s1/train lacks a piece of a document"):
            check(field, place, whole[field][place] + 1)
    assert summary.buckets > 4


def test_a_lost_document_is_noticed_and_leaves_no_store(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    def losing(payload: BucketPayload) -> BucketResult:
        bucket = ShuffleStage.run(payload)
        fewer = replace(bucket.documents, local=bucket.documents.local - 1)
        return replace(bucket, documents=fewer)

    with pytest.raises(ConservationError, match="documents went in but"):
        build(tmp_path, corpus(1, (60,)), tokenizer, sort=losing)
    assert not (tmp_path / "store.json").exists()


def test_runs_and_their_absence_are_told(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    rule = replace_rule(RULE, share=0)
    options = TokenizeSettings(tokenizer, "gigatoken", rule, 1, memory_bytes=1 << 16)
    result = tokenize_documents(batches(corpus(1, (100,))["s0"], 9), "s", "p", options, layout)
    assert len(result.runs) > 1
    holdout = HoldoutStage.run(HoldoutPayload(source_candidates(["s"], [result]), rule, False, None, layout.drawn))
    items = plan_buckets(["s"], [result], holdout, options, layout)
    assert {(item.source, item.split) for item in items} == {("s", "train")}
    layout.run("s", result.runs[1].name).tokens.unlink()
    with pytest.raises(InputError, match="shard p of source s are no longer in"):
        plan_buckets(["s"], [result], holdout, options, layout)
    nothing = tokenize_documents(iter(()), "s", "q", options, layout)
    assert (nothing.runs, nothing.text_bytes) == ((), 0)
