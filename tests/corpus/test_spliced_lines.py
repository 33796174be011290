"""A line that the kernel splices is the one that the slow path rebuilds, and a changed line does no harm."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slimpajama.corpus.json_members import MOST_MEMBERS
from slimpajama.corpus.rebuilt_line import rebuilt_line
from slimpajama.corpus.spliced_lines import ByteTable, room_for, splice_lines, splice_scratch
from tests.corpus.test_shard_writer import COUNTS, EXAMPLES

NAMES = ["S", 'a"\\\n']
UNTOUCHED = 0xA5


def spliced(
    lines: list[bytes], *, keeps_label: bool = False, counts: bytes | None = None, text: str = "text", name: int = 0
) -> list[bytes | None]:
    """What the kernel makes of lines; ``None`` where it leaves one to the slow path."""
    names, table = ByteTable.of([orjson.dumps(one) for one in NAMES]), ByteTable.of([counts] if counts else [])
    data = np.frombuffer(bytearray(b"\n".join(lines)), dtype=np.uint8)
    sizes = np.array([len(line) for line in lines], dtype=np.int64)
    stops = np.cumsum(sizes + 1) - 1
    room = room_for(len(lines), int(sizes.sum()), names, table)
    target = np.full(room + 64, UNTOUCHED, dtype=np.uint8)
    done, ends = np.ones(len(lines), dtype=np.bool_), np.zeros(len(lines), dtype=np.int64)
    splice_lines(
        data,
        stops - sizes,
        stops,
        np.frombuffer(text.encode(), dtype=np.uint8),
        keeps_label,
        names.joined,
        names.bounds,
        np.full(len(lines), name, dtype=np.int64),
        table.joined,
        table.bounds,
        np.full(len(lines), -1 if counts is None else 0, dtype=np.int64),
        splice_scratch(),
        done,
        target[:room],
        ends,
    )
    assert (target[room:] == UNTOUCHED).all()
    begins = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1]))
    assert (ends >= begins).all()
    assert ((ends > begins) == done).all()
    return [target[begin:end].tobytes() if end > begin else None for begin, end in zip(begins, ends, strict=True)]


SLOW = {
    "meta a string",
    "meta an array",
    "meta false",
    "names that are taken",
    "escapes and unicode",  # one that may spell a name of ours
    "text twice",
    "text by an escaped name",
}


def test_the_lines_of_the_worked_examples_are_spliced_but_the_rare_ones() -> None:
    found = spliced([line for line, _ in EXAMPLES.values()])
    expected = [None if name in SLOW else line + b"\n" for name, (_, line) in EXAMPLES.items()]
    assert found == expected


RARE = {
    "an escape in a name of meta, which is joined anew": b'{"text":"a","n":1,"meta":{"k\\u0065y":1}}',
    "a name of meta twice, which is joined anew": b'{"text":"a","n":1,"meta":{"k":1,"k":2}}',
    "the name of the source beside meta": b'{"text":"a","redpajama_set_name":"x"}',
    "duplicates of the record's own": b'{"text":"a","meta":{"duplicates":3}}',
    "a field whose name is taken in meta": b'{"text":"a","n":1,"meta":{"n":2}}',
    "very many fields": b'{"text":"a",' + b",".join(b'"%d":0' % i for i in range(MOST_MEMBERS)) + b"}",
    "no text": b'{"meta":{}}',
    "a text that is a number": b'{"text":1}',
    "an array": b'["text"]',
    "nothing": b"",
    "white space": b"  ",
    "something behind the record": b'{"text":"a"} x',
    "an open string": b'{"text":"a',
    "an open object": b'{"text":"a","meta":{"k":1}',
    "a backslash at the end": b'{"text":"a\\',
    "a name without a value": b'{"text":"a","n"',
    "a colon at the end": b'{"text":"a","n":',
}


@pytest.mark.parametrize("kind", RARE)
def test_what_is_rare_or_broken_is_left_to_the_slow_path(kind: str) -> None:
    assert spliced([RARE[kind]], counts=COUNTS) == [None]


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (b'{"body":"a","text":1,"meta":{"n":2}}', b'"n":2,"text":1,'),
        (b'{"meta":{"n":2},"body":"a"}', b'"n":2,'),
    ],
)
def test_the_text_may_have_another_name(line: bytes, fields: bytes) -> None:
    expected = b'{"text":"a","meta":{' + fields + b'"redpajama_set_name":"a\\"\\\\\\n"}}\n'
    assert spliced([line], text="body", name=1) == [expected]


def test_a_record_keeps_the_name_of_a_source_where_that_is_wanted() -> None:
    lines = [
        b'{"text":"a","meta":{"redpajama_set_name": "X" ,"n": 1}}',
        b'{"text":"a","meta":{"redpajama_set_name":3}}',
    ]
    assert spliced(lines, keeps_label=True) == [
        b'{"text":"a","meta":{"n":1,"redpajama_set_name":"X"}}\n',
        b'{"text":"a","meta":{"redpajama_set_name":"S"}}\n',
    ]


NAMES_OF_MEMBERS = ["text", "meta", "redpajama_set_name", "duplicates", "url", "url_", "é", "a b", ""]
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=50),
        st.sampled_from(["duplicates", "redpajama_set_name", '"', "\\", '\\"', "x" * 70]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES_OF_MEMBERS), inner, max_size=4)
    ),
    max_leaves=8,
)
METAS = st.one_of(st.dictionaries(st.sampled_from(NAMES_OF_MEMBERS), VALUES, max_size=5), VALUES)
RECORDS = st.dictionaries(st.sampled_from(NAMES_OF_MEMBERS[2:]), VALUES, max_size=3)
JUNK = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"0",
    b" ",
    b'"k":',
    b'"text":"x",',
    b'"meta":{},',
    b"\n",
    b"\xc3",
]
MUTATIONS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.sampled_from(JUNK)), max_size=3)


def judged(line: bytes, found: bytes | None, *, keeps_label: bool, counts: bytes | None) -> None:
    """The kernel is asked only about what the first pass found sound; of that it makes what the slow path makes."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return
    if found is not None and isinstance(record, dict) and isinstance(record.get("text"), str):
        assert found == rebuilt_line(line, "S", keeps_label=keeps_label, duplicates=counts)


@given(RECORDS, METAS, st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")]), MUTATIONS)
@example({}, {"url": "duplicates"}, False, (",", ":"), [])
@example({"n": 1}, {"redpajama_set_name": "x", "url": 1}, False, (", ", " : "), [])
def test_what_is_spliced_is_what_would_be_rebuilt_and_no_bytes_do_harm(
    beside: dict[str, Any],
    meta: Any,
    escaped: bool,
    separators: tuple[str, str],
    mutations: list[tuple[int, int, bytes]],
) -> None:
    record = {**beside, "text": 'a "text" \\ é\n' * 3, "meta": meta}
    line = json.dumps(record, ensure_ascii=escaped, separators=separators).encode("utf-8", "surrogatepass")
    for at, cut, junk in mutations:
        at = at % (len(line) + 1)
        line = line[:at] + junk + line[at + cut :]
    sound = b'{"text":"' + b"b" * 90 + b'"}'
    for keeps_label in (False, True):
        for counts in (None, COUNTS):
            found = spliced([sound, line, sound], keeps_label=keeps_label, counts=counts)
            assert found[0] == found[2] == rebuilt_line(sound, "S", duplicates=counts)
            judged(line, found[1], keeps_label=keeps_label, counts=counts)
