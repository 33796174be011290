"""A deduplicated shard of a run that writes none (``scope: none``): its lines, made from the input while they are read.

They come from the input by the decisions, in the way in which the stage "write" makes them, so they are byte for byte
what a written shard holds, and whoever reads them cannot tell the difference. Costs a pass over the bundle of the input
for each source in it and each part of it; a compressed piece is decoded from its beginning. The input is compared with
what was deduplicated, as it is when shards are written. Rejected: the texts alone, without their lines (excerpts to
train a tokenizer on are drawn from blocks of lines, and would be others).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from slimpajama.config.dedup import Scope
from slimpajama.dedup.checking.text_sources import TextSource
from slimpajama.dedup.output_shards import batches_of_kept, kept_records
from slimpajama.errors import InputChanged
from slimpajama.storage.atomic import fingerprint
from slimpajama.storage.file_record import FileRecord

__all__ = ["UnwrittenShard"]


@dataclass(frozen=True, slots=True)
class UnwrittenShard:
    """What a ``scope`` keeps of one ``source``, by its number, in part number ``part`` of a bundle.

    ``texts``: the bundle, and how it was read. ``rows``: its rows file. ``source_names``: where records are told what
    they stand for.
    """

    texts: TextSource
    rows: FileRecord
    decisions_file: Path
    part: int
    source: int
    scope: Scope
    source_names: tuple[str, ...] | None

    @property
    def digest(self) -> str:
        """Of what the lines are made of, beside the decisions."""
        texts = self.texts
        content = texts.content[self.part] if len(texts.bundle.pieces) == 1 else texts.content
        made_of = (content, texts.normalisation, texts.fields.text_name, self.source_names or ())
        return fingerprint(*made_of)

    def lines(self) -> Generator[bytes, None, None]:
        """The lines, each with its newline, many at a time.

        Raises :class:`InputChanged` where the input is not what was deduplicated, at the latest after the last line.
        """
        try:
            yield from self._lines()
        except InputChanged as fault:
            raise InputChanged(
                f"{self.texts.bundle.paths} has changed since it was deduplicated, and its texts are needed, as no "
                "shards were written (scope: none); bring back what it was, or run slimpajama dedup again"
            ) from fault

    def _lines(self) -> Generator[bytes, None, None]:
        texts = self.texts
        start = texts.parts[self.part]
        kept = kept_records(
            texts.bundle, self.decisions_file, texts.rows_file, [self.scope], start, self.source_names
        ).of_source(self.source)
        parts, content = texts.parts[self.part :], texts.content[self.part :]
        batches = batches_of_kept(texts.bundle, kept, texts, parts, content)
        for batch in batches:
            if not batch:  # the part ends here, and is what was deduplicated
                return
            yield batch.data
