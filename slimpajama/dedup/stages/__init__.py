"""The stages of a deduplication, one file each; their order is in :mod:`slimpajama.dedup.stages.order`."""
