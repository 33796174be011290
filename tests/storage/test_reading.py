"""A file of an output that cannot be read is an error of this program, and names the file."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimpajama.errors import OutputError
from slimpajama.storage.reading import own_bytes, own_record, reading


def test_what_can_be_read_is_given(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert own_bytes(tmp_path / "a") == b"abc"
    assert own_record(tmp_path / "a").bytes == 3


@pytest.mark.parametrize("read", [own_bytes, own_record])
def test_what_cannot_be_read_is_named(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(OutputError, match=f"^cannot read {re.escape(str(tmp_path))}: .*; look after the disk"):
        read(tmp_path)


def test_a_table_that_was_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:500])
    said = f"^{re.escape(str(path))} is damaged: [^\n]*; remove it and run the command"
    with pytest.raises(OutputError, match=said), reading(path), pq.ParquetFile(path) as file:
        file.read()


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), reading(tmp_path):
        raise ValueError("mine")
