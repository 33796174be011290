"""The built-in sample: a RedPajama-shaped corpus of invented text with planted duplicates and their ground
truth."""

from __future__ import annotations

from slimpajama.sample.write import GROUND_TRUTH, PAIRS, SampleSummary, sample_is_there, write_sample

__all__ = ["GROUND_TRUTH", "PAIRS", "SampleSummary", "sample_is_there", "write_sample"]
