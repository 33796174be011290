"""A cache that shrinks, for models of ``transformers``: GPT-J, GPT-2 (and Cerebras-GPT), GPT-NeoX, MPT and Llama.

::

    cache = ShrinkingCache(eviction("keyformer", Budget(share=0.5), generated=100))
    with attached(model, cache):
        model.generate(tokens, attention_mask=mask, cache=cache, max_new_tokens=100)

(Before transformers 5.24, the argument is called ``past_key_values``.) It is a cache of ``transformers``, so
``generate`` works with it: greedy, sampling, beams. While it is attached, each attention layer is given a mask of what
its own heads have kept, and its attention is read afterwards to score the tokens. That needs the model's plain
attention ("eager"), which returns its weights; the model's own is put back on leaving. Positions are the original ones:
keys are cached after they were rotated, learned positions went into the embedding, and the slopes of ALiBi are applied
to the places of the kept tokens.

A batch is padded on the left, with an attention mask, as ``generate`` wants it; padding is never kept. Half precision:
weights are read as the model rounds them, so attention below about 6e-8 counts as none in float16.

MPT builds its bias from lengths, so its attention is computed here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeAlias

import torch
import transformers
from transformers import DynamicCache, PreTrainedModel

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.eviction import Eviction
from slimpajama.study.kvcache.shrinking_layer import CacheBytes, ShrinkingLayer

Keywords: TypeAlias = MutableMapping[str, Any]
"""What a hook is told of a call: its arguments by name."""
FAMILIES = ("GPTJAttention", "GPT2Attention", "GPTNeoXAttention", "MptAttention", "LlamaAttention")
"""Attention layers that are known to add a mask of (batch, heads, queries, tokens) and to return their weights."""


class ShrinkingCache(DynamicCache):
    """The layers of one generation; a new one is needed for the next."""

    def __init__(self, eviction: Eviction) -> None:
        super().__init__()
        self.eviction = eviction
        self.shrinking: dict[int, ShrinkingLayer] = {}
        self.tokens = 0  # of a row, padding included: where transformers counts on

    def layer(self, index: int) -> ShrinkingLayer:
        """The cache of layer ``index``, made when it is first asked for."""
        return self.shrinking.setdefault(index, ShrinkingLayer(index, self.eviction))

    def bytes_used(self) -> CacheBytes:
        """Memory of all layers."""
        return sum((layer.bytes_used() for layer in self.shrinking.values()), CacheBytes(0, 0))

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put new keys and values into the slots that were reserved for them; give all that are attended to."""
        layer = self.layer(layer_idx)
        if not layer.reserved:
            raise ConfigError("a ShrinkingCache is used outside of attached(model, cache); call the model inside of it")
        layer.write(key_states, value_states)
        return layer.keys, layer.values

    def get_seq_length(self, layer_idx: int = 0, *_: object) -> int:
        """Tokens seen, as positions go on from there; fewer are in the cache."""
        return self.tokens

    def get_mask_sizes(self, query_length: Any, layer_idx: int = 0) -> tuple[int, int]:
        """Sizes of the mask over all tokens seen, which is replaced by each layer's own."""
        count = query_length if isinstance(query_length, int) else query_length.shape[0]  # positions until 4.57
        return self.tokens + count, 0

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Beams take their caches along."""
        for layer in self.shrinking.values():
            layer.choose_rows(beam_idx)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep some rows."""
        self.reorder_cache(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row ``repeats`` times."""
        for layer in self.shrinking.values():
            rows = torch.arange(layer.rows, device="cpu")
            layer.choose_rows(rows.repeat_interleave(repeats))

    @property
    def is_croppable(self) -> bool:
        """Transformers asks before it undoes a step."""
        return False

    def crop(self, *_: object) -> None:
        """What was dropped cannot come back, so this is an error."""
        raise ConfigError("a ShrinkingCache cannot be cropped; use greedy search, sampling or beams")

    def __len__(self) -> int:
        return len(self.shrinking)


def cache_argument(model: PreTrainedModel) -> str:
    """What the model and its ``generate`` call a cache: ``cache`` from transformers 5.24 on, which takes the older name
    ``past_key_values`` too, with a warning."""
    parameters = inspect.signature(inspect.unwrap(type(model).forward)).parameters
    return "cache" if "cache" in parameters else "past_key_values"


@contextmanager
def attached(model: PreTrainedModel, cache: ShrinkingCache) -> Iterator[ShrinkingCache]:
    """Let ``model`` use ``cache`` while this lasts; calls with another cache, or none, are left alone."""
    layers = [module for module in model.modules() if type(module).__name__ in FAMILIES]
    if not layers:
        raise ConfigError(
            f"{type(model).__name__} has no attention that can shrink its cache; "
            f"known are {', '.join(name.removesuffix('Attention') for name in FAMILIES)}, "
            "for transformers before 4.50 when they are loaded with attn_implementation='eager'"
        )
    if not getattr(model, "_supports_cache_class", True):
        raise ConfigError(
            f"{type(model).__name__} of transformers {transformers.__version__} takes no cache object; "
            "install a newer transformers"
        )
    with ExitStack() as undo:
        undo.callback(setattr, model.config, "_attn_implementation", model.config._attn_implementation)
        model.config._attn_implementation = "eager"
        for settings in (model.config, model.generation_config):  # MPT's are False, and its generate then starts anew
            undo.callback(setattr, settings, "use_cache", settings.use_cache)
            settings.use_cache = True
        for index, module in enumerate(layers):
            if type(module).__name__ == "MptAttention":
                module.forward = partial(mpt_attention, module, module.forward, cache, index)
                undo.callback(delattr, module, "forward")
            else:
                before = partial(give_mask, cache, index)
                after = partial(read_attention, cache, index)
                undo.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
                undo.callback(module.register_forward_hook(after, with_kwargs=True).remove)
        count = partial(count_tokens, cache)
        undo.callback(model.register_forward_hook(count, with_kwargs=True).remove)
        yield cache


def uses(cache: ShrinkingCache, kwargs: Keywords) -> bool:
    """Whether a call was given this cache."""
    return any(value is cache for value in kwargs.values())


def count_tokens(
    cache: ShrinkingCache, model: torch.nn.Module, args: tuple[Any, ...], kwargs: Keywords, output: object
) -> None:
    """After the model has run: the tokens were seen."""
    if uses(cache, kwargs):
        given = kwargs.get("input_ids", args[0] if args else None)
        given = kwargs["inputs_embeds"] if given is None else given
        cache.tokens += given.shape[1]


def reserve(
    cache: ShrinkingCache, index: int, hidden: torch.Tensor, heads: int, mask: torch.Tensor | None
) -> ShrinkingLayer:
    """Make slots for the tokens of ``hidden``; ``mask`` is True where the last query may attend."""
    layer = cache.layer(index)
    layer.reserve(len(hidden), heads, hidden.shape[1], hidden.device, padding_of(mask, hidden) if layer.empty else [])
    return layer


def padding_of(mask: torch.Tensor | None, hidden: torch.Tensor) -> list[int]:
    """How many tokens at the start of each row are padding, by what its last token may attend to."""
    if mask is None:
        return [0] * len(hidden)
    seen = mask[:, 0, -1, : hidden.shape[1]].expand(len(hidden), -1)  # some versions add a column
    padding = seen.shape[1] - seen.sum(1)
    if not torch.equal(seen, torch.arange(seen.shape[1], device=seen.device) >= padding[:, None]):
        raise ConfigError(
            "a prompt is masked elsewhere than at its start; pad on the left (padding_side='left' of the tokenizer), "
            "and pass attention_mask to generate, which without one takes the pad token for padding wherever it stands"
        )
    return [int(count) for count in padding.tolist()]


def open_places(mask: torch.Tensor) -> torch.Tensor:
    """A mask of transformers as True where a token may be attended to."""
    return mask if mask.dtype == torch.bool else mask >= 0


def give_mask(
    cache: ShrinkingCache, index: int, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Keywords
) -> tuple[tuple[Any, ...], Keywords]:
    """Before an attention layer: reserve slots, and replace the mask by one over the slots."""
    if not uses(cache, kwargs):
        return args, kwargs
    hidden = kwargs.get("hidden_states", args[0] if args else None)
    prompt = cache.layer(index).empty
    mask = kwargs.get("attention_mask")
    layer = reserve(cache, index, hidden, key_heads(module), None if mask is None else open_places(mask))
    if not prompt:
        visible = layer.visible()
        kwargs["attention_mask"] = None if visible is None else added_mask(visible, module, hidden.dtype)
    if "output_attentions" in inspect.signature(module.forward).parameters:
        kwargs["output_attentions"] = True
    return args, kwargs


def key_heads(module: torch.nn.Module) -> int:
    """Heads of the keys."""
    config: Any = module.config
    return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)


def added_mask(visible: torch.Tensor, module: torch.nn.Module, dtype: torch.dtype) -> torch.Tensor:
    """(batch, heads, queries, slots) to be added to logits."""
    config: Any = module.config
    visible = visible.repeat_interleave(config.num_attention_heads // visible.shape[1], 1)
    nothing = torch.zeros((), dtype=dtype, device=visible.device)
    return torch.where(visible, nothing, torch.finfo(dtype).min)


def read_attention(
    cache: ShrinkingCache,
    index: int,
    module: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: Keywords,
    output: tuple[Any, ...],
) -> None:
    """After an attention layer: score the tokens by its weights, and drop the lowest."""
    if not uses(cache, kwargs):
        return
    weights = next((part for part in output[1:] if isinstance(part, torch.Tensor) and part.dim() == 4), None)
    if weights is None:
        raise ConfigError(
            f"{type(module).__name__} returned no attention weights; load the model with attn_implementation='eager'"
        )
    score_and_evict(cache.layer(index), weights, module, kwargs.get("hidden_states", args[0] if args else None))


def score_and_evict(
    layer: ShrinkingLayer, weights: torch.Tensor, module: torch.nn.Module, hidden: torch.Tensor | None
) -> None:
    """Show the scorer the queries it reads."""
    read, count = layer.queries_read(), weights.shape[2]
    layer.evict(layer.score(weights[:, :, count - read :].float(), count - read, module, hidden))


def mpt_attention(
    module: Any,
    original: Any,
    cache: ShrinkingCache,
    index: int,
    /,  # what follows may be named as those before
    hidden_states: torch.Tensor,
    position_bias: torch.Tensor,
    *args: Any,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """MPT's attention over the kept tokens, with ALiBi by their places; the weights are as the model computes them."""
    if not uses(cache, kwargs):
        return original(hidden_states, position_bias, *args, **kwargs)  # type: ignore[no-any-return]
    batch, count, width = hidden_states.shape
    mixed = module.Wqkv(hidden_states)
    if module.clip_qkv:
        mixed = mixed.clamp(min=-module.clip_qkv, max=module.clip_qkv)
    query, key, value = (part.view(batch, count, module.n_heads, -1).transpose(1, 2) for part in mixed.chunk(3, dim=2))
    barred = kwargs.get("attention_mask")
    layer = reserve(cache, index, hidden_states, module.n_heads, None if barred is None else ~barred.bool())
    layer.write(key, value)

    slopes = (position_bias[:, 0, -1] - position_bias[:, 0, -2])[None, :, None, None]
    distance = layer.positions[:, :, None] - layer.query_positions[:, None, :, None]
    logits = query @ layer.keys.transpose(-1, -2) * module.softmax_scale + distance * slopes
    visible = layer.visible()
    if visible is not None:
        logits = logits.masked_fill(~visible, torch.finfo(query.dtype).min)
    weights = logits.float().softmax(-1).to(value.dtype)
    output = module.out_proj((weights @ layer.values).transpose(1, 2).reshape(batch, count, width))
    score_and_evict(layer, weights, module, hidden_states)
    return output, weights
