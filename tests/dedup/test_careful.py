"""A document that makes a worker hang or crash is found on the second try and left out by name on the third."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from slimpajama.config.dedup import Config
from slimpajama.corpus.records import BadRecord, RecordBatch
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.careful import MOST_LEFT_OUT, Care, LeftOut, leave_out, next_care, sketch_one_by_one
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.sketcher import Sketcher, Sketches
from slimpajama.engine import Death, Trial
from slimpajama.engine.local import LocalEngine
from slimpajama.errors import WorkerDied
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.stages.runner import Stages
from tests.corpus.shards import put

STALLED = Death(2, "showed no sign of life for 300 s", by_item=True, may_repeat=False)
KILLED = Death(2, "was killed by SIGKILL", by_item=False, may_repeat=False)
LOST = Death(2, "was lost", by_item=False, may_repeat=True)


FIRST = 7 << 40
"""Id of the first document of a batch."""


def batch_of(texts: Sequence[str]) -> RecordBatch:
    """Documents at the positions 0, 10, 20 …; an empty text is a bad record."""
    return RecordBatch(
        ids=np.arange(len(texts), dtype=np.uint64) * 10 + FIRST,
        sources=np.zeros(len(texts), dtype=np.uint8),
        sizes=np.array([len(text) for text in texts], dtype=np.int64),
        texts=Texts.of([text for text in texts if text]),
        bad={index: BadRecord(10 * index, "no text", 0, b"") for index, text in enumerate(texts) if not text},
        start=0,
    )


def sketcher() -> Sketcher:
    return Sketcher(MinHashParams(min_cleaned_characters=20))


def test_after_the_first_death_a_piece_is_tried_with_care_and_what_lay_there_is_no_culprit(tmp_path: Path) -> None:
    at = tmp_path / "at"
    at.write_bytes(b"30")
    assert next_care(None, KILLED, at) == Care(at)
    assert not at.exists()


@pytest.mark.parametrize(
    ("content", "death", "stopped_at", "follows"),
    [
        (b"30", STALLED, -1, ([30], -1)),
        (b"30", LOST, -1, ([], 30)),
        (b"30", LOST, 30, ([30], -1)),
        (b"30", LOST, 20, ([], 30)),
        (b"30", KILLED, -1, None),
        (b"", STALLED, -1, None),
        (None, STALLED, -1, None),
        (None, LOST, 30, ([], -1)),
    ],
)
def test_a_document_is_blamed_if_the_worker_hung_at_it_or_was_lost_there_twice(
    tmp_path: Path, content: bytes | None, death: Death, stopped_at: int, follows: tuple[list[int], int] | None
) -> None:
    at = tmp_path / "at"
    if content is not None:
        at.write_bytes(content)
    care = next_care(Care(at, stopped_at=stopped_at), death, at)
    assert (care and ([one.document for one in care.left_out], care.stopped_at)) == follows
    assert not at.exists()


def test_after_too_many_documents_it_gives_up(tmp_path: Path) -> None:
    care: Care | None = Care(tmp_path / "at")
    for position in range(MOST_LEFT_OUT + 1):
        assert care is not None
        assert len(care.left_out) == position
        care.at.write_bytes(b"%d" % position)
        care = next_care(care, STALLED, care.at)
    assert care is None


def test_documents_left_out_are_bad_records_and_nothing_else_changes() -> None:
    given = replace(batch_of(["first", "é" * 200, "", "third", "fourth"]), repaired=[1, 3])
    left_out = {10: "hung", 20: "hung", 40: "crashed"}
    culprits = [LeftOut(FIRST + position, reason) for position, reason in left_out.items()]
    batch = leave_out(given, [*culprits, LeftOut(40, "elsewhere")])
    assert batch.texts.decoded() == ["first", "third"]
    assert batch.repaired == [3]
    assert {index: (bad.position, bad.reason) for index, bad in batch.bad.items()} == {
        1: (10, "hung"),
        2: (20, "no text"),
        4: (40, "crashed"),
    }
    assert batch.bad[1].first == ("é" * 60).encode()


def test_one_by_one_gives_what_all_at_once_does(tmp_path: Path) -> None:
    batch = batch_of(["a text of some length " * 9, "", "short", "cafe\u0301 and more of it, for once", "Σ" * 90])
    whole, single = sketcher().sketch(batch.texts), sketch_one_by_one(batch, sketcher(), tmp_path / "at")
    assert (whole.minima, single.minima) == (None, None)
    for column in ("sizes", "cleaned", "rewritten", "keys", "hashes"):
        assert np.array_equal(getattr(whole, column), getattr(single, column))
        assert getattr(whole, column).dtype == getattr(single, column).dtype
    assert list(tmp_path.iterdir()) == []


class Fragile(Sketcher):
    """Hangs at one text and crashes at another."""

    def sketch(self, texts: Texts) -> Sketches:
        for text in texts.decoded():
            if text == "hang":
                time.sleep(3600)
            if text == "crash":
                signal.signal(signal.SIGSEGV, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGSEGV)
        return super().sketch(texts)


@dataclass(frozen=True)
class Piece:
    texts: tuple[str, ...]
    care: Care | None = None


def fragile_piece(item: Piece) -> dict[int, str]:
    """The bad records, by position."""
    batch = batch_of(item.texts)
    fragile = Fragile(MinHashParams(min_cleaned_characters=20))
    if item.care:
        batch = leave_out(batch, item.care.left_out)
        sketch_one_by_one(batch, fragile, item.care.at)
    else:
        fragile.sketch(batch.texts)
    return {bad.position: bad.reason for bad in batch.bad.values()}


def try_again(at: Path, item: Piece, death: Death) -> Trial[Piece] | None:
    care = next_care(item.care, death, at)
    return Trial(replace(item, care=care)) if care else None


class AtDocument:
    """A clock that moves only while the worker is at the document that hangs."""

    def __init__(self, at: Path, hanging: bytes) -> None:
        self.now = 0.0
        self._at, self._hanging = at, hanging

    def __call__(self) -> float:
        if self._at.exists() and self._at.read_bytes() == self._hanging:
            self.now += 0.3
        return self.now


def test_workers_find_the_documents_at_which_they_end(tmp_path: Path) -> None:
    at = tmp_path / "at"
    item = Piece(("one", "crash", "two", "hang", "three"))
    with LocalEngine(2, stalled_after=30, clock=AtDocument(at, b"%d" % (FIRST + 30)), look_seconds=0.02) as engine:
        ((_, bad),) = engine.map(fragile_piece, [item], retry=partial(try_again, at))
    assert bad == {
        10: "no result: the worker that handled it was killed by SIGSEGV",
        30: "no result: the worker that handled it showed no sign of life for 30 s",
    }


class Dying:
    """An engine whose worker dies twice, the second time at a position of the piece; all in this process."""

    workers = 1

    def __init__(self, position: int, death: Death) -> None:
        self._position, self._death = position, death

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        name: Callable[[Any], str] = str,
        preload: Sequence[str] = (),
        memory: int | None = None,
        retry: Any = None,
    ) -> Generator[tuple[int, Any], None, None]:
        for index, item in enumerate(items):
            if retry:
                trial = retry(item, Death(1, self._death.fate, self._death.by_item, True))
                trial.item.care.at.parent.mkdir(parents=True, exist_ok=True)
                trial.item.care.at.write_bytes(b"%d" % self._position)
                trial = retry(trial.item, self._death)
                if trial is None:
                    raise WorkerDied(name(item))
                item = trial.item
            yield index, function(item)

    def __enter__(self) -> Dying:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass


@pytest.mark.parametrize("shard", ["c4/a.jsonl", "c4/a.jsonl.gz", "c4/a.parquet"])
def test_a_run_goes_on_without_the_culprit_and_says_so(
    tmp_path: Path, shard: str, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [f"document {number} " * 40 for number in range(5)]
    source = put(tmp_path / "in", {shard: texts})
    position = 2 if shard.endswith("parquet") else sum(len(orjson.dumps({"text": text})) + 1 for text in texts[:2])
    config = Config(workers=1, max_bad_fraction=0.5)
    summary = deduplicate_on(Stages(Dying(position, STALLED)), source, tmp_path / "out", config)
    assert summary.total.bad.documents == 1
    assert summary.total.global_.kept.documents == 4
    (quarantine,) = (path for path in (tmp_path / "out" / "quarantine").rglob("*") if path.is_file())
    record = orjson.loads(quarantine.read_bytes())
    assert (record["position"], record["first_bytes"]) == (position, texts[2][:120])
    assert record["reason"] == "no result: the worker that handled it showed no sign of life for 300 s"
    place = "row" if shard.endswith("parquet") else "byte"
    assert caplog.messages == [
        f"{source / shard}: the document at {place} {position} is quarantined: {record['reason']}"
    ]
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_a_worker_killed_for_memory_twice_ends_the_run(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": ["some text " * 40] * 3})
    with pytest.raises(WorkerDied, match="a"):
        deduplicate_on(Stages(Dying(0, KILLED)), source, tmp_path / "out", Config(workers=1))
