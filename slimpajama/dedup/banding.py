"""Bands and rows: from a threshold to their numbers, and from them to the chance of catching a pair.

Two documents of Jaccard similarity s agree in all r rows of one of b bands with probability 1 - (1 - s^r)^b, and are
then linked; nothing else decides. The published 9 x 13 catches 40 % of the pairs at s = 0.8 and 93 % at 0.9: the
"threshold" of 0.8 is the value that datasketch's optimiser was given, not a line that anything is held to.
"""

from __future__ import annotations

from slimpajama.config.dedup import Config
from slimpajama.config.dedup_presets import PRESET_THRESHOLD
from slimpajama.errors import ConfigError
from slimpajama.logging import LOGGER

__all__ = [
    "PUBLISHED_BANDS",
    "PUBLISHED_ROWS",
    "banding",
    "catch_probability",
    "optimal_banding",
    "warn_of_missed_pairs",
]

MOST_FOUND = 0.5

PUBLISHED_BANDS = 9
PUBLISHED_ROWS = 13


def catch_probability(similarity: float, bands: int, rows: int) -> float:
    """The chance that a pair of this Jaccard similarity shares a band: ``1 - (1 - s^rows)^bands``."""
    return float(1.0 - (1.0 - similarity**rows) ** bands)


def optimal_banding(threshold: float, num_perm: int) -> tuple[int, int]:
    """``(bands, rows)`` of least summed false-positive and false-negative area, as datasketch chooses them.

    Raises :class:`ConfigError` where it finds none.
    """
    from datasketch import MinHashLSH

    try:
        index = MinHashLSH(threshold=threshold, num_perm=num_perm)
    except ValueError as fault:
        raise ConfigError(
            f"no bands and rows fit threshold {threshold} with {num_perm} permutations ({fault}); "
            "lower the threshold, raise num_perm, or give bands and rows"
        ) from fault
    return int(index.b), int(index.r)


def banding(config: Config) -> tuple[int, int]:
    """The ``(bands, rows)`` a config asks for: given, its preset's, or the optimum for its threshold."""
    if config.bands is not None and config.rows is not None:
        return config.bands, config.rows
    return optimal_banding(config.threshold or PRESET_THRESHOLD, config.num_perm)


def warn_of_missed_pairs(config: Config) -> None:
    """Warn of bands that find few of the pairs at the threshold: they leave most of them, checked or not."""
    if not config.checked or config.threshold is None:
        return
    bands, rows = banding(config)
    found = catch_probability(config.threshold, bands, rows)
    if found < MOST_FOUND:
        LOGGER.warning(
            f"{bands} bands of {rows} rows find {found:.0%} of the pairs at the threshold {config.threshold:g}: most "
            "of those near it will stay; give more bands or fewer rows, or a higher threshold"
        )
