"""What a report says of an output at large: its sections equal what the tables say, and what is missing is told."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from slimpajama import InputNotFound, deduplicate
from slimpajama.cli.main import app
from slimpajama.evidence.request import MixRequest
from slimpajama.report.measured import measured
from slimpajama.report.opened_output import open_output
from slimpajama.report.sections.commands import command_words
from slimpajama.report.sections.sources import PUBLISHED
from slimpajama.storage.atomic import read_json
from slimpajama.tokens.stages.order import TOKEN_STAGES
from tests.corpus.shards import put
from tests.pipeline.small_corpora import A, B, C, edited


def rows(output: Path, query: str) -> list[tuple[object, ...]]:
    """The answer of another engine than ours to a question about the decisions."""
    table = f"read_parquet('{output}/dedup/decisions/**/*.parquet')"
    return list(duckdb.sql(query.replace("decisions", table)).fetchall())  # type: ignore[union-attr]


def test_the_glance_is_what_the_decisions_say(whole: Path) -> None:
    glance = measured(whole).glance
    assert glance is not None
    (read,) = rows(whole, "select count(*), sum(bytes) from decisions")
    assert (glance.read_documents, glance.read_bytes) == read
    for scope, amounts in (("global", glance.global_), ("local", glance.local)):
        (kept,) = rows(whole, "select count(*), sum(bytes) from decisions where kept_SCOPE".replace("SCOPE", scope))
        assert (amounts.kept_documents, amounts.kept_bytes) == kept
        for match, found in (
            ("exact", (amounts.exact_documents, amounts.exact_bytes)),
            ("near", (amounts.near_documents, amounts.near_bytes)),
        ):
            question = "select count(*), sum(bytes) from decisions where match_SCOPE = 'MATCH' and not kept_SCOPE"
            (removed,) = rows(whole, question.replace("SCOPE", scope).replace("MATCH", match))
            assert found == removed
        gone = amounts.exact_bytes + amounts.near_bytes + glance.short_bytes + glance.bad_bytes
        assert glance.read_bytes == amounts.kept_bytes + gone + glance.contaminated_bytes


def test_the_table_of_sources_is_what_the_decisions_say(whole: Path) -> None:
    section = measured(whole).sources
    assert section is not None
    assert section.settings_differ == ""
    counted = {
        name: (rate, share)
        for name, rate, share in rows(
            whole,
            """select source,
                100.0 * sum(bytes) filter (status in ('short', 'duplicate')) / sum(bytes),
                100.0 * sum(bytes) filter (kept_global) / (select sum(bytes) from decisions where kept_global)
            from decisions group by source""",
        )
    }
    for row in section.rows:
        rate, share = counted[row.source]
        assert row.global_.byte_rate == pytest.approx(rate or 0)
        assert row.global_.share == pytest.approx(share)
        assert row.published_byte_rate == PUBLISHED[row.source].bytes
    assert sum(row.read_share for row in section.rows) == pytest.approx(100)
    assert sum(row.local.share for row in section.rows) == pytest.approx(100)
    assert section.total.published_byte_rate == 49.6


def test_the_overlap_is_what_the_decisions_say(whole: Path) -> None:
    section = measured(whole).overlap
    assert section is not None
    counted = {
        (source, survivor): (documents, size)
        for source, survivor, documents, size in rows(
            whole,
            """select gone.source, stays.source, count(*), sum(gone.bytes) from decisions gone
            join decisions stays on gone.cluster_global = stays.id
            where gone.status = 'duplicate' group by all""",
        )
    }
    for i, source in enumerate(section.sources):
        for j, survivor in enumerate(section.survivors):
            found = section.removed_documents[i][j], section.removed_bytes[i][j]
            assert found == counted.get((source, survivor), (0, 0))


def test_the_stages_come_in_the_order_in_which_they_ran(whole: Path) -> None:
    time = measured(whole).time
    assert time is not None
    assert [row.stage for row in time.stages if row.part == "dedup"] == [
        "read and sketch",
        "exact",
        "link",
        "cluster",
        "group",
        "diff",
        "decide",
        "look: sample",
        "look: draw",
        "look: estimate",
        "look: read texts",
        "look: compare texts",
        "write",
    ]
    assert [row.stage for row in time.stages if row.part == "mix"] == [
        *(stage.title for stage in TOKEN_STAGES),
        "holdout files 128",
        "mix mine",
        "mix near",
    ]
    summary = read_json(whole / "summary.json")
    assert time.seconds == summary["seconds"]
    assert time.peak_memory_bytes == summary["peak_memory_bytes"]


def test_the_command_of_a_report_makes_the_same_again(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": [A, B, edited(A)], "web/a.jsonl": [C]})
    chosen: dict[str, Any] = {
        "preset": "verified",
        "workers": 1,
        "threshold": 0.7,
        "shingle": {"length": 10},
        "id_field": "meta.id",
    }
    deduplicate(source, tmp_path / "out", **chosen)
    glance = measured(tmp_path / "out").glance
    assert glance is not None
    before = open_output(tmp_path / "out").request
    words = shlex.split(glance.command)
    assert words[0] == "slimpajama"
    assert "--preset" in words
    shutil.rmtree(tmp_path / "out")
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.stderr
    assert open_output(tmp_path / "out").request == before
    assert {one.name for one in glance.settings if not one.standard} >= {"preset", "threshold", "id_field", "workers"}


def test_the_command_of_many_mixtures_names_a_table(tmp_path: Path) -> None:
    recipe = {"name": "m", "weights": {"c4": 1.0}, "tokens": 1000, "sequence_length": 64}
    requests = [
        MixRequest(input="/in", recipes=[{**recipe, "name": f"m{n}"} for n in range(count)], settings={}, format="mds")
        for count in (2, 9)
    ]
    few, many = (command_words(request, tmp_path) for request in requests)
    ending = "--tokens 1000 --seq-len 64 --format mds"
    assert few == f"slimpajama mix --input /in --output {tmp_path} --recipe m0.yaml --recipe m1.yaml {ending}"
    assert many == f"slimpajama mix --input /in --output {tmp_path} --ratios ratios.csv {ending}"


def test_the_command_of_a_run_is_its_preset_and_what_differs(whole: Path) -> None:
    glance = measured(whole).glance
    assert glance is not None
    words = shlex.split(glance.command)
    assert words[:5] == ["slimpajama", "run", "sample", "--output", str(whole)]
    assert "sample.docs=300" in words
    assert "tokens.piece_tokens=128" in words
    assert not any(word.startswith("dedup.preset") for word in words)


def test_the_sections_of_mixtures_are_missing_from_a_deduplication_alone(tmp_path: Path) -> None:
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": [A, B]}), tmp_path / "out", workers=1)
    report = measured(tmp_path / "out")
    assert report.title == "out"
    assert report.tokens is None
    assert "mixtures are made of it by slimpajama mix" in report.missing["tokens"]


def test_mixtures_without_their_deduplication_say_so(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "mixtures", tmp_path / "mixtures")
    request = read_json(tmp_path / "mixtures" / "request.json")
    assert measured(tmp_path / "mixtures").glance is not None
    assert request["input"] == str(whole / "dedup")
    moved = (whole / "dedup").rename(whole / "elsewhere")
    try:
        report = measured(tmp_path / "mixtures")
    finally:
        moved.rename(whole / "dedup")
    assert report.glance is None
    assert "cannot be opened" in report.missing["glance"]


def test_what_is_not_finished_is_refused(tmp_path: Path) -> None:
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": [A, B]}), tmp_path / "out", workers=1)
    (tmp_path / "out" / "work" / "index.json").unlink()
    with pytest.raises(InputNotFound, match="interrupted or is at work"):
        measured(tmp_path / "out")
    with pytest.raises(InputNotFound, match=r"request\.json is missing"):
        measured(tmp_path)
