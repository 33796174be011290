"""Whether caches on a GPU keep the tokens that they keep on the CPU, and give the same logits, in single precision."""

from __future__ import annotations

import torch

from slimpajama.study.kvcache.budget import Budget
from slimpajama.study.kvcache.decoder_cache import DecoderCaches
from slimpajama.study.kvcache.eviction import METHODS, MethodName, eviction
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder

SHAPE = DecoderConfiguration(vocabulary=64, width=64, layers=2, heads=4, feed_forward=96, context=64, base_width=64)
ROWS, PROMPT, STEPS = 2, 48, 16
ALLOWED = 1e-3


def sharp_decoder() -> Decoder:
    """A small one with weights so large that heads attend to few tokens, and scores lie apart."""
    model = Decoder(SHAPE, seed=3)
    model.eval()
    with torch.no_grad():
        for block in model.blocks:
            block.attention.inputs.weight.normal_(0, 0.7, generator=torch.Generator().manual_seed(1))
    return model


@torch.inference_mode()
def logits_and_kept(model: Decoder, method: MethodName, tokens: torch.Tensor) -> tuple[torch.Tensor, list[list[int]]]:
    """Logits of each step, and the places in the cache at the end, by layer, row and head."""
    caches = DecoderCaches(model, eviction(method, Budget(share=0.5), STEPS, seed=1))
    parts = [model(tokens[:, :PROMPT], caches=caches.layers)]
    parts += [model(tokens[:, place : place + 1], caches=caches.layers) for place in range(PROMPT, PROMPT + STEPS)]
    layers = [layer.shrinking for layer in caches.layers]
    kept = [layer.kept(row, head) for layer in layers for row in range(ROWS) for head in range(SHAPE.heads)]
    return torch.cat(parts, 1).cpu(), kept


def refuse_disagreement(device: torch.device) -> str:
    """Say how well ``device`` agrees with the CPU; raises ``AssertionError`` for a method that does not."""
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, SHAPE.vocabulary, (ROWS, PROMPT + STEPS), generator=random)
    here, there = sharp_decoder(), sharp_decoder().to(device)
    farthest = 0.0
    for method in METHODS:
        expected, kept = logits_and_kept(here, method, tokens)
        found, kept_there = logits_and_kept(there, method, tokens.to(device))
        difference = float((found - expected).abs().max())
        farthest = max(farthest, difference)
        if kept != kept_there or not difference <= ALLOWED:
            raise AssertionError(
                f"{method} on {device} differs from the CPU: logits by {difference:.1g} (at most {ALLOWED:g}), kept "
                f"tokens are {'the same' if kept == kept_there else 'others'}"
            )
    return f"{len(METHODS)} methods keep the tokens that they keep on the CPU; logits differ by {farthest:.1g} at most"
