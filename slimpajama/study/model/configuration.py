"""The shape of a decoder, and the scales that muP makes of its width.

muP (maximal update parametrisation) lets one learning rate serve all widths: what a step changes in the activations
does not depend on the width. Four things follow the ratio ``width / base_width``: the scale of the logits, the initial
deviation of matrices inside the blocks, their learning rate, and attention, whose products are divided by the width of
a head instead of its root. At ``base_width`` all of them are what they are without muP, but for attention.
"""

from __future__ import annotations

from dataclasses import dataclass

from slimpajama.errors import ConfigError

__all__ = ["DecoderConfiguration"]


@dataclass(frozen=True, slots=True)
class DecoderConfiguration:
    """The shape of a decoder. ``context``: tokens of a training sequence; ALiBi sets no limit of its own.

    ``embedding_scale`` and ``base_output_scale`` are by default those of the published 1.3B configuration. Initial
    deviations were not published with it: 0.02 for embeddings and ``matrix_gain / sqrt(inputs)`` for matrices are ours.
    Raises :class:`~slimpajama.ConfigError` for a shape that cannot be built.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    feed_forward: int
    context: int = 2048
    base_width: int = 256
    embedding_scale: float = 14.6
    base_output_scale: float = 2.22
    embedding_deviation: float = 0.02
    matrix_gain: float = 1.0
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "layers", "heads", "feed_forward", "context", "base_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} of a decoder is {getattr(self, name)}; give at least 1")
        if self.width % self.heads:
            raise ConfigError(
                f"a decoder of width {self.width} cannot have {self.heads} heads of equal width; "
                "give a number of heads that divides the width"
            )

    @property
    def head_width(self) -> int:
        """Of the queries, keys and values of one head."""
        return self.width // self.heads

    @property
    def width_ratio(self) -> float:
        """How many times ``base_width`` the width is."""
        return self.width / self.base_width

    @property
    def output_scale(self) -> float:
        """What logits are multiplied by: 0.2775 in the published 1.3B configuration."""
        return self.base_output_scale / self.width_ratio

    @property
    def attention_scale(self) -> float:
        """What products of queries and keys are multiplied by."""
        return 1 / self.head_width

    @property
    def matrix_deviation(self) -> float:
        """Initial standard deviation of a matrix that reads activations of the blocks."""
        return float(self.matrix_gain * self.width**-0.5)

    @property
    def matrix_rate(self) -> float:
        """What the learning rate of those matrices is multiplied by."""
        return 1 / self.width_ratio
