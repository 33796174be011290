"""The model: a decoder with ALiBi, SwiGLU, tied embeddings, LayerNorm, biases and muP, as the published 1.3B model is.

A block is attention and a gated feed-forward part, each behind a LayerNorm and added to its input. Embeddings are
scaled up, logits down, and scores of attention are divided by the width of a head (:mod:`.configuration`). Queries,
keys and values are one matrix, and so are the two inputs of SwiGLU: the same parameters in fewer and larger products.

Attention is PyTorch's ``scaled_dot_product_attention`` with ALiBi as its bias; blocks that are compiled for a GPU
compute the same by FlexAttention (:mod:`.flex_alibi`). A forward pass may take one cache per layer, which is handed
queries, keys and values and attends to those it has kept; so a cache can drop some for good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from slimpajama.study.model.alibi import alibi_bias, alibi_slopes
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.flex_alibi import LEAST_HEAD_WIDTH, FlexAlibi, flex_alibi, flex_attend

__all__ = ["Attention", "Block", "Decoder", "FeedForward", "LayerCache", "attend"]


class LayerCache(Protocol):
    """Keys and values of one layer that later calls look at."""

    @property
    def seen(self) -> int:
        """Tokens that were handed in so far, those that were dropped among them."""

    def attention(self, query: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        """Take the new tokens at ``positions`` ``[batch, new]`` and return their attention to all that is cached.

        All others are ``[batch, heads, new, head width]``. The cache attends itself, as it may score by attention."""


def attend(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scale: float) -> Tensor:
    """Attention with ``bias`` added to the scaled scores; all are ``[batch, heads, tokens, …]``."""
    return functional.scaled_dot_product_attention(query, keys, values, attn_mask=bias, scale=scale)


class Attention(nn.Module):
    """Every token looks at earlier ones, in heads of their own slopes."""

    def __init__(self, configuration: DecoderConfiguration) -> None:
        super().__init__()
        self.heads = configuration.heads
        self.scale = configuration.attention_scale
        self.inputs = nn.Linear(configuration.width, 3 * configuration.width)
        self.output = nn.Linear(configuration.width, configuration.width)

    def parts(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values ``[batch, heads, tokens, head width]``."""
        batch, tokens, width = hidden.shape
        made = self.inputs(hidden).view(batch, tokens, 3, self.heads, width // self.heads)
        query, keys, values = made.permute(2, 0, 3, 1, 4)
        return query, keys, values

    def forward(self, hidden: Tensor, bias: Tensor | FlexAlibi) -> Tensor:
        """Over a whole sequence."""
        query, keys, values = self.parts(hidden)
        if isinstance(bias, FlexAlibi):
            return self.joined(flex_attend(query, keys, values, bias, self.scale))
        return self.joined(attend(query, keys, values, bias, self.scale))

    def with_cache(self, hidden: Tensor, cache: LayerCache, positions: Tensor) -> Tensor:
        """The same over what ``cache`` has kept."""
        return self.joined(cache.attention(*self.parts(hidden), positions))

    def joined(self, heads: Tensor) -> Tensor:
        """The output of all heads, side by side, through the last matrix."""
        out: Tensor = self.output(heads.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """SwiGLU: swish(xW + b) * (xV + c), then back to the width."""

    def __init__(self, configuration: DecoderConfiguration) -> None:
        super().__init__()
        self.inputs = nn.Linear(configuration.width, 2 * configuration.feed_forward)
        self.output = nn.Linear(configuration.feed_forward, configuration.width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Of each token for itself."""
        gate, value = self.inputs(hidden).chunk(2, dim=-1)
        out: Tensor = self.output(functional.silu(gate) * value)
        return out


class Block(nn.Module):
    """Attention, then the feed-forward part."""

    def __init__(self, configuration: DecoderConfiguration) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(configuration.width, eps=configuration.norm_epsilon)
        self.attention = Attention(configuration)
        self.feed_forward_norm = nn.LayerNorm(configuration.width, eps=configuration.norm_epsilon)
        self.feed_forward = FeedForward(configuration)

    def forward(self, hidden: Tensor, bias: Tensor | FlexAlibi) -> Tensor:
        """Over a whole sequence."""
        hidden = hidden + self.attention(self.attention_norm(hidden), bias)
        return self.after_attention(hidden)

    def with_cache(self, hidden: Tensor, cache: LayerCache, positions: Tensor) -> Tensor:
        """The same over what ``cache`` has kept."""
        hidden = hidden + self.attention.with_cache(self.attention_norm(hidden), cache, positions)
        return self.after_attention(hidden)

    def after_attention(self, hidden: Tensor) -> Tensor:
        """The second half of the block."""
        out: Tensor = hidden + self.feed_forward(self.feed_forward_norm(hidden))
        return out


class Decoder(nn.Module):
    """The whole model. Under ``torch.device("meta")`` it takes no memory; :meth:`initialise` draws its parameters."""

    slopes: Tensor

    def __init__(self, configuration: DecoderConfiguration, seed: int | None = None) -> None:
        super().__init__()
        self.configuration = configuration
        self.embedding = nn.Embedding(configuration.vocabulary, configuration.width)
        self.blocks = nn.ModuleList(Block(configuration) for _ in range(configuration.layers))
        self.norm = nn.LayerNorm(configuration.width, eps=configuration.norm_epsilon)
        self.register_buffer("slopes", alibi_slopes(configuration.heads), persistent=False)
        self.compiled_blocks: list[Callable[[Tensor, Tensor | FlexAlibi], Tensor]] = []
        if seed is not None:
            self.initialise(seed)

    def initialise(self, seed: int) -> None:
        """Draw all parameters by ``seed``. Matrices that write to the residual stream are smaller by
        sqrt(2 * layers), and by their own number of inputs; biases are zero."""
        shape = self.configuration
        random = torch.Generator().manual_seed(seed)

        def draw(weight: Tensor, deviation: float) -> None:
            weight.copy_(torch.empty(weight.shape).normal_(0, deviation, generator=random))

        with torch.no_grad():
            draw(self.embedding.weight, shape.embedding_deviation)
            for block in self.blocks:
                for part, inputs in ((block.attention, shape.width), (block.feed_forward, shape.feed_forward)):
                    draw(part.inputs.weight, shape.matrix_deviation)
                    smaller = (2 * shape.layers * inputs / shape.width) ** -0.5
                    draw(part.output.weight, shape.matrix_deviation * smaller)
                    part.inputs.bias.zero_()
                    part.output.bias.zero_()

    def forward(
        self,
        tokens: Tensor,
        documents: Tensor | None = None,
        *,
        caches: Sequence[LayerCache] | None = None,
    ) -> Tensor:
        """Logits ``[batch, tokens, vocabulary]`` for ``tokens`` ``[batch, tokens]``.

        ``documents``: the number of each token's document, as ``collate(documents=True)`` gives it; tokens then look at
        their own document only. ``caches``: one per layer; ``tokens`` then follow those that the caches have seen.
        """
        return self.logits(self.hidden(tokens, documents, caches=caches))

    def logits(self, hidden: Tensor) -> Tensor:
        """Of the last hidden state."""
        return functional.linear(hidden * self.configuration.output_scale, self.embedding.weight)

    def hidden(
        self, tokens: Tensor, documents: Tensor | None = None, *, caches: Sequence[LayerCache] | None = None
    ) -> Tensor:
        """The last hidden state ``[batch, tokens, width]``, after the last LayerNorm."""
        hidden = self.embedded(tokens)
        if self.training and self.compiled_blocks:
            looks = self.training_bias(tokens, documents, hidden.dtype)
            for compiled in self.compiled_blocks:
                hidden = compiled(hidden, looks)
        elif caches is None:
            bias = self.bias(tokens, documents).to(hidden.dtype)
            for block in self.blocks:
                hidden = block(hidden, bias)
        else:
            first = caches[0].seen
            positions = torch.arange(first, first + tokens.shape[1], device=tokens.device).expand(tokens.shape)
            for block, cache in zip(self.blocks, caches, strict=True):
                hidden = block.with_cache(hidden, cache, positions)
        out: Tensor = self.norm(hidden)
        return out

    def hidden_states(self, tokens: Tensor, documents: Tensor | None = None) -> tuple[Tensor, ...]:
        """``layers + 1`` states: the embeddings, the output of each block; the last after the last LayerNorm."""
        states = [self.embedded(tokens)]
        bias = self.bias(tokens, documents).to(states[0].dtype)
        for block in self.blocks:
            states.append(block(states[-1], bias))
        return (*states[:-1], self.norm(states[-1]))

    def embedded(self, tokens: Tensor) -> Tensor:
        """Scaled embeddings."""
        out: Tensor = self.embedding(tokens) * self.configuration.embedding_scale
        return out

    def bias(self, tokens: Tensor, documents: Tensor | None = None) -> Tensor:
        """What ALiBi adds to the scores of whole sequences, minus infinity for what is not looked at."""
        return alibi_bias(self.slopes, tokens.shape[1], documents)

    def training_bias(self, tokens: Tensor, documents: Tensor | None, kind: torch.dtype) -> Tensor | FlexAlibi:
        """The same for blocks that are compiled: never whole in memory where the kernel takes heads of this width."""
        if self.slopes.is_cuda and self.configuration.head_width >= LEAST_HEAD_WIDTH:
            return flex_alibi(self.slopes, tokens.shape[1], documents)
        return self.bias(tokens, documents).to(kind)

    def compile_blocks(self) -> None:
        """Train with compiled blocks from now on. All blocks have one shape, so one compilation serves them all; the
        model evaluates as before."""
        self.compiled_blocks = [torch.compile(block, dynamic=False) for block in self.blocks]

    def restore_slopes(self) -> None:
        """Compute what is not saved, after the model was made without memory."""
        self.slopes.copy_(alibi_slopes(self.configuration.heads))

    @property
    def parameter_count(self) -> int:
        """Numbers that are learnt; the tied embedding counts once."""
        return sum(weight.numel() for weight in self.parameters())
