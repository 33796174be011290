"""Files of a mixture: what they hold, in what order, and the same however they were made."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimpajama.config.recipe import Recipe
from slimpajama.engine.local import LocalEngine
from slimpajama.mixture.formats.base import SequenceGroup, SequenceShape
from slimpajama.mixture.formats.parquet import ParquetFormat, ParquetWriter, schema
from slimpajama.mixture.packing import pack
from slimpajama.mixture.plan import Plan, plan_mixture
from slimpajama.mixture.sharing import share_out
from slimpajama.mixture.stages.build import BuildPayload, BuildStage
from slimpajama.storage.file_record import FileRecord
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore, open_store
from tests.tokens.token_corpus import Document, build, corpus, small_tokenizer

LENGTH = 64
WEIGHTS = {"s0": 50.0, "s1": 30.0, "s2": 20.0}


@pytest.fixture(scope="module")
def made() -> dict[str, list[Document]]:
    return corpus(4, (300, 200, 40))


@pytest.fixture(scope="module")
def store(made: dict[str, list[Document]], tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    folder = tmp_path_factory.mktemp("store")
    build(folder, made, small_tokenizer(tmp_path_factory.mktemp("tokenizer")))
    return open_store(folder)


def plan_of(store: TokenStore, scope: str = "global", **settings: Any) -> tuple[Recipe, Plan]:
    given = {"name": "r", "weights": WEIGHTS, "tokens": 60_000, "sequence_length": LENGTH, "scope": scope}
    recipe = Recipe(**{**given, "max_epochs": 100, "file_tokens": 9000, **settings})
    available = {source: store.stream(source, "train", Selection(scope)).tokens for source in store.sources}
    return recipe, plan_mixture(recipe, available)


def items_of(store: TokenStore, out: Path, scope: str = "global", **settings: Any) -> list[BuildPayload]:
    recipe, plan = plan_of(store, scope, **settings)
    bounds = plan.phases[0].bounds.tolist()
    return [
        BuildPayload(
            store=store.path,
            stem=out / f"train-{number}",
            split="train",
            scope=scope,
            number=number,
            seed=recipe.seed,
            length=recipe.sequence_length,
            sources=tuple(source.name for source in plan.sources),
            slices=tuple(zip(bounds[number], bounds[number + 1], strict=True)),
            format=ParquetFormat(),
        )
        for number in range(plan.files)
    ]


def read(item: BuildPayload) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    rows = pq.read_table(item.output_files[0]).to_pylist()
    return [(row["source"], tuple(row["input_ids"]), tuple(row["doc_starts"])) for row in rows]


def in_plan_order(store: TokenStore, item: BuildPayload) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Said slowly: the rows of a file before its shuffle, sequence by sequence."""
    rows = []
    for source, (first, last) in zip(item.sources, item.slices, strict=True):
        stream = item.stream(store, source)
        for number in range(first, last):
            one = pack(stream, number, number + 1, item.length)
            rows.append((source, tuple(one.tokens[0].tolist()), tuple(one.starts.tolist())))
    return rows


def documents_of(store: TokenStore, item: BuildPayload) -> tuple[int, int]:
    """How many documents begin in the file's slices of the streams, and how many of these are not whole in one
    sequence: a whole one begins and ends in it, with the end of text and nowhere else."""
    begun = whole = 0
    for source, (first, last) in zip(item.sources, item.slices, strict=True):
        stream = item.stream(store, source)
        for number in range(first, last):
            epoch, start = divmod(number * item.length, stream.tokens)
            sequence = pack(stream, number, number + 1, item.length).tokens[0].tolist()
            for part in range(2):  # a sequence may go on into the next epoch
                spans = stream.pieces(0, stream.tokens, epoch + part)
                for begin, length, opens, ends in zip(
                    (spans.starts + part * stream.tokens - start).tolist(),
                    spans.lengths.tolist(),
                    spans.first.tolist(),
                    spans.ends.tolist(),
                    strict=True,
                ):
                    if opens and 0 <= begin < item.length:
                        begun += 1
                        if begin + length <= item.length and ends:
                            whole += 1
                            assert sequence[begin + length - 1] == store.end_of_text
    return begun, begun - whole


def test_columns_have_the_documented_types() -> None:
    assert schema(2048) == pa.schema(
        [
            pa.field("input_ids", pa.list_(pa.int32(), 2048), nullable=False),
            pa.field("source", pa.dictionary(pa.int32(), pa.string()), nullable=False),
            pa.field("doc_starts", pa.list_(pa.int16()), nullable=False),
        ]
    )
    assert schema(32_767).field("doc_starts").type.value_type == pa.int16()
    assert schema(32_768).field("doc_starts").type.value_type == pa.int32()


@pytest.mark.parametrize("length", [2, 5, 40_000])
def test_written_rows_are_read_back(length: int) -> None:
    tokens = np.arange(6 * length, dtype=np.uint32).reshape(6, length)
    starts = np.array([0, 1, length + 1, 3 * length - 1, 3 * length, 6 * length - 1])
    file = io.BytesIO()
    with ParquetWriter(file, SequenceShape(length, ("web", "wiki"), 1 << 20)) as writer:
        writer.write(SequenceGroup(tokens, starts, np.array([1, 0, 1, 1, 0, 1], dtype=np.int32)))
    table = pq.read_table(file)
    assert table.schema.field("input_ids").type == pa.list_(pa.int32(), length)
    assert table.schema.field("source").type == pa.dictionary(pa.int32(), pa.string())
    assert table.schema.field("doc_starts").type.value_type == (pa.int16() if length < 1 << 15 else pa.int32())
    assert table.column("input_ids").to_pylist() == tokens.tolist()
    assert table.column("source").to_pylist() == ["wiki", "web", "wiki", "wiki", "web", "wiki"]
    assert table.column("doc_starts").to_pylist() == [[0, 1], [1], [length - 1], [0], [], [length - 1]]


def test_each_write_is_a_row_group() -> None:
    tokens = np.zeros((6, 4096), dtype=np.uint32)
    starts = np.arange(0, tokens.size, 5000)
    file = io.BytesIO()
    with ParquetWriter(file, SequenceShape(4096, ("web",), 1)) as writer:
        for _ in range(2):
            writer.write(SequenceGroup(tokens, starts, np.zeros(6, dtype=np.int32)))
    metadata = pq.ParquetFile(file).metadata
    assert [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)] == [6, 6]
    table = pq.read_table(file, columns=["doc_starts"]).column("doc_starts").to_pylist()
    for part in (table[:6], table[6:]):
        assert [row * 4096 + start for row, inside in enumerate(part) for start in inside] == starts.tolist()


def test_the_largest_token_ids_stay_as_they_are() -> None:
    file = io.BytesIO()
    with ParquetWriter(file, SequenceShape(3, ("web",), 1 << 31)) as writer:
        tokens = np.array([[0, 2**31 - 1, 70_000]], dtype=np.uint32)
        writer.write(SequenceGroup(tokens, np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int32)))
    assert pq.read_table(file).column("input_ids").to_pylist() == [[0, 2**31 - 1, 70_000]]


@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_file_holds_its_slices_of_the_streams_in_another_order(store: TokenStore, tmp_path: Path, scope: str) -> None:
    items = items_of(store, tmp_path, scope)
    assert len(items) == 7
    for item in items:
        result = BuildStage.run(item)
        rows, expected = read(item), in_plan_order(store, item)
        assert Counter(rows) == Counter(expected)
        assert rows != expected
        assert result.sequences == dict(Counter(source for source, _, _ in rows))
        begun, cut = documents_of(store, item)
        assert (result.documents, result.cut, result.padding) == (begun, cut, 0)


def test_joining_a_sources_sequences_in_plan_order_is_its_token_stream(store: TokenStore, tmp_path: Path) -> None:
    """Undoing the shuffle by content alone: each sequence is looked for in the file where the plan puts it."""
    items = items_of(store, tmp_path)
    joined: dict[str, list[int]] = {source: [] for source in WEIGHTS}
    for item in items:
        BuildStage.run(item)
        rows = Counter((source, tokens) for source, tokens, _ in read(item))
        for source, (first, last) in zip(item.sources, item.slices, strict=True):
            stream = store.stream(source, "train", Selection("global"), 1)
            for number in range(first, last):
                expected = written_out(stream, number * LENGTH, (number + 1) * LENGTH)
                assert rows[source, expected] > 0
                rows[source, expected] -= 1
                joined[source] += expected
        assert not +rows
    for source, tokens in joined.items():
        stream = store.stream(source, "train", Selection("global"), 1)
        assert tuple(tokens) == written_out(stream, 0, len(tokens))
        assert len(tokens) // stream.tokens >= 1


def written_out(stream: Any, start: int, stop: int) -> tuple[int, ...]:
    """Tokens of the epochs in a row, one epoch after the other read whole."""
    epochs = [stream.read(0, stream.tokens, epoch)[0] for epoch in range(stop // stream.tokens + 1)]
    return tuple(np.concatenate(epochs)[start:stop].tolist())


def test_every_file_is_within_one_sequence_of_the_recipe(store: TokenStore, tmp_path: Path) -> None:
    recipe, plan = plan_of(store)
    for item in items_of(store, tmp_path):
        BuildStage.run(item)
        counts = Counter(source for source, _, _ in read(item))
        size = counts.total()
        assert abs(size - Fraction(plan.sequences, plan.files)) < 1
        for source in plan.sources:
            assert abs(counts[source.name] - Fraction(source.sequences * size, plan.sequences)) <= 1
            assert abs(counts[source.name] - recipe.shares()[source.name] * size) <= 1 + Fraction(size, plan.sequences)


def test_the_order_in_a_file_mixes_the_sources(store: TokenStore, tmp_path: Path) -> None:
    (item,) = items_of(store, tmp_path, file_tokens=60_000)
    BuildStage.run(item)
    sources = [source for source, _, _ in read(item)]
    changes = sum(a != b for a, b in pairwise(sources))
    # Of 936 neighbours in a fair shuffle 62 % differ, give or take 15: six of these is not chance.
    assert len(sources) == 937
    assert abs(changes - 936 * (1 - 0.5**2 - 0.3**2 - 0.2**2)) < 90


def test_one_and_two_workers_write_the_same_bytes(store: TokenStore, tmp_path: Path) -> None:
    written = []
    for workers in (1, 2):
        items = items_of(store, tmp_path / str(workers))
        with LocalEngine(workers) as engine:
            results = dict(engine.map(BuildStage.run, items))
        written.append([path.read_bytes() for item in items for path in item.output_files])
        for item, (_, result) in zip(items, sorted(results.items()), strict=True):
            (file,) = result.written
            data = item.output_files[0].read_bytes()
            digest = hashlib.blake2b(data, digest_size=16).hexdigest()
            assert file == FileRecord(str(item.output_files[0]), len(data), digest)
    assert written[0] == written[1]


def test_another_seed_chooses_other_sequences(store: TokenStore, tmp_path: Path) -> None:
    first, second = items_of(store, tmp_path / "1")[2], items_of(store, tmp_path / "2", seed=2)[2]
    for item in (first, second):
        BuildStage.run(item)
    assert len(Counter(read(first)) & Counter(read(second))) < len(read(first)) / 4


def test_each_file_has_an_order_of_its_own(store: TokenStore, tmp_path: Path) -> None:
    item = items_of(store, tmp_path)[0]
    other = dataclasses.replace(item, number=1, stem=tmp_path / "other")
    for one in (item, other):
        BuildStage.run(one)
    assert read(item) != read(other)


def test_a_file_of_many_row_groups_holds_each_group_in_stream_order(store: TokenStore, tmp_path: Path) -> None:
    item = dataclasses.replace(items_of(store, tmp_path)[1], group_tokens=5 * LENGTH + 1)
    BuildStage.run(item)
    rows, expected = read(item), in_plan_order(store, item)
    assert Counter(rows) == Counter(expected)
    metadata = pq.ParquetFile(item.output_files[0]).metadata
    assert {metadata.row_group(at).num_rows for at in range(metadata.num_row_groups - 1)} == {5}
    following = {source: [row for row in expected if row[0] == source] for source in item.sources}
    for begin in range(0, len(rows), 5):
        group = Counter(rows[begin : begin + 5])
        for source, own in following.items():
            count = sum(number for row, number in group.items() if row[0] == source)
            assert Counter(own[:count]) == Counter({row: n for row, n in group.items() if row[0] == source})
            del own[:count]


def test_a_piece_is_begun_floor_or_ceil_of_the_epochs_times(store: TokenStore, tmp_path: Path) -> None:
    _, plan = plan_of(store)
    begun = Counter[str]()
    for item in items_of(store, tmp_path):
        BuildStage.run(item)
        for source, _, starts in read(item):
            begun[source] += len(starts)
    for planned in plan.sources:
        stream = store.stream(planned.name, "train", Selection("global"))
        pieces = stream.read(0, stream.tokens, 0)[1].size
        assert int(planned.epochs) * pieces <= begun[planned.name] <= (int(planned.epochs) + 1) * pieces


@settings(max_examples=25)
@given(st.lists(st.integers(0, 12), min_size=3, max_size=3).filter(any), st.integers(2, 200), st.integers(0, 99))
def test_any_slices_are_written_as_they_are_packed(
    store: TokenStore, tmp_path_factory: pytest.TempPathFactory, counts: list[int], length: int, seed: int
) -> None:
    bounds = share_out(counts, 1)
    out = tmp_path_factory.mktemp("any")
    slices = tuple(zip(bounds[0].tolist(), bounds[1].tolist(), strict=True))
    sources = ("s2", "s0", "s1")
    item = BuildPayload(store.path, out / "f", "train", "local", 5, seed, length, sources, slices, ParquetFormat())
    BuildStage.run(item)
    assert Counter(read(item)) == Counter(in_plan_order(store, item))
