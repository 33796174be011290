"""From batches to a store: what must be in it, and the same on any way there."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace as replace_rule
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimpajama.tokens.contents import sorted_contents
from slimpajama.tokens.holdout import RESERVE, SPLITS, VALIDATION, load_holdout
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.selection import SCOPES, Selection
from slimpajama.tokens.stages.tokenize import TokenizeSettings, tokenize_documents
from slimpajama.tokens.store import open_store
from slimpajama.tokens.summary import PerScope
from slimpajama.tokens.tokenizer import TokenizerFile
from tests.tokens.token_corpus import (
    RULE,
    Built,
    Document,
    batch_of,
    build,
    content,
    corpus,
    members,
    pieces_of,
)


def test_a_document_kept_globally_alone_is_in_the_global_stream_alone(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    documents = [Document(1, "ta ke mi", True, 1), Document(2, "no su ra", True, 2, kept_local=False)]
    build(tmp_path, {"s": documents}, tokenizer, rule=replace_rule(RULE, share=0))
    store = open_store(tmp_path)
    assert store.stream("s", "train", Selection("global")).documents == 2
    local = store.stream("s", "train", Selection("local"))
    assert local.documents == 1
    tokens, _ = local.read(0, local.tokens, 0)
    assert tokens.size == local.tokens


def test_the_summary_adds_up(built: Built) -> None:
    store, made, summary, drawn = built
    rows = np.load(drawn)
    for source, documents in made.items():
        account = summary.sources[source]
        survivors = [document.id for document in documents if document.kept_global]
        assert account.local.documents.in_ == len(documents)
        assert account.global_.documents.in_ == len(survivors)
        own = rows[np.isin(rows["cluster"], survivors)]
        for scope in SCOPES:
            counts, tokens = account.of(scope).documents, account.of(scope).tokens
            assert counts.validation == np.count_nonzero(own["state"] == VALIDATION)
            assert tokens.validation == own["tokens"][own["state"] == VALIDATION].sum()
            assert counts.reserve == np.count_nonzero(own["state"] == RESERVE)
            assert counts.in_ == counts.out
            assert tokens.in_ == tokens.out
            for split in SPLITS:
                stream = store.stream(source, split, Selection(scope))
                assert (counts.of(split), tokens.of(split)) == (stream.documents, stream.tokens)
    assert summary.sources["s1"].local.documents.excluded > 0
    assert summary.sources["s0"].local.tokens.beyond > 0
    assert summary.sources["s0"].local.documents.reserve > 0
    on_disk = sum(path.stat().st_size for path in (store.path / "sources").rglob("*.npy"))
    assert summary.bytes == on_disk
    assert not (store.path / "runs").exists()
    assert summary.fingerprint == store.fingerprint
    assert store.sources == tuple(made)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    "way",
    [
        {"workers": 2},
        {"pieces": 9, "batch": 100},
        {"pieces": 1, "batch": 1},
        {"backend": "tokenizers"},
    ],
    ids=["two workers", "many pieces", "single documents", "the other library"],
)
def test_the_same_bytes_on_any_way(built: Built, tokenizer: TokenizerFile, tmp_path: Path, way: dict[str, Any]) -> None:
    summary = build(tmp_path, built[1], tokenizer, **way)
    assert digests(tmp_path) == digests(built[0].path)
    assert summary.fingerprint == built[2].fingerprint


def test_another_seed_is_another_order(built: Built, tokenizer: TokenizerFile, tmp_path: Path) -> None:
    build(tmp_path, built[1], tokenizer, seed=4)
    store = open_store(tmp_path)
    assert store.fingerprint != built[0].fingerprint
    one, other = (which.stream("s0", "train", Selection("local")).read(0, 2_000, 0)[0] for which in (built[0], store))
    assert not np.array_equal(one, other)


def test_memory_changes_the_files_but_not_the_first_epoch(
    built: Built, tokenizer: TokenizerFile, tmp_path: Path
) -> None:
    build(tmp_path, built[1], tokenizer, memory=1 << 30)
    store = open_store(tmp_path)
    assert [len(store.buckets("s0", split)) for split in SPLITS] == [1, 1, 1]
    for scope in SCOPES:
        one, other = (which.stream("s0", "train", Selection(scope)) for which in (store, built[0]))
        assert np.array_equal(one.read(0, one.tokens, 0)[0], other.read(0, other.tokens, 0)[0])


def single(identity: int, text: str) -> Document:
    return Document(identity, text, True, identity)


def test_equal_text_on_both_sides_is_removed_from_train(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    # Every text occurs twice, in documents that no cluster joins: once in each source.
    rng = random.Random(2)
    made = {
        name: [single(shard << 40 | number, f"document {number} of all") for number in range(100)]
        for shard, name in enumerate(("a", "b"))
    }
    made["b"] += [single(1 << 40 | 500 + number, f"other {number} {rng.random()}") for number in range(20)]
    summary = build(tmp_path, made, tokenizer, rule=replace_rule(RULE, least=20), drawn_to=tmp_path / "drawn")
    held_out = load_holdout(tmp_path / "drawn")
    states = dict(zip(held_out.clusters.tolist(), held_out.states.tolist(), strict=True))
    texts = {one.text for documents in made.values() for one in documents if 0 < states.get(one.id, 0) < RESERVE}
    for name, documents in made.items():
        doomed = sum(document.text in texts and document.id not in states for document in documents)
        drawn = sum(document.id in states for document in documents)
        for scope in SCOPES:
            counts = summary.sources[name].of(scope).documents
            assert counts.decontaminated == doomed > 0
            assert counts.train == len(documents) - drawn - doomed


def test_what_is_dropped_is_counted_and_in_no_split(built: Built, tokenizer: TokenizerFile, tmp_path: Path) -> None:
    _, made, before, drawn = built
    training = members(made, drawn, "s0", "train", "local")[:5] + members(made, drawn, "s1", "train", "global")[:1]
    contents = sorted_contents(np.array([content(one) for one in training], dtype=np.uint64))
    np.save(tmp_path / "dropped.npy", contents.ravel())
    summary = build(tmp_path / "tokens", made, tokenizer, dropped=tmp_path / "dropped.npy")
    for source, count in (("s0", 5), ("s1", 1)):
        counts, were = summary.sources[source].local.documents, before.sources[source].local.documents
        assert (counts.near_held_out, counts.train) == (count, were.train - count)
        assert (counts.validation, counts.test, counts.in_) == (were.validation, were.test, were.in_)
    assert summary.sources["s0"].local.tokens.near_held_out > 5
    rows = [np.load(path) for path in (tmp_path / "tokens" / "sources" / "s0" / "train").glob("*.documents.npy")]
    assert not {one.id for one in training} & set(np.concatenate(rows)["id"].tolist())


def test_no_holdout_at_all(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    summary = build(tmp_path, corpus(5, (40, 10)), tokenizer, rule=replace_rule(RULE, share=0))
    assert summary.holdout.how == "none"
    assert summary.holdout.without_test == ("s0", "s1")
    stream = open_store(tmp_path).stream("s0", "validation", Selection("global"))
    assert (stream.tokens, stream.documents) == (0, 0)
    assert [array.size for array in stream.read(0, 0, 0)] == [0, 0]
    assert np.load(tmp_path / "holdout.npy").size == 0


def test_a_source_without_documents(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    build(tmp_path, {**corpus(5, (40,)), "empty": []}, tokenizer)
    assert open_store(tmp_path).stream("empty", "train", Selection("local")).tokens == 0


def test_one_document_larger_than_a_run_and_a_bucket(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    made = {"s": [single(number, f"{number} " + "word " * (40_000 if number == 3 else 5)) for number in range(30)]}
    build(tmp_path, made, tokenizer, rule=replace_rule(RULE, share=0), memory=1 << 16, piece_tokens=1 << 20)
    stream = open_store(tmp_path).stream("s", "train", Selection("local"))
    tokens, starts = stream.read(0, stream.tokens, 1)
    assert np.count_nonzero(tokens == 0) == starts.size == stream.documents == 30


def test_batches_may_be_empty(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    options = TokenizeSettings(tokenizer, "gigatoken", RULE, 1)
    result = tokenize_documents([batch_of([])], "s", "p", options, StoreLayout(tmp_path))
    assert (result.runs, result.documents) == ((), PerScope(global_=0, local=0))


def test_long_documents_are_shuffled_as_their_sequences_would_be(tokenizer: TokenizerFile, tmp_path: Path) -> None:
    rng = random.Random(8)
    words = ["ta", "ke", "mi", "no", "su", "ra"]
    books = [single(number, f"{number} " + " ".join(rng.choices(words, k=1_200))) for number in range(80)]
    build(tmp_path, {"s": books}, tokenizer, rule=replace_rule(RULE, share=0), piece_tokens=32, memory=1 << 20)
    store = open_store(tmp_path)
    where = {str(piece): book.id for book in books for piece in pieces_of(tokenizer, [book], 32, {})}
    tokens = [part for book in books for part in pieces_of(tokenizer, [book], 1 << 20, {})]
    length_of = [len(part) for part in tokens]
    owners = np.repeat([book.id for book in books], length_of)
    sequences = [set(owners[begin : begin + 32].tolist()) for begin in range(0, owners.size - 31, 32)]
    some = len(sequences) // 40
    assert some > 60

    ours, shuffled = [], []
    for seed in range(12):
        stream = store.stream("s", "train", Selection("local"), seed)
        read, starts = stream.read(0, some * 32, 0)
        parts = np.split(read, starts[1:])
        ours.append(len({where[str(part.tolist())] for part in parts[:-1]}))  # the last may be cut
        shuffled.append(len(set().union(*random.Random(seed).sample(sequences, some))))
    assert abs(np.mean(ours) / np.mean(shuffled) - 1) < 0.05
    # Whole documents would be a handful.
    assert np.mean(ours) > 10 * some * 32 / np.mean(length_of)
