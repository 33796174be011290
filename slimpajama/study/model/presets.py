"""The sizes that the study knows by name.

``1.3b`` is the published configuration. The others have its parts in smaller numbers: a feed-forward part of 8/3 of the
width, rounded to whole vectors. A name tells the size with the vocabulary it is meant for: 4,096 entries for ``tiny``,
``5m`` and ``20m`` (with more, nearly all of ``tiny`` would be its embedding), 50,277 for ``111m`` and ``1.3b``. Below
256, the published base width, a preset is its own base: scales and learning rates would grow where it got narrower.
"""

from __future__ import annotations

from dataclasses import dataclass

from slimpajama.errors import ConfigError
from slimpajama.study.model.configuration import DecoderConfiguration

__all__ = ["PRESETS", "DecoderPreset", "preset_configuration"]


@dataclass(frozen=True, slots=True)
class DecoderPreset:
    """A size: all of a decoder's shape but the vocabulary, which the tokenizer gives."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int

    def configuration(self, vocabulary: int | None = None, context: int = 2048) -> DecoderConfiguration:
        """The shape with a tokenizer's ``vocabulary``, by default the one that the size is meant for."""
        return DecoderConfiguration(
            vocabulary=vocabulary or self.vocabulary,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            feed_forward=self.feed_forward,
            context=context,
            base_width=min(256, self.width),
        )


PRESETS = {
    "tiny": DecoderPreset(128, 2, 4, 344, 4096),
    "5m": DecoderPreset(256, 5, 4, 688, 4096),
    "20m": DecoderPreset(512, 6, 8, 1368, 4096),
    "111m": DecoderPreset(768, 10, 12, 2048, 50_277),
    "1.3b": DecoderPreset(2048, 24, 16, 5461, 50_277),
}


def preset_configuration(name: str, vocabulary: int | None = None, context: int = 2048) -> DecoderConfiguration:
    """The shape of that name. Raises :class:`~slimpajama.ConfigError` for a name that there is not."""
    if name not in PRESETS:
        raise ConfigError(f"there is no model size {name!r}; give one of {', '.join(PRESETS)}")
    return PRESETS[name].configuration(vocabulary, context)
