"""The stages of a run in their order; nothing else knows it."""

from slimpajama.pipeline.dedup import deduplicate

__all__ = ["deduplicate"]
