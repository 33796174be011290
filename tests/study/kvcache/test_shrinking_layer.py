"""What a layer keeps: the traces of the reference vectors, and what the slow twin keeps."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from slimpajama.study.kvcache.budget import Budget
from slimpajama.study.kvcache.eviction import Eviction
from slimpajama.study.kvcache.h2o import HeavyHitters
from slimpajama.study.kvcache.keyformer import Keyformer
from slimpajama.study.kvcache.noise import HashedNoise, NoiseSource
from slimpajama.study.kvcache.recency import RecentTokens
from slimpajama.study.kvcache.scorers import Scorer
from slimpajama.study.kvcache.shrinking_layer import ShrinkingLayer
from slimpajama.study.kvcache.snapkv import PromptEnd
from slimpajama.study.kvcache.tova import LastAttention
from tests.study.kvcache.slow_twin import TwinRow

CPU = torch.device("cpu")
WIDTH = 8
PUBLISHED = json.loads(Path(__file__).with_name("keyformer_traces.json").read_text("utf-8"))
"""Reference traces of one head, by an independent program."""


@dataclass(frozen=True)
class Case:
    """A method, and how the twin is told of it."""

    twin: str
    scorer: Scorer | None
    recent_share: float = 0.0
    sinks: int = 0


GENERATED = 6
CASES = {
    "keyformer, fixed noise": Case("keyformer", Keyformer(GENERATED, 0.3, noise=HashedNoise(seed=3)), 0.3),
    "keyformer, fresh noise": Case("keyformer", Keyformer(GENERATED, 0.3, noise=HashedNoise(fresh=True)), 0.3),
    "keyformer, gaussian": Case("keyformer", Keyformer(GENERATED, 0.2, noise=HashedNoise("gaussian")), 0.2),
    "keyformer, no noise": Case("keyformer", Keyformer(GENERATED, 0.3, noise=HashedNoise("none")), 0.3),
    "h2o": Case("h2o", HeavyHitters(), 0.5),
    "window": Case("recency", RecentTokens()),
    "streaming_llm": Case("recency", RecentTokens(sinks=2), sinks=2),
    "tova": Case("tova", LastAttention()),
    "snapkv": Case("snapkv", PromptEnd(window=4, smoothing=3)),
    "full": Case("full", None),
}


def attention_of(queries: torch.Tensor, keys: torch.Tensor, visible: torch.Tensor | None) -> torch.Tensor:
    """(batch, heads, queries, slots), as a model computes it."""
    group = queries.shape[1] // keys.shape[1]
    logits = queries @ keys.repeat_interleave(group, 1).transpose(-1, -2)
    if visible is not None:
        logits = logits.masked_fill(~visible.repeat_interleave(group, 1), torch.finfo(torch.float32).min)
    return logits.softmax(-1)


@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (4, 2), (3, 1)])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("padding", [[0, 0], [0, 5]])
@pytest.mark.parametrize("budget", [Budget(share=0.5), Budget(tokens=5), Budget(tokens=13)])
def test_the_layer_keeps_what_the_slow_twin_keeps(
    name: str, heads: int, kv_heads: int, padding: list[int], budget: Budget
) -> None:
    case, length, steps = CASES[name], 12, 9
    draw = torch.Generator().manual_seed(heads * 7 + padding[1])
    shape = (len(padding), heads, length + steps, WIDTH)
    queries = torch.randn(shape, generator=draw)
    keys = torch.randn(shape, generator=draw)[:, :kv_heads]
    group = heads // kv_heads

    layer = ShrinkingLayer(1, Eviction(case.scorer, budget if case.scorer else None))
    twins = []
    for row, pads in enumerate(padding):
        noise = case.scorer.noise if isinstance(case.scorer, Keyformer) else HashedNoise("none")

        def logit(head: int, query: int, key: int, row: int = row, pads: int = pads) -> float:
            return float(queries[row, head, query + pads] @ keys[row, head // group, key + pads])

        def noise_of(head: int, query: int, key: int, noise: NoiseSource = noise) -> float:
            drawn = noise.draw(1, torch.tensor([[query]]), torch.full((1, heads, 1), key))
            return 0.0 if drawn is None else float(drawn[0, head, 0, 0])

        twin = TwinRow(case.twin, heads, kv_heads, budget.for_prompt(length - pads), logit, noise_of, GENERATED)
        twin.recent_share, twin.sinks = case.recent_share, case.sinks
        twin.prompt(length - pads)
        twins.append(twin)

    def step(first: int, last: int) -> None:
        new = keys[:, :, first:last]
        layer.reserve(len(padding), kv_heads, last - first, CPU, padding)
        layer.write(new, new)
        attentions = attention_of(queries[:, :, first:last], layer.keys, layer.visible())
        read = layer.queries_read()
        layer.evict(layer.score(attentions[:, :, last - first - read :], last - first - read))

    def check() -> None:
        for row, twin in enumerate(twins):
            assert [layer.kept(row, head) for head in range(kv_heads)] == twin.cached
            slots = layer.positions[row]
            for head in range(kv_heads):
                for slot, place in enumerate(slots[head].tolist()):
                    if place >= 0:
                        assert torch.equal(layer.keys[row, head, slot], keys[row, head, place + padding[row]])

    step(0, length)
    check()
    for place in range(length, length + steps):
        step(place, place + 1)
        for twin, pads in zip(twins, padding, strict=True):
            twin.generate(place - pads, place - length + 1)
        check()


@dataclass(frozen=True)
class GivenNoise:
    """Noise from tables: of the prompt by query and key, of step t by key."""

    prompt: torch.Tensor
    generated: list[torch.Tensor]
    by_key_alone = False

    def draw(self, layer: int, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        first = int(queries[0, 0])
        table = self.prompt if first == 0 else self.generated[first - len(self.prompt)][None]
        return table[:, keys[0, 0].clamp(min=0)][None, None]


def keyformer_trace(
    prompt: torch.Tensor, generated: list[torch.Tensor], noise: GivenNoise, keep: int, recent: int
) -> list[tuple[list[int], dict[int, float]]]:
    """Kept places and their sums, after the prompt and after each step, of one head whose logits are given."""
    scorer = Keyformer(len(generated), recent / keep, noise=noise)
    layer = ShrinkingLayer(0, Eviction(scorer, Budget(tokens=keep)))
    trace = []
    for step in range(len(generated) + 1):
        count = len(prompt) if step == 0 else 1
        nothing = torch.zeros(1, 1, count, 1)
        layer.reserve(1, 1, count, CPU, [0])
        layer.write(nothing, nothing)
        if step == 0:
            logits = prompt.masked_fill(torch.ones(count, count).triu(1) > 0, -torch.inf)
        else:
            logits = generated[step - 1][layer.positions[0, 0].long()][None]
        scores = layer.score(logits.softmax(-1)[None, None].float())
        places, sums = layer.positions[0, 0].tolist(), layer._sums[0, 0].tolist()
        layer.evict(scores)
        trace.append((layer.kept(0, 0), dict(zip(places, sums, strict=False))))
    return trace


def waves(rows: range, columns: int) -> torch.Tensor:
    return torch.tensor([[1.5 * math.sin(0.9 * row + 1.7 * column) for column in range(columns)] for row in rows])


def agree(trace: list[tuple[list[int], dict[int, float]]], expected: list[dict[str, object]]) -> None:
    assert [kept for kept, _ in trace] == [step["kept"] for step in expected]
    for (kept, sums), step in zip(trace, expected, strict=True):
        published = step["sums"]
        assert isinstance(published, dict)
        assert {place: sums[place] for place in kept} == pytest.approx({place: published[str(place)] for place in kept})


def test_the_trace_without_noise() -> None:
    silent = GivenNoise(torch.zeros(10, 10), [torch.zeros(14)] * 4)
    trace = keyformer_trace(waves(range(10), 10), list(waves(range(10, 14), 14)), silent, keep=6, recent=2)
    agree(trace, PUBLISHED["noise_free"])


def test_the_trace_with_noise_that_is_given() -> None:
    published = PUBLISHED["with_noise"]
    given = GivenNoise(torch.tensor(published["prompt_noise"]), [torch.tensor(n) for n in published["decode_noise"]])
    trace = keyformer_trace(waves(range(10), 10), list(waves(range(10, 14), 14)), given, keep=6, recent=2)
    agree(trace, published["steps"])


def test_generated_tokens_become_key_tokens() -> None:
    silent = GivenNoise(torch.zeros(5, 5), [torch.zeros(9)] * 4)
    hot = [3, 5, 5, 8]
    generated = [torch.tensor([8.0 if place == one else 0.0 for place in range(9)]) for one in hot]
    trace = keyformer_trace(torch.zeros(5, 5), generated, silent, keep=4, recent=2)
    agree(trace, PUBLISHED["changing_keys"])
    assert [kept[:2] for kept, _ in trace] == [[0, 1], [0, 3], [0, 3], [0, 5], [0, 5]]  # 5 was generated


@dataclass
class CountedNoise:
    """Fixed noise that remembers for how many keys it was drawn."""

    by_key_alone: bool
    drawn: list[int] = field(default_factory=list)

    def draw(self, layer: int, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor | None:
        self.drawn.append(keys.shape[-1])
        return HashedNoise(fresh=not self.by_key_alone).draw(layer, queries, keys)


@pytest.mark.parametrize(("by_key_alone", "expected"), [(True, [10, 6, 64]), (False, [10, *[6] * 7])])
def test_fixed_noise_is_computed_once_a_token_and_fresh_noise_at_every_step(
    by_key_alone: bool, expected: list[int]
) -> None:
    noise = CountedNoise(by_key_alone)
    layer = ShrinkingLayer(0, Eviction(Keyformer(7, noise=noise), Budget(tokens=5)))
    for count in (10, *[1] * 7):
        new = torch.ones(1, 1, count, 2)
        layer.reserve(1, 1, count, CPU, [0])
        layer.write(new, new)
        layer.evict(layer.score(attention_of(new, layer.keys, layer.visible())))
    assert noise.drawn == expected  # of the prompt, of those that are kept and the next, and of the next 64
