"""Sequences by number, from each format, across files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.errors import ConfigError, InputError
from slimpajama.training.places import stretch_begins
from slimpajama.training.sequence_files import FORMATS, SequenceFiles
from tests.mixture.formats.made_sequences import Sequences
from tests.training.mixture_folder import mixture

ROWS, LENGTH = 23, 9


@pytest.fixture(scope="module", params=[False, True], ids=["joined", "padded"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sequences]:
    path = tmp_path_factory.mktemp("mixture")
    return path, mixture(path, ROWS, LENGTH, formats=tuple(FORMATS), padded=request.param)


@given(name=st.sampled_from(tuple(FORMATS)), edges=st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)))
def test_any_range_of_sequences_is_read(folder: tuple[Path, Sequences], name: str, edges: tuple[int, int]) -> None:
    path, sequences = folder
    first, last = sorted(edges)
    if first == last:
        return
    files = SequenceFiles(path, name)
    assert (files.sequences, files.length, files.format) == (ROWS, LENGTH, name)
    found = files.read(first, last)
    assert found.tokens.tolist() == sequences.tokens[first:last]
    expected = sequences.group(first, last, padded=True)
    assert expected.filled is not None
    padded = min(sequences.filled) < LENGTH
    assert (found.filled is not None) == padded
    if found.filled is not None:
        assert found.filled.tolist() == expected.filled.tolist()
    if name == "megatron":  # it does not say that the first sequence begins with a document, or the end of the last
        return
    begins = stretch_begins(expected.starts, expected.filled, last - first, LENGTH)
    assert stretch_begins(found.starts, found.filled, last - first, LENGTH).tolist() == begins.tolist()


def test_documents_of_a_megatron_file_begin_after_the_end_of_text(folder: tuple[Path, Sequences]) -> None:
    path, sequences = folder
    found = SequenceFiles(path, "megatron").read(0, ROWS)
    assert set(found.starts.tolist()) >= {
        row * LENGTH + start for row in range(ROWS) for start in sequences.starts[row] if start
    }


def test_the_first_format_that_is_mapped_is_read(tmp_path: Path) -> None:
    mixture(tmp_path, 6, 4, formats=("parquet", "olmo"))
    assert SequenceFiles(tmp_path).format == "olmo"
    with pytest.raises(ConfigError, match=r"is there in parquet, olmo, not in nanotron; build it in one of nanotron"):
        SequenceFiles(tmp_path, "nanotron")


def test_a_folder_without_a_mixture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no finished mixture"):
        SequenceFiles(tmp_path)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    mixture(tmp_path, 6, 4, formats=("olmo",), files=1)
    path = tmp_path / "train-00000-of-00001.npy"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match="holds 23 tokens, not whole sequences of 4"):
        SequenceFiles(tmp_path).read(0, 1)


def test_formats_of_one_mixture_have_one_fingerprint(tmp_path: Path) -> None:
    mixture(tmp_path / "a", 6, 4, formats=("parquet", "olmo"))
    mixture(tmp_path / "b", 6, 4, formats=("parquet",), seed=2)
    one, same, other = (
        SequenceFiles(tmp_path / folder, name).fingerprint
        for folder, name in (("a", "parquet"), ("a", "olmo"), ("b", "parquet"))
    )
    assert one == same != other


def test_reading_needs_neither_pytorch_nor_the_rest_of_the_package(tmp_path: Path) -> None:
    import subprocess
    import sys

    mixture(tmp_path, 6, 4, formats=("olmo",))
    program = (
        "import sys; from pathlib import Path; from slimpajama.training.sequence_files import SequenceFiles; "
        "SequenceFiles(Path(sys.argv[1])).read(0, 6); "
        "print([name for name in ('torch', 'numba', 'pyarrow', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert np.dtype(np.uint16)  # the tokens were read by numpy alone
