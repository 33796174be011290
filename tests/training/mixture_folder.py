"""A folder as ``slimpajama mix`` leaves it, of sequences made by chance: files in several formats, and a manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from slimpajama.mixture.formats.base import SequenceShape
from slimpajama.registry import MIXTURE_FORMATS
from tests.mixture.formats.made_sequences import Sequences, made, write

END = 1
"""The end-of-text token of made mixtures."""


def ended(sequences: Sequences) -> Sequences:
    """The same with the end-of-text token before each document, as padding, and nowhere else; no document is short."""
    length = len(sequences.tokens[0])
    sequences.filled = [max(2, filled) for filled in sequences.filled]
    for row, (starts, filled) in enumerate(zip(sequences.starts, sequences.filled, strict=True)):
        kept: list[int] = []
        for start in starts:
            if (not start or start - (kept[-1] if kept else 0) >= 2) and filled - start >= 2:
                kept.append(start)
        sequences.starts[row] = kept
    for row, (tokens, starts, filled) in enumerate(
        zip(sequences.tokens, sequences.starts, sequences.filled, strict=True)
    ):
        plain = [token if token != END else 0 for token in tokens[:filled]]
        for start in starts:
            if start:
                plain[start - 1] = END
        sequences.tokens[row] = plain + [END] * (len(tokens) - filled)
        if filled < len(tokens):
            sequences.tokens[row][filled - 1] = END
    for row, starts in enumerate(sequences.starts):  # the one before ends where a document begins
        if starts[:1] == [0] and row and sequences.filled[row - 1] == length:
            sequences.tokens[row - 1][-1] = END
    return sequences


def mixture(
    folder: Path, rows: int, length: int, *, formats: Sequence[str], padded: bool = False, seed: int = 1, files: int = 3
) -> Sequences:
    """Write a mixture of ``rows`` sequences in so many ``files``; returns the sequences."""
    vocabulary = 300
    sequences = ended(made(seed, rows, length, vocabulary, padded))
    listed = []
    shape = SequenceShape(length, ("web", "wiki"), vocabulary, padded)
    folder.mkdir(parents=True, exist_ok=True)
    for name in formats:
        for number in range(files):
            first, last = number * rows // files, (number + 1) * rows // files
            middle = (first + last) // 2
            groups = [
                sequences.group(low, high, padded) for low, high in ((first, middle), (middle, last)) if high > low
            ]
            stem = folder / f"train-{number:05d}-of-{files:05d}"
            for path in write(MIXTURE_FORMATS.get(name), stem, shape, groups):
                listed.append({"name": path.name, "format": name, "sequences": {"web": last - first, "wiki": 0}})
    manifest = {
        "version": 2,
        "recipe": {"name": "made", "packing": "best-fit" if padded else "concat", "seed": seed},
        "plan": {"sequences": rows, "tokens": rows * length, "sources": []},
        "store": {"fingerprint": "f", "vocabulary": vocabulary, "end_of_text": END},
        "files": listed,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return sequences
