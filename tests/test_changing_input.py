"""Input that cannot be read, or that changes while it is: the run stops by name, and goes on when it is mended."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import InputChanged, ShardUnreadable, SlimpajamaError, TooManyBadRecords, deduplicate
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.dedup.stages.write import WriteStage
from tests.corpus.shards import compressed, files_below, jsonl, put, records_of
from tests.examples import one_in
from tests.watching import before_each, interrupted_in


def document(number: int) -> str:
    """Long enough to take part, and with hardly a shingle in common with another."""
    return " ".join(f"{number * 7919 + word * 104_729:x}" for word in range(80))


SOUND = [document(number) for number in range(200)]
OTHERS = [document(number) for number in range(1000, 1003)]
LINES = jsonl({"text": text} for text in SOUND)
FIRST = LINES.index(b"\n") + 1


def run(folder: Path, **chosen: Any) -> dict[str, Any]:
    return deduplicate(folder / "in", folder / "out", **{"workers": 1, **chosen}).as_dict()


def refusal(kind: type[SlimpajamaError], folder: Path, **chosen: Any) -> str:
    """The message of a run that stops, which is one line, and leaves no summary and nothing half written."""
    with pytest.raises(kind) as caught:
        run(folder, **chosen)
    assert "\n" not in str(caught.value)
    assert not (folder / "out" / "summary.json").exists()
    assert list((folder / "out").rglob("*.tmp")) == []
    return str(caught.value)


def written(folder: Path, scope: str = "global") -> list[str]:
    return [record["text"] for path in sorted((folder / "out" / scope).rglob("*.zst")) for record in records_of(path)]


def assert_conserved(folder: Path, summary: dict[str, Any]) -> None:
    """Read = kept + short + duplicate + bad, in each source and scope; and as many decisions as records."""
    for figures in summary["sources"].values():
        for scope in ("global", "local"):
            parts = (figures["short"], figures["bad"], figures[scope]["kept"], figures[scope]["duplicate"])
            assert figures["read"] == {unit: sum(part[unit] for part in parts) for unit in ("documents", "bytes")}
    rows = pq.read_table(folder / "out" / "decisions", columns=["bytes"])
    total = summary["sources"]["total"]["read"]
    assert total == {"documents": rows.num_rows, "bytes": sum(rows.column("bytes").to_pylist())}


# -------------------------------------------------------------------------------------------------- unreadable

REMEDY = "; replace it, remove it, or set truncated=keep to use the whole records before the fault"
WINDOW = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"

UNREADABLE = {
    "zst cut off": ("a.jsonl.zst", compressed(".zst", LINES)[:-100], " is corrupt or breaks off (", REMEDY),
    "gz garbage": ("a.jsonl.gz", b"garbage" * 100, " is corrupt or breaks off (", REMEDY),
    "gz named zst": ("a.jsonl.zst", gzip.compress(LINES), " is corrupt or breaks off (", REMEDY),
    "window": (
        "a.jsonl.zst",
        WINDOW,
        " needs a zstd window of more than 128 MiB (",
        "; compress it again without --long or --ultra",
    ),
    "JSON named Parquet": ("a.parquet", LINES, " is not a readable Parquet file (", "; replace or remove it"),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_shard_stops_the_run_by_name_and_without_it_the_rest_is_deduplicated(
    tmp_path: Path, kind: str, workers: int
) -> None:
    name, stored, problem, remedy = UNREADABLE[kind]
    put(tmp_path / "in", {"arxiv/b.jsonl.gz": OTHERS, "c4/b.jsonl": b""})
    broken = tmp_path / "in" / "c4" / name
    broken.write_bytes(stored)
    message = refusal(ShardUnreadable, tmp_path, workers=workers)
    assert message.startswith(f"{broken}{problem}")
    assert message.endswith(remedy)
    broken.unlink()
    summary = run(tmp_path)
    assert summary["shards"]["files"] == 2
    assert written(tmp_path) == OTHERS
    assert_conserved(tmp_path, summary)


def test_a_mended_shard_is_read_again_and_the_others_are_not(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": LINES + b"<html>\n" * 3, "arxiv/b.jsonl": OTHERS})
    message = refusal(TooManyBadRecords, tmp_path)
    assert message.startswith(
        f"{tmp_path}/in/c4/a.jsonl: 3 of 203 records read are bad (1.5%, allowed are 1.0%), the first at byte "
        f"{len(LINES):,}: not JSON ("
    )
    put(tmp_path / "in", {"c4/a.jsonl": LINES + b"<html>\n" * 2})
    summary = run(tmp_path)
    assert summary["stages"]["read and sketch"]["reused"] == 1
    assert summary["sources"]["c4"]["bad"] == {"documents": 2, "bytes": 12}
    assert written(tmp_path) == [*OTHERS, *SOUND]
    assert_conserved(tmp_path, summary)


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.jsonl.gz"])
@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_shard_kept_up_to_its_fault_is_written_up_to_the_same_record_as_was_decided(
    tmp_path: Path, name: str, scope: str
) -> None:
    texts = [document(number) for number in range(1000)]
    stored = compressed(name, jsonl({"text": text} for text in texts))
    put(tmp_path / "in", {"arxiv/b.jsonl": OTHERS})
    (tmp_path / "in" / "c4").mkdir()
    (tmp_path / "in" / "c4" / name).write_bytes(stored[: len(stored) * 3 // 4])
    summary = run(tmp_path, truncated="keep", max_bad_fraction=0, scope=scope)
    kept = written(tmp_path, scope)[len(OTHERS) :]
    assert 400 < len(kept) < 1000
    assert kept == texts[: len(kept)]
    assert summary["sources"]["c4"]["read"]["documents"] == len(kept)
    assert_conserved(tmp_path, summary)


def test_the_last_record_of_a_plain_shard_that_breaks_off_is_bad_and_no_other(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": LINES[:-200]})
    summary = run(tmp_path)
    assert written(tmp_path) == SOUND[:-1]
    assert summary["sources"]["c4"]["bad"]["documents"] == 1
    assert_conserved(tmp_path, summary)


def test_what_a_record_says_is_never_used_as_a_path(tmp_path: Path) -> None:
    names = ["RedPajamaC4", "../../evil", "RedPajamaC4/../evil", f"{tmp_path}/evil"]
    records = [{"text": text, "meta": {"redpajama_set_name": name}} for text, name in zip(SOUND, names, strict=False)]
    put(tmp_path / "in", {"train/a.jsonl": records})
    summary = run(tmp_path, max_bad_fraction=0.75)
    assert summary["sources"]["total"]["bad"]["documents"] == 3
    assert written(tmp_path) == SOUND[:1]
    assert [path.name for path in tmp_path.rglob("*evil*")] == []
    assert_conserved(tmp_path, summary)


UNCOMMON = {
    "a date after 9999": pa.array([2**31 - 1], pa.date32()),
    "a moment after 9999": pa.array([2**62], pa.timestamp("us")),
    "nanoseconds": pa.array([1_700_000_000_000_000_001], pa.timestamp("ns")),
    "a moment in a zone": pa.array([0], pa.timestamp("us", "Europe/Zurich")),
    "a moment in no zone there is": pa.array([0], pa.timestamp("us", "Mars/Olympus")),
    "a long duration": pa.array([10**18], pa.duration("s")),
    "bytes that are no text": pa.array([b"\xff\x00"]),
    "a map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    "a decimal": pa.array(["1234567890123456789012345678.5"]).cast(pa.decimal128(38, 2)),
    "a large integer": pa.array([2**64 - 1], pa.uint64()),
    "a nested list": pa.array([[[{"a": None}]]]),
    "half precision": pa.array([0.5]).cast(pa.float16()),
    "a view": pa.array(["long enough not to be inline"], pa.string_view()),
}

UNCOMMON_AS_JSON = {
    "a date after 9999": "5881580-07-11",
    "a moment after 9999": "148108-07-06T14:00:27.387904",
    "nanoseconds": "2023-11-14T22:13:20.000000001",
    "a moment in a zone": "1970-01-01T00:00:00.000000+00:00",
    "a moment in no zone there is": "1970-01-01T00:00:00.000000+00:00",
    "a long duration": "PT1000000000000000000S",
    "bytes that are no text": "/wA=",
    "a map": {"k": 1},
    "a decimal": "1234567890123456789012345678.50",
    "a large integer": 2**64 - 1,
    "a nested list": [[{"a": None}]],
    "half precision": 0.5,
    "a view": "long enough not to be inline",
}


def test_texts_may_be_views(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.parquet": b""})
    pq.write_table(pa.table({"text": pa.array(SOUND, pa.string_view())}), tmp_path / "in" / "c4" / "a.parquet")
    run(tmp_path)
    assert written(tmp_path) == SOUND


@pytest.mark.parametrize("kind", UNCOMMON)
def test_a_column_of_any_type_is_written_by_its_own_rule(tmp_path: Path, kind: str) -> None:
    put(tmp_path / "in", {"c4/a.parquet": b""})
    shard = tmp_path / "in" / "c4" / "a.parquet"
    pq.write_table(pa.table({"text": SOUND[:1], "x": UNCOMMON[kind]}), shard)
    run(tmp_path, duplicate_counts=False)
    (record,) = records_of(tmp_path / "out" / "global" / "c4" / "a.jsonl.zst")
    meta = {"x": UNCOMMON_AS_JSON[kind], "redpajama_set_name": "RedPajamaC4"}
    assert record == {"text": SOUND[0], "meta": meta}


# ------------------------------------------------------------------------------------------------------ changing


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.parquet"])
def test_a_shard_that_goes_before_it_is_read_stops_the_run_and_its_return_lets_it_go_on(
    tmp_path: Path, name: str
) -> None:
    put(tmp_path / "in", {"arxiv/b.jsonl": OTHERS, f"c4/{name}": [{"text": text} for text in SOUND]})
    shard = tmp_path / "in" / "c4" / name
    content = shard.read_bytes()
    vanishing = before_each(SketchStage, lambda: shard.unlink(missing_ok=True))
    message = refusal(InputChanged, tmp_path, engine=vanishing)
    assert message == f"{shard} has gone since the run began; put it back, or run again without it"
    shard.write_bytes(content)
    assert_conserved(tmp_path, run(tmp_path))
    assert written(tmp_path) == [*OTHERS, *SOUND]


GONE = " has gone since the run began; put it back, or run again without it"
ANOTHER = " changed during the run; run the same command again, it starts this shard anew"
CHANGES = {
    "gone": (None, GONE),
    "emptied": (b"", ANOTHER),
    "shorter": (LINES[:FIRST], ANOTHER),
    "moved": (b"\n" + LINES, ANOTHER),
    "no text any more": (LINES.replace(b'"text"', b'"next"'), ANOTHER),
    "another text": (LINES.replace(b"a", b"b"), ANOTHER),
}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("kind", CHANGES)
def test_a_shard_that_changes_before_it_is_written_stops_the_run_and_is_read_anew(
    tmp_path: Path, kind: str, name: str
) -> None:
    now, message = CHANGES[kind]
    put(tmp_path / "in", {"arxiv/b.jsonl": OTHERS, f"c4/{name}": LINES})
    shard = tmp_path / "in" / "c4" / name

    def change() -> None:
        if now is None:
            shard.unlink(missing_ok=True)
        else:
            shard.write_bytes(compressed(name, now))

    assert refusal(InputChanged, tmp_path, engine=before_each(WriteStage, change)) == f"{shard}{message}"
    assert [path.name for path in (tmp_path / "out" / "global").rglob("a.jsonl*")] == []
    shard.write_bytes(compressed(name, LINES + jsonl([{"text": document(5000)}])))
    summary = run(tmp_path)
    assert written(tmp_path) == [*OTHERS, *SOUND, document(5000)]
    assert_conserved(tmp_path, summary)


@pytest.mark.parametrize("now", [SOUND[:-1], [None, *SOUND[1:]], []], ids=["shorter", "null now", "emptied"])
def test_a_table_that_changes_before_it_is_written_stops_the_run(tmp_path: Path, now: list[Any]) -> None:
    shard = put(tmp_path / "in", {"c4/a.parquet": SOUND}) / "c4" / "a.parquet"
    table = pa.table({"text": pa.array(now, pa.string())})
    changing = before_each(WriteStage, lambda: pq.write_table(table, shard))
    assert refusal(InputChanged, tmp_path, engine=changing) == f"{shard}{ANOTHER}"


def stored(name: str, texts: list[str], path: Path) -> None:
    """Write a shard whose size does not depend on the letters of its texts, and give it one time."""
    lines = jsonl({"text": text} for text in texts)
    if name.endswith(".parquet"):
        pq.write_table(
            pa.table({"text": texts}), path, compression="none", use_dictionary=False, write_statistics=False
        )
    else:
        path.write_bytes(lines)
    os.utime(path, ns=(10**18, 10**18))


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_shard_of_the_same_size_and_time_is_noticed_by_its_content_and_read_anew(tmp_path: Path, name: str) -> None:
    """The change is where no sample of the file is taken."""
    now = [text.replace("a", "g") if number == 60 else text for number, text in enumerate(SOUND)]
    put(tmp_path / "in", {"c4/b.jsonl": b""})
    shard = tmp_path / "in" / "c4" / name
    stored(name, SOUND, shard)
    size = shard.stat().st_size
    run(tmp_path)
    stored(name, now, shard)
    assert shard.stat().st_size == size
    (tmp_path / "out" / "global" / "c4" / "a.jsonl.zst").unlink()
    (tmp_path / "out" / "summary.json").unlink()
    message = refusal(InputChanged, tmp_path)
    assert message.startswith(f"{shard} changed during the run, somewhere from ")
    assert message.endswith(" on; run the same command again, it starts this shard anew")
    run(tmp_path)
    assert written(tmp_path) == now


# --------------------------------------------------------------------------------------------- one output, many runs

PART = (LINES[: 5 * FIRST], 6 * LINES[: 5 * FIRST], LINES[-3000:], LINES * 2, b"", b"broken\n" + LINES[:FIRST])
FILES = ["c4/a.jsonl", "c4/b.jsonl.gz", "arxiv/a.jsonl", "own/a.jsonl.zst"]
STEPS = st.fixed_dictionaries(
    {
        "files": st.dictionaries(st.sampled_from(FILES), st.integers(0, len(PART) - 1), min_size=1),
        "scope": st.sampled_from(["both", "global", "local"]),
        "min_cleaned_characters": st.sampled_from([200, 600]),
        "piece_bytes": st.sampled_from([1 << 16, 1 << 28]),
        "stops_after": st.sampled_from([None, None, 0, 1, 2]),
    }
)


def results(out: Path) -> dict[str, bytes]:
    folders = ("decisions/", "global/", "local/", "quarantine/")
    return {path: content for path, content in files_below(out).items() if path.startswith(folders)}


@one_in(10)
@given(st.lists(STEPS, min_size=2, max_size=4))
def test_whatever_ran_into_an_output_before_a_run_leaves_what_a_first_run_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    for number, step in enumerate(steps):
        files, stops_after = step["files"], step["stops_after"]
        chosen = {key: value for key, value in step.items() if key not in ("files", "stops_after")}
        chosen |= {"workers": 1, "max_bad_fraction": 1.0}
        source = folder / "in"
        for name in FILES:
            stored = compressed(name, PART[files[name]]) if name in files else None
            if stored is None:
                (source / name).unlink(missing_ok=True)
            elif not (source / name).exists() or (source / name).read_bytes() != stored:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_bytes(stored)
        try:
            deduplicate(source, folder / "out", engine=interrupted_in(WriteStage, stops_after), **chosen)
        except KeyboardInterrupt:
            continue
        first = folder / f"first-{number}"
        deduplicate(source, first, **{**chosen, "scope": "both"})
        expected, found = results(first), results(folder / "out")
        other = {"both": "no scope", "global": "local", "local": "global"}[step["scope"]]
        assert {path: content for path, content in expected.items() if not path.startswith(other)} == {
            path: content for path, content in found.items() if not path.startswith(other)
        }
        assert {path: expected.get(path) for path in found} == found, "what is left of the other scope is right"


def _named(*sources: tuple[str, str, str]) -> dict[str, Any]:
    keys = ("name", "paths", "set_name")
    return {"sources": [dict(zip(keys, (name, [pattern], own), strict=True)) for name, pattern, own in sources]}


@pytest.mark.parametrize(
    "other",
    [
        _named(("one", "a/*", "Z"), ("two", "b/*", "Y")),
        _named(("two", "a/*", "X"), ("one", "b/*", "Y")),
        _named(("two", "b/*", "Y"), ("one", "a/*", "X")),
        _named(("one", "b/*", "X"), ("two", "a/*", "Y")),
    ],
    ids=["another set name", "names swapped", "order swapped", "paths swapped"],
)
def test_renamed_and_reordered_sources_give_what_a_first_run_would(tmp_path: Path, other: dict[str, Any]) -> None:
    put(tmp_path / "in", {"a/x.jsonl": [*SOUND[:3], "short"], "b/x.jsonl": [*SOUND[2:5], "short"]})
    run(tmp_path, **_named(("one", "a/*", "X"), ("two", "b/*", "Y")))
    run(tmp_path, **other)
    deduplicate(tmp_path / "in", tmp_path / "first", workers=1, **other)
    assert results(tmp_path / "out") == results(tmp_path / "first")
