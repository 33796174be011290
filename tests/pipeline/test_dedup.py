"""A whole deduplication of small made corpora: who is kept, what is written, and what a second run does again."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import string
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import ConfigError, TooManyBadRecords, clean, deduplicate
from slimpajama.config.dedup import Config
from slimpajama.dedup.dedup_run import WorkSizes
from slimpajama.dedup.stages.decide import DecideStage
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.dedup.stages.write import WriteStage
from slimpajama.engine.local import LocalEngine
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.pipeline.removal_guards import BEGINNING
from slimpajama.stages.runner import Stages
from slimpajama.stages.stage import Stage
from tests.corpus.shards import compressed, decompressed, files_below, jsonl, put, records_of
from tests.examples import one_in
from tests.watching import Watched, interrupted_in

STAGES = ["read and sketch", "exact", "link", "cluster", "group", "diff", "decide", "write"]


def document(number: int, words: int = 40) -> str:
    """Words of random letters: two of them have hardly a shingle in common."""
    source = random.Random(number)
    return " ".join("".join(source.choices(string.ascii_lowercase, k=9)) for _ in range(words))


def edited(text: str) -> str:
    """Nearly the same: one letter in four hundred differs, so that a few shingles of hundreds do."""
    return "Q" + text[1:]


def run(source: Path, out: Path, **chosen: Any) -> dict[str, Any]:
    return deduplicate(source, out, **{"workers": 1, "sampled_removals": 0, **chosen}).as_dict()


def decisions(out: Path) -> list[dict[str, Any]]:
    """All decisions, by id."""
    rows = [row for path in (out / "decisions").rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: row["id"])


def texts(path: Path) -> list[str]:
    return [record["text"] for record in records_of(path)]


def results(out: Path) -> dict[str, bytes]:
    """Every file of the contract, but the summary, which holds times."""
    return {
        path: content
        for path, content in files_below(out).items()
        if path.startswith(("decisions/", "global/", "local/", "quarantine/"))
    }


def reused(summary: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Of each stage, how many items were reused, and how many there are."""
    assert list(summary["stages"]) == STAGES
    return {name: (stage["reused"], stage["items"]) for name, stage in summary["stages"].items()}


A, B, C, D = (document(number) for number in range(4))
SHORT = "short " * 20

# ------------------------------------------------------------------------------------------- a worked example

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
        },
        "wikipedia": {
            "read": both(4, b + 2 * c + short),
            "short": both(1, short),
            "bad": both(0, 0),
            "global": {"kept": both(1, c), "duplicate": both(2, b + c), "exact": both(1, c), "near": both(1, b)},
            "local": {"kept": both(2, b + c), "duplicate": both(1, c), "exact": both(1, c), "near": both(0, 0)},
            "replaced_values": 0,
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


# --------------------------------------------------------------------------------------- who survives, in general

POOL = [*(document(number) for number in range(20, 25)), SHORT, "", "tiny"]
CORPORA = st.dictionaries(
    st.sampled_from(["c4/a.jsonl", "c4/b.jsonl.gz", "arxiv/a.jsonl.zst", "books/a.jsonl", "own/a.jsonl"]),
    st.lists(st.integers(0, len(POOL) - 1), max_size=8),
    min_size=1,
)


@one_in(5)
@given(CORPORA)
def test_of_equal_documents_the_first_by_source_then_path_then_position_is_kept(
    tmp_path_factory: pytest.TempPathFactory, corpus: dict[str, list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("survivors")
    put(folder / "in", {name: [POOL[number] for number in numbers] for name, numbers in corpus.items()})
    summary = run(folder / "in", folder / "out")
    order = ["books", "arxiv", "c4", "own"]
    first: dict[int, Any] = {}
    first_of_source: dict[Any, Any] = {}
    expected, kept, kept_locally = [], [], []
    for name in sorted(corpus, key=lambda name: (order.index(name.split("/")[0]), name)):
        for place, number in enumerate(corpus[name]):
            here, source = (name, place), name.split("/")[0]
            if len(POOL[number]) < 200:
                expected.append((name, number, "short", False, False))
                continue
            survives = first.setdefault(number, here) == here
            survives_locally = first_of_source.setdefault((source, number), here) == here
            expected.append((name, number, "kept" if survives else "duplicate", survives, survives_locally))
            kept += [(source, number)] * survives
            kept_locally += [(source, number)] * survives_locally
    rows = decisions(folder / "out")
    found = [(row["shard"], row["status"], row["kept_global"], row["kept_local"]) for row in rows]
    assert found == [(name, *verdict) for name, _, *verdict in expected]
    for scope, numbers in (("global", kept), ("local", kept_locally)):
        written = {
            source: [text for path in sorted((folder / "out" / scope / source).iterdir()) for text in texts(path)]
            for source in summary["overlap"]["sources"]
        }
        assert written == {source: [POOL[number] for owner, number in numbers if owner == source] for source in written}
        total = summary["sources"]["total"]
        assert total["read"]["documents"] == len(rows)
        for unit in ("documents", "bytes"):
            assert total["read"][unit] == (
                total["short"][unit]
                + total["bad"][unit]
                + sum(total[scope][what][unit] for what in ("kept", "duplicate"))
            )


def test_the_order_of_a_config_decides_which_source_wins(tmp_path: Path) -> None:
    put(tmp_path / "in", {"one/a.jsonl": [A], "two/a.jsonl": [edited(A)]})
    for order in (["one", "two"], ["two", "one"]):
        run(tmp_path / "in", tmp_path / "out", sources=order)
        assert [row["status"] for row in decisions(tmp_path / "out")] == ["kept", "duplicate"]
        assert texts(tmp_path / "out" / "global" / order[0] / "a.jsonl.zst") != []
        assert texts(tmp_path / "out" / "global" / order[1] / "a.jsonl.zst") == []


def test_a_chain_of_near_duplicates_is_one_cluster_with_one_survivor(tmp_path: Path) -> None:
    # The ends have few shingles in common: only the documents between them make them one cluster.
    words = [document(number, 1) for number in range(100, 700)]
    chain = [" ".join(words[start : start + 400]) for start in range(0, 180, 6)]
    put(tmp_path / "in", {"c4/a.jsonl": chain})
    summary = run(tmp_path / "in", tmp_path / "out")
    assert {row["cluster_global"] for row in decisions(tmp_path / "out")} == {0}
    assert summary["sources"]["c4"]["global"]["kept"]["documents"] == 1


def test_a_short_document_is_never_the_survivor_of_a_longer_one(tmp_path: Path) -> None:
    stem = document(9, 19)
    assert len(stem) == 189
    short, long = stem + " " * 50 + "!" * 50 + "abcdefgh", stem + " abcdefghij"
    put(tmp_path / "in", {"c4/a.jsonl": [short, long, short]})
    run(tmp_path / "in", tmp_path / "out")
    assert [(row["status"], row["cleaned_chars"]) for row in decisions(tmp_path / "out")] == [
        ("short", 198),
        ("kept", 200),
        ("short", 198),
    ]


def test_documents_without_a_shingle_are_kept_and_never_collapse(tmp_path: Path) -> None:
    tiny = ["", "", "!!!", "twelve chars", "twelve chars", "Twelve, chars!"]
    thirteen = ["thirteen char", "thirteen char"]
    put(tmp_path / "in", {"c4/a.jsonl": [*tiny, *thirteen]})
    run(tmp_path / "in", tmp_path / "out", min_cleaned_characters=0)
    assert [row["status"] for row in decisions(tmp_path / "out")] == ["kept"] * 7 + ["duplicate"]
    assert {row["cluster_global"] for row in decisions(tmp_path / "out")[:6]} == {None}
    assert texts(tmp_path / "out" / "local" / "c4" / "a.jsonl.zst") == [*tiny, thirteen[0]]


# ------------------------------------------------------------------------------------------------ what is stored

DECOMPOSED, COMPOSED = "cafe\u0301 " + A, "caf\u00e9 " + A


@pytest.mark.parametrize(
    ("normalisation", "given", "stored"),
    [
        ("nfc", DECOMPOSED, COMPOSED),
        ("none", DECOMPOSED, DECOMPOSED),
        ("ftfy", DECOMPOSED, COMPOSED),
        ("ftfy", "\u00e2\u0153\u201d " + A, "\u2714 " + A),
        ("nfc", "\u00e2\u0153\u201d " + A, "\u00e2\u0153\u201d " + A),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_texts_are_written_and_counted_in_the_chosen_form(
    tmp_path: Path, name: str, normalisation: str, given: str, stored: str
) -> None:
    put(tmp_path / "in", {f"c4/{name}": [given, B]})
    run(tmp_path / "in", tmp_path / "out", normalisation=normalisation)
    assert texts(tmp_path / "out" / "global" / "c4" / "a.jsonl.zst") == [stored, B]
    assert decisions(tmp_path / "out")[0]["bytes"] == len(stored.encode())


def test_two_forms_of_one_text_are_the_same_document(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [COMPOSED, DECOMPOSED, COMPOSED.upper()]})
    run(tmp_path / "in", tmp_path / "out")
    assert [row["status"] for row in decisions(tmp_path / "out")] == ["kept", "duplicate", "duplicate"]
    assert len({row["cleaned_chars"] for row in decisions(tmp_path / "out")}) == 1


@pytest.mark.parametrize(
    ("scope", "written"), [("global", ["global"]), ("local", ["local"]), ("both", ["global", "local"])]
)
def test_only_the_shards_asked_for_are_written_and_both_verdicts_always(
    tmp_path: Path, scope: str, written: list[str]
) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A], "arxiv/a.jsonl": [A]})
    run(tmp_path / "in", tmp_path / "out", scope=scope)
    found = sorted(path.name for path in (tmp_path / "out").iterdir() if path.name in ("global", "local"))
    assert found == written
    assert [(row["kept_global"], row["kept_local"]) for row in decisions(tmp_path / "out")] == [
        (True, True),
        (False, True),
    ]


def test_the_published_layout_is_split_by_the_source_each_record_names(tmp_path: Path) -> None:
    def record(text: str, name: str) -> dict[str, Any]:
        return {"text": text, "meta": {"redpajama_set_name": name}}

    first = [record(A, "RedPajamaCommonCrawl"), record(B, "RedPajamaC4"), record(C, "RedPajamaC4")]
    second = [record(A, "RedPajamaC4"), record(D, "RedPajamaBook"), record(D, "RedPajamaBook")]
    chunk = "train/chunk1/part"
    put(tmp_path / "in", {f"{chunk}_0.jsonl.zst": first, f"{chunk}_1.jsonl.zst": second})
    summary = run(tmp_path / "in", tmp_path / "out", duplicate_counts=False)
    out = tmp_path / "out"
    # C4 comes before CommonCrawl, so its copy survives although it stands in the later file.
    assert records_of(out / "global" / "c4" / f"{chunk}_0.jsonl.zst") == first[1:]
    assert records_of(out / "global" / "c4" / f"{chunk}_1.jsonl.zst") == second[:1]
    assert records_of(out / "global" / "common_crawl" / f"{chunk}_0.jsonl.zst") == []
    assert records_of(out / "local" / "common_crawl" / f"{chunk}_0.jsonl.zst") == first[:1]
    assert records_of(out / "local" / "books" / f"{chunk}_1.jsonl.zst") == second[1:2]
    in_order = pq.read_table(out / "decisions" / f"{chunk}_0.parquet").to_pylist()
    assert [(row["source"], row["status"]) for row in in_order] == [
        ("common_crawl", "duplicate"),
        ("c4", "kept"),
        ("c4", "kept"),
    ]
    assert summary["sources"]["total"]["global"]["kept"]["documents"] == 4
    assert summary["overlap"]["documents"][6][5] == 1


# ------------------------------------------------------------------------------- the same whatever the circumstances

MANY = [document(number % 60) if number % 7 else edited(document(number % 60)) for number in range(400)]
VERDICTS = ("status", "kept_global", "kept_local", "bytes", "cleaned_chars")


def test_a_file_read_in_pieces_gives_the_same_decisions(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": MANY, "arxiv/b.jsonl.gz": MANY[:90]})
    whole = run(tmp_path / "in", tmp_path / "whole")
    cut = run(tmp_path / "in", tmp_path / "cut", piece_bytes=1 << 16)
    assert (whole["shards"]["pieces"], cut["shards"]["pieces"]) == (2, 4)
    assert decisions(tmp_path / "cut") == decisions(tmp_path / "whole")
    assert cut["sources"] == whole["sources"]
    for scope in ("global", "local"):
        parts = sorted((tmp_path / "cut" / scope / "c4").iterdir())
        assert [path.name for path in parts] == [f"a-{part:05d}-of-00003.jsonl.zst" for part in range(3)]
        assert b"".join(map(decompressed, parts)) == decompressed(tmp_path / "whole" / scope / "c4" / "a.jsonl.zst")


def test_many_key_ranges_give_the_same_bytes(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": MANY, "arxiv/b.jsonl.gz": MANY[:90]})
    run(tmp_path / "in", tmp_path / "one")
    stages, config = Stages(LocalEngine(1)), Config(workers=1, memory=256 << 20, sampled_removals=0)
    sizes = WorkSizes(bytes_per_key=1 << 20, bytes_per_member=1 << 20)
    summary = deduplicate_on(stages, tmp_path / "in", tmp_path / "many", config, sizes=sizes)
    counts = reused(summary.as_dict())
    assert (counts["exact"], counts["link"]) == ((0, 8), (0, 9 * 3)), "copies need no keys"
    assert counts["group"][1] > 2 * 2
    assert results(tmp_path / "many") == results(tmp_path / "one")


def test_one_and_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    put(tmp_path / "in", {f"c4/{part}.jsonl": MANY[part::5] for part in range(5)} | {"arxiv/b.jsonl.gz": MANY[:90]})
    run(tmp_path / "in", tmp_path / "one")
    run(tmp_path / "in", tmp_path / "two", workers=2)
    assert results(tmp_path / "two") == results(tmp_path / "one")


def test_one_and_two_workers_write_the_same_bytes_on_real_text(tmp_path: Path, real_corpus: Path) -> None:
    for source in sorted(path for path in real_corpus.iterdir() if path.is_dir()):
        shard = min(source.rglob("*.jsonl.zst"), key=lambda path: (path.stat().st_size, path))
        records = itertools.islice(_records(shard), 60)
        put(tmp_path / "in", {shard.relative_to(real_corpus).as_posix(): list(records)})
    one = run(tmp_path / "in", tmp_path / "one")
    run(tmp_path / "in", tmp_path / "two", workers=2)
    assert one["sources"]["total"]["read"]["documents"] > 200
    assert results(tmp_path / "two") == results(tmp_path / "one")


def _records(path: Path) -> Iterator[Any]:
    return map(orjson.loads, decompressed(path).splitlines())


def test_the_same_records_get_the_same_verdicts_from_any_kind_of_file(tmp_path: Path) -> None:
    records = [{"text": text} for text in [*MANY[:90], SHORT, "", DECOMPOSED, COMPOSED]]
    found = {}
    for suffix in (".jsonl", ".jsonl.zst", ".jsonl.gz", ".parquet"):
        put(tmp_path / suffix, {f"c4/a{suffix}": records[:60], f"arxiv/a{suffix}": records[30:]})
        summary = run(tmp_path / suffix, tmp_path / f"out{suffix}")
        rows = [[row[name] for name in VERDICTS] for row in decisions(tmp_path / f"out{suffix}")]
        shards = {
            path: decompressed(tmp_path / f"out{suffix}" / path)
            for path in results(tmp_path / f"out{suffix}")
            if path.endswith(".zst")
        }
        found[suffix] = rows, shards, summary["sources"]
    assert found[".jsonl.zst"] == found[".jsonl.gz"] == found[".jsonl"]
    assert found[".parquet"][0] == found[".jsonl"][0]
    assert found[".parquet"][2] == found[".jsonl"][2]
    assert {path: list(map(orjson.loads, data.splitlines())) for path, data in found[".parquet"][1].items()} == {
        path: list(map(orjson.loads, data.splitlines())) for path, data in found[".jsonl"][1].items()
    }


# ------------------------------------------------------------------------------------------------- a second run


@pytest.fixture
def twice(tmp_path: Path) -> tuple[Path, Path]:
    """A corpus of three shards and the output of a run over it."""
    put(tmp_path / "in", {"c4/a.jsonl": [A, B], "c4/b.jsonl.zst": [edited(A), C], "arxiv/a.jsonl.gz": [C, D]})
    run(tmp_path / "in", tmp_path / "out")
    return tmp_path / "in", tmp_path / "out"


def fresh(source: Path, **chosen: Any) -> dict[str, bytes]:
    """What a first run would have written."""
    out = source.parent / "fresh"
    shutil.rmtree(out, ignore_errors=True)
    run(source, out, **chosen)
    return results(out)


def test_nothing_is_done_again_when_nothing_changed(twice: tuple[Path, Path]) -> None:
    source, out = twice
    before, summary = results(out), orjson.loads((out / "summary.json").read_bytes())
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.zst")}

    def refuse(function: Callable[[Any], Any], payload: Any) -> Any:
        raise AssertionError(f"{function} was called")

    again = run(source, out, engine=Watched(around=refuse))
    assert all(done == items for done, items in reused(again).values())
    assert results(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.zst")} == times
    for key in ("sources", "overlap", "clusters", "lsh", "shards"):
        assert again[key] == summary[key]
    assert again["mb_per_second"] is None, "no speed is claimed for work that was not done"


@pytest.mark.parametrize(
    ("changed", "redone"),
    [
        ({"memory": "1GiB"}, []),
        ({"max_bad_fraction": 0.5}, []),
        ({"piece_bytes": "1MiB"}, []),
        ({"workers": 2}, []),
        ({"compression_level": 3}, ["write"]),
        ({"scope": "global"}, ["write"]),
        ({"min_cleaned_characters": 10_000}, STAGES),
        # Other keys that link the same: the tables are made anew, but say the same of the shards, which are not.
        ({"seed": 2}, ["read and sketch", "exact", "link", "group", "decide"]),
        ({"bands": 8, "rows": 16}, ["read and sketch", "exact", "link", "cluster", "group", "decide"]),
        # The shards are read anew, and hold what they held before.
        ({"normalisation": "none"}, ["read and sketch", "write"]),
        ({"max_document_bytes": 5000}, ["read and sketch"]),
        ({"truncated": "keep"}, ["read and sketch", "write"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_changed_setting_redoes_what_depends_on_it_and_nothing_else(
    twice: tuple[Path, Path], changed: dict[str, Any], redone: list[str]
) -> None:
    source, out = twice
    counts = reused(run(source, out, **changed))
    assert [name for name, (done, items) in counts.items() if done < items] == redone
    assert all(done in (0, items) for done, items in counts.values())
    expected = fresh(source, **changed)
    assert {path: content for path, content in results(out).items() if path in expected} == expected
    run(source, out)
    assert results(out) == fresh(source), "and back again"


def test_a_replaced_shard_is_read_again_and_the_others_are_not(twice: tuple[Path, Path]) -> None:
    source, out = twice
    shard = source / "c4" / "b.jsonl.zst"
    shard.write_bytes(compressed(shard.name, jsonl([{"text": B}, {"text": D}])))
    counts = reused(run(source, out))
    assert counts["read and sketch"] == (2, 3)
    assert results(out) == fresh(source)


def test_a_shard_replaced_by_one_of_the_same_size_is_noticed_by_its_time(twice: tuple[Path, Path]) -> None:
    source, out = twice
    shard = source / "c4" / "a.jsonl"
    status = shard.stat()
    shard.write_bytes(shard.read_bytes().replace(B.encode(), D.encode()))
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert shard.stat().st_size == status.st_size
    assert reused(run(source, out))["read and sketch"] == (2, 3)
    assert results(out) == fresh(source)


def test_a_moved_input_is_not_read_again(twice: tuple[Path, Path]) -> None:
    source, out = twice
    moved = source.rename(source.with_name("moved"))
    assert all(done == items for done, items in reused(run(moved, out)).values())


def test_outputs_of_a_removed_shard_go_and_foreign_files_stay(twice: tuple[Path, Path]) -> None:
    source, out = twice
    foreign = [out / "mine.txt", out / "global" / "c4" / "mine.jsonl.zst", out / "decisions" / "mine.parquet.bak"]
    for path in foreign:
        path.write_text("mine")
    (source / "c4" / "b.jsonl.zst").unlink()
    run(source, out)
    left = results(out)
    assert {left.pop(path.relative_to(out).as_posix()) for path in foreign[1:]} == {b"mine"}
    assert foreign[0].read_text() == "mine"
    assert left == fresh(source)


def test_a_foreign_file_that_looks_unfinished_stays(twice: tuple[Path, Path]) -> None:
    source, out = twice
    (out / "notes.tmp").write_text("mine")
    run(source, out)
    assert (out / "notes.tmp").read_text() == "mine"


def test_the_quarantine_of_a_removed_or_mended_shard_goes(tmp_path: Path) -> None:
    broken = jsonl([{"text": A}]) + b"broken\n"
    put(tmp_path / "in", {"c4/a.jsonl": broken, "c4/b.jsonl": broken, "c4/c.jsonl": broken})
    run(tmp_path / "in", tmp_path / "out", max_bad_fraction=1.0)
    assert sorted(files_below(tmp_path / "out" / "quarantine")) == ["c4/a.jsonl", "c4/b.jsonl", "c4/c.jsonl"]
    put(tmp_path / "in", {"c4/a.jsonl": [A, B]})
    (tmp_path / "in" / "c4" / "b.jsonl").unlink()
    run(tmp_path / "in", tmp_path / "out", max_bad_fraction=1.0)
    assert sorted(files_below(tmp_path / "out" / "quarantine")) == ["c4/c.jsonl"]


def test_shards_of_the_other_scope_stay_while_they_are_right(twice: tuple[Path, Path]) -> None:
    source, out = twice
    both = results(out)
    run(source, out, scope="global")
    assert results(out) == both, "nothing that still holds was removed"
    run(source, out, scope="global", min_cleaned_characters=10_000)
    assert not any(path.startswith("local/") for path in results(out)), "these would be wrong now"
    run(source, out, scope="local")
    assert not any(path.startswith("global/") for path in results(out))
    run(source, out)
    assert results(out) == both


def test_shards_of_an_interrupted_run_with_other_settings_are_not_taken_for_right_ones(
    twice: tuple[Path, Path],
) -> None:
    source, out = twice
    right = results(out)
    with pytest.raises(KeyboardInterrupt):
        run(source, out, engine=interrupted_in(WriteStage, 2), min_cleaned_characters=10_000)
    run(source, out, scope="global")
    left = results(out)
    assert {path: content for path, content in left.items() if right[path] != content} == {}


@pytest.mark.parametrize("folder", ["global", "local", "decisions", "work/rows", "work/links", "work/clusters.arrow"])
def test_what_was_deleted_from_the_output_is_made_again(twice: tuple[Path, Path], folder: str) -> None:
    source, out = twice
    before = results(out)
    if (out / folder).is_dir():
        shutil.rmtree(out / folder)
    else:
        (out / folder).unlink()
    run(source, out)
    assert results(out) == before


@pytest.mark.parametrize("stage", [SketchStage, DecideStage, WriteStage])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_run_that_stopped_anywhere_goes_on_to_the_same_bytes(
    tmp_path: Path, stage: type[Stage[Any, Any]], after: int
) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A, B], "c4/b.jsonl.zst": [edited(A), C], "arxiv/a.jsonl.gz": [C, D]})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in", tmp_path / "out", engine=interrupted_in(stage, after, done=True))
    assert not (tmp_path / "out" / "summary.json").exists()
    counts = reused(run(tmp_path / "in", tmp_path / "out"))
    assert counts[stage.title] == (after, 3)
    assert results(tmp_path / "out") == fresh(tmp_path / "in")


# ----------------------------------------------------------------------------------------------------- refusals


def test_too_many_bad_records_stop_the_run_and_a_higher_limit_goes_on_from_there(tmp_path: Path) -> None:
    lines: Sequence[bytes] = [jsonl([{"text": A}]), b"[]\n", jsonl([{"text": B}]), b"{}\n"]
    put(tmp_path / "in", {"c4/a.jsonl": b"".join(lines), "c4/b.jsonl": [C]})
    with pytest.raises(TooManyBadRecords) as caught:
        run(tmp_path / "in", tmp_path / "out", max_bad_fraction=0.25)
    assert str(caught.value) == (
        f"{tmp_path}/in/c4/a.jsonl: 2 of 4 records read are bad (50.0%, allowed are 25.0%), the first at byte "
        f"{len(lines[0])}: not an object but an array; mend or remove the shard, or raise max_bad_fraction"
    )
    quarantined = (tmp_path / "out" / "quarantine" / "c4" / "a.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["reason"] for line in quarantined] == [
        "not an object but an array",
        "no field 'text'",
    ]
    counts = reused(run(tmp_path / "in", tmp_path / "out", max_bad_fraction=0.5))
    assert counts["read and sketch"] == (2, 2)


def test_a_long_shard_that_is_mostly_broken_stops_the_run_early(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": (b"broken" + b"x" * 1000 + b"\n") * 20_000})
    with pytest.raises(TooManyBadRecords) as caught:
        run(tmp_path / "in", tmp_path / "out")
    assert " of 20,000 records" not in str(caught.value)
    assert "records read are bad (100.0%, allowed are 1.0%), the first at byte 0: not JSON (" in str(caught.value)


def test_bad_records_of_a_shard_in_pieces_are_judged_together(tmp_path: Path) -> None:
    sound = jsonl([{"text": text} for text in MANY])
    put(tmp_path / "in", {"c4/a.jsonl": b"broken\n" * 3 + sound})
    assert run(tmp_path / "in", tmp_path / "out", piece_bytes=1 << 16)["sources"]["c4"]["bad"]["documents"] == 3
    put(tmp_path / "in", {"c4/a.jsonl": b"broken\n" * 5 + sound})
    with pytest.raises(
        TooManyBadRecords, match=r"a\.jsonl: 5 of 405 records read are bad \(1\.2%, allowed are 1\.0%\)"
    ):
        run(tmp_path / "in", tmp_path / "out", piece_bytes=1 << 16)


@pytest.mark.parametrize("place", [".", "out", "c4/out"])
def test_an_output_inside_the_input_is_refused(tmp_path: Path, place: str) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A]})
    out = tmp_path / "in" / place
    with pytest.raises(ConfigError) as caught:
        run(tmp_path / "in", out)
    assert str(caught.value) == f"the output {out} lies inside the input {tmp_path}/in; choose another place"
    assert sorted(files_below(tmp_path / "in")) == ["c4/a.jsonl"]


def test_an_output_inside_the_input_through_a_link_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A]})
    (tmp_path / "link").symlink_to(tmp_path / "in")
    with pytest.raises(ConfigError, match="lies inside the input"):
        run(tmp_path / "in", tmp_path / "link" / "out")


def test_an_input_inside_the_output_is_refused_and_not_touched(tmp_path: Path) -> None:
    put(tmp_path / "data" / "in", {"c4/a.jsonl": [A]})
    (tmp_path / "data" / "in" / "c4" / "b.jsonl.tmp").write_bytes(b"still being copied")
    before = files_below(tmp_path / "data")
    with pytest.raises(ConfigError, match="lies inside the output"):
        run(tmp_path / "data" / "in", tmp_path / "data")
    assert files_below(tmp_path / "data") == before


def test_a_source_may_not_be_called_as_the_summary_calls_all_of_them(tmp_path: Path) -> None:
    put(tmp_path / "in", {"total/a.jsonl": [A], "web/a.jsonl": [B, C]})
    with pytest.raises(ConfigError, match="total"):
        run(tmp_path / "in", tmp_path / "out")


def test_a_corpus_of_empty_shards_gives_empty_shards(tmp_path: Path) -> None:
    names = ["c4/a.jsonl", "c4/b.jsonl.zst", "c4/c.jsonl.gz", "arxiv/blank.jsonl"]
    put(tmp_path / "in", {**dict.fromkeys(names, b""), "arxiv/blank.jsonl": b"\n\n", "arxiv/d.parquet": []})
    (tmp_path / "in" / "c4" / "e.jsonl.gz").touch()
    summary = run(tmp_path / "in", tmp_path / "out")
    assert summary["sources"]["total"]["read"] == {"documents": 0, "bytes": 0}
    assert decisions(tmp_path / "out") == []
    shards = sorted((tmp_path / "out" / "global").rglob("*.zst"))
    assert len(shards) == 6
    assert [decompressed(path) for path in shards] == [b""] * 6
