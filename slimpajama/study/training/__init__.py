"""Training a decoder on a mixture."""
