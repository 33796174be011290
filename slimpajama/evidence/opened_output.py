"""A finished deduplication whose documents can be looked up, read again and compared: the ground of all evidence.

Decisions come from the output, texts from the input at its recorded place, and nothing is kept in memory between two
look-ups but the manifest. Survivors of an earlier run (``against``) are found in the output of that run.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.config.loading import checked
from slimpajama.corpus.document_text import TextReader
from slimpajama.corpus.file_formats import kind_of, suffix_of
from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.dedup.decision_tables import Decision, DecisionTables, OneScope
from slimpajama.dedup.files.key_index import Index, open_index
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.files.manifest import read_manifest
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.text_comparison import compare_texts
from slimpajama.errors import ConfigError, InputChanged, InputNotFound
from slimpajama.evidence.request import DedupRequest, read_request
from slimpajama.storage.paths import path_of

__all__ = ["Evidence", "Pair", "finished_layout", "open_evidence", "place_of"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A removed document and the one that stays for it, compared by their texts.

    ``jaccard``: shared shingles as a share of all; ``estimate``: datasketch's estimate of it from their signatures, or
    ``None`` for a method without signatures. ``document_in_survivor``: the share of the document's shingles that the
    survivor has, too; ``survivor_in_document`` the other way round. ``bands``: those that agree, counted from 0.
    """

    scope: OneScope
    document: Decision
    survivor: Decision
    jaccard: float
    estimate: float | None
    document_in_survivor: float
    survivor_in_document: float
    bands: tuple[int, ...]
    document_text: str
    survivor_text: str


@dataclass(frozen=True)
class Evidence:
    """What a deduplication decided (``tables``), and where its ``texts`` are."""

    layout: DedupLayout
    tables: DecisionTables
    texts: TextReader
    index: Index

    @property
    def params(self) -> MinHashParams:
        """How its keys were made."""
        return self.index.settings

    @functools.cached_property
    def _earlier(self) -> list[Evidence]:
        own = str(self.index.folder.resolve())
        try:
            return [open_evidence(run) for run in self.index.runs if run != own]
        except InputNotFound as fault:
            raise InputNotFound(
                f"the document belongs to an earlier run that {self.layout.root} was compared with, and that cannot be "
                f"opened: {fault}; bring it back to where it was"
            ) from fault

    def owner(self, id: int) -> Evidence:
        """The run that the document with this id is of: this one, or an earlier one that it was compared with."""
        shard = id >> POSITION_BITS
        if shard < self.index.first_shard:
            for run in self._earlier:
                if run.index.first_shard <= shard < run.index.shards:
                    return run
        return self

    def decision(self, id: int) -> Decision:
        """The decision on a document. Raises :class:`ConfigError` where no document has this id."""
        return self.decisions([id])[0]

    def decisions(self, ids: Sequence[int]) -> list[Decision]:
        """The decisions on documents, in the order of ``ids``; as :meth:`decision`, and faster for many."""
        found: dict[int, Decision] = {}
        by_owner: dict[int, tuple[Evidence, list[int]]] = {}
        for one in ids:
            owner = self.owner(one)
            by_owner.setdefault(owner.index.first_shard, (owner, []))[1].append(one)
        for owner, own in by_owner.values():
            found |= owner.tables.by_ids(own)
        missing = next((one for one in ids if one not in found), None)
        if missing is not None:
            raise ConfigError(
                f"no document of {self.layout.root} has the id {missing:#x}; ids are in the column id of its decisions/"
            )
        return [found[one] for one in ids]

    def source_of(self, id: int) -> str:
        """The source of a document, by its id alone."""
        shard, source = id >> POSITION_BITS, ""
        for name, first in self.index.ranges:
            if first > shard:
                break
            source = name
        return source

    def find(self, document: str) -> list[Decision]:
        """The decisions on what ``document`` names: an id, ``shard:line``, ``shard@position`` or the record's own id.

        More than one only where several records hold the same id. Raises :class:`ConfigError` where nothing is meant.
        """
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}", document):
            number = int(document, 0 if document[:2].lower() == "0x" else 10)
            found = self.owner(number).tables.by_id(number) if number < 1 << 64 else None
            if found is not None:
                return [found]
        for mark in "@:":
            shard, _, place = document.rpartition(mark)
            shard = shard.removeprefix(f"{self.texts.root}/").removeprefix("./")
            if shard in self.tables.shards and re.fullmatch(r"[0-9]{1,12}", place):
                return [self._at(shard, int(place), mark)]
        named = self.tables.by_document_id(document) if self.tables.has_document_ids else []
        if not named:
            own = ", or an id that a record holds" if self.tables.has_document_ids else ""
            example = next(iter(self.tables.shards), "shard.jsonl")
            raise ConfigError(
                f"{document!r} names no document of {self.layout.root}; give an id (decimal or 0x…), SHARD:LINE or "
                f"SHARD@POSITION with a shard such as {example}{own}"
            )
        return named

    def _at(self, shard: str, number: int, mark: str) -> Decision:
        position = number if mark == "@" else self.texts.position_of(shard, number)
        found = self.tables.at(shard, position)
        if found is None:
            what = f"line {number:,}" if mark == ":" else f"position {number:,}"
            raise ConfigError(f"no record begins at {what} of {shard}; a blank line is no record")
        return found

    def text(self, decision: Decision) -> str:
        """The stored text of a document that is not bad.

        Raises :class:`InputNotFound` where its shard has gone, and :class:`InputChanged` where another text is there.
        """
        return self.texts_of([decision])[decision.id]

    def texts_of(self, decisions: Sequence[Decision]) -> dict[int, str]:
        """The stored texts of documents, by id; as :meth:`text`, and each shard is gone through once."""
        by_shard: dict[tuple[int, str], dict[int, Decision]] = {}
        for one in decisions:
            by_shard.setdefault((self.owner(one.id).index.first_shard, one.shard), {})[one.position] = one
        found: dict[int, str] = {}
        for (_, shard), own in by_shard.items():
            reader = self.owner(next(iter(own.values())).id).texts
            positions = sorted(own)
            for position, text in zip(positions, reader.texts(reader.shard(shard), positions), strict=True):
                decision = own[position]
                if len(text.encode()) != decision.bytes:
                    raise InputChanged(
                        f"{shard} holds another text at {place_of(decision)} than when it was deduplicated; bring the "
                        "input back to what it was, or deduplicate again"
                    )
                found[decision.id] = text
        return found

    def survivor(self, decision: Decision, scope: OneScope) -> Decision | None:
        """The document that stays for a removed one in a scope; ``None`` where it was not removed there."""
        cluster = decision.cluster(scope)
        return self.decision(cluster) if decision.removed(scope) and cluster is not None else None

    def pair(self, id: int, scope: OneScope = "global") -> Pair:
        """A removed document beside the one that stays for it.

        Raises :class:`ConfigError` where it was not removed in that scope, and :class:`InputError` where a text cannot
        be read.
        """
        decision = self.decision(id)
        survivor = self.survivor(decision, scope)
        if survivor is None:
            raise ConfigError(
                f"document {id:#x} was not removed in the {scope} scope (its status is {decision.status}), so no other "
                "stays for it; give the id of one that was"
            )
        return self.compared(scope, decision, survivor)

    def compared(self, scope: OneScope, document: Decision, survivor: Decision) -> Pair:
        """Two documents compared by their texts, which are read."""
        return self.pair_of_texts(scope, document, survivor, self.text(document), self.text(survivor))

    def pair_of_texts(
        self, scope: OneScope, document: Decision, survivor: Decision, document_text: str, survivor_text: str
    ) -> Pair:
        """Two documents compared by texts that were read already."""
        found = compare_texts(document_text, survivor_text, self.params)
        return Pair(
            scope,
            document,
            survivor,
            found.jaccard,
            found.estimate,
            found.first_in_second,
            found.second_in_first,
            found.bands,
            document_text,
            survivor_text,
        )


def place_of(decision: Decision) -> str:
    """Where a record begins in its shard: ``byte 1,234`` or ``row 1,234``."""
    suffix = suffix_of(decision.shard)
    unit = kind_of(suffix).format.unit if suffix else "byte"
    return f"{unit} {decision.position:,}"


def finished_layout(output: str | Path) -> DedupLayout:
    """The paths of the finished deduplication in ``output`` or ``output/dedup``.

    Raises :class:`~slimpajama.InputNotFound` where there is none.
    """
    given = DedupLayout(path_of(output))
    layout = given if given.work.exists() else DedupLayout(given.root / "dedup")
    if not layout.work.exists():
        raise InputNotFound(
            f"{given.root} holds no deduplication; give the output of deduplicate, or dedup/ in the output of run"
        )
    if not layout.index.exists():  # a run removes it before its first new result, and writes it at its end
        raise InputNotFound(
            f"a deduplication into {layout.root} was interrupted or is at work, so its decisions are not all of "
            "the same settings; run it again to the end"
        )
    return layout


def open_evidence(output: str | Path) -> Evidence:
    """Open the finished deduplication in ``output``. Raises :class:`~slimpajama.InputNotFound` where there is none."""
    layout = finished_layout(output)
    manifest = read_manifest(layout)
    request = read_request(layout.root)
    if not isinstance(request, DedupRequest):
        raise InputNotFound(f"{layout.root} is no output of a deduplication; give the output of slimpajama dedup")
    config = checked(Config, request.settings, str(layout.root))
    return Evidence(
        layout,
        DecisionTables(layout.root, manifest),
        TextReader(path_of(request.input), config),
        open_index(layout.root),
    )
