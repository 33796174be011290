"""Every method at every budget, and the kinds of noise, on tokens that are given: what each costs in loss.

Full attention is computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from slimpajama.report.figures.kvcache import NoisePoint, QualityPoint
from slimpajama.study.kvcache.agreement import cache_agreement
from slimpajama.study.kvcache.budget import Budget
from slimpajama.study.kvcache.eviction import METHODS, Eviction, MethodName, eviction
from slimpajama.study.kvcache.keyformer import Keyformer
from slimpajama.study.kvcache.noise import HashedNoise
from slimpajama.study.model.decoder import Decoder

EVICTING: tuple[MethodName, ...] = tuple(name for name in METHODS if name != "full")
SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NOISES = (
    HashedNoise("gumbel"),
    HashedNoise("gumbel", fresh=True),
    HashedNoise("gaussian"),
    HashedNoise("gaussian", fresh=True),
    HashedNoise("constant"),
    HashedNoise("none"),
)
NOISE_SHARES = (0.3, 0.6)
"""60 % is that of the paper's ablation."""


def never() -> bool:
    """Go on to the end."""
    return False


@torch.inference_mode()
def quality_points(
    model: Decoder,
    tasks: Mapping[str, torch.Tensor],
    prompt: int,
    seed: int,
    shares: Sequence[float] = SHARES,
    stop: Callable[[], bool] = never,
) -> list[QualityPoint]:
    """All methods at all ``shares``, on the tokens ``[rows, length]`` of each task, of which ``prompt`` are the prompt.

    ``stop`` is asked before each comparison; once it says so, what is done so far is returned.
    """
    points: list[QualityPoint] = []
    for task, tokens in tasks.items():
        full = model(tokens)
        for share in shares:
            for method in EVICTING:
                if stop():
                    return points
                how = eviction(method, Budget(share=share), tokens.shape[1] - prompt, seed)
                found = cache_agreement(model, tokens, prompt, how, full)
                same, divergence = found.same_token, found.divergence
                points.append(QualityPoint(task, method, share, seed, found.loss, found.full_loss, same, divergence))
    return points


@torch.inference_mode()
def noise_points(
    model: Decoder,
    tasks: Mapping[str, torch.Tensor],
    prompt: int,
    seed: int,
    shares: Sequence[float] = NOISE_SHARES,
) -> list[NoisePoint]:
    """The paper's ablation: Keyformer with each kind of noise."""
    points = []
    for task, tokens in tasks.items():
        full = model(tokens)
        for noise in NOISES:
            drawn = HashedNoise(noise.kind, noise.fresh, seed)
            for share in shares:
                how = Eviction(Keyformer(tokens.shape[1] - prompt, noise=drawn), Budget(share=share))
                found = cache_agreement(model, tokens, prompt, how, full)
                loss, full_loss = found.loss, found.full_loss
                points.append(NoisePoint(task, noise.kind, noise.fresh, share, seed, loss, full_loss, found.same_token))
    return points
