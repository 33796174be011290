import pytest
import torch

from slimpajama.errors import ConfigError
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.model.presets import preset_configuration
from slimpajama.study.training.optimiser import made_optimiser, set_step
from slimpajama.study.training.settings import TrainingSettings

TEN = TrainingSettings(tokens=1000, batch_tokens=100, window=10, learning_rate=1.0, warm_up=0.2, final_rate=0.2)


def test_the_rate_rises_and_falls_linearly() -> None:
    rates = [TEN.rate(step) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])


def test_weight_decay_is_constant_or_in_the_three_published_phases() -> None:
    assert {TEN.decay(step) for step in range(10)} == {0.1}
    phased = TrainingSettings(tokens=1000, batch_tokens=100, window=10, phases=(0.3, 0.5, 0.2))
    assert [phased.decay(step) for step in range(10)] == [0, 0, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokens": 1000, "batch_tokens": 105, "window": 10}, "not whole windows of 10"),
        ({"tokens": 50, "batch_tokens": 100, "window": 10}, "less than one batch"),
        ({"tokens": 500, "batch_tokens": 100, "window": 10, "phases": (0.5, 0.2, 0.2)}, "sum to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingSettings(**values)  # type: ignore[arg-type]


def test_matrices_learn_at_the_rate_of_their_width_and_vectors_are_not_decayed() -> None:
    model = Decoder(preset_configuration("20m", 64), seed=1)  # twice the base width
    optimiser = made_optimiser(model)
    set_step(optimiser, TEN, 5)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for weight in group["params"]
        for name, other in model.named_parameters()
        if other is weight
    }
    assert len(found) == sum(1 for _ in model.parameters())
    assert found["embedding.weight"] == (pytest.approx(0.7), 0.1)
    assert found["blocks.0.attention.inputs.weight"] == (pytest.approx(0.35), 0.1)
    assert found["blocks.5.feed_forward.output.weight"] == (pytest.approx(0.35), 0.1)
    assert found["blocks.0.attention.inputs.bias"] == (pytest.approx(0.7), 0.0)
    assert found["norm.weight"] == (pytest.approx(0.7), 0.0)


def test_a_step_is_that_of_adamw_by_hand() -> None:
    model = Decoder(preset_configuration("tiny", 16), seed=1)
    optimiser = made_optimiser(model)
    set_step(optimiser, TEN, 0)
    before = model.embedding.weight.detach().clone()
    gradient = torch.full_like(before, 0.25)
    model.embedding.weight.grad = gradient
    optimiser.step()
    # The first step of Adam goes by the rate in the direction of the gradient, after the decay of rate * 0.1.
    assert torch.allclose(model.embedding.weight, before * (1 - 0.5 * 0.1) - 0.5, atol=1e-5)
