import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.files import load_decoder, save_decoder
from slimpajama.study.training.checkpoint import CHECKPOINT_FILE
from slimpajama.study.training.settings import TrainingSettings
from slimpajama.study.training.trainer import TrainedModel, train
from tests.study.made_mixtures import LENGTH, VOCABULARY, made_output

SHAPE = DecoderConfiguration(vocabulary=VOCABULARY, width=16, layers=2, heads=2, feed_forward=40, base_width=16)
SETTINGS = TrainingSettings(
    tokens=96 * LENGTH, batch_tokens=128, window=16, learning_rate=0.01, checkpoint_steps=5, documents=True
)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_output(tmp_path_factory.mktemp("mixtures")) / "both"


@pytest.fixture(scope="module")
def whole(mixture: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return train(SHAPE, SETTINGS, mixture, tmp_path_factory.mktemp("whole"))


def same(one: TrainedModel, other: TrainedModel) -> bool:
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return np.array_equal(one.losses, other.losses) and all(torch.equal(a, b) for a, b in pairs)


def test_training_learns_and_is_the_same_each_time(mixture: Path, whole: TrainedModel, tmp_path: Path) -> None:
    assert whole.losses.size == SETTINGS.steps == 24
    assert whole.losses[-4:].mean() < 0.9 * whole.losses[0]
    assert same(whole, train(SHAPE, SETTINGS, mixture, tmp_path))


class Stopped(Exception):
    pass


@pytest.mark.parametrize("last", [3, 5, 13])
def test_a_run_that_was_stopped_goes_on_to_the_same_losses(
    mixture: Path, whole: TrainedModel, tmp_path: Path, last: int
) -> None:
    def stop(done: int, seconds: float) -> None:
        if done == last:
            raise Stopped

    with pytest.raises(Stopped):
        train(SHAPE, SETTINGS, mixture, tmp_path, after_step=stop)
    steps: list[int] = []
    again = train(SHAPE, SETTINGS, mixture, tmp_path, after_step=lambda done, seconds: steps.append(done))
    assert steps[0] == last // 5 * 5 + 1
    assert same(whole, again)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from slimpajama.study.training.trainer import train
from tests.study.training.test_trainer import SETTINGS, SHAPE
def kill(done, seconds):
    if done == 13:
        os.kill(os.getpid(), signal.SIGKILL)
train(SHAPE, SETTINGS, Path(sys.argv[1]), Path(sys.argv[2]), after_step=kill)
"""


def test_a_run_that_was_killed_goes_on_to_the_same_losses(mixture: Path, whole: TrainedModel, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(mixture), str(tmp_path)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / CHECKPOINT_FILE).exists()
    assert same(whole, train(SHAPE, SETTINGS, mixture, tmp_path))


def test_a_checkpoint_that_is_torn_or_of_other_settings_is_not_used(
    mixture: Path, whole: TrainedModel, tmp_path: Path
) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"PK torn")
    assert same(whole, train(SHAPE, SETTINGS, mixture, tmp_path))
    other = TrainingSettings(tokens=SETTINGS.tokens, batch_tokens=128, window=16, seed=9)
    fresh = train(SHAPE, other, mixture, tmp_path / "fresh")
    assert same(fresh, train(SHAPE, other, mixture, tmp_path))


def test_a_saved_model_is_loaded_as_it_was(whole: TrainedModel, tmp_path: Path) -> None:
    save_decoder(whole.model, tmp_path)
    row = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        assert torch.equal(load_decoder(tmp_path)(row), whole.model(row))
