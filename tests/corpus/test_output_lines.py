"""Kept lines of JSONL in batches are the lines that the slow path gives one by one."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimpajama.corpus.content import ContentDigest, PartsCheck
from slimpajama.corpus.discovery import Piece, discover
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.line_batch import BATCH_BYTES
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.shard_writer import DuplicateCounts, Replacements, kept_batches, kept_lines
from slimpajama.errors import InputChanged
from slimpajama.text.normalisation import normaliser
from tests.corpus.shards import put

KINDS = [
    b'{"text":"plain"}',
    b'{"text":"with meta","meta":{"n": 1}}',
    b'{"text":"with fields","meta":{"n": 1},"url":"u"}',
    b'{"text":"of a name that is taken","meta":{"n": 1},"n":2}',
    b'{"text":"e\xcc\x81 changes when it is normalised"}',
    b'{"text":"a number that JSON cannot hold","n":NaN}',
    b'{"text":"%s"}' % (b"long " * (BATCH_BYTES // 4)),
]
REWRITTEN = (4, 5)


def shard_of(folder: Path, lines: list[bytes]) -> tuple[Piece, np.ndarray[Any, Any]]:
    """A plain shard of lines, and where each begins."""
    put(folder, {"c4/a.jsonl": b"".join(line + b"\n" for line in lines)})
    (piece,) = discover(folder).pieces
    return piece, np.cumsum([0, *(len(line) + 1 for line in lines)])[:-1]


def digests(piece: Piece, starts: list[int]) -> list[str]:
    """Of the parts of a piece, as the first pass leaves them."""
    found = []
    for start, stop in zip(starts, [*starts[1:], 1 << 60], strict=True):
        digest = ContentDigest()
        for block in LineReader().blocks(piece, start):
            own = block.offset + block.starts < stop
            digest.add_lines(type(block)(block.data, block.starts[own], block.stops[own], block.offset))
        found.append(digest.take())
    return found


class Asked:
    """Some of the records of a shard of all kinds of lines, in two parts."""

    def __init__(self, folder: Path, seed: int) -> None:
        chosen = random.Random(seed)
        kinds = [chosen.choices(range(len(KINDS)), [20, 20, 20, 3, 3, 3, 1])[0] for _ in range(60)]
        self.piece, starts = shard_of(folder, [KINDS[kind] for kind in kinds])
        self.kept = np.array([chosen.random() < 0.7 for _ in kinds])
        self.positions = starts[self.kept]
        self.rewritten = np.isin(kinds, REWRITTEN)[self.kept]
        self.parts = [0, int(starts[25])]
        self.content = digests(self.piece, self.parts)
        self.replaced = Replacements()

    def lines(self, function: Callable[..., Iterator[Any]], **settings: Any) -> Iterator[Any]:
        count = self.positions.size
        numbers = np.arange(count, dtype=np.uint32) % 2
        counts = DuplicateCounts([b'{"global":1}', b'{"global":22}'], numbers)
        asked = {"check": PartsCheck(self.piece, self.parts, self.content), "counts": counts, **settings}
        sources = np.full(count, self.piece.shards[0].source)
        return function(
            self.piece,
            LineReader(block_bytes=1 << 16),
            self.positions,
            sources,
            self.rewritten,
            normaliser("nfc"),
            replaced=self.replaced,
            **asked,
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "settings", [{}, {"counts": None}, {"check": None}, {"fields": Fields.of("text", "url")}], ids=str
)
def test_batches_hold_the_lines_of_the_slow_path_and_end_with_their_parts(
    tmp_path: Path, seed: int, settings: dict[str, Any]
) -> None:
    asked = Asked(tmp_path, seed)
    expected = list(asked.lines(kept_lines, **settings))
    replaced = asked.replaced.values
    asked.replaced = Replacements()
    batches = list(asked.lines(kept_batches, **settings))
    assert [line for batch in batches for line in batch.lines()] == expected
    assert asked.replaced.values == replaced
    ends = [number for number, batch in enumerate(batches) if not batch]
    assert len(ends) == (0 if settings == {"check": None} else 2)
    assert all(len(batch.data) < BATCH_BYTES + 2 * len(KINDS[-1]) for batch in batches)


@pytest.mark.parametrize("put_there", [b'"', b"{", b"x", b"\\", b"\xff"])
def test_a_line_that_changed_is_noticed_before_its_part_ends(tmp_path: Path, put_there: bytes) -> None:
    asked = Asked(tmp_path, 1)
    path = Path(asked.piece.file.path)
    content, times = path.read_bytes(), path.stat()
    at = int(asked.positions[np.flatnonzero(~asked.rewritten)[3]]) + 9
    path.write_bytes(content[:at] + put_there + content[at + 1 :])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    before_the_end = itertools.takewhile(len, asked.lines(kept_batches))
    with pytest.raises(InputChanged, match=r"a\.jsonl changed during the run"):
        list(before_the_end)
