"""How many examples hypothesis tries of properties that cost more than others."""

from __future__ import annotations

from hypothesis import settings


def one_in(count: int) -> settings:
    """One in ``count`` of the examples that the profile asks for."""
    return settings(max_examples=max(1, settings().max_examples // count))
