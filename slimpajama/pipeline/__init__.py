"""The stages of a run in their order; nothing else knows it."""
