import math
from dataclasses import replace

import pytest
import torch

from slimpajama.errors import ConfigError
from slimpajama.study.model.alibi import alibi_bias, alibi_slopes, cached_bias
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder, attend
from slimpajama.study.model.flex_alibi import flex_alibi, flex_attend
from slimpajama.study.model.presets import PRESETS, preset_configuration

SMALL = DecoderConfiguration(vocabulary=37, width=24, layers=2, heads=3, feed_forward=40, base_width=24)


def tokens(batch: int = 2, length: int = 12, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, SMALL.vocabulary, (batch, length), generator=torch.Generator().manual_seed(seed))


class Everything:
    """A cache that keeps all, or only the last ``most``."""

    def __init__(self, most: int | None = None) -> None:
        self.seen = 0
        self.most = most
        self.kept: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def attention(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        new = (keys, values, positions[:, None].expand(-1, keys.shape[1], -1))
        joined = new if self.kept is None else tuple(torch.cat(pair, 2) for pair in zip(self.kept, new, strict=True))
        first = 0 if self.most is None else -self.most
        self.kept = tuple(part[:, :, first:] for part in joined)
        self.seen += positions.shape[1]
        keys, values, places = joined
        bias = cached_bias(alibi_slopes(SMALL.heads), positions, places)
        return attend(query, keys, values, bias, SMALL.attention_scale)


def slow_logits(model: Decoder, row: torch.Tensor) -> torch.Tensor:
    """The published formulas, one head and one query at a time."""
    shape = model.configuration
    width, head_width = shape.width, shape.width // shape.heads
    hidden = model.embedding.weight[row] * 14.6

    def norm(values: torch.Tensor, layer: torch.nn.Module) -> torch.Tensor:
        centred = values - values.mean(-1, keepdim=True)
        scale = (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / scale * layer.weight + layer.bias

    for block in model.blocks:
        made = norm(hidden, block.attention_norm) @ block.attention.inputs.weight.T + block.attention.inputs.bias
        heads = []
        for head in range(shape.heads):
            slope = float(alibi_slopes(shape.heads)[head])
            query, key, value = (
                made[:, part * width + head * head_width : part * width + (head + 1) * head_width] for part in range(3)
            )
            rows = []
            for at in range(len(row)):
                scores = key[: at + 1] @ query[at] / head_width
                scores = scores - slope * torch.tensor([at - other for other in range(at + 1)])
                rows.append(torch.softmax(scores, 0) @ value[: at + 1])
            heads.append(torch.stack(rows))
        hidden = hidden + torch.cat(heads, 1) @ block.attention.output.weight.T + block.attention.output.bias
        made = norm(hidden, block.feed_forward_norm) @ block.feed_forward.inputs.weight.T
        gate, value = (made + block.feed_forward.inputs.bias).split(shape.feed_forward, 1)
        swish = gate / (1 + torch.exp(-gate))
        hidden = hidden + (swish * value) @ block.feed_forward.output.weight.T + block.feed_forward.output.bias
    return norm(hidden, model.norm) @ model.embedding.weight.T * shape.output_scale


def test_the_published_configuration_has_exactly_its_parameters() -> None:
    with torch.device("meta"):
        model = Decoder(preset_configuration("1.3b"))
    assert model.parameter_count == 1_311_586_288
    assert model.configuration.head_width == 128
    assert model.configuration.output_scale == pytest.approx(0.2775)


@pytest.mark.parametrize(
    ("name", "least", "most"), [("tiny", 0.8e6, 1.2e6), ("5m", 4.5e6, 5.5e6), ("20m", 19e6, 22e6), ("111m", 1e8, 1.2e8)]
)
def test_a_preset_has_the_size_that_it_is_named_for(name: str, least: float, most: float) -> None:
    with torch.device("meta"):
        assert least < Decoder(preset_configuration(name)).parameter_count < most


def test_no_preset_is_scaled_up_for_being_narrow() -> None:
    assert all(preset.configuration().output_scale <= 2.22 for preset in PRESETS.values())


def test_an_unknown_size_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'7b'; give one of tiny, 5m, 20m, 111m, 1\.3b"):
        preset_configuration("7b")


@pytest.mark.parametrize(("field", "value"), [("layers", 0), ("heads", 5), ("vocabulary", -1)])
def test_a_shape_that_cannot_be_built_is_refused(field: str, value: int) -> None:
    with pytest.raises(ConfigError):
        replace(SMALL, **{field: value})


@pytest.mark.parametrize(
    ("heads", "slopes"),
    [
        (1, [2**-8]),
        (8, [2**-exponent for exponent in range(1, 9)]),
        (3, [2**-4, 2**-8, 2**-2]),
        (6, [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]),
    ],
)
def test_slopes_are_the_published_ones(heads: int, slopes: list[float]) -> None:
    assert alibi_slopes(heads).tolist() == slopes


def test_the_bias_of_three_tokens_by_hand() -> None:
    bias = alibi_bias(torch.tensor([0.5]), 3)
    assert bias.tolist() == [[[[0, -math.inf, -math.inf], [-0.5, 0, -math.inf], [-1, -0.5, 0]]]]
    apart = alibi_bias(torch.tensor([0.5]), 3, torch.tensor([[0, 1, 1]]))
    assert apart.tolist() == [[[[0, -math.inf, -math.inf], [-math.inf, 0, -math.inf], [-math.inf, -0.5, 0]]]]
    kept = cached_bias(torch.tensor([0.5]), torch.tensor([[4]]), torch.tensor([0, 3, 4]))
    assert kept.tolist() == [[[[-2, -0.5, 0]]]]


def test_logits_are_those_of_the_formulas() -> None:
    model = Decoder(SMALL, seed=1).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
        row = tokens()[0]
        assert torch.allclose(model(row[None])[0], slow_logits(model, row), atol=1e-10)


def test_a_later_token_changes_nothing_before_it() -> None:
    model = Decoder(SMALL, seed=1)
    one, other = tokens(), tokens()
    other[:, 7:] = 0
    with torch.no_grad():
        assert torch.allclose(model(one)[:, :7], model(other)[:, :7], atol=1e-5)


def test_a_document_gives_the_logits_it_gives_alone() -> None:
    model = Decoder(SMALL, seed=1)
    row = tokens(batch=1)
    documents = torch.tensor([[0] * 5 + [1] * 7])
    with torch.no_grad():
        both = model(row, documents)
        assert torch.allclose(both[:, :5], model(row[:, :5]), atol=1e-5)
        assert torch.allclose(both[:, 5:], model(row[:, 5:]), atol=1e-5)


def test_a_cache_that_keeps_all_gives_the_logits_of_the_whole() -> None:
    model = Decoder(SMALL, seed=1)
    row = tokens()
    caches = [Everything() for _ in range(SMALL.layers)]
    with torch.no_grad():
        parts = [model(row[:, low:high], caches=caches) for low, high in [(0, 5), (5, 6), (6, 12)]]
        assert torch.allclose(torch.cat(parts, 1), model(row), atol=1e-5)


def test_a_cache_may_drop_tokens() -> None:
    model = Decoder(SMALL, seed=1)
    row = tokens()
    caches = [Everything(most=3) for _ in range(SMALL.layers)]
    with torch.no_grad():
        model(row[:, :8], caches=caches)
        logits = model(row[:, 8:9], caches=caches)
    assert logits.shape == (2, 1, SMALL.vocabulary)
    assert caches[0].seen == 9
    assert caches[0].kept is not None
    assert caches[0].kept[2][0, 0].tolist() == [6, 7, 8]


def test_hidden_states_are_those_of_every_layer_and_end_in_the_last() -> None:
    model = Decoder(SMALL, seed=1)
    with torch.no_grad():
        states = model.hidden_states(tokens())
        assert len(states) == SMALL.layers + 1
        assert torch.equal(states[-1], model.hidden(tokens()))
        assert torch.equal(states[0], model.embedding(tokens()) * 14.6)


def test_the_same_seed_draws_the_same_model_and_another_seed_another() -> None:
    first, again, other = Decoder(SMALL, seed=1), Decoder(SMALL, seed=1), Decoder(SMALL, seed=2)
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert not torch.equal(first.embedding.weight, other.embedding.weight)


def test_an_untrained_model_is_near_chance_but_for_the_token_that_it_reads() -> None:
    model = Decoder(preset_configuration("tiny", 512), seed=1)
    row = torch.randint(0, 512, (2, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        # Embeddings are tied, so a token's own logit is high until it is trained.
        logits = model(row).scatter(2, row[:, :, None], 0)
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), row[:, 1:].flatten())
    assert math.log(512) < float(loss) < math.log(512) + 2.5


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("documents", [None, torch.tensor([[0] * 9 + [1] * 11, [3] * 20])])
def test_attention_of_a_gpu_is_that_of_a_bias(documents: torch.Tensor | None) -> None:
    random = torch.Generator().manual_seed(1)
    query, keys, values = torch.randn(3, 2, 3, 20, 16, generator=random)
    slopes = alibi_slopes(3)
    found = flex_attend(query, keys, values, flex_alibi(slopes, 20, documents), 1 / 16)
    expected = attend(query, keys, values, alibi_bias(slopes, 20, documents), 1 / 16)
    assert torch.allclose(found, expected, atol=1e-6)
