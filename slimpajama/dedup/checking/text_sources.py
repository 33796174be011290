"""Where texts are read again: the bundles of this run, and those of the runs it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.pieces import Bundle
from slimpajama.text.normalisation import Normalisation

__all__ = ["TextSource"]


@dataclass(frozen=True, slots=True)
class TextSource:
    """A bundle, how it was read, and what the first pass found.

    ``rows_file``: a row for each record. ``parts``: positions at which the parts of its only piece begin, or 0;
    ``content``: their digests, or those of several pieces. ``sketch_marker``, ``sketch_parts``: the marker of the first
    pass and the folder of its parts, if a bundle that has
    changed since is to be forgotten, so that the next run reads it anew.
    """

    bundle: Bundle
    reader: LineReader
    fields: Fields
    normalisation: Normalisation
    rows_file: Path
    parts: tuple[int, ...]
    content: tuple[str, ...]
    sketch_marker: Path | None = None
    sketch_parts: Path | None = None
