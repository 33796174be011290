"""Outputs of every kind are measured: empty ones, single documents, each scope and method, earlier runs, evaluation
sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slimpajama import deduplicate, mix
from slimpajama.config.recipe import Recipe
from slimpajama.report.figures.whole import Report
from slimpajama.report.measured import measured
from slimpajama.report.page import page_of
from slimpajama.storage.atomic import read_json
from tests.corpus.shards import put
from tests.pipeline.small_corpora import SHORT, A, B, C, document, edited

TEXTS = [A, edited(A), A, B, C, SHORT, *map(document, range(10, 30))]


def report_of(folder: Path, texts: list[str], **chosen: Any) -> Report:
    source = put(folder / "in", {"c4/a.jsonl": texts, "web/a.jsonl": texts[:2]})
    deduplicate(source, folder / "out", **{"workers": 1, **chosen})
    return measured(folder / "out")


def parts(report: Report) -> set[str]:
    names = ("glance", "sources", "overlap", "clusters", "evidence", "lsh", "time")
    return {name for name in names if getattr(report, name) is not None}


ALL = {"glance", "sources", "overlap", "clusters", "evidence", "lsh", "time"}


@pytest.mark.parametrize("texts", [[], [""], [A], [SHORT], ["x" * 300], ["\ud7ff" * 300]])
def test_hardly_anything_is_measured(tmp_path: Path, texts: list[str]) -> None:
    report = report_of(tmp_path, texts)
    assert parts(report) == ALL
    assert report.sources is not None
    assert report.sources.total.global_.byte_rate <= 100
    assert report.clusters is not None
    assert report.clusters.compared == (1 if len(texts) and texts != [""] and texts != [SHORT] else 0)


@pytest.mark.parametrize(
    "chosen",
    [
        {"scope": "local"},
        {"scope": "global"},
        {"scope": "none"},
        {"preset": "verified"},
        {"preset": "quick"},
        {"preset": "fineweb"},
        {"threshold": 0.7},
        {"sampled_removals": 0},
        {"cleaning": "none", "normalisation": "ftfy"},
        {"id_field": "meta.id"},
    ],
    ids=str,
)
def test_every_setting_is_measured(tmp_path: Path, chosen: dict[str, Any]) -> None:
    report = report_of(tmp_path, TEXTS, **chosen)
    assert parts(report) == ALL
    assert report.evidence is not None
    assert report.glance is not None
    scope = report.glance.local if chosen.get("scope") == "local" else report.glance.global_
    assert report.evidence.removals == scope.exact_documents + scope.near_documents
    assert len(report.evidence.pairs) == report.evidence.removals
    assert {pair.scope for pair in report.evidence.pairs} == {"local" if chosen.get("scope") == "local" else "global"}


def test_survivors_of_an_earlier_run_are_shown(tmp_path: Path) -> None:
    deduplicate(put(tmp_path / "before", {"c4/a.jsonl": [A, B]}), tmp_path / "earlier", workers=1)
    report = report_of(tmp_path, [edited(A), B, C], against=str(tmp_path / "earlier"))
    assert parts(report) == ALL
    assert report.evidence is not None
    assert {pair.survivor_source for pair in report.evidence.pairs} >= {"c4"}
    assert report.overlap is not None
    assert report.overlap.survivors[-1] == "(earlier run)"
    assert report.sources is not None
    assert "earlier run" in report.sources.settings_differ


def test_mixtures_alone_are_told_with_their_deduplication(tmp_path: Path) -> None:
    texts = list(map(document, range(200)))
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": texts, "web/a.jsonl": texts[:50]}), tmp_path / "out", workers=1)
    recipe = Recipe(name="mine", weights={"c4": 1.0}, tokens=2000, sequence_length=64)
    mix(tmp_path / "out", tmp_path / "mixed", [recipe], workers=1, vocabulary=1000, holdout=0.0)
    report = measured(tmp_path / "mixed")
    assert report.missing == {}
    assert parts(report) == ALL
    assert report.tokens is not None
    assert report.tokens.subsets[0].kl[0][1] is None  # web has nothing left
    assert report.mixtures is not None
    assert [one.name for one in report.mixtures.mixtures] == ["mine"]
    assert report.glance is not None
    first, second = report.glance.command.splitlines()
    assert first.startswith("slimpajama dedup --input")
    assert "--recipe mine.yaml" in second
    assert "--set tokens.vocabulary=1000" in second
    assert report.glance.input == f"{tmp_path / 'in'} (mixtures: {tmp_path / 'out'})"
    assert "recipe files are not kept" in page_of(report).html.decode()
    assert report.time is not None
    assert report.time.stages[-1].seconds == read_json(tmp_path / "mixed" / "tokens" / "summary.json")["seconds"]
