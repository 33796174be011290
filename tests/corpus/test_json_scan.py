"""A line that the kernel calls sound is one that orjson reads, with the same values at the wanted paths."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slimpajama.corpus.json_scan import BLANK, DEEPEST, SOUND, UNDECIDED, WantedValues, scan_lines, scan_scratch
from slimpajama.corpus.json_strings import ROOM, unescape_strings
from tests.corpus.reading import BROKEN

PATHS = (("text",), ("meta", "redpajama_set_name"), ("meta",), ("id",))


def scanned(lines: list[bytes], paths: tuple[tuple[str, ...], ...] = PATHS) -> tuple[list[int], list[list[Any]]]:
    """The verdicts on lines, and the raw JSON of their wanted values."""
    wanted = WantedValues.of(paths)
    assert wanted is not None
    content = b"\n".join(lines)
    stops = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
    starts = stops - np.array([len(line) for line in lines], dtype=np.int64)
    spans = np.empty((len(lines), len(paths), 2), dtype=np.int64)
    verdicts = np.empty(len(lines), dtype=np.uint8)
    data = np.frombuffer(content, dtype=np.uint8)
    names = (wanted.names.joined, wanted.names.stops, wanted.path_stops)
    scan_lines(data, starts, stops, *names, scan_scratch(), spans, verdicts)
    found = [[None if start < 0 else content[start:stop] for start, stop in line] for line in spans.tolist()]
    return verdicts.tolist(), found


def verdict(line: bytes) -> int:
    return scanned([line])[0][0]


def test_wanted_values_are_found_wherever_they_are() -> None:
    lines = [
        b'{"text": "a\\n\xc3\xa9", "meta": {"x": [1, {"text": 2}], "redpajama_set_name" :"C4"}, "id": -1.5e+3 }',
        b'\t{"id":{"id":[]} ,"meta":3,"text":""}  \r',
        b'{"b": {"text": "no", "meta": {"redpajama_set_name": "no"}}, "text": "yes"}',
    ]
    verdicts, found = scanned(lines)
    assert verdicts == [SOUND] * 3
    meta = b'{"x": [1, {"text": 2}], "redpajama_set_name" :"C4"}'
    assert found == [
        [b'"a\\n\xc3\xa9"', b'"C4"', meta, b"-1.5e+3"],
        [b'""', None, b"3", b'{"id":[]}'],
        [b'"yes"', None, None, None],
    ]


@pytest.mark.parametrize("line", [b"", b" ", b"\t\r ", b" " * 100])
def test_white_space_is_blank(line: bytes) -> None:
    assert verdict(line) == BLANK


@pytest.mark.parametrize("kind", BROKEN)
def test_nothing_broken_is_sound(kind: str) -> None:
    assert verdict(BROKEN[kind][0]) == UNDECIDED


RARE = {
    "the text twice": b'{"text": "a", "text": "b"}',
    "a name that an escape may spell": b'{"te\\u0078t": "a", "text": "b"}',
    "meta twice, when something in it is wanted": b'{"meta": {}, "text": "a", "meta": {}}',
    "an exponent of three digits": b'{"text": "a", "n": 1e100}',
    "a number of 201 digits": b'{"text": "a", "n": 1' + b"0" * 200 + b"}",
    "deep nesting": b'{"text": "a", "n": ' + b"[" * DEEPEST + b"]" * DEEPEST + b"}",
    "very many values": b'{"text": "a", "n": [' + b"1," * (1 << 18) + b"1]}",
}


@pytest.mark.parametrize("kind", RARE)
def test_what_is_rare_is_left_to_the_slow_path(kind: str) -> None:
    assert verdict(RARE[kind]) == UNDECIDED


COMMON = {
    "escapes in names beside": b'{"text": "a", "n": {"a\\"b": {"\\u0041": 1}}}',
    "names twice beside": b'{"text": "a", "n": {"x": 1, "x": 2}}',
    "all escapes": rb'{"text": "\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00"}',
    "all literals": b'{"text": "a", "n": [true, false, null, 0, -0, -1, 0.5, 1E5, 1e-10, 12345678901234567890123]}',
    "deep but not too deep": b'{"text": "a", "n": ' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}",
    "characters of all lengths": '{"text": "aé東🦙\u07ff\u0800\uffff\U0010ffff"}'.encode(),
}


@pytest.mark.parametrize("kind", COMMON)
def test_what_is_common_is_decided_at_once(kind: str) -> None:
    assert verdict(COMMON[kind]) == SOUND


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["text", "meta", "redpajama_set_name", "id", "é"]), inner, max_size=4),
    ),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.sampled_from(["text", "meta", "id", "x"]), VALUES, max_size=4)
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
    b"1e9",
    b"-",
    b".",
    b"\\ud83d",
    b"\\ude00",
    b"\\u12",
    b"nul",
]
JUNK += [
    b"\x00",
    b"\x1f",
    b"\x7f",
    b"\x80",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b" ",
    b'"text":',
]


@given(
    RECORDS,
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.sampled_from(JUNK)), max_size=3),
)
@example({"text": "a" * 40}, True, [(20, 0, b'"')])
def test_a_sound_line_has_the_values_that_orjson_reads(
    record: dict[str, Any], escaped: bool, mutations: list[tuple[int, int, bytes]]
) -> None:
    line = json.dumps({"text": "a" * 30 + "\n", **record}, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    for at, cut, junk in mutations:
        at = at % len(line)
        line = line[:at] + junk + line[at + cut :]
    (found,), (values,) = scanned([line])
    try:
        expected = orjson.loads(line)
    except ValueError:
        assert found != SOUND
        return
    if found != SOUND:
        return
    for path, raw in zip(PATHS, values, strict=True):
        value: Any = expected
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        assert (orjson.loads(raw) if raw is not None else None) == value


@given(st.lists(st.text(), max_size=6), st.booleans())
def test_strings_are_unescaped_one_after_the_other(texts: list[str], escaped: bool) -> None:
    strings = [json.dumps(text, ensure_ascii=escaped).encode("utf-8", "surrogatepass") for text in texts]
    data = np.frombuffer(b" ".join(strings) or b" ", dtype=np.uint8)
    ends = np.cumsum([len(string) + 1 for string in strings], dtype=np.int64) - 1
    begins = ends - np.array([len(string) for string in strings], dtype=np.int64)
    target = np.empty(data.size + ROOM, dtype=np.uint8)
    starts, stops = np.empty_like(begins), np.empty_like(begins)
    unescape_strings(data, begins, ends, target, starts, stops)
    found = [target[start:stop].tobytes().decode() for start, stop in zip(starts, stops, strict=True)]
    assert found == texts
