"""Checking removals: which documents to compare, how similar they are, and which stay."""
