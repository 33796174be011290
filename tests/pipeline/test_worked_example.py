"""A whole deduplication of a small corpus, with all that it leaves."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimpajama import clean
from slimpajama.pipeline.removal_guards import BEGINNING
from tests.corpus.shards import files_below, put, records_of
from tests.pipeline.small_corpora import (
    SHORT,
    STAGES,
    A,
    B,
    C,
    decisions,
    edited,
    results,
    reused,
    run,
)

C4 = [
    (b'{"text": "%s"}' % A.encode(), "kept"),
    (b'{"text": "%s"}' % B.encode(), "kept"),
    (b"broken", "bad"),
    (b'{"text": "%s"}' % SHORT.encode(), "short"),
    (b'{"text": "%s", "n": 1}' % A.encode(), "duplicate"),
]
WIKIPEDIA = [
    (b'{"text": "%s"}' % edited(B).encode(), "duplicate"),
    (b'{"text": "%s", "meta": {"title": "t"}}' % C.encode(), "kept"),
    (b'{"text": "%s"}' % C.encode(), "duplicate"),
    (b'{"text": "%s"}' % SHORT.encode(), "short"),
]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("example")
    lines = b"\n".join(line for line, _ in C4[:2]) + b"\n\n \r\n" + b"\n".join(line for line, _ in C4[2:])
    put(
        folder / "in", {"c4/a.jsonl": lines, "wikipedia/x/b.jsonl.zst": b"".join(line + b"\n" for line, _ in WIKIPEDIA)}
    )
    (folder / "in" / "notes.txt").touch()
    return folder / "out", run(folder / "in", folder / "out", max_bad_fraction=0.5, sources=["c4", "wikipedia"])


def test_decisions_have_the_promised_columns(example: tuple[Path, dict[str, Any]]) -> None:
    for path in (example[0] / "decisions").rglob("*.parquet"):
        assert pq.read_schema(path).equals(
            pa.schema(
                [
                    ("id", pa.uint64()),
                    ("source", pa.string()),
                    ("shard", pa.string()),
                    ("position", pa.int64()),
                    ("status", pa.string()),
                    ("cluster_global", pa.uint64()),
                    ("cluster_local", pa.uint64()),
                    ("kept_global", pa.bool_()),
                    ("kept_local", pa.bool_()),
                    ("bytes", pa.int64()),
                    ("cleaned_chars", pa.int64()),
                    ("match_global", pa.string()),
                    ("match_local", pa.string()),
                    ("similarity_global", pa.float32()),
                    ("similarity_local", pa.float32()),
                    ("size_global", pa.int64()),
                    ("size_local", pa.int64()),
                    ("exact_copies", pa.int64()),
                    ("cluster_sources", pa.list_(pa.string())),
                ]
            )
        )


def test_there_is_one_decision_per_line_in_order(example: tuple[Path, dict[str, Any]]) -> None:
    out, _ = example
    columns = ["id", "source", "shard", "position", "status", "cluster_global", "cluster_local"]
    columns += ["kept_global", "kept_local", "bytes", "cleaned_chars"]
    a, c = len(A), len(clean(A))
    second, fifth = len(C4[0][0]) + 1, sum(len(line) + 1 for line, _ in C4[:4]) + 4
    third = second + len(C4[1][0]) + 1 + 4
    fourth = third + len(b"broken\n")
    in_c4 = [
        [0, "c4", "c4/a.jsonl", 0, "kept", 0, 0, True, True, a, c],
        [second, "c4", "c4/a.jsonl", second, "kept", second, None, True, True, len(B), len(clean(B))],
        [third, "c4", "c4/a.jsonl", third, "bad", None, None, False, False, 6, None],
        [fourth, "c4", "c4/a.jsonl", fourth, "short", None, None, False, False, len(SHORT), len(SHORT) - 1],
        [fifth, "c4", "c4/a.jsonl", fifth, "duplicate", 0, 0, False, False, a, c],
    ]
    places = [0, *itertools.accumulate(len(line) + 1 for line, _ in WIKIPEDIA)]
    one = 1 << 40
    shard = ["wikipedia", "wikipedia/x/b.jsonl.zst"]
    title = one + places[1]
    in_wikipedia = [
        # Only another source holds its near-duplicate, so it is alone, and kept, locally.
        [one, *shard, 0, "duplicate", second, None, False, True, len(B), len(clean(B))],
        [title, *shard, places[1], "kept", title, title, True, True, len(C), len(clean(C))],
        [one + places[2], *shard, places[2], "duplicate", title, title, False, False, len(C), len(clean(C))],
        [one + places[3], *shard, places[3], "short", None, None, False, False, len(SHORT), len(SHORT) - 1],
    ]
    for path, rows in (("c4/a.parquet", in_c4), ("wikipedia/x/b.parquet", in_wikipedia)):
        found = pq.read_table(out / "decisions" / path, columns=columns).to_pylist()
        assert [list(row) for row in found] == [columns] * len(rows)
        assert [list(row.values()) for row in found] == rows


def test_decisions_say_what_a_document_stands_for_and_how_it_matches(example: tuple[Path, dict[str, Any]]) -> None:
    columns = ["match_global", "match_local", "size_global", "size_local", "exact_copies", "cluster_sources"]
    nothing = (None,) * 6
    expected = {
        "c4/a.parquet": [
            (None, None, 2, 2, 2, ["c4"]),
            (None, None, 2, 1, 1, ["c4", "wikipedia"]),
            nothing,
            nothing,
            ("exact", "exact", None, None, None, None),
        ],
        "wikipedia/x/b.parquet": [
            ("near", None, None, 1, None, None),
            (None, None, 2, 2, 2, ["wikipedia"]),
            ("exact", "exact", None, None, None, None),
            nothing,
        ],
    }
    for path, rows in expected.items():
        table = pq.read_table(example[0] / "decisions" / path)
        assert [tuple(row.values()) for row in table.select(columns).to_pylist()] == rows
        assert table["similarity_global"].null_count == table["similarity_local"].null_count == len(rows)


def test_shards_hold_what_is_kept_in_input_order(example: tuple[Path, dict[str, Any]]) -> None:
    out, _ = example
    c4, wikipedia = {"redpajama_set_name": "RedPajamaC4"}, {"redpajama_set_name": "RedPajamaWikipedia"}

    def counts(in_global: int | None, in_local: int, exact: int | None, *sources: str) -> dict[str, Any]:
        values = {"global": in_global, "local": in_local, "exact": exact, "sources": list(sources) or None}
        return {"duplicates": values}

    kept_of_c4 = [
        {"text": A, "meta": {**c4, **counts(2, 2, 2, "c4")}},
        {"text": B, "meta": {**c4, **counts(2, 1, 1, "c4", "wikipedia")}},
    ]
    titled = {"text": C, "meta": {"title": "t", **wikipedia, **counts(2, 2, 2, "wikipedia")}}
    assert records_of(out / "global" / "c4" / "a.jsonl.zst") == kept_of_c4
    assert records_of(out / "local" / "c4" / "a.jsonl.zst") == kept_of_c4
    assert records_of(out / "global" / "wikipedia" / "x" / "b.jsonl.zst") == [titled]
    assert records_of(out / "local" / "wikipedia" / "x" / "b.jsonl.zst") == [
        {"text": edited(B), "meta": {**wikipedia, **counts(None, 1, None)}},
        titled,
    ]


def test_the_counts_can_be_left_out_and_two_scopes_of_equal_lines_share_a_stream(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A, B, A]})
    run(tmp_path / "in", tmp_path / "out")
    both = [tmp_path / "out" / scope / "c4" / "a.jsonl.zst" for scope in ("global", "local")]
    assert both[0].read_bytes() == both[1].read_bytes()
    assert records_of(both[0])[0]["meta"]["duplicates"] == {"global": 2, "local": 2, "exact": 2, "sources": ["c4"]}
    summary = run(tmp_path / "in", tmp_path / "out", duplicate_counts=False)
    assert [name for name, (done, items) in reused(summary).items() if done < items] == ["write"]
    for path in both:
        assert [record["meta"] for record in records_of(path)] == [{"redpajama_set_name": "RedPajamaC4"}] * 2


def test_a_shard_whose_documents_get_another_copy_elsewhere_is_written_anew(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A, B], "c4/b.jsonl": [C]})
    run(tmp_path / "in", tmp_path / "out")
    put(tmp_path / "in", {"c4/b.jsonl": [C, A]})
    assert reused(run(tmp_path / "in", tmp_path / "out"))["write"] == (0, 2)
    run(tmp_path / "in", tmp_path / "fresh")
    assert results(tmp_path / "out") == results(tmp_path / "fresh")
    put(tmp_path / "in", {"c4/b.jsonl": [C]})
    run(tmp_path / "in", tmp_path / "out", duplicate_counts=False)
    put(tmp_path / "in", {"c4/b.jsonl": [C, A]})
    assert reused(run(tmp_path / "in", tmp_path / "out", duplicate_counts=False))["write"] == (1, 2)


def test_bad_records_lie_in_the_quarantine_with_their_place_and_reason(example: tuple[Path, dict[str, Any]]) -> None:
    found = files_below(example[0] / "quarantine")
    assert list(found) == ["c4/a.jsonl"]
    record = orjson.loads(found["c4/a.jsonl"])
    assert record.pop("reason").startswith("not JSON (")
    place = sum(len(line) + 1 for line, _ in C4[:2]) + 4
    assert record == {"shard": "c4/a.jsonl", "position": place, "bytes": 6, "first_bytes": "broken"}


def test_the_summary_counts_documents_and_bytes(example: tuple[Path, dict[str, Any]]) -> None:
    out, summary = example
    assert orjson.loads((out / "summary.json").read_bytes()) == orjson.loads(orjson.dumps(summary))
    a, b, c, short = len(A), len(B), len(C), len(SHORT)

    def both(documents: int, size: int) -> dict[str, int]:
        return {"documents": documents, "bytes": size}

    assert summary["sources"] == {
        "c4": {
            "read": both(5, 2 * a + b + 6 + short),
            "short": both(1, short),
            "bad": both(1, 6),
            "global": {"kept": both(2, a + b), "duplicate": both(1, a), "exact": both(1, a), "near": both(0, 0)},
            "local": {"kept": both(2, a + b), "duplicate": both(1, a), "exact": both(1, a), "near": both(0, 0)},
            "replaced_values": 0,
            "contaminated": both(0, 0),
        },
        "wikipedia": {
            "read": both(4, b + 2 * c + short),
            "short": both(1, short),
            "bad": both(0, 0),
            "global": {"kept": both(1, c), "duplicate": both(2, b + c), "exact": both(1, c), "near": both(1, b)},
            "local": {"kept": both(2, b + c), "duplicate": both(1, c), "exact": both(1, c), "near": both(0, 0)},
            "replaced_values": 0,
            "contaminated": both(0, 0),
        },
        "total": {
            "read": both(9, 2 * a + 2 * b + 2 * c + 6 + 2 * short),
            "short": both(2, 2 * short),
            "bad": both(1, 6),
            "global": {
                "kept": both(3, a + b + c),
                "duplicate": both(3, a + b + c),
                "exact": both(2, a + c),
                "near": both(1, b),
            },
            "local": {
                "kept": both(4, a + 2 * b + c),
                "duplicate": both(2, a + c),
                "exact": both(2, a + c),
                "near": both(0, 0),
            },
            "replaced_values": 0,
            "contaminated": both(0, 0),
        },
    }
    assert summary["overlap"]["sources"] == ["c4", "wikipedia"]
    assert summary["overlap"]["documents"] == [[1, 0], [1, 1]]
    assert summary["overlap"]["bytes"] == [[a, 0], [b, c]]
    assert summary["overlap"]["shared_documents"] == [[2, 1], [1, 2]]
    assert summary["overlap"]["shared_bytes"] == [[2 * a, b], [b, 2 * c]]
    assert summary["overlap"]["clusters"] == [[2, 1], [1, 2]]
    ids = [row["id"] for row in decisions(out)]
    assert summary["clusters"] == {
        "linked": 6,
        "clusters": 3,
        "largest": [
            {"cluster": ids[place], "documents": 2, "beginning": text[:BEGINNING]}
            for place, text in ((0, A), (1, B), (6, C))
        ],
    }
    assert summary["shards"] == {"files": 2, "pieces": 2, "ignored": ["notes.txt"], "held_out": {}}
    assert (summary["lsh"]["bands"], summary["lsh"]["rows"]) == (9, 13)
    assert list(summary["stages"]) == STAGES
    assert {"input", "settings", "versions", "seconds", "mb_per_second"} <= set(summary)
    assert summary["settings"]["max_bad_fraction"] == 0.5
