"""Names of files that outputs of several kinds have."""

from __future__ import annotations

__all__ = ["SUMMARY_FILE"]

SUMMARY_FILE = "summary.json"
"""The figures of a finished deduplication, token store or whole run."""
