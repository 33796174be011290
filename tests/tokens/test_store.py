"""From batches to streams: what must be in the store, in what order, and the same on any way there."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace as replace_rule
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from slimpajama.errors import ConfigError, ConservationError, InputError
from slimpajama.tokens.contents import sorted_contents
from slimpajama.tokens.encoding import Encoder
from slimpajama.tokens.holdout import RESERVE, SPLITS, VALIDATION, load_holdout
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.pieces import PIECE, piece_keys
from slimpajama.tokens.selection import SCOPES, Selection
from slimpajama.tokens.stages.finish import check_store
from slimpajama.tokens.stages.holdout import HoldoutPayload, HoldoutStage, source_candidates
from slimpajama.tokens.stages.shuffle import BucketPayload, BucketResult, ShuffleStage, plan_buckets
from slimpajama.tokens.stages.tokenize import TokenizeSettings, text_hashes, tokenize_documents
from slimpajama.tokens.store import TokenStore, TokenStream, open_store
from slimpajama.tokens.summary import PerScope, TokenSummary
from slimpajama.tokens.tokenizer import TokenizerFile
from tests.tokens.token_corpus import RULE, Document, batch_of, batches, build, corpus, small_tokenizer

SIZES = (400, 150, 30, 5)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TokenizerFile:
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


Built = tuple[TokenStore, dict[str, list[Document]], TokenSummary, Path]


@pytest.fixture(scope="module")
def built(tokenizer: TokenizerFile, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("store")
    made = corpus(1, SIZES)
    summary = build(folder / "tokens", made, tokenizer, drawn_to=folder / "drawn.npy")
    return open_store(folder / "tokens"), made, summary, folder / "drawn.npy"


def content(document: Document) -> tuple[int, ...]:
    return tuple(text_hashes([document.text.encode()])[0].tolist())


def members(made: dict[str, list[Document]], drawn: Path, source: str, split: str, scope: str) -> list[Document]:
    """Said slowly: who belongs in a stream."""
    rows = np.load(drawn)
    states = dict(zip(rows["cluster"].tolist(), rows["state"].tolist(), strict=True))
    held_out = {tuple(row["text"].tolist()) for row in rows if 0 < row["state"] < RESERVE}
    chosen = []
    for document in made[source]:
        state = states.get(document.cluster, 0)
        if not (document.kept_global or scope == "local"):
            continue
        if split == "train" and not state and content(document) not in held_out:
            chosen.append(document)
        if split != "train" and state == SPLITS.index(split) and document.id == document.cluster:
            chosen.append(document)
    return chosen


def pieces_of(
    tokenizer: TokenizerFile, documents: list[Document], piece_tokens: int, given: dict[int, int], seed: int = 3
) -> list[list[int]]:
    """Said slowly: documents as pieces in the order of their hashes. ``given``: how many tokens each gives."""
    found = []
    for document in documents:
        tokens, _ = Encoder(tokenizer, "tokenizers").encode([document.text.encode()])
        ids = tokens.tolist()[: given.get(document.id, tokens.size)]
        row = np.zeros(1, dtype=PIECE)
        row["text"] = content(document)
        for number, begin in enumerate(range(0, len(ids), piece_tokens)):
            row["piece"] = number
            key = int(piece_keys(row, seed, "shuffle")[0])
            found.append((key, document.id, ids[begin : begin + piece_tokens]))
    return [ids for *_, ids in sorted(found)]


def parts_of(stream: TokenStream, epoch: int = 0) -> list[list[int]]:
    tokens, starts = stream.read(0, stream.tokens, epoch)
    return [part.tolist() for part in np.split(tokens, starts[1:])] if starts.size else []


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("source", ["s0", "s1", "s2", "s3"])
def test_a_stream_is_its_documents_in_the_order_of_their_hashes(
    built: Built, tokenizer: TokenizerFile, source: str, split: str, scope: str
) -> None:
    store, made, _, drawn = built
    documents = members(made, drawn, source, split, scope)
    rows = np.load(drawn)
    given = dict(zip(rows["cluster"].tolist(), rows["tokens"].tolist(), strict=True)) if split != "train" else {}
    expected = pieces_of(tokenizer, documents, 64, given)
    stream = store.stream(source, split, Selection(scope))
    assert (stream.documents, stream.tokens) == (len(documents), sum(map(len, expected)))
    tokens, starts = stream.read(0, stream.tokens, 0)
    assert tokens.dtype == np.uint32
    assert starts.dtype == np.int64
    assert parts_of(stream) == expected

    for epoch in (1, 2):
        shuffled = parts_of(stream, epoch)
        assert sorted(shuffled) == sorted(expected)
        if len(expected) > 20:
            assert shuffled != expected


def test_another_seed_of_a_recipe_reads_other_sequences_of_the_same_documents(built: Built) -> None:
    orders = [
        parts_of(built[0].stream("s0", "train", Selection("local"), seed), epoch)
        for seed in (None, 1, 2)
        for epoch in (0, 1)
    ]
    assert len({str(order) for order in orders}) == 6
    assert len({str(sorted(order)) for order in orders}) == 1
    tenth = len(orders[0]) // 10
    beginnings = [{str(part) for part in order[:tenth]} for order in orders]
    assert all(len(one & other) < 0.5 * tenth for one in beginnings for other in beginnings if one is not other)
    again = parts_of(built[0].stream("s0", "train", Selection("local"), 2), 1)
    assert again == orders[5]


def test_epochs_differ_and_move_documents_far(built: Built) -> None:
    stream = built[0].stream("s0", "train", Selection("local"))
    orders = []
    for epoch in range(4):
        tokens, starts = stream.read(0, stream.tokens, epoch)
        orders.append([part.tobytes() for part in np.split(tokens, starts[1:])])
    assert len({tuple(order) for order in orders}) == 4
    assert len(built[0].buckets("s0", "train")) > 2
    moved = np.abs([place - orders[1].index(document) for place, document in enumerate(orders[0])])
    assert moved.mean() > 0.2 * len(orders[0])


@settings(max_examples=150)
@given(data=st.data())
def test_any_range_is_a_slice_of_the_whole(built: Built, data: st.DataObject) -> None:
    source, split = data.draw(st.sampled_from(["s0", "s1", "s3"])), data.draw(st.sampled_from(["train", "test"]))
    scope, epoch = data.draw(st.sampled_from(SCOPES)), data.draw(st.integers(0, 2))
    stream = built[0].stream(source, split, Selection(scope))
    whole, starts = whole_of(stream, (source, split, scope, epoch))
    for _ in range(5):
        begin, end = sorted(data.draw(st.tuples(*[st.integers(0, stream.tokens)] * 2)))
        tokens, heads = stream.read(begin, end, epoch)
        assert np.array_equal(tokens, whole[begin:end])
        assert heads.tolist() == [head - begin for head in starts.tolist() if begin <= head < end]


_WHOLE: dict[tuple[str, str, str, int], tuple[Any, Any]] = {}


def whole_of(stream: TokenStream, key: tuple[str, str, str, int]) -> tuple[Any, Any]:
    if key not in _WHOLE:
        _WHOLE[key] = stream.read(0, stream.tokens, key[3])
    return _WHOLE[key]


def test_each_document_has_what_it_stands_for(built: Built) -> None:
    store, made, _, _ = built
    for source, documents in made.items():
        kept = {document.id: document.kept_global for document in documents}
        rows = [row for path in (store.path / "sources" / source).rglob("*.documents.npy") for row in np.load(path)]
        assert rows
        for row in rows:
            assert row["duplicates_global"] == 3 * kept[int(row["id"])]
            assert row["duplicates_local"] == 1 + int(row["id"]) % 7


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


@pytest.mark.parametrize(("start", "stop", "epoch"), [(-1, 5, 0), (5, 4, 0), (0, 10**9, 0), (0, 1, -1)])
def test_reading_outside_of_a_stream(built: Built, start: int, stop: int, epoch: int) -> None:
    stream = built[0].stream("s0", "train", Selection("local"))
    with pytest.raises(ConfigError, match=f"which has {stream.tokens} in each epoch"):
        stream.read(start, stop, epoch)


def test_streams_that_do_not_exist(built: Built) -> None:
    with pytest.raises(ConfigError, match=r"no source 'x' .* it has s0, s1, s2, s3"):
        built[0].stream("x", "train", Selection("local"))
    with pytest.raises(ConfigError, match="no split 'dev'"):
        built[0].stream("s0", "dev", Selection("local"))
    with pytest.raises(ConfigError, match="no scope 'both'"):
        built[0].stream("s0", "train", Selection("both"))


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
