"""A line is repaired where Python's own JSON says so, and a large one is judged as a small one is."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.strict_json import NotStrictJson, parse_large, repaired, strict, utf8_fault
from tests.corpus.reading import BROKEN

PATHS = (("text",), ("meta", "redpajama_set_name"))

EXAMPLES = {
    "nothing to do": (b'{"a": 1, "b": "NaN"}', b'{"a": 1, "b": "NaN"}', 0),
    "NaN and infinities": (b'[NaN,Infinity, -Infinity ,"Infinity"]', b'[null,null, null ,"Infinity"]', 3),
    "numbers beyond a double": (b"[1e999,-1.5E+400,1e-999,1e308]", b"[null,null,1e-999,1e308]", 2),
    "400 digits": (b"[1" + b"0" * 400 + b",-2" + b"0" * 400 + b".5,3]", b"[null,null,3]", 2),
    "300 digits and an exponent": (b"[1" + b"0" * 300 + b"e9]", b"[null]", 1),
    "300 digits in text": (b'["1' + b"0" * 400 + b' 1e999"]', b'["1' + b"0" * 400 + b' 1e999"]', 0),
    "lone surrogates": (
        rb'["\ud800", "\uDFFFx", "\ud800\ud800\udc00"]',
        rb'["\ufffd", "\ufffdx", "\ufffd\ud800\udc00"]',
        3,
    ),
    "a pair": (rb'["\ud83d\ude00"]', rb'["\ud83d\ude00"]', 0),
    "an escaped backslash before u": (rb'["\\ud800", NaN]', rb'["\\ud800", null]', 1),
    "an escaped quote before NaN": (rb'["\" NaN", NaN, "\\", NaN]', rb'["\" NaN", null, "\\", null]', 2),
    "the rest as it was": (b'{"a" : 1.50 , "b":NaN,\t"c":[ ]}', b'{"a" : 1.50 , "b":null,\t"c":[ ]}', 1),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_line_is_repaired_byte_for_byte(name: str) -> None:
    line, expected, count = EXAMPLES[name]
    assert repaired(line) == (expected, count)
    orjson.loads(expected)


VALUES = st.recursive(
    st.one_of(
        st.none(), st.integers(), st.floats(), st.text(st.characters(), max_size=6), st.sampled_from(["NaN", "1e999"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)


def slow_repair(value: Any) -> Any:
    """What :func:`repaired` makes of a value, in terms of Python's objects."""
    if isinstance(value, (int, float)):
        try:
            return value if math.isfinite(float(value)) else None
        except OverflowError:
            return None
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in value)
    if isinstance(value, list):
        return [slow_repair(one) for one in value]
    if isinstance(value, dict):
        return {slow_repair(name): slow_repair(one) for name, one in value.items()}
    return value


@given(VALUES, st.sampled_from([(",", ":"), (", ", " : ")]))
def test_repairing_is_replacing_by_value(value: Any, separators: tuple[str, str]) -> None:
    line = json.dumps(value, separators=separators).encode()
    strict_line, count = repaired(line)
    assert json.loads(strict_line) == slow_repair(json.loads(line))
    orjson.loads(strict_line)
    assert (count > 0) == (strict_line != line)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_line_is_also_broken_among_many_values(kind: str) -> None:
    line, _ = BROKEN[kind]
    try:
        expected: Any = orjson.loads(line)
    except ValueError:
        with pytest.raises((orjson.JSONDecodeError, NotStrictJson)):
            parse_large(line, PATHS, -1)
        return
    found = parse_large(line, PATHS, -1)
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert type(found.get("text")) is type(expected.get("text"))


def test_a_line_of_many_values_gives_the_fields_asked_for() -> None:
    numbers = b"[" + b",".join([b'{"":0}'] * 100_000) + b"]"
    line = b'{"text": "\\u0061", "meta": {"x": %s, "redpajama_set_name": "S"}, "te\\u0078t": "last", "y": %s}' % (
        numbers,
        numbers,
    )
    assert parse_large(line, PATHS) == {"text": "last", "meta": {"redpajama_set_name": "S"}}
    with pytest.raises(NotStrictJson, match="not UTF-8"):
        parse_large(line.replace(b'"x"', b'"\xff"'), PATHS)
    with pytest.raises(NotStrictJson, match="beyond the range of a double"):
        parse_large(line.replace(b'"":0', b'"":1e999', 1), PATHS)
    repaired_line, record, count = strict(line.replace(b'"":0', b'"":1e999', 1), PATHS)
    assert (record["text"], count) == ("last", 1)
    assert repaired_line == line.replace(b'"":0', b'"":null', 1)


def test_a_record_of_more_fields_than_can_be_held_is_refused() -> None:
    assert parse_large(b'{"text": "a:b:c:d:\\":", "x": [{"a": 1, "b": 1, "c": 1}], "y": 1}', PATHS, 0, 3) == {
        "text": 'a:b:c:d:":'
    }
    with pytest.raises(NotStrictJson, match="more than 3 fields"):
        parse_large(b'{"text": "a", "x": {"a": 1, "b": 1}}', PATHS, 0, 3)


@given(
    st.lists(
        st.sampled_from([b"a", "é".encode(), "€".encode(), "😀".encode(), b"\xff", b"\xc3", b"\xf0\x9f"]), max_size=9
    )
)
def test_a_byte_that_is_not_utf8_is_found_at_its_place(parts: list[bytes]) -> None:
    line = b"".join(parts)
    try:
        line.decode()
        expected = None
    except UnicodeDecodeError as fault:
        expected = fault.start
    assert utf8_fault(line) == expected
    before = b"x" * ((1 << 20) - 1)
    assert utf8_fault(before + line) == (None if expected is None else len(before) + expected)
