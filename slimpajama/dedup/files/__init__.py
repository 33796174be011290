"""The files of a deduplication: where each lies, and what those say that later runs and commands read."""
