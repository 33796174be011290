"""Caches of keys and values that keep some tokens only: Keyformer, H2O, window, StreamingLLM, TOVA, SnapKV.

A scorer says what a token is worth (``scorers``), a budget how many stay (``budget``), and ``shrinking_layer`` drops
the rest. ``transformers_cache`` is for models of transformers. Nothing is imported here.
"""
