"""Where texts are read again: the pieces of this run, and those of the runs it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slimpajama.corpus.discovery import Piece
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineReader
from slimpajama.text.normalisation import Normalisation

__all__ = ["TextSource"]


@dataclass(frozen=True, slots=True)
class TextSource:
    """A piece, how it was read, and what the first pass found.

    ``rows_file``: a row for each record. ``parts``: positions at which its parts begin; ``content``: their digests.
    ``sketch_marker``, ``sketch_parts``: the marker of the first pass and the folder of its parts, if a piece that has
    changed since is to be forgotten, so that the next run reads it anew.
    """

    piece: Piece
    reader: LineReader
    fields: Fields
    normalisation: Normalisation
    rows_file: Path
    parts: tuple[int, ...]
    content: tuple[str, ...]
    sketch_marker: Path | None = None
    sketch_parts: Path | None = None
