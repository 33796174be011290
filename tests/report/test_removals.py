"""Clusters, alarms, evidence and the LSH curve: recomputed by another route, or worked out by hand."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import deduplicate, duplicates, shingle_hashes
from slimpajama.dedup.banding import catch_probability
from slimpajama.report.figures.deduplication import ClusterSection, EvidenceSection, Snippet
from slimpajama.report.measured import measured
from slimpajama.report.opened_output import open_output
from slimpajama.report.sections.evidence import MOST_CHARACTERS, shown
from slimpajama.report.sections.looked_at import look_at
from slimpajama.report.sections.lsh_curve import lsh_curve, wilson
from slimpajama.report.sections.removals import drawn_removals
from tests.corpus.shards import put
from tests.pipeline.small_corpora import document, edited


def rows_of(dedup: Path) -> list[dict[str, object]]:
    return [row for path in sorted((dedup / "decisions").rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def clusters_of(output: Path) -> ClusterSection:
    section = measured(output).clusters
    assert section is not None
    return section


def evidence_of(output: Path) -> EvidenceSection:
    section = measured(output).evidence
    assert section is not None
    return section


def jaccard(one: str, other: str) -> float:
    """By Python's sets."""
    first, second = set(shingle_hashes(one).tolist()), set(shingle_hashes(other).tolist())
    return len(first & second) / len(first | second)


# ------------------------------------------------------------------------------------------------ clusters


def test_clusters_by_size_are_those_of_the_decisions(whole: Path) -> None:
    section, rows = clusters_of(whole), rows_of(whole / "dedup")
    for scope in ("global", "local"):
        members = Counter(row[f"cluster_{scope}"] for row in rows if row[f"cluster_{scope}"] is not None)
        bins = [one for one in section.sizes if one.scope == scope]
        for one in bins:
            inside = [size for size in members.values() if one.least <= size <= one.most]
            assert one.clusters == len(inside)
            assert one.documents == sum(inside)
        assert sum(one.clusters for one in bins) == len(members)
    global_members = Counter(row["cluster_global"] for row in rows if row["cluster_global"] is not None)
    assert section.clusters == len(global_members)
    assert [one.documents for one in section.largest] == sorted(global_members.values(), reverse=True)[:20]
    for large in section.largest:
        assert large.documents == global_members[large.cluster]
        assert set(large.sources) == {row["source"] for row in rows if row["cluster_global"] == large.cluster}


def test_similarities_of_all_removals_where_all_fit_into_the_sample(tmp_path: Path) -> None:
    texts = [document(1), edited(document(1)), document(1), document(2), document(2), document(3)]
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": texts}), tmp_path / "out", workers=1)
    section = clusters_of(tmp_path / "out")
    assert section.all_compared
    assert section.seed is None
    assert section.compared == 3
    assert section.below_threshold == 0
    found = {round(one.least, 2): one.removals for one in section.similarities if one.removals}
    near = jaccard(texts[0], texts[1])
    assert 0.8 < near < 1
    assert found == ({0.95: 3} if near >= 0.95 else {int(near * 20) / 20: 1, 0.95: 2})


def test_checked_removals_are_all_in_the_histogram_where_decisions_tell_them(tmp_path: Path) -> None:
    every = [words(number, 100) for number in range(150)]
    nearly = [" ".join([*words(number + 500, 8), *own[8:]]) for number, own in enumerate(every)]
    source = put(tmp_path / "in", {"c4/a.jsonl": [" ".join(own) for own in every] + nearly})
    deduplicate(source, tmp_path / "out", workers=1, preset="verified", sampled_removals=0)
    removed = [row for row in rows_of(tmp_path / "out") if row["status"] == "duplicate"]
    assert len(removed) > 120  # more than are drawn
    section = clusters_of(tmp_path / "out")
    told = [row["similarity_global"] for row in removed if row["similarity_global"] is not None]
    assert section.all_compared == (len(told) == len(removed))
    assert section.compared == (len(removed) if section.all_compared else 80)
    assert section.below_threshold == 0
    assert sum(one.removals for one in section.similarities if one.least >= 0.8) == section.compared


def test_without_texts_the_clusters_are_told_by_what_the_run_compared(tmp_path: Path) -> None:
    texts = [text for number in range(30) for text in (document(number), edited(document(number)))]
    source = put(tmp_path / "in", {"c4/a.jsonl": texts})
    deduplicate(source, tmp_path / "out", workers=1, sampled_removals=10)
    source.rename(tmp_path / "gone")
    report = measured(tmp_path / "out")
    assert report.evidence is None
    assert "bring the input back" in report.missing["evidence"]
    assert report.clusters is not None
    assert report.clusters.compared == 10
    assert not report.clusters.all_compared
    assert report.lsh is not None
    assert report.lsh.measured == ()


# ------------------------------------------------------------------------------------------------ alarms


def alarms_of(output: Path) -> list[str]:
    return [f"{one.severity}: {one.what} {one.remedy}" for one in clusters_of(output).alarms]


def words(seed: int, count: int) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices("abcdefghijklmnop", k=8)) for _ in range(count)]


def test_a_healthy_run_raises_no_alarm(tmp_path: Path) -> None:
    texts = [text for number in range(60) for text in (document(number), document(number + 1000))]
    texts += [edited(document(number)) for number in range(10)]
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": texts}), tmp_path / "out", workers=1)
    assert alarms_of(tmp_path / "out") == []


def test_a_source_that_loses_nearly_all_is_an_alarm(tmp_path: Path) -> None:
    texts = [document(number % 4) for number in range(200)]
    source = put(
        tmp_path / "in", {"c4/a.jsonl": texts, "web/a.jsonl": [document(number + 100) for number in range(120)]}
    )
    deduplicate(source, tmp_path / "out", workers=1)
    serious = [one for one in alarms_of(tmp_path / "out") if one.startswith("serious")]
    assert len(serious) == 1
    assert "c4 loses 98.0 % of its bytes" in serious[0]
    assert "--preset verified" in serious[0]
    assert f"slimpajama duplicates {tmp_path / 'out'} --source c4" in serious[0]


def test_sources_that_lose_alike_are_one_alarm(tmp_path: Path) -> None:
    texts = {name: [document(number % 4 + 10 * first) for number in range(100)] for first, name in enumerate("abc")}
    source = put(tmp_path / "in", {f"{name}/a.jsonl": own for name, own in texts.items()})
    deduplicate(source, tmp_path / "out", workers=1)
    (serious,) = [one for one in alarms_of(tmp_path / "out") if one.startswith("serious")]
    assert "a loses 96.0 % of its bytes; b loses 96.0 % of its bytes; c loses 96.0 % of its bytes. " in serious
    assert f"slimpajama duplicates {tmp_path / 'out'} --source SOURCE shows what goes" in serious


def test_a_source_that_loses_far_more_than_published_is_an_alarm(tmp_path: Path) -> None:
    texts = [document(number % 90) for number in range(180)]
    deduplicate(put(tmp_path / "in", {"arxiv/a.jsonl": texts, "web/a.jsonl": texts[:1]}), tmp_path / "out", workers=1)
    assert any("SlimPajama's arxiv lost 0.06 %" in one for one in alarms_of(tmp_path / "out"))


def test_short_documents_are_an_alarm(tmp_path: Path) -> None:
    texts = [document(number) if number % 3 else f"short {number}" for number in range(150)]
    texts += [f"also short {number}" for number in range(150)]
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": texts}), tmp_path / "out", workers=1)
    assert any("66.7 % of the documents of c4 are short" in one for one in alarms_of(tmp_path / "out"))


def test_a_template_is_an_alarm(tmp_path: Path) -> None:
    frame = words(1, 60)
    texts = [" ".join([*frame, *words(number, 40)]) for number in range(2, 32)]
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": texts}), tmp_path / "out", workers=1, bands=64, rows=2)
    found = [one for one in alarms_of(tmp_path / "out") if "template swallows" in one]
    assert len(found) == 1
    assert "30 documents in one cluster" in found[0]
    assert "shingle.length" in found[0]


def test_a_chain_is_an_alarm(tmp_path: Path) -> None:
    every = words(1, 400)
    texts = [" ".join(every[: 100 + 12 * number]) for number in range(20)]  # each holds the one before
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": texts}), tmp_path / "out", workers=1, bands=16, rows=8)
    found = [one for one in alarms_of(tmp_path / "out") if "is a chain" in one]
    assert len(found) == 1
    assert "its 20 documents" in found[0]
    assert "linked through others" in found[0]
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1, preset="verified")
    assert alarms_of(tmp_path / "out") == []


# ------------------------------------------------------------------------------------------------ evidence


def test_evidence_is_what_the_texts_say(whole: Path) -> None:
    section = evidence_of(whole)
    dedup = open_output(whole).dedup
    assert dedup is not None
    assert section.removals == sum(row["status"] == "duplicate" for row in rows_of(whole / "dedup"))
    assert [one.jaccard for one in section.pairs] == sorted(one.jaccard for one in section.pairs)
    assert len({one.id for one in section.pairs}) == len(section.pairs)
    for pair in section.pairs[::7]:
        decision = dedup.evidence.decision(int(pair.id, 16))
        survivor = dedup.evidence.decision(int(pair.survivor_id, 16))
        one, other = dedup.evidence.text(decision), dedup.evidence.text(survivor)
        assert decision.cluster("global") == survivor.id
        assert pair.jaccard == pytest.approx(jaccard(one, other))
        assert pair.match == decision.match_global
        assert (pair.source, pair.path) == (decision.source, decision.shard)
        assert pair.cluster_documents == survivor.size_global
        for text, snippets in ((one, pair.document), (other, pair.survivor)):
            assert sum(one.characters for one in snippets) == len(text)


def test_evidence_is_of_every_source_and_similarity(whole: Path) -> None:
    section = evidence_of(whole)
    drawn = duplicates(whole, count=1000)
    there = {(pair.document.source, min(9, int(pair.jaccard * 10 + 1e-9))) for pair in drawn.pairs}
    assert {(one.source, min(9, int(one.jaccard * 10 + 1e-9))) for one in section.pairs} == there


def test_the_same_output_gives_the_same_report(whole: Path) -> None:
    assert measured(whole) == measured(whole)


def joined(snippets: tuple[Snippet, ...]) -> str:
    return "".join(one.text if one.kind != "left_out" else "…" for one in snippets)


def test_snippets_by_hand() -> None:
    first, second = shown("one two three", "one 2 three")
    assert [(one.kind, one.text) for one in first] == [("same", "one "), ("differs", "two"), ("same", " three")]
    assert [(one.kind, one.text) for one in second] == [("same", "one "), ("differs", "2"), ("same", " three")]


def test_equal_texts_show_their_beginning() -> None:
    first, second = shown("x" * 5000, "x" * 5000)
    assert first == second
    assert [(one.kind, one.characters) for one in first] == [("same", 900), ("left_out", 4100)]


def test_texts_that_fit_are_shown_whole() -> None:
    same = "word " * 400
    first, second = shown(f"{same}one {same[:1900]}", f"{same}two {same[:1900]}")
    assert [(one.kind, one.text) for one in first] == [("same", same), ("differs", "one"), ("same", f" {same[:1900]}")]
    assert [one.kind for one in second] == ["same", "differs", "same"]
    assert [(one.kind, one.characters) for one in shown("x " * 2000, "x " * 2000)[0]] == [("same", 4000)]


@pytest.mark.parametrize("between", [100, 159, 200, 239, 240, 300])
def test_a_stretch_is_left_out_where_it_is_longer_than_its_notice(between: int) -> None:
    texts = [f"{word} {'x' * between} {word} {'z ' * 3000}" for word in ("one", "two")]
    for snippets in shown(texts[0], texts[1]):
        assert all(one.characters >= 80 for one in snippets if one.kind == "left_out")


def test_nothing_is_shown_of_nothing() -> None:
    assert shown("", "") == ((), ())


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "\u202e" * 50_000, "语" * 50_000, "\x1b[31m" * 20_000, "<b>" * 30_000]
)
def test_hostile_texts_are_cut(text: str) -> None:
    for snippets in shown(text, "b" + text[::-1]):
        used = sum(len(one.text) for one in snippets)
        assert 0 < used <= MOST_CHARACTERS
        assert sum(len(one.text.encode()) for one in snippets) <= 2 * MOST_CHARACTERS


@given(st.text(max_size=200), st.text(max_size=200), st.integers(20, 400))
def test_snippets_never_lose_a_character(first: str, second: str, most: int) -> None:
    for text, snippets in zip((first, second), shown(first, second, most), strict=True):
        assert sum(one.characters for one in snippets) == len(text)
        assert all(len(one.text) == (0 if one.kind == "left_out" else one.characters) for one in snippets)
        place = 0
        for one in snippets:
            assert one.kind == "left_out" or text[place : place + one.characters] == one.text
            place += one.characters


# ------------------------------------------------------------------------------------------------ the curve


def test_the_curve_is_that_of_the_bands(whole: Path) -> None:
    section = measured(whole).lsh
    assert section is not None
    assert (section.bands, section.rows) == (9, 13)
    assert section.half_point == pytest.approx(0.819, abs=0.001)
    for point in section.curve:
        assert point.caught == pytest.approx(1 - (1 - point.similarity**13) ** 9)
    assert catch_probability(section.half_point, 9, 13) == pytest.approx(0.5)


def test_measured_points_are_on_the_curve(tmp_path: Path) -> None:
    texts = []
    for number in range(120):
        own, other = words(number, 100), words(number + 1000, 100)
        for changed in (0, 1 + number % 20):
            texts.append(" ".join([*other[:changed], *own[changed:]]))
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": texts}), tmp_path / "out", workers=1, bands=32, rows=4)
    dedup = open_output(tmp_path / "out").dedup
    assert dedup is not None
    pairs = look_at(dedup, drawn_removals(dedup)).pairs
    section = lsh_curve(dedup, pairs, seeds=8)
    assert len(section.measured) >= 4
    for point in section.measured:
        expected = catch_probability(point.similarity, 32, 4)
        assert point.low <= point.caught <= point.high
        assert point.low - 0.03 <= expected <= point.high + 0.03


def test_wilson_by_hand() -> None:
    assert list(wilson(8, 10)) == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1
