"""Ten million mutated lines through both ways of reading a record: ``python -m benchmarks.fuzz_scan``.

Kernels decide most lines (:mod:`slimpajama.corpus.json_scan`), and the slow path, which parses each line by itself, is
their twin. Lines are made and damaged as in ``benchmarks.fuzz``, and read as a block in both ways, with the text at
various paths, with ids and preferred fields, in shards of one source and of several. Every field of the two batches
must be equal. It prints how many lines the kernels decided by themselves, so that one sees that there was something to
compare, and exits with 1 at the first difference, with the line.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

import numpy as np

from benchmarks.fuzz import DEEPEST, a_record, mutated
from benchmarks.machine import describe
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineBlock
from slimpajama.corpus.pieces import Piece, Shard, ShardFile
from slimpajama.corpus.records import RecordBatch, parse_lines

BLOCK = 20_000
FIELDS = [
    Fields(),
    Fields(document_id=("id",), preferred=(("meta",), ("meta", "word"))),
    Fields(text=("meta", "word"), document_id=("meta", "naïve")),
]
FILE = ShardFile("a.jsonl", "a.jsonl", ".jsonl", 0, 0)
ONE = Piece(FILE, 0, None, 0, 1, (Shard(7, 0, 0, "a"),), ("RedPajamaC4",))
SEVERAL = Piece(FILE, 0, None, 0, 1, (Shard(7, 0, 0, "a"), Shard(8, 3, 0, "a")), ("word", "naïve"))


def a_block(rng: random.Random) -> LineBlock:
    """Lines of records, most of them damaged, a third of them with the name of a source."""
    records = [a_record(rng) for _ in range(400)]
    named = b'"meta":{"redpajama_set_name":"%s"}'
    names = [name.encode() for name in (*SEVERAL.set_names, "other", "na\\u00efve")]
    records += [one.replace(b'"meta"', named % rng.choice(names) + b',"m"', 1) for one in records[:200]]
    lines = [damaged(rng.choice(records), rng.choice(records), rng).replace(b"\n", b" ") for _ in range(BLOCK)]
    stops = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
    starts = stops - np.array([len(line) for line in lines], dtype=np.int64)
    return LineBlock(memoryview(b"\n".join(lines)), starts, stops, 10**9)


def damaged(record: bytes, other: bytes, rng: random.Random) -> bytes:
    """``record`` with much damage, or with one other byte, which leaves many sound."""
    if rng.random() < 0.5:
        return mutated(record, other, rng)
    at = rng.randrange(len(record))
    return (
        record[:at] + bytes([rng.choice([34, 92, 44, 58, 123, 32, 48, 10, 9, rng.randrange(256)])]) + record[at + 1 :]
    )


def described(batch: RecordBatch) -> list[object]:
    """All fields of a batch, in a form that can be compared and printed."""
    bad = sorted((index, one.position, one.reason, one.size, one.first) for index, one in batch.bad.items())
    arrays = [batch.ids.tolist(), batch.sources.tolist(), batch.sizes.tolist(), sorted(batch.repaired)]
    return [*arrays, batch.texts.decoded(), bad, batch.document_ids, repr(batch.preferred), batch.start]


def first_difference(block: LineBlock, piece: Piece, fields: Fields) -> str:
    """The first line by itself that is read in two ways."""
    for start, stop in zip(block.starts.tolist(), block.stops.tolist(), strict=True):
        line = bytes(block.data[start:stop])
        span = np.array([0, len(line)], dtype=np.int64)
        alone = LineBlock(memoryview(line), span[:1], span[1:], 0)
        fast, slow = (described(parse_lines(alone, piece, fields, scan=scan)) for scan in (True, False))
        if fast != slow:
            return f"{line!r}\n  fast: {fast}\n  slow: {slow}"
    return "no line differs by itself"


def main() -> None:
    """Compare until enough lines were read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(describe())
    sys.setrecursionlimit(4 * DEEPEST)
    rng, began, done, sound = random.Random(arguments.seed), time.perf_counter(), 0, 0
    while done < arguments.lines:
        block, piece, fields = a_block(rng), rng.choice([ONE, SEVERAL]), rng.choices(FIELDS, [5, 5, 1])[0]
        fast, slow = (parse_lines(block, piece, fields, scan=scan) for scan in (True, False))
        if described(fast) != described(slow):
            sys.exit(f"DIFFERENT with {fields} and {piece.set_names}:\n{first_difference(block, piece, fields)}")
        done += BLOCK
        sound += len(fast.texts)
    seconds = time.perf_counter() - began
    print(f"{done:,} lines, of which {sound:,} sound, read alike in both ways; {seconds:.0f} s")


if __name__ == "__main__":
    main()
