from collections import Counter
from pathlib import Path

import pytest
import torch

from slimpajama.errors import ConfigError
from slimpajama.study.training.settings import TrainingSettings
from slimpajama.study.training.windows import TrainingWindows, cut
from slimpajama.training.sequence_files import SequenceFiles
from tests.study.made_mixtures import LENGTH, made_output

ALL = TrainingSettings(tokens=96 * LENGTH, batch_tokens=64, window=8, seed=5)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_output(tmp_path_factory.mktemp("mixtures"))


def test_windows_and_labels_of_one_sequence_by_hand(output: Path) -> None:
    files = SequenceFiles(output / "both")
    row = files.read(0, 1).tokens[0].tolist()
    batch = cut(files.read(0, 1), 8, documents=True)
    assert batch.tokens.tolist() == [row[at : at + 8] for at in range(0, 32, 8)]
    assert batch.labels.tolist() == [[*row, -100][at + 1 : at + 9] for at in range(0, 32, 8)]
    assert batch.documents is not None
    assert batch.documents.shape == batch.tokens.shape


def test_each_window_of_the_mixture_is_in_one_step(output: Path) -> None:
    windows = TrainingWindows(output / "both", ALL)
    found = [tuple(row) for step in range(ALL.steps) for row in windows.batch(step).tokens.tolist()]
    tokens = SequenceFiles(output / "both").read(0, 96).tokens.reshape(-1, 8)
    assert Counter(found) == Counter(tuple(row) for row in tokens.tolist())
    assert found != [tuple(row) for row in tokens.tolist()]


def test_another_seed_is_another_order_and_the_same_seed_the_same(output: Path) -> None:
    other = TrainingSettings(tokens=ALL.tokens, batch_tokens=64, window=8, seed=6)
    first = TrainingWindows(output / "both", ALL).batch(3).tokens
    assert torch.equal(first, TrainingWindows(output / "both", ALL).batch(3).tokens)
    assert not torch.equal(first, TrainingWindows(output / "both", other).batch(3).tokens)


@pytest.mark.parametrize("ranks", [2, 4])
def test_a_step_holds_the_same_windows_on_any_number_of_ranks(output: Path, ranks: int) -> None:
    alone = TrainingWindows(output / "both", ALL)
    shared = [TrainingWindows(output / "both", ALL, rank, ranks) for rank in range(ranks)]
    for step in (0, 7):
        parts = [one.batch(step).tokens for one in shared]
        assert torch.equal(torch.cat(parts), alone.batch(step).tokens)


@pytest.mark.parametrize(
    ("settings", "ranks", "message"),
    [
        (TrainingSettings(tokens=97 * LENGTH, batch_tokens=32, window=8), 1, "in whole batches; build a larger one"),
        (TrainingSettings(tokens=640, batch_tokens=64, window=64), 1, "make the window smaller"),
        (ALL, 3, "cannot be shared out to 3"),
    ],
)
def test_what_the_mixture_cannot_give_is_refused(
    output: Path, settings: TrainingSettings, ranks: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingWindows(output / "both", settings, 0, ranks)
