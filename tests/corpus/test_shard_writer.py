"""What goes out is what came in: text and fields as the JSON they were, the source's name added, in one zstd frame."""

from __future__ import annotations

import datetime
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.discovery import Piece, discover
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.rebuilt_line import rebuilt_line
from slimpajama.corpus.records import read_records
from slimpajama.corpus.shard_formats import JsonLinesZst
from slimpajama.corpus.shard_writer import FLUSH_BYTES, DuplicateCounts, ShardWriter, kept_lines
from slimpajama.errors import InputChanged
from slimpajama.text.normalisation import normaliser
from tests.corpus.shards import decompressed, jsonl, put

# ------------------------------------------------------------------------------------------------ worked examples

EXAMPLES = {
    "text alone": (b'{"text":"a"}', b'{"text":"a","meta":{"redpajama_set_name":"S"}}'),
    "empty meta": (b'{"text":"a","meta":{}}', b'{"text":"a","meta":{"redpajama_set_name":"S"}}'),
    "empty meta with a space": (b'{"text":"a","meta":{ }}', b'{"text":"a","meta":{"redpajama_set_name":"S"}}'),
    "meta null": (b'{"text":"a","meta":null}', b'{"text":"a","meta":{"redpajama_set_name":"S"}}'),
    "meta first, with white space": (
        b' { "meta" : { "url" : "u" , "n" : [ 1, 2 ] } , "text" : "a" } \r',
        b'{"text":"a","meta":{"url" : "u" , "n" : [ 1, 2 ],"redpajama_set_name":"S"}}',
    ),
    "integers of more than 64 bits": (
        b'{"id":18446744073709551616,"text":"a","meta":{"n":[-9223372036854775809]}}',
        b'{"text":"a","meta":{"n":[-9223372036854775809],"id":18446744073709551616,"redpajama_set_name":"S"}}',
    ),
    "meta a string": (
        b'{"text":"a","meta":"{x}"}',
        b'{"text":"a","meta":{"meta":"{x}","redpajama_set_name":"S"}}',
    ),
    "meta an array": (b'{"text":"a","meta":[{}]}', b'{"text":"a","meta":{"meta":[{}],"redpajama_set_name":"S"}}'),
    "meta false": (b'{"text":"a","meta":false}', b'{"text":"a","meta":{"meta":false,"redpajama_set_name":"S"}}'),
    "already named": (
        b'{"text":"a","meta":{"redpajama_set_name":"S"}}',
        b'{"text":"a","meta":{"redpajama_set_name":"S"}}',
    ),
    "named otherwise": (
        b'{"text":"a","meta":{"redpajama_set_name":"Other","n": 1.50}}',
        b'{"text":"a","meta":{"n":1.50,"redpajama_set_name":"S"}}',
    ),
    "the name only mentioned": (
        b'{"text":"a","meta":{"note":"redpajama_set_name"}}',
        b'{"text":"a","meta":{"note":"redpajama_set_name","redpajama_set_name":"S"}}',
    ),
    "other fields (Common Crawl)": (
        b'{"text":"a","pred_label":"__label__wiki","pred_label_prob":0.250,"source":"cc/2019-30/en"}',
        b'{"text":"a","meta":{"pred_label":"__label__wiki","pred_label_prob":0.250,"source":"cc/2019-30/en",%s}}'
        % b'"redpajama_set_name":"S"',
    ),
    "other fields beside meta": (
        b'{"id":7,"text":"a","meta":{"url":"u"},"tags":[]}',
        b'{"text":"a","meta":{"url":"u","id":7,"tags":[],"redpajama_set_name":"S"}}',
    ),
    "names that are taken": (
        b'{"text":"a","meta":{"url":1,"url_":2},"url":3,"redpajama_set_name":"x"}',
        b'{"text":"a","meta":{"url":1,"url_":2,"url__":3,"redpajama_set_name_":"x","redpajama_set_name":"S"}}',
    ),
    "escapes and unicode": (
        '{"text":"\\u00e9é\\/\\n\\u0000😀\\ud83d\\ude00","meta":{"k\\u0065y":"\\u00e9é"}}'.encode(),
        '{"text":"\\u00e9é\\/\\n\\u0000😀\\ud83d\\ude00","meta":{"k\\u0065y":"\\u00e9é",'
        '"redpajama_set_name":"S"}}'.encode(),
    ),
    "numbers as they were written": (
        b'{"text":"a","meta":{"a":1e2,"b":-0,"c":123456789012345678901234567890,"d":0.1000}}',
        b'{"text":"a","meta":{"a":1e2,"b":-0,"c":123456789012345678901234567890,"d":0.1000,"redpajama_set_name":"S"}}',
    ),
    "text twice": (b'{"text":"a","text":"b"}', b'{"text":"b","meta":{"redpajama_set_name":"S"}}'),
    "text by an escaped name": (b'{"te\\u0078t":"a"}', b'{"text":"a","meta":{"redpajama_set_name":"S"}}'),
    "a member of meta twice": (
        b'{"text":"a","meta":{"k":1,"k":2}}',
        b'{"text":"a","meta":{"k":1,"k":2,"redpajama_set_name":"S"}}',
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_record_is_rebuilt_byte_for_byte(name: str) -> None:
    line, expected = EXAMPLES[name]
    assert rebuilt_line(line, "S") == expected + b"\n"
    assert rebuilt_line(memoryview(line), "S") == expected + b"\n"
    again = rebuilt_line(expected, "S")
    assert json.loads(again) == json.loads(expected), "a second time changes nothing"


def test_a_new_text_takes_the_place_of_the_old_one() -> None:
    line = b'{"text":"e\\u0301","meta":{"n":1}}'
    assert rebuilt_line(line, "S", orjson.dumps("\u00e9")) == (
        '{"text":"\u00e9","meta":{"n":1,"redpajama_set_name":"S"}}\n'.encode()
    )


COUNTS = b'{"global":2,"local":1,"exact":null,"sources":["c4"]}'


@pytest.mark.parametrize(
    ("line", "members"),
    [
        (b'{"text":"a"}', b""),
        (b'{"text":"a","meta":{"n": 1.50}}', b'"n": 1.50,'),
        (b'{"text":"a","meta":{"duplicates":3,"n": 1}}', b'"n":1,"duplicates_":3,'),
        (b'{"text":"a","meta":{"duplicates":3,"duplicates_":4}}', b'"duplicates_":4,"duplicates__":3,'),
        (b'{"text":"a","meta":{"note":"duplicates"},"duplicates":[1]}', b'"note":"duplicates","duplicates_":[1],'),
        (b'{"text":"a","meta":{"duplicates":3},"duplicates":5}', b'"duplicates_":3,"duplicates__":5,'),
        (rb'{"text":"a","meta":{"\u0064uplicates":3}}', b'"duplicates_":3,'),
        (rb'{"text":"a","meta":{"redpajama_set_nam\u0065":"T"}}', b""),
        (rb'{"text":"a","meta":{"n": "\u00e9", "m":1}}', rb'"n": "\u00e9", "m":1,'),
    ],
)
def test_counts_are_added_and_members_of_that_name_kept_under_another(line: bytes, members: bytes) -> None:
    end = b'"redpajama_set_name":"S"%s}}\n'
    expected = b'{"text":"a","meta":{' + members + end % (b',"duplicates":' + COUNTS)
    assert rebuilt_line(line, "S", duplicates=COUNTS) == expected


def test_without_counts_members_of_that_name_stay() -> None:
    line = b'{"text":"a","meta":{"duplicates":3},"duplicates":5}'
    assert json.loads(rebuilt_line(line, "S"))["meta"] == {
        "duplicates": 3,
        "duplicates_": 5,
        "redpajama_set_name": "S",
    }


def test_the_name_of_a_source_is_escaped() -> None:
    assert orjson.loads(rebuilt_line(b'{"text":"a"}', 'a"\\\n')) == {
        "text": "a",
        "meta": {"redpajama_set_name": 'a"\\\n'},
    }


@pytest.mark.parametrize("levels", [100, 990, 1000, 1022])
def test_as_deep_as_the_reader_allows_is_written(levels: int) -> None:
    nested = b"[" * levels + b"]" * levels
    assert orjson.loads(b'{"text":"a","x":' + nested + b"}")
    assert rebuilt_line(b'{"text":"a","x":' + nested + b"}", "S") == (
        b'{"text":"a","meta":{"x":' + nested + b',"redpajama_set_name":"S"}}\n'
    )


# ---------------------------------------------------------------------------------------------------- properties

UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.one_of(st.sampled_from(["url", "url_", "meta", "meta_", "redpajama_set_name", "k"]), UNICODE)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), UNICODE),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=5,
).filter(lambda value: "Infinity" not in json.dumps(value))
RECORDS = st.builds(
    lambda text, meta, others: {**others, "text": text, **meta},
    UNICODE,
    st.one_of(st.just({}), st.builds(lambda meta: {"meta": meta}, st.one_of(VALUES, st.dictionaries(NAMES, VALUES)))),
    st.dictionaries(NAMES, VALUES, max_size=3),
)


@given(RECORDS, st.booleans(), st.sampled_from([(",", ":"), (", ", " : ")]))
def test_the_text_and_every_field_are_in_the_rebuilt_record(
    record: dict[str, Any], escaped: bool, separators: tuple[str, str]
) -> None:
    line = json.dumps(record, ensure_ascii=escaped, separators=separators).encode()
    rebuilt = rebuilt_line(line, "S")
    assert rebuilt.endswith(b"\n")
    assert rebuilt.count(b"\n") == 1

    def without_twins(members: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(members)) == len(members), "no name occurs twice"
        return dict(members)

    found = json.loads(rebuilt, object_pairs_hook=without_twins)
    assert list(found) == ["text", "meta"]
    assert found["text"] == record["text"]
    assert found["meta"].pop("redpajama_set_name") == "S"
    inner = record.get("meta")
    inner = {} if inner is None else dict(inner) if isinstance(inner, dict) else {"meta": inner}
    inner.pop("redpajama_set_name", None)
    assert {name: found["meta"].pop(name) for name in inner} == inner
    others = [(name, value) for name, value in record.items() if name not in ("text", "meta")]
    assert len(found["meta"]) == len(others)
    for (name, value), (moved, there) in zip(others, found["meta"].items(), strict=True):
        assert moved.rstrip("_") == name.rstrip("_")
        assert there == value


# ------------------------------------------------------------------------------------------------- kept records


def kept(
    piece: Piece, positions: list[int], rewritten: list[bool] | None = None, sources: list[int] | None = None
) -> list[bytes]:
    return list(
        kept_lines(
            piece,
            LineReader(block_bytes=50),
            np.array(positions, dtype=np.int64),
            np.array(sources or [piece.shards[0].source] * len(positions), dtype=np.int64),
            np.array(rewritten or [False] * len(positions), dtype=np.bool_),
            normaliser("nfc"),
        )
    )


def texts(lines: list[bytes]) -> list[str]:
    return [orjson.loads(line)["text"] for line in lines]


RECORDS_OF = [f"record {number} {'x' * (number * 7 % 50)}" for number in range(30)]


@pytest.mark.parametrize("name", ["c4/a.jsonl", "c4/a.jsonl.zst", "c4/a.jsonl.gz", "c4/a.parquet"])
@given(st.sets(st.integers(0, 29)))
def test_the_records_asked_for_come_in_order_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, name: str, wanted: set[int]
) -> None:
    (piece,) = discover(put(tmp_path_factory.mktemp("kept"), {name: RECORDS_OF})).pieces
    positions = [
        document & ((1 << 40) - 1) for batch in read_records(piece, LineReader()) for document in batch.ids.tolist()
    ]
    found = kept(piece, [positions[number] for number in sorted(wanted)])
    assert texts(found) == [RECORDS_OF[number] for number in sorted(wanted)]
    assert all(orjson.loads(line)["meta"] == {"redpajama_set_name": "RedPajamaC4"} for line in found)


def test_only_texts_that_normalisation_changes_are_encoded_anew(tmp_path: Path) -> None:
    line = b'{"text":"e\\u0301"}\n'
    (piece,) = discover(put(tmp_path, {"c4/a.jsonl": line * 2})).pieces
    as_it_was, normalised = kept(piece, [0, len(line)], [False, True])
    assert as_it_was == b'{"text":"e\\u0301","meta":{"redpajama_set_name":"RedPajamaC4"}}\n'
    assert normalised == '{"text":"\u00e9","meta":{"redpajama_set_name":"RedPajamaC4"}}\n'.encode()


def test_each_record_of_a_mixed_shard_gets_the_name_of_its_source(tmp_path: Path) -> None:
    lines = [jsonl([{"text": "a", "meta": {"redpajama_set_name": name}}]) for name in ("RedPajamaBook", "RedPajamaC4")]
    (piece,) = discover(put(tmp_path, {"train/a.jsonl": b"".join(lines)})).pieces
    assert kept(piece, [0, len(lines[0])], sources=[3, 1]) == lines


def test_columns_of_a_table_become_meta(tmp_path: Path) -> None:
    (tmp_path / "c4").mkdir()
    table = pa.table(
        {
            "url": ["u", None],
            "text": ["e\u0301", "b"],
            "when": [datetime.date(2023, 4, 17), None],
            "meta": [{"n": 1}, {"n": 2}],
            "score": [0.5, float("nan")],
        }
    )
    pq.write_table(table, tmp_path / "c4" / "a.parquet")
    (piece,) = discover(tmp_path).pieces
    assert [orjson.loads(line) for line in kept(piece, [0, 1])] == [
        {
            "text": "\u00e9",
            "meta": {"n": 1, "url": "u", "when": "2023-04-17", "score": 0.5, "redpajama_set_name": "RedPajamaC4"},
        },
        {
            "text": "b",
            "meta": {"n": 2, "url": None, "when": None, "score": None, "redpajama_set_name": "RedPajamaC4"},
        },
    ]


@pytest.mark.parametrize(
    ("now", "place"),
    [
        (b'{"text":"aaaa"}\n{"text":"b"}\n', 13),
        (b'\n{"text":"a"}\n{"text":"b"}', 0),
        (b'{"text":"a" \n{"text":"b"}\n', 0),
        (b'{"tex_":"a"}\n{"text":"b"}\n', 0),
        (b'{"text":"a"}x{"text":"b"}\n{}\n', 13),
    ],
)
def test_a_record_that_is_no_longer_at_its_place_stops_the_run(tmp_path: Path, now: bytes, place: int) -> None:
    before = b'{"text":"a"}\n{"text":"b"}\n'
    (piece,) = discover(put(tmp_path, {"c4/a.jsonl": before})).pieces
    assert texts(kept(piece, [0, 13])) == ["a", "b"]
    (tmp_path / "c4" / "a.jsonl").write_bytes(now)
    (piece,) = discover(tmp_path).pieces
    with pytest.raises(InputChanged) as caught:
        kept(piece, [0, 13])
    assert str(caught.value) == (
        f"{piece.file.path} changed during the run: the record at byte {place} is not there any more; "
        "run the same command again, it starts this shard anew"
    )


def test_a_row_that_has_no_text_any_more_stops_the_run(tmp_path: Path) -> None:
    not_utf8 = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.array([0, 1, 2], "int32").buffers()[1], pa.py_buffer(b"a\xff")]
    )
    (tmp_path / "c4").mkdir()
    for column in (pa.array(["a", None]), not_utf8):
        pq.write_table(pa.table({"text": column}), tmp_path / "c4" / "a.parquet")
        (piece,) = discover(tmp_path).pieces
        assert texts(kept(piece, [0])) == ["a"]
        with pytest.raises(InputChanged) as caught:
            kept(piece, [0, 1])
        assert str(caught.value) == (
            f"{piece.file.path} changed during the run: the record at row 1 is not there any more; "
            "run the same command again, it starts this shard anew"
        )


def test_records_after_the_end_of_a_shortened_shard_are_not_made_up(tmp_path: Path) -> None:
    (piece,) = discover(put(tmp_path, {"c4/a.jsonl": ["a", "b", "c"]})).pieces
    (tmp_path / "c4" / "a.jsonl").write_bytes(jsonl([{"text": "a"}]))
    (piece,) = discover(tmp_path).pieces
    assert texts(kept(piece, [0, 13, 26])) == ["a"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.parquet"])
def test_a_shard_that_is_newer_than_when_it_was_found_is_refused_though_its_records_lie_where_they_did(
    tmp_path: Path, name: str
) -> None:
    (piece,) = discover(put(tmp_path, {f"c4/{name}": ["a"]})).pieces
    path = put(tmp_path, {f"c4/{name}": ["b"]}) / "c4" / name
    os.utime(path, ns=(0, piece.file.modified_ns + 1))
    assert path.stat().st_size == piece.file.size
    with pytest.raises(InputChanged) as caught:
        kept(piece, [0])
    assert str(caught.value) == (
        f"{path} changed during the run; run the same command again, it starts this shard anew"
    )


# ----------------------------------------------------------------------------------------------------- shards out


@pytest.mark.parametrize("lines", [[], [b"one\n"], [b"%d\n" % number for number in range(9)], [b"x" * FLUSH_BYTES] * 3])
def test_a_shard_is_one_checked_zstd_frame_and_two_files_hold_the_same(tmp_path: Path, lines: list[bytes]) -> None:
    paths = [tmp_path / "a" / "x.jsonl.zst", tmp_path / "b" / "x.jsonl.zst"]
    with ExitStack() as stack:
        writer = ShardWriter(stack, paths, JsonLinesZst().encoder(3))
        for line in lines:
            writer.write(line)
        writer.finish()
        assert not any(path.exists() for path in paths), "nothing is there before it is whole"
    assert [decompressed(path) for path in paths] == [b"".join(lines)] * 2
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert zstandard.get_frame_parameters(paths[0].read_bytes()).has_checksum


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with ExitStack() as stack:
            ShardWriter(stack, [tmp_path / "x.jsonl.zst"], JsonLinesZst().encoder(1)).write(b"one\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("meta", "kept_label"),
    [
        ({"redpajama_set_name": "Mine", "a": 1}, "Mine"),
        ({"redpajama_set_name": 'naïve \\ "'}, 'naïve \\ "'),
        ({"redpajama_set_name": None}, "RedPajamaC4"),
        ({"redpajama_set_name": ["Mine"]}, "RedPajamaC4"),
        ({"a": 1}, "RedPajamaC4"),
        ("redpajama_set_name", "RedPajamaC4"),
        (None, "RedPajamaC4"),
    ],
)
def test_a_record_keeps_the_name_of_a_source_it_comes_with_unless_it_is_to_be_replaced(
    meta: Any, kept_label: str
) -> None:
    line = orjson.dumps({"text": "t", "meta": meta, "url": "u"})
    kept_as = orjson.loads(rebuilt_line(line, "RedPajamaC4", keeps_label=True))
    replaced = orjson.loads(rebuilt_line(line, "RedPajamaC4"))
    assert kept_as["meta"]["redpajama_set_name"] == kept_label
    assert replaced["meta"]["redpajama_set_name"] == "RedPajamaC4"
    assert {**kept_as["meta"], "redpajama_set_name": ""} == {**replaced["meta"], "redpajama_set_name": ""}


def test_counts_of_some_records_take_along_only_what_these_need() -> None:
    counts = DuplicateCounts([b"0", b"1", b"2", b"3"], np.array([3, 1, 3, 0, 1], dtype=np.uint32))
    some = counts.among(slice(1, 3))
    assert (list(some.table), some.numbers.tolist()) == ([b"1", b"3"], [0, 1])
    assert some.numbers.dtype == np.uint32
    assert [list(counts.among(slice(2, 2)).table), counts.among(slice(0, 1)).numbers.tolist()] == [[], [0]]
