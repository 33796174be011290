"""Formats are found by name, and one from outside the package is written and checked like any other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from slimpajama.errors import ConfigError
from slimpajama.mixture.formats.base import (
    MixtureFormat,
    SequenceGroup,
    SequenceShape,
    SequenceWriter,
)
from slimpajama.mixture.formats.parquet import ParquetFormat
from slimpajama.mixture.manifest import MixtureFile
from slimpajama.mixture.stages.build import BuildPayload, BuildStage
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.storage.atomic import file_record
from slimpajama.verification.mixture_files import FileCheck, check_file
from tests.tokens.token_corpus import build, corpus, small_tokenizer


class _Lines:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, group: SequenceGroup) -> None:
        self._file.write(b"".join(b"%d " % token for token in group.tokens.ravel().tolist()))


class Decimal(MixtureFormat):
    """Tokens as decimal numbers: the smallest format there can be."""

    name = "decimal"
    endings = (".tokens.txt",)
    contents = ("Tokens, in decimal.",)

    @contextlib.contextmanager
    def writer(self, files: Sequence[BinaryIO], shape: SequenceShape) -> Iterator[SequenceWriter]:
        yield _Lines(files[0])

    def differences(self, path: Path, shape: SequenceShape, groups: Iterator[SequenceGroup]) -> Iterator[str]:
        expected = np.concatenate([group.tokens.ravel() for group in groups])
        if path.read_text().split() != [str(token) for token in expected.tolist()]:
            yield "holds other tokens than planned"


def test_built_in_formats_are_found_by_name() -> None:
    assert MIXTURE_FORMATS.names[:2] == ("parquet", "megatron")
    assert isinstance(MIXTURE_FORMATS.get("parquet"), ParquetFormat)
    with pytest.raises(ConfigError, match="there is no mixture format 'arrow'; choose one of parquet, megatron"):
        MIXTURE_FORMATS.get("arrow")


def test_a_name_belongs_to_one_format() -> None:
    class Other(Decimal):
        name = "parquet"

    with pytest.raises(ConfigError, match="another mixture format is called 'parquet' already"):
        MIXTURE_FORMATS.register(Other())


def test_a_format_from_outside_is_written_and_checked(tmp_path: Path) -> None:
    build(tmp_path / "store", corpus(2, (60, 40)), small_tokenizer(tmp_path))
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
        format=Decimal(),
    )
    result = BuildStage.run(item)
    (path,) = item.output_files
    assert path.name == "train-00000-of-00001.tokens.txt"
    assert len(path.read_text().split()) == 200

    def check() -> list[str]:
        record = file_record(path)
        entry = MixtureFile(path.name, record.bytes, record.blake2b, "train", result.sequences, result.documents)
        return check_file(FileCheck(tmp_path, entry, item)).findings

    assert check() == []
    path.write_text(path.read_text().replace(" ", "  1 ", 1))
    (finding,) = check()
    assert finding.startswith(f"{path} holds other tokens than planned")
