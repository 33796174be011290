"""Formats of other trainers, read back by readers that were written from each format's own description."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.mixture.formats.base import SequenceGroup, SequenceShape, stretches
from slimpajama.mixture.stages.build import BuildPayload, BuildStage, file_groups
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.tokens.store import open_store
from tests.mixture.formats import slow_readers
from tests.mixture.formats.made_sequences import Sequences, made, write
from tests.tokens.token_corpus import build, corpus, small_tokenizer

TRAINERS = ("olmo", "nanotron", "nanogpt", "mds")


def documents_of(sequences: Sequences, length: int) -> list[tuple[int, int]]:
    """Where each document begins and ends in the file, counting what a sequence begins with as one."""
    found = []
    for row, (starts, filled) in enumerate(zip(sequences.starts, sequences.filled, strict=True)):
        edges = [*sorted({0, *starts}), filled]
        found += [(row * length + begin, row * length + end) for begin, end in pairwise(edges)]
    return found


cases = st.tuples(st.integers(0, 99), st.integers(1, 9), st.integers(2, 30), st.booleans(), st.integers(1, 9))


@given(cases, st.sampled_from([200, 257, 65_536, 65_537, 200_000]))
def test_olmo_core_reads_ids_and_documents(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[int, int, int, bool, int], vocabulary: int
) -> None:
    seed, rows, length, padded, cut = case
    sequences = made(seed, rows, length, vocabulary, padded)
    shape = SequenceShape(length, ("web", "wiki"), vocabulary, padded)
    groups = [sequences.group(0, min(cut, rows), padded), *([sequences.group(cut, rows, padded)] if cut < rows else [])]
    path, _ = write(MIXTURE_FORMATS.get("olmo"), tmp_path_factory.mktemp("olmo") / "train", shape, groups)
    tokens, documents = slow_readers.olmo(path, vocabulary)
    assert tokens == [token for row in sequences.tokens for token in row]
    assert documents == documents_of(sequences, length)


@given(cases, st.sampled_from([300, 65_537]))
def test_nanotron_reads_samples_and_positions(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[int, int, int, bool, int], vocabulary: int
) -> None:
    seed, rows, length, padded, cut = case
    sequences = made(seed, rows, length, vocabulary, padded)
    shape = SequenceShape(length, ("web", "wiki"), vocabulary, padded)
    groups = [sequences.group(0, min(cut, rows), padded), *([sequences.group(cut, rows, padded)] if cut < rows else [])]
    path, _, _ = write(MIXTURE_FORMATS.get("nanotron"), tmp_path_factory.mktemp("ds") / "train", shape, groups)
    samples, positions = slow_readers.nanotron(path, length - 1)
    assert samples == sequences.tokens
    for row, starts, filled in zip(positions, sequences.starts, sequences.filled, strict=True):
        expected, place = [], 0
        for at in range(length):
            place = 0 if at in starts or at == filled else place
            expected.append(place)
            place += 1
        assert row == expected


@given(cases, st.sampled_from([300, 70_000]))
def test_mosaicml_streaming_reads_columns(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[int, int, int, bool, int], vocabulary: int
) -> None:
    seed, rows, length, padded, cut = case
    sequences = made(seed, rows, length, vocabulary, padded)
    shape = SequenceShape(length, ("web", "wiki"), vocabulary, padded)
    groups = [sequences.group(0, min(cut, rows), padded), *([sequences.group(cut, rows, padded)] if cut < rows else [])]
    (path,) = write(MIXTURE_FORMATS.get("mds"), tmp_path_factory.mktemp("mds") / "train", shape, groups)
    samples = [sample.columns for sample in slow_readers.mds(path.parent)]
    assert [sample["tokens"] for sample in samples] == sequences.tokens
    assert [sample["doc_starts"] for sample in samples] == sequences.starts
    assert [sample["source"] for sample in samples] == [("web", "wiki")[source] for source in sequences.sources]
    assert [sample.get("padding_start", length) for sample in samples] == sequences.filled
    assert ("padding_start" in samples[0]) == padded


def test_nanogpt_reads_two_bytes_a_token(tmp_path: Path) -> None:
    sequences = made(1, 4, 9, 65_536, False)
    shape = SequenceShape(9, ("web", "wiki"), 65_536)
    trainer = MIXTURE_FORMATS.get("nanogpt")
    (path,) = write(trainer, tmp_path / "train", shape, [sequences.group(0, 4, False)])
    assert slow_readers.unsigned(path.read_bytes(), 2) == [token for row in sequences.tokens for token in row]
    assert trainer.refusal(shape) is None
    assert "more than 65,536" in str(trainer.refusal(SequenceShape(9, ("web",), 65_537)))


def test_a_shard_of_mosaicml_streaming_holds_less_than_four_gigabytes() -> None:
    trainer = MIXTURE_FORMATS.get("mds")
    assert trainer.refusal(SequenceShape(2048, ("web",), 50_000, sequences=900_000)) is None
    assert "would take 4.3 GiB; lower file_tokens" in str(
        trainer.refusal(SequenceShape(2048, ("web",), 50_000, sequences=1_110_000))
    )


def test_stretches_by_hand() -> None:
    group = SequenceGroup(
        np.zeros((3, 4), dtype=np.uint32), np.array([1, 4, 6]), np.zeros(3, dtype=np.int32), np.array([4, 3, 0])
    )
    begins, ends = stretches(group)
    assert list(zip(begins.tolist(), ends.tolist(), strict=True)) == [(0, 1), (1, 4), (4, 6), (6, 7)]


@pytest.mark.parametrize("name", TRAINERS)
def test_a_changed_file_is_found(tmp_path: Path, name: str) -> None:
    build(tmp_path / "store", corpus(2, (60, 40)), small_tokenizer(tmp_path))
    trainer = MIXTURE_FORMATS.get(name)
    item = BuildPayload(
        store=tmp_path / "store",
        stem=tmp_path / "train-00000-of-00001",
        split="train",
        scope="local",
        number=0,
        seed=1,
        length=20,
        sources=("s0", "s1"),
        slices=((0, 6), (0, 4)),
        format=trainer,
        group_tokens=60,
    )
    BuildStage.run(item)
    store = open_store(item.store)

    def differences(path: Path) -> list[str]:
        return list(trainer.differences(path, item.shape(store), file_groups(item, store)))

    for path in item.output_files:
        assert differences(path) == []
        if path.suffix == ".gz":
            continue  # a changed byte of a gzip file is a broken file, which the digest tells
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert len(differences(path)) == 1
        path.write_bytes(whole + b"\0")
        assert len(differences(path)) == 1
        path.write_bytes(whole)


def test_the_writer_of_a_format_never_seeks() -> None:
    class Appending(io.BytesIO):
        def seek(self, *_: object) -> int:
            raise AssertionError("a file of an output is only appended to")

    sequences = made(3, 5, 7, 300, False)
    for name in TRAINERS:
        trainer = MIXTURE_FORMATS.get(name)
        files = [Appending() for _ in trainer.endings]
        with trainer.writer(files, SequenceShape(7, ("web", "wiki"), 300)) as writer:
            writer.write(sequences.group(0, 5, False))
        assert all(file.getvalue() for file in files)
