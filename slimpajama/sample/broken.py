"""Lines that are not records: one or two of six kinds of fault, and a blank line, in shards with room for
them.

A run stops when more than 1 % of a shard is broken; a shard gets one broken line per 200 records and never
more than two, so it stays at half of that or less. Nothing is drawn twice from the same place: fault and
place follow from the shard's number. Rejected: broken compression (a fault of the file, not of a line; tests
make their own).
"""

from __future__ import annotations

from slimpajama.sample.random_streams import RandomStream, derive_key

__all__ = ["BROKEN_LINES", "broken_lines"]

BROKEN_LINES = {
    "not JSON": b'{"text": "cut off in the mid\n',
    "not an object": b'["text", "in a list"]\n',
    "no text": b'{"meta": {"language": "en"}}\n',
    "text not a string": b'{"text": 17, "meta": {}}\n',
    "invalid UTF-8": b'{"text": "caf\xe9 \xff\xfe", "meta": {}}\n',
    "lone surrogate": b'{"text": "half a pair \\ud83d here", "meta": {}}\n',
}
"""The line of each fault."""

_RECORDS_PER_BROKEN = 200
_MOST = 2
_PLACES = 0xB40C


def broken_lines(seed: int, shard: int, records: int) -> dict[int, list[bytes]]:
    """Extra lines of a shard by the record (counted from 0) that they stand before: broken, or blank
    (``b"\\n"``)."""
    count = min(_MOST, records // _RECORDS_PER_BROKEN)
    if count == 0:
        return {}
    stream = RandomStream(derive_key(seed, shard, _PLACES))
    faults = list(BROKEN_LINES.values())
    # Shards have numbers in a row, so six of them show all faults even with one line each.
    lines = [faults[(shard + 3 * i) % len(faults)] for i in range(count)] + [b"\n"]
    placed: dict[int, list[bytes]] = {}
    for line in lines:
        placed.setdefault(stream.below(records), []).append(line)
    return placed
