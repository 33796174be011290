"""Mutated lines through the splicing kernel and its slow twin: ``python -m benchmarks.fuzz_splicing --lines 1e6``.

Records of many shapes are broken at random. Of what is still a sound record the kernel must make what the slow path
makes, or leave it; of the rest it must do nothing but stay inside its buffers. Prints how many lines were spliced, and
every difference; ends with 1 where there is one. Takes about 20 seconds for a million lines.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from typing import Any

import orjson

from slimpajama.corpus.rebuilt_line import rebuilt_line
from tests.corpus.test_spliced_lines import spliced

BATCH = 1000
COUNTS = b'{"global":2,"local":1,"exact":null,"sources":["c4"]}'
NAMES = ["text", "meta", "redpajama_set_name", "duplicates", "url", "url_", "id", "é", ""]
VALUES: list[Any] = [
    0,
    -1.5,
    True,
    None,
    "",
    "a",
    "é\n",
    'q"\\',
    "duplicates",
    "x" * 40,
    [],
    [1, [2]],
    {},
    {"a": {"b": []}},
]
PIECES = [bytes([byte]) for byte in b'"\\{}[],: \t0n\x00\x7f\xc3\xa9'] + [
    b'"text":"x",',
    b'"meta":{},',
    b',"url":1',
    b'"duplicates"',
    b"redpajama_set_name",
    b"\\u0041",
    b"null",
]


def record(chosen: random.Random) -> bytes:
    """A sound record of some shape."""
    members: list[tuple[str, Any]] = [("text", chosen.choice(["a", "", 'é "b" \\ ' * 5, "c" * chosen.randrange(100)]))]
    if chosen.random() < 0.8:
        inside = {chosen.choice(NAMES): chosen.choice(VALUES) for _ in range(chosen.randrange(5))}
        members.append(("meta", inside if chosen.random() < 0.9 else chosen.choice(VALUES)))
    members += [(chosen.choice(NAMES[2:]), chosen.choice(VALUES)) for _ in range(chosen.choice([0, 0, 0, 1, 2]))]
    chosen.shuffle(members)
    line = orjson.dumps(dict(members))
    return line.replace(b":", b" : ") if chosen.random() < 0.1 else line


def mutated(line: bytes, chosen: random.Random) -> bytes:
    """With up to two places changed."""
    for _ in range(chosen.choice([0, 1, 1, 1, 2])):
        at = chosen.randrange(len(line) + 1)
        line = line[:at] + chosen.choice(PIECES) + line[at + chosen.choice([0, 0, 1, 1, 2, 5]) :]
    return line.replace(b"\n", b"")


def differences(lines: list[bytes], keeps_label: bool, counts: bytes | None) -> Iterator[bytes | None]:
    """For each line that was spliced, ``None`` or the line itself if the twin makes another of it."""
    for line, found in zip(lines, spliced(lines, keeps_label=keeps_label, counts=counts), strict=True):
        try:
            sound = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if found is not None and isinstance(sound, dict) and isinstance(sound.get("text"), str):
            same = found == rebuilt_line(line, "S", keeps_label=keeps_label, duplicates=counts)
            yield None if same else line


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=float, default=1e6, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other lines")
    given = parser.parse_args()
    chosen = random.Random(given.seed)
    count = compared = wrong = 0
    while count < given.lines:
        lines = [mutated(record(chosen), chosen) for _ in range(BATCH)]
        count += BATCH
        for line in differences(lines, chosen.random() < 0.5, chosen.choice([None, COUNTS])):
            compared += 1
            if line is not None:
                wrong += 1
                print(f"differs: {line!r}")
    print(f"{count:,} lines, {compared:,} of them sound and spliced, {wrong:,} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
