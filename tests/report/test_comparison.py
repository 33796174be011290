"""Two deduplications compared: equal to what their decisions say, by hand and by another route."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimpajama import InputNotFound, deduplicate
from slimpajama.report.comparison import compared
from tests.corpus.shards import put
from tests.pipeline.small_corpora import A, B, C, D, decisions, document, edited
from tests.report.test_removals import words


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs that the published bands link and ``verified`` does not, pairs that both link, and single documents."""
    texts = []
    for number in range(60):
        own = words(number, 100)
        changed = 4 + number % 12
        texts += [" ".join(own), " ".join([*words(number + 500, changed), *own[changed:]])]
    folder = tmp_path_factory.mktemp("in")
    return put(folder, {"c4/a.jsonl": texts, "web/a.jsonl": [A, edited(A), B, "short", *map(document, range(10, 20))]})


@pytest.fixture(scope="module")
def outputs(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("out")
    deduplicate(source, folder / "loose", workers=1, bands=32, rows=4)
    deduplicate(source, folder / "strict", workers=1, bands=9, rows=13, min_cleaned_characters=3)
    return folder / "loose", folder / "strict"


def test_what_each_keeps_alone_is_what_the_decisions_say(outputs: tuple[Path, Path]) -> None:
    found = compared(*outputs)
    loose, strict = ({row["id"]: row for row in decisions(output)} for output in outputs)
    assert found.title == "loose and strict"
    assert found.same_input
    assert found.first_alone is not None
    assert found.second_alone is not None
    assert found.kept_by_both is not None
    kept = [{one for one, row in rows.items() if row["kept_global"]} for rows in (loose, strict)]
    both, alone = kept[0] & kept[1], kept[1] - kept[0]
    assert alone
    assert found.kept_by_both.documents == len(both)
    assert found.kept_by_both.bytes == sum(loose[one]["bytes"] for one in both)
    assert found.first_alone.amount.documents == len(kept[0] - kept[1])
    assert found.second_alone.amount.documents == len(alone)
    assert found.second_alone.amount.bytes == sum(strict[one]["bytes"] for one in alone)
    statuses = [loose[one]["status"] for one in alone]
    assert dict(found.second_alone.statuses) == {status: statuses.count(status) for status in set(statuses)}
    assert set(statuses) == {"duplicate", "short"}
    for pair in found.second_alone.pairs:
        assert int(pair.id, 16) in alone
        assert loose[int(pair.id, 16)]["cluster_global"] == int(pair.survivor_id, 16)
        assert pair.jaccard < 1


def test_sources_add_up(outputs: tuple[Path, Path]) -> None:
    found = compared(*outputs)
    assert [row.source for row in found.sources] == ["c4", "web"]
    for row in (*found.sources, found.total):
        assert row.both is not None
        assert row.first_alone is not None
        assert row.second_alone is not None
        assert row.both.documents + row.first_alone.documents == row.first_kept.documents
        assert row.both.bytes + row.second_alone.bytes == row.second_kept.bytes
    assert sum(row.first_kept.bytes for row in found.sources) == found.total.first_kept.bytes


def test_settings_that_differ_are_named(outputs: tuple[Path, Path]) -> None:
    found = compared(*outputs)
    assert {(one.name, one.first, one.second) for one in found.settings} == {
        ("bands", "32", "9"),
        ("rows", "4", "13"),
        ("min_cleaned_characters", "200", "3"),
    }
    assert found.versions == ()


def test_an_output_does_not_differ_from_itself(outputs: tuple[Path, Path]) -> None:
    found = compared(outputs[0], outputs[0])
    assert found.settings == ()
    assert found.first_alone == found.second_alone
    assert found.first_alone is not None
    assert found.first_alone.amount.documents == 0
    assert found.first_alone.statuses == ()


def test_of_other_inputs_only_sums_are_compared(outputs: tuple[Path, Path], tmp_path: Path) -> None:
    deduplicate(put(tmp_path / "in", {"web/b.jsonl": [A, B, C, D], "arxiv/a.jsonl": [C]}), tmp_path / "out", workers=1)
    found = compared(outputs[0], tmp_path / "out")
    assert not found.same_input
    assert "not the same ones" in found.why_not
    assert found.first_alone is None
    assert found.kept_by_both is None
    rows = {row.source: row for row in found.sources}
    assert set(rows) == {"c4", "web", "arxiv"}
    assert rows["arxiv"].first_read.documents == 0
    assert rows["c4"].second_kept.documents == 0
    assert rows["web"].both is None


def test_texts_that_are_gone_are_told(source: Path, outputs: tuple[Path, Path]) -> None:
    moved = source.rename(source.with_name("elsewhere"))
    try:
        found = compared(*outputs)
    finally:
        moved.rename(source)
    assert found.second_alone is not None
    assert found.second_alone.pairs == ()
    assert "bring the input back" in found.second_alone.pairs_missing


def test_what_is_no_deduplication_is_refused(outputs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputNotFound, match=r"request\.json is missing"):
        compared(outputs[0], tmp_path)
