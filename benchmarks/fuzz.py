"""A million hostile records and shards through the reader and the writer: ``python -m benchmarks.fuzz``.

Structure-aware: records are made with what goes wrong in real ones (types, escapes, nesting, numbers, keys that are
there twice), then their bytes are cut, doubled, spliced and overwritten by tokens that parsers stumble over, and
hundreds of them make a shard, read with a random block size, largest record and cut into pieces. For each line the
slow way, Python's ``json`` and a walk through the value, says whether it is sound and what its text is. Every line must
be one record at its place, sound where the slow way says so and with that text; what is written of it must be JSON with
the same text; and its sketch must be made. Then containers are damaged: bytes of zst, gz and Parquet shards. There,
either an error of this program comes, or what is read keeps to the rules above. Shards are made in worker processes, so
a crash of a native library would be seen; one that takes more than a minute counts as hanging. What fails is written
to ``tests/corpus/findings``, whose files are read again by the tests.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from benchmarks.machine import describe
from slimpajama.corpus.discovery import Piece, Shard, ShardFile
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import read_records
from slimpajama.corpus.shard_writer import kept_lines
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.sketcher import Sketcher
from slimpajama.engine.local import LocalEngine
from slimpajama.errors import SlimpajamaError

FINDINGS = Path(__file__).parent.parent / "tests" / "corpus" / "findings"
LINES = 400
BATCH = 25
DEEPEST = 1024
SECONDS = 60

TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b"\r", b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80"]
TOKENS += [
    b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbf",
    b"\\u",
    b"\\ud800",
    b"\\udc00",
    b"\\u0000",
    b"NaN",
    b"-Infinity",
    b"1e999",
]
TOKENS += [b"-", b"0x1", b"01", b"1.", b"'", b"//", b"/**/", b'"text":', b'"text":1,', b'"meta":{},', b"null", b"true"]
TOKENS += [b"[" * 1030, b"[" * 500 + b"]" * 500, b"9" * 400, b"\xe2\x80\xa8", b"\x85", b"\x1f", b"\x7f", b" " * 70]
WORDS = [
    "a",
    "Straße",
    "naïve",
    "東京",
    "\u0301",
    "\u200b",
    "🦙",
    "\ufdfa",
    "ﬁ",
    "\x00",
    "\u2028",
    "İ",
    "e\u0301",
    "word",
]


@dataclass(frozen=True, slots=True)
class Batch:
    """Cases number ``first`` and following; a ``kind`` of container, or lines."""

    kind: str
    first: int
    seed: int


def is_sound(line: bytes) -> str | None:
    """The text of a record, the slow way; ``None`` if it is broken."""

    def number(digits: str) -> float | None:
        value = float(digits)
        return None if abs(value) == float("inf") else value

    try:
        numbers: Any = {"parse_int": number, "parse_float": number, "parse_constant": lambda _: None}
        record = json.loads(line.decode(), object_pairs_hook=_Members, **numbers)
        level, depth = [record], 0
        while level:
            depth += any(isinstance(one, list) for one in level)
            level = [value for one in level for value in _inside(one)]
            if depth > DEEPEST:
                return None
    except (ValueError, RecursionError):
        return None
    text = dict(record).get("text") if isinstance(record, _Members) else None
    return text if isinstance(text, str) and not any("\ud800" <= one <= "\udfff" for one in text) else None


class _Members(list[Any]):
    """The members of an object, also those whose key is there twice."""


def _inside(value: Any) -> list[Any]:
    """What a JSON value holds."""
    if isinstance(value, _Members):
        return [one for member in value for one in member]
    return value if isinstance(value, list) else []


def a_record(rng: random.Random) -> bytes:
    """One record, sound or nearly."""
    text: Any = " ".join(rng.choices(WORDS, k=rng.randrange(60)))
    meta: Any = {rng.choice(WORDS): rng.choice([1, -2.5, 10 ** rng.randrange(30), None, True, text[:9], [1, [2]]])}
    fate = rng.random()
    if fate < 0.1:
        text = rng.choice([None, 1, 2.5, True, [text], {"text": text}, ""])
    elif fate < 0.2:
        for _ in range(rng.choice([3, 900, 1020, 1024, 2000])):
            meta = [meta]
    record: Any = {"text": text, "meta": meta}
    if fate > 0.8:
        record = {"id": 7, "meta": meta, "text": text, rng.choice(["a", "meta.x", "redpajama_set_name"]): text[:5]}
    if fate > 0.95:
        record = rng.choice([[record], text, meta, {"texts": text}, {"text ": text}])
    content = _dumped(record, ensure_ascii=rng.random() < 0.5, separators=rng.choice([(",", ":"), (", ", " : ")]))
    return content[:-1] + b',"text":"again"}' if 0.2 < fate < 0.25 and content.endswith(b"}") else content


def _dumped(record: Any, **how: Any) -> bytes:
    return json.dumps(record, **how).encode(errors="surrogatepass")


def mutated(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """``content`` with some damage."""
    out = bytearray(content)
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        at, end = sorted(rng.randrange(len(out) + 1) for _ in range(2))
        match rng.randrange(6):
            case 0 if out:
                out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
            case 1:
                out[at:at] = rng.choice(TOKENS)
            case 2:
                del out[at : min(end, at + 40)]
            case 3:
                out[at:at] = out[at : min(end, at + 40)]
            case 4:
                out[at:] = other[rng.randrange(len(other) + 1) :]
            case _:
                out[at : at + 4] = rng.choice(TOKENS)
    return bytes(out)


def pieces_of(path: Path, rng: random.Random) -> list[Piece]:
    """The file whole, or, uncompressed, in some parts."""
    status = path.stat()
    ending = "".join(path.suffixes)
    file = ShardFile(str(path), path.name, ending, status.st_size, status.st_mtime_ns, "")
    cuts: list[int | None] = [0]
    if ending == ".jsonl":
        cuts += sorted(rng.sample(range(1, status.st_size), min(rng.randrange(4), max(0, status.st_size - 1))))
    shard = (Shard(0, 0, 0, "s"),)
    return [
        Piece(file, start or 0, stop, number, len(cuts), shard, ("RedPajamaC4",))
        for number, (start, stop) in enumerate(zip(cuts, [*cuts[1:], None], strict=True))
    ]


def without_framing(lines: list[bytes], largest: int) -> list[bytes]:
    """The lines with blanks for the marks before a record, and without the NULs behind the last."""
    *before, last = lines
    padded = len(last) <= largest or not last.strip(b"\0")
    found = []
    for line in [*before, last.rstrip(b"\0") if padded else last]:
        record = line
        while record.startswith((b"\xef\xbb\xbf", b"\x1e")):
            record = record[3 if record[0] == 0xEF else 1 :]
        found.append(record.rjust(len(line)) if len(line) <= largest else line)
    return found


def check_lines(content: bytes, folder: Path, rng: random.Random) -> Counter[str]:
    """Read, sketch and write a shard of these bytes; raises :class:`AssertionError` where the slow way says otherwise.

    Returns how many of its lines were sound, broken by reason, and blank.
    """
    largest = rng.choice([200, 2000, 64 << 20])
    reader = LineReader(max_line_bytes=largest, block_bytes=rng.choice([1, 64, 1000, 1 << 16]))
    expected, verdicts, offset = [], Counter[str](), 0
    for line in without_framing(content.split(b"\n"), largest):
        if len(line) > largest or line.strip(b" \t\r\n"):
            expected.append((offset, len(line), None if len(line) > largest else is_sound(line)))
        elif line:
            verdicts["blank"] += 1
        offset += len(line) + 1
    path = folder / "a.jsonl"
    path.write_bytes(content)
    found = []
    for piece in pieces_of(path, rng):
        kept, repaired = [], set[int]()
        for batch in read_records(piece, reader):
            texts, ids = iter(batch.texts.decoded()), batch.ids.tolist()
            verdicts.update(bad.reason.split(" (")[0].split(":")[0][:40] for bad in batch.bad.values())
            for index, (position, size) in enumerate(zip(ids, batch.sizes.tolist(), strict=True)):
                found.append((position, size, None if index in batch.bad else next(texts)))
            kept += batch.ids[batch.sound].tolist()
            repaired |= {ids[index] for index in batch.repaired}
            assert next(texts, None) is None, "more texts than sound records"
            sketch(batch.texts)
        check_written(piece, reader, kept, repaired, {position: text for position, _, text in found})
        verdicts["sound"] += len(kept)
    assert found == expected, first_difference(found, expected)
    return verdicts


def check_written(
    piece: Piece, reader: LineReader, kept: list[int], repaired: set[int], texts: dict[int, str | None]
) -> None:
    """What is written of the records at ``kept`` is JSON, with their text and source; ``repaired`` are not JSON yet."""
    positions = np.array(kept, dtype=np.int64)
    nowhere = np.zeros(positions.size, dtype=np.int64)
    lines = list(kept_lines(piece, reader, positions, nowhere, np.isin(positions, list(repaired)), str))
    assert len(lines) == len(kept), "not all kept records were written"
    for position, line in zip(kept, lines, strict=True):
        assert line.endswith(b"\n"), line[-20:]
        assert line.count(b"\n") == 1, "a line within a line"
        record = json.loads(line)
        assert list(record) == ["text", "meta"], list(record)
        assert record["text"] == texts[position], "another text was written than was read"
        assert record["meta"]["redpajama_set_name"] == "RedPajamaC4", record["meta"]


def first_difference(found: list[Any], expected: list[Any]) -> str:
    """Where two lists part."""
    at = next((at for at, (one, other) in enumerate(zip(found, expected, strict=False)) if one != other), -1)
    return f"record {at}: read {found[at : at + 1]!r:.300}, but it is {expected[at : at + 1]!r:.300}"


_sketcher: list[Sketcher] = []


def sketch(texts: Texts) -> None:
    """Sketch the texts; there is a row of keys for each."""
    if not _sketcher:
        _sketcher.append(Sketcher(MinHashParams(min_cleaned_characters=20)))
    if len(texts):
        assert _sketcher[0].sketch(texts).keys.shape == (len(texts), 9)


def packed(lines: list[bytes], ending: str, rng: random.Random) -> bytes:
    """Lines as a shard of the kind."""
    if ending == ".parquet":
        texts = [line.decode(errors="replace") for line in lines]
        target = io.BytesIO()
        codec = rng.choice(["snappy", "zstd", "none", "gzip"])
        pq.write_table(pa.table({"text": texts, "n": range(len(texts))}), target, compression=codec, row_group_size=50)
        return target.getvalue()
    joined = b"\n".join(lines)
    return gzip.compress(joined, mtime=0) if ending == ".jsonl.gz" else zstandard.compress(joined)


def check_container(content: bytes, ending: str, folder: Path, rng: random.Random) -> Counter[str]:
    """Read a damaged shard: an error of this program, or records in ascending order whose sizes and counts agree."""
    path = folder / f"a{ending}"
    path.write_bytes(content)
    (piece,) = pieces_of(path, rng)
    reader = LineReader(truncated=rng.choice(["stop", "keep"]), block_bytes=rng.choice([100, 1 << 16]))
    last = -1
    kept: list[int] = []
    texts: dict[int, str | None] = {}
    repaired: set[int] = set()
    try:
        for batch in read_records(piece, reader):
            assert len(batch.ids) == len(batch.sizes) == len(batch.sources) == len(batch.texts) + len(batch.bad)
            ids = batch.ids.tolist()
            assert all(one < other for one, other in zip([last, *ids], ids, strict=False)), "ids descend"
            last = ids[-1] if ids else last
            own = batch.ids[batch.sound].tolist()
            kept += own
            repaired |= {ids[index] for index in batch.repaired}
            texts.update(zip(own, batch.texts.decoded(), strict=True))
            sketch(batch.texts)
        check_written(piece, reader, kept, repaired, texts)
    except SlimpajamaError as error:
        if str(path) not in str(error) or "\n" in str(error):
            raise AssertionError(f"an error that does not name the shard in a line: {error}") from error
        return Counter({f"refused: {type(error).__name__}": 1})
    return Counter({"read to the end": 1})


def a_shard(kind: str, seed: int) -> tuple[bytes, Callable[[Path], Counter[str]]]:
    """Content made of ``seed``, and its check."""
    rng = random.Random(seed)
    records = [a_record(rng) for _ in range(LINES if kind == "lines" else rng.randrange(1, 120))]
    if kind == "lines":
        content = b"\n".join(mutated(record, rng.choice(records), rng) for record in records)
        return content, lambda folder: check_lines(content, folder, random.Random(seed))
    sound = packed(records, kind, rng)
    out = bytearray(sound)
    if rng.random() < 0.3:
        del out[rng.randrange(len(out)) :]
    for _ in range(rng.choice([0, 1, 1, 3, 20])):
        if out:
            # Footers and headers are where a container can be told the strangest things.
            at = rng.choice(
                [rng.randrange(len(out)), min(rng.randrange(40), len(out) - 1), -1 - rng.randrange(min(400, len(out)))]
            )
            out[at] = rng.randrange(256)
    damaged = bytes(out)
    return damaged, lambda folder: check_container(damaged, kind, folder, random.Random(seed))


def _hanging(number: int, frame: Any) -> None:
    raise AssertionError(f"not done after {SECONDS} s")


def run_batch(batch: Batch) -> dict[str, Any]:
    """Verdicts of some shards, and what was found, as [message, file]."""
    verdicts: Counter[str] = Counter()
    found = []
    signal.signal(signal.SIGALRM, _hanging)
    sys.setrecursionlimit(4 * DEEPEST)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        for number in range(batch.first, batch.first + BATCH):
            content, check = a_shard(batch.kind, hash_of(batch.seed, batch.kind, number))
            signal.alarm(SECONDS)
            try:
                verdicts += check(Path(name))
            except Exception as fault:
                FINDINGS.mkdir(exist_ok=True)
                ending = ".jsonl" if batch.kind == "lines" else batch.kind
                file = FINDINGS / f"{hashlib.sha256(content).hexdigest()[:16]}{ending}"
                file.write_bytes(content)
                found.append([f"{batch.kind} {number}: {type(fault).__name__}: {fault}", str(file)])
            finally:
                signal.alarm(0)
    return {"verdicts": verdicts, "found": found, "files": []}


def hash_of(*parts: Any) -> int:
    """The same in every process."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


def main() -> None:
    """Print verdicts and findings; exit 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000, help="mutated lines")
    parser.add_argument("--shards", type=int, default=5_000, help="damaged shards of each kind of container")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    print(describe())
    shards = {"lines": -(-arguments.lines // LINES)}
    shards |= dict.fromkeys((".jsonl.zst", ".jsonl.gz", ".parquet"), arguments.shards)
    bad = 0
    for kind, count in shards.items():
        batches = [Batch(kind, first, arguments.seed) for first in range(0, count, BATCH)]
        began = time.perf_counter()
        verdicts: Counter[str] = Counter()
        with LocalEngine(arguments.workers) as engine, closing(engine.map(run_batch, batches)) as results:
            for _, result in results:
                verdicts += result["verdicts"]
                bad += len(result["found"])
                for finding, file in result["found"]:
                    print(f"{finding:.600}\n  {file}", flush=True)
        seconds = time.perf_counter() - began
        cases = len(batches) * BATCH * (LINES if kind == "lines" else 1)
        print(f"{kind}: {cases:,} cases in {seconds:.0f} s, {cases / seconds:,.0f} a second")
        for verdict, number in verdicts.most_common():
            print(f"  {number:>9,}  {verdict}", flush=True)
    print(f"{bad} findings")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
