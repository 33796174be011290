"""Every kind of verdict is explained, by every name that a document has, and what stands in the way is said."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import slimpajama
from slimpajama import ConfigError, InputChanged, InputNotFound
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.summary import read_summary
from slimpajama.evidence.opened_output import open_evidence
from slimpajama.pipeline.explain import explain
from tests.corpus.shards import jsonl, put


def words(seed: int, count: int = 120) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices("abcdefghijklmnopqrst", k=8)) for _ in range(count)]


PAGE, OTHER = words(1), words(2)
NEAR = [*PAGE[:60], "changed", *PAGE[61:]]
RECORDS = [
    {"text": " ".join(PAGE), "id": "first"},
    {"text": " ".join(OTHER), "id": 12},
    {"text": " ".join(NEAR), "id": "near"},
    {"text": "short", "id": "tiny"},
    {"text": " ".join(PAGE), "id": "copy"},
]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven records: four sound ones, a short one, a broken one, and a copy in another source."""
    root = tmp_path_factory.mktemp("explain")
    put(
        root / "in",
        {
            "arxiv/a.jsonl.zst": [{"text": " ".join(PAGE), "id": "paper"}],
            "c4/a.jsonl": b"\n" + jsonl(RECORDS) + b'{"text": 1}\n',
        },
    )
    sources = ["c4", "arxiv"]
    slimpajama.deduplicate(
        root / "in", root / "out", workers=1, id_field="id", max_bad_fraction=1, threshold=0.5, sources=sources
    )
    return root / "out"


def position_of(number: int) -> int:
    return 1 + len(jsonl(RECORDS[:number]))


def test_a_near_duplicate_is_shown_beside_what_stays(output: Path) -> None:
    found = explain(output, f"c4/a.jsonl@{position_of(2)}")
    assert (found.document.status, found.document.document_id) == ("duplicate", "near")
    assert found.survivor_global == found.survivor_local
    assert found.survivor("global") == explain(output, "first").document
    (pair,) = found.pairs
    assert (pair.document_text, pair.survivor_text) == (" ".join(NEAR), " ".join(PAGE))
    # One word of 120 is another: the shingles that touch it and its spaces.
    assert 0.9 < pair.jaccard < 1
    assert pair.estimate is not None
    assert abs(pair.estimate - pair.jaccard) < 0.1
    assert pair.bands
    assert found.path == ()
    assert found.problem == ""


@pytest.mark.parametrize("name", ["c4/a.jsonl:4", "near", "./c4/a.jsonl:4"])
def test_a_document_has_several_names(output: Path, name: str) -> None:
    by_place = explain(output, f"c4/a.jsonl@{position_of(2)}").document
    assert explain(output, name).document == by_place
    for number in (str(by_place.id), hex(by_place.id), f"0X{by_place.id:X}"):
        assert explain(output, number).document == by_place


def test_digits_that_are_no_id_are_the_id_of_a_record(output: Path) -> None:
    assert explain(output, "12").document.position == position_of(1)


def test_the_scopes_may_differ(output: Path) -> None:
    found = explain(output, "paper")
    assert found.document.status == "duplicate"
    assert found.document.kept_local
    assert found.survivor_local is None
    assert [pair.scope for pair in found.pairs] == ["global"]
    assert found.pairs[0].jaccard == 1


def test_what_is_kept_short_or_bad_has_no_pair(output: Path) -> None:
    kept, short, bad = (explain(output, name) for name in ("first", "tiny", "c4/a.jsonl:7"))
    assert [one.document.status for one in (kept, short, bad)] == ["kept", "short", "bad"]
    assert bad.reason == "'text' is a number, not a string"
    assert kept.pairs == short.pairs == bad.pairs == ()


def test_members_are_listed_as_far_as_asked_for(output: Path) -> None:
    first = explain(output, "first")
    assert first.members == ()
    listed = explain(output, "near", members=10).members
    assert sorted(str(one.document_id) for one in listed) == ["copy", "first", "near", "paper"]
    assert len(explain(output, "near", members=2).members) == 2


def test_what_names_no_document_is_refused_with_what_would(output: Path) -> None:
    with pytest.raises(ConfigError, match=r"'nothing' names no document of .*; give an id .* or an id that a record"):
        explain(output, "nothing")
    with pytest.raises(ConfigError, match=r"no record begins at line 1 of c4/a.jsonl; a blank line is no record"):
        explain(output, "c4/a.jsonl:1")
    with pytest.raises(ConfigError, match=r"no record begins at position 3 of c4/a.jsonl"):
        explain(output, "c4/a.jsonl@3")
    with pytest.raises(ConfigError, match="members is -1; give 0 or more"):
        explain(output, "first", members=-1)
    with pytest.raises(InputNotFound, match="holds no deduplication; give the output of"):
        explain(output.parent / "in", "first")


def test_a_pair_is_only_of_what_was_removed_in_that_scope(output: Path) -> None:
    decisions = slimpajama.open_decisions(output)
    paper = explain(output, "paper").document
    assert decisions.pair(paper.id).jaccard == 1
    with pytest.raises(ConfigError, match=r"was not removed in the local scope \(its status is duplicate\)"):
        decisions.pair(paper.id, "local")
    with pytest.raises(ConfigError, match=r"no document of .* has the id 0x7b; ids are in the column id"):
        decisions.pair(123)


def test_every_row_is_found_by_its_id_and_its_place(tmp_path: Path) -> None:
    texts = [" ".join(words(number, 40)) for number in range(400)]
    put(tmp_path / "in", {"c4/a.jsonl": texts, "c4/b.jsonl.gz": texts[:50], "arxiv/c.parquet": texts[:70]})
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1, piece_bytes=1 << 16)
    evidence = open_evidence(tmp_path / "out")
    assert len(evidence.tables.tables) == 5  # three pieces of c4/a.jsonl
    rows = [row for table in evidence.tables.tables for row in pq.read_table(table).to_pylist()]
    assert len(rows) == 520
    for row in rows[::13]:
        found = evidence.decision(row["id"])
        assert (found.id, found.shard, found.position, found.status) == (
            row["id"],
            row["shard"],
            row["position"],
            row["status"],
        )
        assert evidence.find(f"{row['shard']}@{row['position']}") == [found]
        assert evidence.source_of(row["id"]) == row["source"]


def test_mixed_shards_are_looked_up_by_each_source_of_theirs(tmp_path: Path) -> None:
    names = ["RedPajamaC4", "RedPajamaArXiv"]
    records = [{"text": " ".join(words(n)), "meta": {"redpajama_set_name": names[n % 2]}} for n in range(20)]
    put(tmp_path / "in", {"a.jsonl.zst": records[:10], "b.jsonl.zst": records[10:]})
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    evidence = open_evidence(tmp_path / "out")
    rows = [row for table in evidence.tables.tables for row in pq.read_table(table).to_pylist()]
    assert {row["source"] for row in rows} == {"c4", "arxiv"}
    for row in rows:
        assert evidence.decision(row["id"]).source == row["source"] == evidence.source_of(row["id"])


def test_a_survivor_of_an_earlier_run_is_found_there(tmp_path: Path) -> None:
    put(tmp_path / "one", {"c4/a.jsonl": [" ".join(OTHER), " ".join(PAGE)]})
    put(tmp_path / "two", {"c4/b.jsonl": [" ".join(NEAR)]})
    slimpajama.deduplicate(tmp_path / "one", tmp_path / "out1", workers=1, threshold=0.5)
    slimpajama.deduplicate(
        tmp_path / "two", tmp_path / "out2", workers=1, threshold=0.5, against=str(tmp_path / "out1")
    )
    found = explain(tmp_path / "out2", "c4/b.jsonl:1")
    looked_at = read_summary(DedupLayout(tmp_path / "out2")).looked_at
    assert looked_at is None or looked_at.looked_at == 0  # texts of an earlier run may be gone
    assert found.survivor_global is not None
    assert found.survivor_global.shard == "c4/a.jsonl"
    assert found.pairs[0].survivor_text == " ".join(PAGE)
    (tmp_path / "out1").rename(tmp_path / "moved")
    with pytest.raises(InputNotFound, match=r"the document belongs to an earlier run that .* bring it back to"):
        explain(tmp_path / "out2", "c4/b.jsonl:1")


def test_texts_that_cannot_be_read_are_a_note_and_the_verdict_is_told(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [" ".join(PAGE), " ".join(PAGE)]})
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    second = len(jsonl([{"text": " ".join(PAGE)}]))
    put(tmp_path / "in", {"c4/a.jsonl": [" ".join(PAGE), " ".join(NEAR)]})
    found = explain(tmp_path / "out", f"c4/a.jsonl@{second}")
    assert found.pairs == ()
    assert "c4/a.jsonl holds another text at byte" in found.problem
    with pytest.raises(InputChanged, match="bring the input back to what it was, or deduplicate again"):
        slimpajama.open_decisions(tmp_path / "out").pair(found.document.id)
    (tmp_path / "in" / "c4" / "a.jsonl").unlink()
    found = explain(tmp_path / "out", f"c4/a.jsonl@{second}")
    assert found.document.status == "duplicate"
    assert "is not there, so its texts cannot be read; bring the input back" in found.problem


def test_the_way_through_a_chain_is_shown_with_the_similarity_of_each_hop(tmp_path: Path) -> None:
    """Each text keeps most of the one before; the last has little of the first."""
    chain = [" ".join([*words(7)[step * 3 :], *words(8)[: step * 3]]) for step in range(20)]
    put(tmp_path / "in", {"c4/a.jsonl": chain})
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    found = explain(tmp_path / "out", "c4/a.jsonl:20")
    pair = found.pairs[0]
    assert pair.jaccard < 0.5
    assert pair.bands == ()
    assert found.path[0].document == found.document
    assert found.path[-1].document == found.survivor_global
    assert found.path[0].jaccard is None
    assert all(step.jaccard is not None and step.jaccard > pair.jaccard for step in found.path[1:])
