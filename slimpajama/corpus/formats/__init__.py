"""The formats of input shards, one file each."""
