import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.model.files import load_decoder, save_decoder
from slimpajama.study.training.checkpoint import CHECKPOINT_FILE, load_checkpoint, save_checkpoint
from slimpajama.study.training.optimiser import made_optimiser
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


HALF_WRITTEN = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from slimpajama.storage.atomic import atomic_file
from slimpajama.study.training.checkpoint import CHECKPOINT_FILE
from slimpajama.study.training.trainer import train
from tests.study.training.test_trainer import SETTINGS, SHAPE
def kill(done, seconds):
    if done == 13:
        path = Path(sys.argv[2]) / CHECKPOINT_FILE
        content = path.read_bytes()
        with atomic_file(path) as file:
            file.write(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
train(SHAPE, SETTINGS, Path(sys.argv[1]), Path(sys.argv[2]), after_step=kill)
"""


def test_a_run_that_was_killed_while_it_wrote_a_checkpoint_goes_on_from_the_one_before(
    mixture: Path, whole: TrainedModel, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HALF_WRITTEN, str(mixture), str(tmp_path)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    half_written = list(tmp_path.glob("*.tmp"))
    assert len(half_written) == 1
    assert 0 < half_written[0].stat().st_size < (tmp_path / CHECKPOINT_FILE).stat().st_size
    steps: list[int] = []
    again = train(SHAPE, SETTINGS, mixture, tmp_path, after_step=lambda done, seconds: steps.append(done))
    assert steps[0] == 11
    assert same(whole, again)


def made_run(seed: int) -> tuple[Decoder, torch.optim.AdamW, torch.Tensor]:
    model = Decoder(SHAPE, seed)
    return model, made_optimiser(model), torch.zeros(24)


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    """A checkpoint of step 7 of the run "this"."""
    model, optimiser, losses = made_run(1)
    model(torch.tensor([[1, 2, 3]])).square().mean().backward()
    optimiser.step()
    save_checkpoint(tmp_path, "this", 7, model, optimiser, losses + 5)
    return (tmp_path / CHECKPOINT_FILE).read_bytes()


def counts_as_none(folder: Path) -> bool:
    """Whether nothing is taken over, not even in part."""
    model, optimiser, losses = made_run(2)
    if load_checkpoint(folder, "this", model, optimiser, losses) != 0:
        return False
    pairs = zip(model.parameters(), Decoder(SHAPE, 2).parameters(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs) and not optimiser.state and not losses.any()


def test_a_checkpoint_is_taken_over_in_whole(written: bytes, tmp_path: Path) -> None:
    model, optimiser, losses = made_run(2)
    assert load_checkpoint(tmp_path, "this", model, optimiser, losses) == 7
    assert losses.tolist() == [5] * 24
    save_checkpoint(tmp_path / "again", "this", 7, model, optimiser, losses)
    one, other = (torch.load(folder / CHECKPOINT_FILE) for folder in (tmp_path, tmp_path / "again"))
    for part in ("model", "losses"):
        torch.testing.assert_close(one[part], other[part], rtol=0, atol=0)
    torch.testing.assert_close(one["optimiser"]["state"], other["optimiser"]["state"], rtol=0, atol=0)


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def with_part(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda state: {**state, name: value}


def last_weight_wider(state: dict[str, Any]) -> object:
    return {**state, "model": {**state["model"], next(reversed(state["model"])): torch.zeros(99)}}


def moments_of_another_shape(state: dict[str, Any]) -> object:
    state["optimiser"]["state"][3]["exp_avg"] = torch.zeros(2, 2)
    return state


def moments_missing(state: dict[str, Any]) -> object:
    del state["optimiser"]["state"][0]
    return state


FOREIGN: dict[str, Callable[[dict[str, Any]], object]] = {
    **{f"without {name}": without(name) for name in ("made_of", "step", "model", "optimiser", "losses")},
    "another run": with_part("made_of", "that"),
    "a step in words": with_part("step", "7"),
    "a step too far": with_part("step", 25),
    "no step": with_part("step", 0),
    "a fractional step": with_part("step", 7.5),
    "a model of nothing": with_part("model", {}),
    "a model that is a list": with_part("model", [1]),
    "an optimiser of nothing": with_part("optimiser", {}),
    "fewer losses": with_part("losses", torch.zeros(1)),
    "losses in a list": with_part("losses", [0.0] * 24),
    "last weight wider": last_weight_wider,
    "moments of another shape": moments_of_another_shape,
    "moments missing": moments_missing,
    "a dict of nothing": lambda state: {},
    "a list": lambda state: [state],
    "a tensor": lambda state: torch.zeros(3),
    "a number": lambda state: 7,
    "weights alone": lambda state: state["model"],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_loads_and_is_no_checkpoint_of_the_run_counts_as_none(
    written: bytes, tmp_path: Path, name: str
) -> None:
    content = io.BytesIO()
    torch.save(FOREIGN[name](torch.load(io.BytesIO(written))), content)
    (tmp_path / CHECKPOINT_FILE).write_bytes(content.getvalue())
    assert counts_as_none(tmp_path)


def test_a_checkpoint_that_ends_too_early_counts_as_none(written: bytes, tmp_path: Path) -> None:
    for size in (0, 1, 4, 100, len(written) // 2, len(written) - 30, len(written) - 1):
        (tmp_path / CHECKPOINT_FILE).write_bytes(written[:size])
        assert counts_as_none(tmp_path)


def test_damaged_names_and_shapes_of_a_checkpoint_end_in_no_error(written: bytes, tmp_path: Path) -> None:
    names = written.index(b"made_of")
    taken_over = set()
    for place in range(names, names + 200, 3):
        damaged = bytearray(written)
        damaged[place] ^= 0xFF
        (tmp_path / CHECKPOINT_FILE).write_bytes(damaged)
        taken_over.add(load_checkpoint(tmp_path, "this", *made_run(2)))
    assert taken_over <= {0, 7}  # some bytes tell PyTorch nothing
    assert 0 in taken_over


def test_a_saved_model_is_loaded_as_it_was(whole: TrainedModel, tmp_path: Path) -> None:
    save_decoder(whole.model, tmp_path)
    row = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        assert torch.equal(load_decoder(tmp_path)(row), whole.model(row))
