"""Shards in, shards out: discovery, ids, reading, quarantine, writing, and the built-in sample."""
