"""The slow, obvious twin of the cache: lists of places, one row and one head at a time, in float64 loops.

It is told the logits that every query gives every token of its row, and keeps lists of the tokens that are left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

Logit = Callable[[int, int, int], float]
"""(head, query, key) to the logit, noise aside."""
NoiseOf = Callable[[int, int, int], float]


def no_noise(head: int, query: int, key: int) -> float:
    return 0.0


def softmax(logits: dict[int, float]) -> dict[int, float]:
    top = max(logits.values())
    powers = {key: math.exp(value - top) for key, value in logits.items()}
    total = math.fsum(powers.values())
    return {key: power / total for key, power in powers.items()}


@dataclass
class TwinRow:
    """One row of one layer: ``cached[kv_head]`` are the places left, ``sums[kv_head]`` what a method adds up."""

    method: str
    heads: int
    kv_heads: int
    budget: int
    logit: Logit
    noise: NoiseOf = no_noise
    generated: int = 1
    recent_share: float = 0.3
    sinks: int = 0
    window: int = 4
    smoothing: int = 3
    cached: list[list[int]] = field(default_factory=list)
    sums: list[dict[int, float]] = field(default_factory=list)

    def attention(self, head: int, query: int, temperature: float = 1.0, noisy: bool = False) -> dict[int, float]:
        cached = self.cached[head * self.kv_heads // self.heads]
        return softmax(
            {
                key: (self.logit(head, query, key) + (self.noise(head, query, key) if noisy else 0.0)) / temperature
                for key in cached
                if key <= query
            }
        )

    def prompt(self, length: int) -> None:
        self.cached = [list(range(length)) for _ in range(self.kv_heads)]
        self.sums = [dict.fromkeys(range(length), 0.0) for _ in range(self.kv_heads)]
        self.add_up(list(range(length)), step=0)
        self.drop(length, step=0)

    def generate(self, place: int, step: int) -> None:
        for cached, sums in zip(self.cached, self.sums, strict=True):
            cached.append(place)
            sums[place] = 0.0
        self.add_up([place], step)
        self.drop(place + 1, step)

    def add_up(self, queries: list[int], step: int) -> None:
        if self.method not in ("keyformer", "h2o"):
            return
        noisy = self.method == "keyformer"
        temperature = 1 + min(step, self.generated) / self.generated if noisy else 1.0
        group = self.heads // self.kv_heads
        for head in range(self.heads):
            for query in queries:
                for key, weight in self.attention(head, query, temperature, noisy).items():
                    self.sums[head // group][key] += weight / group

    def drop(self, length: int, step: int) -> None:
        if self.method == "full" or (self.method == "snapkv" and step):
            return
        worth = [self.worth(kv_head, length) for kv_head in range(self.kv_heads)]
        for kv_head, cached in enumerate(self.cached):
            best = sorted(cached, key=lambda place: (-worth[kv_head][place], place))[: self.budget]
            self.cached[kv_head] = sorted(best)
            self.sums[kv_head] = {place: self.sums[kv_head][place] for place in best}

    def worth(self, kv_head: int, length: int) -> dict[int, float]:
        cached, group = self.cached[kv_head], self.heads // self.kv_heads
        if self.method in ("keyformer", "h2o"):
            recent = length - int(self.recent_share * self.budget + 1e-9)
            return {place: math.inf if place >= recent else self.sums[kv_head][place] for place in cached}
        if self.method == "recency":
            return {place: math.inf if place < self.sinks else float(place) for place in cached}
        if self.method == "tova":
            weights = [self.attention(head, length - 1) for head in range(self.heads)]
            return {
                place: math.inf if place == length - 1 else sum(of[place] for of in weights) / self.heads
                for place in cached
            }
        assert self.method == "snapkv"
        queries = range(max(0, length - self.window), length)
        heads = range(kv_head * group, (kv_head + 1) * group)
        mean = dict.fromkeys(cached, 0.0)
        for head in heads:
            for query in queries:
                for key, weight in self.attention(head, query).items():
                    mean[key] += weight / group / len(queries)
        before = {place: mean[place] if place < length - self.window else 0.0 for place in cached}
        half = self.smoothing // 2
        smooth = {
            place: sum(before.get(near, 0.0) for near in range(place - half, place + half + 1)) / self.smoothing
            for place in cached
        }
        stays = length - min(self.window, self.budget)
        return {place: math.inf if place >= stays else smooth[place] for place in cached}
