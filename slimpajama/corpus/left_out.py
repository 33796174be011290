"""Say which files of the input are left out, and why, so that nothing is missing without a word.

Three kinds are worth a warning: files with an ending that is none of a shard's, shards that belong to no source, and
``.json`` files of one object. The setting ``strict_input`` makes them an error. Hidden files and unfinished ones
(``.tmp``) are passed over as intended.
"""

from __future__ import annotations

from slimpajama.corpus.file_formats import endings_in_words
from slimpajama.corpus.pieces import Corpus
from slimpajama.errors import InputNotFound
from slimpajama.logging import LOGGER
from slimpajama.printable import printable

__all__ = ["left_out", "report_left_out"]


def left_out(corpus: Corpus) -> list[str]:
    """A sentence for each kind of file that is not read."""
    found = []
    if corpus.unknown:
        found.append(
            f"{len(corpus.unknown):,} file(s) have an ending that is not read, e.g. {printable(corpus.unknown[0])}; "
            f"shards end in {endings_in_words()}"
        )
    if corpus.unassigned:
        found.append(
            f"{len(corpus.unassigned):,} shard(s) belong to no source, e.g. {printable(corpus.unassigned[0])}; move "
            "them into a source's folder, or list the sources in a config"
        )
    if corpus.descriptions:
        found.append(
            f"{len(corpus.descriptions):,} .json file(s) hold one indented object and no records, e.g. "
            f"{printable(corpus.descriptions[0])}; write records as JSON lines (jq -c .) or as an array"
        )
    return found


def report_left_out(corpus: Corpus, strict: bool) -> None:
    """Warn of files that are not read; with ``strict`` raise :class:`InputNotFound` instead."""
    sentences = left_out(corpus)
    if strict and sentences:
        raise InputNotFound(f"{sentences[0]}; or remove them, or set strict_input=false to leave them out")
    for sentence in sentences:
        LOGGER.warning("not read: %s", sentence)
    if corpus.held_out:
        counts = " and ".join(f"{count:,} shard(s) of {split}" for split, count in corpus.held_out.items())
        LOGGER.info("the input comes with a split, which mixtures take: %s", counts)
