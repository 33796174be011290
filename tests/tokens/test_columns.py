"""Metadata columns: values as text, their hashes in rows, what a selection takes of them, and a bounded dictionary."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.errors import ConfigError, ConservationError
from slimpajama.tokens.column_counts import column_values, count_values
from slimpajama.tokens.columns import (
    ColumnValues,
    column_field,
    read_values,
    record_path,
    value_hash,
    value_in,
    value_text,
    with_columns,
)
from slimpajama.tokens.pieces import PIECE
from slimpajama.tokens.run_files import RUN_RECORD
from slimpajama.tokens.selection import Selection, Where


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("python", "python"),
        (" Python\n", " Python\n"),
        (None, "(none)"),
        ("", "(none)"),
        (3, "3"),
        (2**80, "1208925819614629174706176"),
        (0.5, "0.5"),
        (1.0, "1.0"),
        (True, "true"),
        (["python"], "(list)"),
        ({"name": "python"}, "(object)"),
    ],
)
def test_values_by_hand(value: object, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("path", "read", "value"),
    [
        ("meta.lang", ("meta", "lang"), "en"),
        ("meta.languages.0.name", ("meta", "languages"), "C"),
        ("meta.languages.1.name", ("meta", "languages"), "Tcl"),
        ("meta.languages.7.name", ("meta", "languages"), None),
        ("meta.by_year.2020", ("meta", "by_year"), "new"),
        ("meta.lang.0", ("meta", "lang"), None),
        ("meta.0", ("meta",), None),
        ("meta.nothing.there", ("meta", "nothing", "there"), None),
    ],
)
def test_a_number_in_a_path_is_a_place_in_a_list(path: str, read: tuple[str, ...], value: object) -> None:
    found: Any = {
        "meta": {"lang": "en", "languages": [{"name": "C"}, {"name": "Tcl"}], "by_year": {"2020": "new"}},
    }
    assert record_path(path) == read
    for name in read:
        found = found.get(name) if isinstance(found, dict) else None
    assert value_in(found, path) == value


def test_rows_without_columns_are_what_they_were() -> None:
    assert with_columns(PIECE, ()) is PIECE
    assert with_columns(RUN_RECORD, ()) is RUN_RECORD
    assert with_columns(PIECE, ("meta.lang", "meta.spräche")).names == (
        *(PIECE.names or ()),
        "column meta.lang",
        "column meta.spr\\xe4che",
    )


def test_hashes_are_of_the_text_and_stay_what_they_are() -> None:
    assert value_hash("python") == 0xB1C8E19E6E98B6A8
    assert value_hash("(none)") != value_hash("none")


scalars = st.one_of(st.none(), st.text(max_size=4), st.integers(), st.booleans(), st.sampled_from(["a", "b", "c"]))


@given(st.lists(st.tuples(scalars, scalars), max_size=30), st.integers(1, 29))
def test_hashes_and_shown_values_are_those_of_a_slow_twin(found: list[tuple[object, object]], cut: int) -> None:
    columns = ("meta.a", "meta.b")
    values = ColumnValues("s", columns)
    hashes: dict[str, list[int]] = {column: [] for column in columns}
    for part in (found[:cut], found[cut:]):
        for column, (field, own) in zip(columns, values.add(part), strict=True):
            assert field == column_field(column)
            hashes[column] += own.tolist()
    for number, column in enumerate(columns):
        texts = [value_text(one[number]) for one in found]
        assert hashes[column] == [value_hash(text) for text in texts]
        assert values.shown(column) == {value_hash(text): text for text in texts}


def test_values_of_shards_become_one_dictionary(tmp_path: Path) -> None:
    whole = ColumnValues("s", ("meta.a",))
    shards: list[list[tuple[object, ...]]] = [[("x",), (None,)], [("y",), ("x",)]]
    for number, found in enumerate(shards):
        shard = ColumnValues("s", ("meta.a",))
        list(shard.add(found))
        shard.write(tmp_path / f"{number}.json")
        whole.merge(read_values(tmp_path / f"{number}.json"))
    assert sorted(whole.shown("meta.a").values()) == ["(none)", "x", "y"]


def test_a_long_value_is_cut_where_it_is_shown_and_told_from_others() -> None:
    values = ColumnValues("s", ("meta.a",))
    longest = "x" * 1_000_000
    ((_, hashes),) = values.add([(longest + "1",), (longest + "2",), (longest + "1",)])
    assert hashes.tolist() == [value_hash(longest + end) for end in "121"]
    assert list(values.shown("meta.a").values()) == ["x" * 200 + "…"] * 2


@pytest.mark.parametrize("longest", [1, 300])
def test_too_many_values_are_refused(longest: int) -> None:
    said = "source 'web' has more than 10 values of meta.url, which is too many to split it by; leave meta.url out of"
    values = ColumnValues("web", ("meta.url",), most=10)
    list(values.add([(f"{number:0{longest}}",) for number in range(10)] * 2))
    with pytest.raises(ConfigError, match=said):
        list(values.add([("one more",)]))
    merged = ColumnValues("web", ("meta.url",), most=10)
    merged.merge({"meta.url": {f"{number:016x}": str(number) for number in range(10)}})
    with pytest.raises(ConfigError, match=said):
        merged.merge({"meta.url": {f"{99:016x}": "99"}})


languages = st.sampled_from(["python", "java", "c", "(none)"])


def rows_of(documents: list[tuple[bool, int, str]]) -> np.ndarray[Any, np.dtype[np.void]]:
    rows = np.zeros(len(documents), dtype=with_columns(PIECE, ("meta.lang",)))
    for row, (kept, count, language) in zip(rows, documents, strict=True):
        row["kept_local"], row["duplicates_local"], row["tokens"] = kept, count, 10 + count
        row["piece"] = count % 2
        row[column_field("meta.lang")] = value_hash(language)
    return rows


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 9), languages), max_size=25),
    st.lists(languages, min_size=1, max_size=3, unique=True),
    st.booleans(),
    st.booleans(),
)
def test_rows_are_chosen_by_value_as_a_loop_would(
    documents: list[tuple[bool, int, str]], wanted: list[str], others: bool, many: bool
) -> None:
    selection = Selection("local", (2, 5) if many else None, where=Where("meta.lang", tuple(wanted), others))
    expected = [
        place
        for place, (kept, count, language) in enumerate(documents)
        if kept and (language in wanted) != others and (not many or 2 <= count <= 5)
    ]
    rows = rows_of(documents)
    assert not selection.is_whole
    assert selection.chosen(rows).places.tolist() == expected
    rest = replace(selection, where=Where("meta.lang", tuple(wanted), not others))
    both = replace(selection, where=None)
    parts = [one.chosen(rows).places.tolist() for one in (selection, rest)]
    assert sorted(parts[0] + parts[1]) == both.chosen(rows).places.tolist(), "a part and the rest are the whole"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9), languages), max_size=25), st.integers(0, 25))
def test_counts_of_values_are_those_of_a_loop(documents: list[tuple[bool, int, str]], cut: int) -> None:
    shown = {value_hash(language): language for language in ("python", "java", "c", "(none)")}
    rows = rows_of(documents)
    counts = count_values([rows[:cut], rows[cut:]], ("meta.lang",))["meta.lang"]
    found = column_values("s", "meta.lang", counts, shown)
    tokens, begun = Counter[str](), Counter[str]()
    for kept, count, language in documents:
        tokens[language] += kept * (10 + count)
        begun[language] += kept * (count % 2 == 0)
    assert {one.value: (one.documents.local, one.tokens.local) for one in found} == {
        language: (begun[language], tokens[language]) for language in shown.values()
    }
    assert [one.tokens.global_ for one in found] == [0] * 4
    ordered = [one.tokens.local for one in found]
    assert ordered == sorted(ordered, reverse=True)


def test_a_row_of_a_value_that_was_never_seen_is_an_error() -> None:
    counts = count_values([rows_of([(True, 1, "python")])], ("meta.lang",))["meta.lang"]
    with pytest.raises(
        ConservationError, match=r"a document of source s has a value of meta.lang that was seen in none"
    ):
        column_values("s", "meta.lang", counts, {value_hash("java"): "java"})
