"""Signatures, bands, connected components, and the decisions that follow from them."""
