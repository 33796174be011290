"""The data set in PyTorch's loader: order, ranks, workers, and going on. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from slimpajama.errors import ConfigError  # noqa: E402
from slimpajama.training import MixtureDataset, collate  # noqa: E402
from slimpajama.training.sequence_files import SequenceBatch  # noqa: E402
from tests.training.mixture_folder import mixture  # noqa: E402
from tests.training.test_listed_files import LENGTH as HELD_OUT_LENGTH  # noqa: E402
from tests.training.test_listed_files import holdout, weighed  # noqa: E402

ROWS, LENGTH = 26, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[int]]]:
    path = tmp_path_factory.mktemp("mixture")
    return path, mixture(path, ROWS, LENGTH, formats=("nanotron", "parquet")).tokens


def tokens(batches: Iterable[SequenceBatch]) -> list[list[int]]:
    return [row for batch in batches for row in batch.tokens.tolist()]


def test_one_rank_reads_the_mixture_in_order(folder: tuple[Path, list[list[int]]]) -> None:
    path, rows = folder
    data = MixtureDataset(path, 4)
    assert (len(data), data.sequences, data.length) == (6, ROWS, LENGTH)
    assert tokens(data) == rows[:24]
    assert tokens(data) == rows[:24], "a second epoch begins at the front"


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_steps_are_the_same_for_any_ranks_and_workers(
    folder: tuple[Path, list[list[int]]], ranks: int, workers: int
) -> None:
    path, rows = folder
    loaders = [
        DataLoader(MixtureDataset(path, 6 // ranks, rank=rank, ranks=ranks), batch_size=None, num_workers=workers)
        for rank in range(ranks)
    ]
    found = [row for step in zip(*loaders, strict=True) for row in tokens(step)]
    assert found == rows[:24]


def test_reading_goes_on_where_it_was(folder: tuple[Path, list[list[int]]]) -> None:
    path, rows = folder
    data = MixtureDataset(path, 3)
    reading = iter(data)
    assert tokens([next(reading), next(reading)]) == rows[:6]
    again = MixtureDataset(path, 3, format="parquet")
    again.load_state_dict(data.state_dict())
    assert tokens(again) == rows[6:24]


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (2, 2), (4, 0)])
def test_reading_goes_on_with_other_ranks(folder: tuple[Path, list[list[int]]], ranks: int, workers: int) -> None:
    path, rows = folder
    state = MixtureDataset(path, 3, rank=0, ranks=2).state_after(2)
    loaders = []
    for rank in range(ranks):
        data = MixtureDataset(path, 1, rank=rank, ranks=ranks)
        data.load_state_dict(state)
        loaders.append(DataLoader(data, batch_size=None, num_workers=workers))
    found = [row for step in zip(*loaders, strict=True) for row in tokens(step)]
    assert found == rows[12 : 12 + 14 // ranks * ranks]


def test_a_single_process_goes_on_as_workers(folder: tuple[Path, list[list[int]]]) -> None:
    path, rows = folder
    data = MixtureDataset(path, 2)
    reading = iter(data)
    next(reading)
    other = MixtureDataset(path, 2)
    other.load_state_dict(data.state_dict())
    assert tokens(DataLoader(other, batch_size=None, num_workers=2)) == rows[2:26]


def test_the_state_of_another_mixture_is_refused(tmp_path: Path, folder: tuple[Path, list[list[int]]]) -> None:
    mixture(tmp_path, 9, 4, formats=("olmo",), seed=3)
    data = MixtureDataset(folder[0])
    with pytest.raises(ConfigError, match="the state is of another mixture"):
        data.load_state_dict(MixtureDataset(tmp_path).state_dict())
    with pytest.raises(ConfigError, match="is not a state"):
        data.load_state_dict({**data.state_dict(), "given": "one"})


def test_rank_and_ranks_belong_together(folder: tuple[Path, list[list[int]]]) -> None:
    with pytest.raises(ConfigError, match="rank and ranks belong together"):
        MixtureDataset(folder[0], rank=1)


def test_the_loader_collates_batches(folder: tuple[Path, list[list[int]]]) -> None:
    path, rows = folder
    (batch, *_) = DataLoader(MixtureDataset(path, 13), batch_size=None, collate_fn=collate)
    assert batch["input_ids"].tolist() == batch["labels"].tolist() == rows[:13]


def test_the_holdout_is_read_like_train(tmp_path: Path) -> None:
    mixture(tmp_path / "dc", 6, HELD_OUT_LENGTH, formats=("olmo",))
    weighed(tmp_path / "dc", wiki=0.5, web=0.5)
    held_out = holdout(tmp_path / "holdout")
    wiki, web, code = (held_out[source, "validation", HELD_OUT_LENGTH].tokens for source in ("wiki", "web", "code"))
    data = MixtureDataset(tmp_path / "dc", 3, split="validation")
    assert data.sequences == 9
    assert tokens(data) == wiki + web
    assert tokens(MixtureDataset(tmp_path / "dc", split="validation", sources=["code"])) == code
    with pytest.raises(ConfigError, match="the state is of another mixture"):
        data.load_state_dict(MixtureDataset(tmp_path / "dc", 3).state_dict())
