"""What a smaller cache costs: the loss on a continuation, and how often the next token stays the same.

The continuation is given, token by token, whatever the model would have said, so all methods are asked the same. The
first token after a prompt is not counted, as its prediction comes from the prompt itself, before anything is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.checks import check_tokens, is_whole
from slimpajama.study.kvcache.decoder_cache import DecoderCaches
from slimpajama.study.kvcache.eviction import Eviction
from slimpajama.study.model.decoder import Decoder


@dataclass(frozen=True, slots=True)
class CacheAgreement:
    """Means over all counted tokens: the loss in nats, with full attention too, the share of tokens for which both find
    the same next token likeliest, and the Kullback-Leibler divergence of the two predictions in nats."""

    loss: float
    full_loss: float
    same_token: float
    divergence: float


@torch.inference_mode()
def cache_agreement(
    decoder: Decoder, tokens: torch.Tensor, prompt: int, eviction: Eviction, full: torch.Tensor | None = None
) -> CacheAgreement:
    """Compare ``eviction`` with full attention on ``tokens`` ``[rows, length]``, of which ``prompt`` are the prompt.

    ``full``: the logits of ``decoder(tokens)``, where they are at hand already.
    """
    check_tokens(tokens, decoder.configuration.vocabulary)
    if not is_whole(prompt) or prompt > tokens.shape[1] - 2:
        raise ConfigError(
            f"{tokens.shape[1]} tokens with a prompt of {prompt!r} leave nothing to count; "
            "give a whole number of 1 or more, and at least 2 tokens after the prompt"
        )
    caches = DecoderCaches(decoder, eviction)
    decoder.hidden(tokens[:, :prompt], caches=caches.layers)
    parts = [
        decoder(tokens[:, place : place + 1], caches=caches.layers) for place in range(prompt, tokens.shape[1] - 1)
    ]
    chances = torch.cat(parts, 1).float().log_softmax(-1).flatten(0, 1)
    full = decoder(tokens) if full is None else full
    of_full = full[:, prompt:-1].float().log_softmax(-1).flatten(0, 1)
    labels = tokens[:, prompt + 1 :].flatten().long()
    return CacheAgreement(
        float(functional.nll_loss(chances, labels)),
        float(functional.nll_loss(of_full, labels)),
        float((chances.argmax(-1) == of_full.argmax(-1)).float().mean()),
        float(functional.kl_div(chances, of_full, log_target=True, reduction="batchmean")),
    )
