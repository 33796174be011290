"""The second try of a piece whose worker hung or died: one document at a time, so that the culprit is known.

Before each document its id goes into a small file, which outlives the worker. If that one hangs or crashes too,
the document it was at goes to the quarantine, and the next try leaves it out; everything else is sketched as always.
Only the process that runs the stage decides, so what an interrupted run left is never taken for a culprit. A document
is blamed if the worker crashed or gave no sign of life at it, or if two tries in a row ended at it. A worker that was
killed for memory on this machine blames nobody. Costs a small file written and a call per document, in such a try
alone. Rejected: a time limit for every document (all would pay for it), and a process for each document.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.corpus.records import FIRST_BYTES, BadRecord, RecordBatch
from slimpajama.dedup.key_methods import TextSketcher
from slimpajama.dedup.sketcher import Sketches, joined_sketches
from slimpajama.engine import Death
from slimpajama.engine.heartbeat import beat

__all__ = ["DOCUMENT_SECONDS", "MOST_LEFT_OUT", "Care", "LeftOut", "leave_out", "next_care", "sketch_one_by_one"]

DOCUMENT_SECONDS = 300.0
"""Seconds that one document may take in a careful try. The largest that is admitted takes a few."""

MOST_LEFT_OUT = 10
"""Documents of a piece that are left out before the run gives up: something else is wrong then."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A document that is quarantined unread, by its id."""

    document: int
    reason: str


@dataclass(frozen=True, slots=True)
class Care:
    """How a piece is tried again.

    ``at``: the file that says which document is being worked on. ``stopped_at``: the document at which the last try
    ended, if that was not reason enough to leave it out.
    """

    at: Path
    left_out: tuple[LeftOut, ...] = ()
    stopped_at: int = -1


def next_care(care: Care | None, death: Death, at: Path) -> Care | None:
    """What follows on a death while a piece was tried with ``care``; ``None``: give up."""
    if care is None:
        at.unlink(missing_ok=True)
        return Care(at)
    document = _read(care.at)
    care.at.unlink(missing_ok=True)
    if document >= 0 and (death.by_item or document == care.stopped_at):
        if len(care.left_out) == MOST_LEFT_OUT:
            return None
        culprit = LeftOut(document, f"no result: the worker that handled it {death.fate}")
        return Care(care.at, (*care.left_out, culprit))
    return replace(care, stopped_at=document) if death.may_repeat else None


def leave_out(batch: RecordBatch, left_out: Sequence[LeftOut]) -> RecordBatch:
    """``batch`` with a bad record in place of each document in ``left_out`` that is in it and sound."""
    reasons = {one.document: one.reason for one in left_out}
    sound = batch.sound
    blamed = [place for place, document in enumerate(batch.ids[sound].tolist()) if document in reasons]
    if not blamed:
        return batch
    bad = dict(batch.bad)
    for place in blamed:
        index = int(sound[place])
        document = int(batch.ids[index])
        start, stop = int(batch.texts.starts[place]), int(batch.texts.stops[place])
        first = batch.texts.data[start : min(stop, start + FIRST_BYTES)].tobytes()
        bad[index] = BadRecord(_position(document), reasons[document], int(batch.sizes[index]), first)
    stays = np.ones(sound.size, dtype=np.bool_)
    stays[blamed] = False
    repaired = [index for index in batch.repaired if index not in bad]
    return replace(batch, texts=batch.texts.chosen(stays), bad=bad, repaired=repaired)


def sketch_one_by_one(batch: RecordBatch, sketcher: TextSketcher, at: Path) -> Sketches:
    """As ``sketcher.sketch(batch.texts)``; while a document is sketched, its id is in the file ``at``."""
    sketches = [sketcher.sketch(batch.texts.chosen(slice(0)))]
    for place, document in enumerate(batch.ids[batch.sound].tolist()):
        at.write_bytes(b"%d" % document)
        beat()
        sketches.append(sketcher.sketch(batch.texts.chosen(slice(place, place + 1))))
    at.unlink(missing_ok=True)
    return joined_sketches(sketches)


def _position(document: int) -> int:
    return document & ((1 << POSITION_BITS) - 1)


def _read(at: Path) -> int:
    """The id in the file, or -1 where the worker was between documents."""
    with contextlib.suppress(FileNotFoundError):
        return int(at.read_bytes() or -1)
    return -1
