"""A plan is the sample's figures, each scaled by what it goes by: a worked example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slimpajama.config.dedup import Config
from slimpajama.planning.calibration import LinkingSpeed
from slimpajama.planning.cost_model import Measured, RunPlan, SourceEstimate, Wanted, run_plan
from slimpajama.planning.estimates import Range
from slimpajama.planning.plan_table import plan_lines

GIB = 1 << 30
SECONDS = {
    "read and sketch": 10.0,
    "diff": 0.1,
    "decide": 1.0,
    "write": 5.0,
    "survey": 0.5,
    "holdout": 0.2,
    "tokenizer": 6.0,
    "tokenise": 8.0,
    "held-out texts": 0.1,
    "shuffle": 2.0,
    "token store": 0.3,
    "mixtures": 1.0,
}
MEASURED = Measured(
    seconds=SECONDS,
    documents=1000,
    text=1_000_000,
    kept_text={"global": 800_000, "local": 900_000},
    disk={"rows": 100_000, "decisions": 20_000, "global": 240_000, "local": 270_000, "tokens": 500, "mixture": 4400},
    tokens=225,
    mixed=1000,
    linking=LinkingSpeed(gathering=1e-7, linking=9e-7, clustering=2e-6, link_bytes=16.0),
)
WANTED = Wanted(scopes=("global", "local"), mixed=5000, kept=None, cores=4, nodes=3)


def sources(documents: int, text: int) -> dict[str, SourceEstimate]:
    same = [Range(value, value, value) for value in (documents, text)]
    return {name: SourceEstimate(2, text // 4, same[0], same[1]) for name in ("web", "total")}


def planned(wanted: Wanted = WANTED) -> RunPlan:
    """A thousand times the text, five hundred times the documents."""
    return run_plan(Config(memory=8 * GIB), sources(500_000, 10**9), MEASURED, wanted)


def test_each_figure_goes_by_what_it_is_in_proportion_to() -> None:
    plan = planned()
    seconds = {cost.stage: cost.core_seconds for cost in plan.stages}
    assert seconds == pytest.approx(
        {
            "read and sketch": 10_000,
            "link": 500_000 * 9 * 1e-6,
            "cluster": 500_000 * 9 * 2e-6,
            "diff": 50,
            "decide": 500,
            "write": 5000,
            "survey": 250,
            "holdout": 100,
            "tokenizer": 6,
            "tokenise": 8000,
            "held-out texts": 100,
            "shuffle": 2000,
            "token store": 300,
            "mixtures": 5,
        }
    )
    assert list(seconds)[:3] == ["read and sketch", "link", "cluster"]
    assert plan.kept == 0.9
    assert plan.tokens == 225_000
    assert plan.disk == {
        "band keys": 50_000_000,
        "links": 500_000 * 9 * 16,
        "clusters, and while they are made": (32 + 2 * 38 + 24) * 500_000,
        "decisions": 10_000_000,
        "shards, global": 240_000_000,
        "shards, local": 270_000_000,
        "token store": 500_000,
        "while it is made": 500_000,
        "mixtures": 22_000,
    }


def test_stages_of_one_item_are_not_divided_among_workers() -> None:
    plan = planned()
    serial = 9 + 50 + 100 + 6 + 100 + 300
    together = 10_000 + 4.5 + 500 + 5000 + 250 + 8000 + 2000 + 5
    assert plan.core_hours == pytest.approx((serial + together) / 3600)
    assert plan.wall_hours == pytest.approx((serial + together / 12) / 3600)
    assert plan.reading == pytest.approx(0.25e9 * 4 / 10_000)


def test_a_share_that_is_said_to_be_kept_scales_what_is_kept_and_bounds_the_links() -> None:
    plan = planned(replace(WANTED, kept=0.45))
    seconds = {cost.stage: cost.core_seconds for cost in plan.stages}
    assert (plan.tokens, round(seconds["tokenise"]), round(seconds["write"])) == (112_500, 4000, 5000)
    assert plan.disk["shards, global"] == plan.disk["shards, local"] == round(0.45 * 0.3 * 10**9)
    assert plan.disk["links"] == round(500_000 * 9 * 0.55) * 16
    assert plan.disk["clusters, and while they are made"] == (32 + 2 * 38 + 24) * 500_000


def test_without_mixtures_there_are_no_tokens_and_with_one_scope_no_shards_of_the_other() -> None:
    few = {name: SECONDS[name] for name in ("read and sketch", "diff", "decide", "write")}
    wanted = Wanted(scopes=("global",), mixed=None, kept=None, cores=4, nodes=1)
    plan = run_plan(Config(memory=8 * GIB), sources(10, 10_000), replace(MEASURED, seconds=few, tokens=0), wanted)
    assert plan.tokens is None
    assert plan.kept == 0.8
    assert list(plan.disk)[3:] == ["decisions", "shards, global"]


def test_memory_decides_how_many_ranges_there_are() -> None:
    few = run_plan(Config(memory=64 * GIB), sources(10**9, 10**12), MEASURED, WANTED)
    many = run_plan(Config(memory=4 * GIB), sources(10**9, 10**12), MEASURED, WANTED)
    assert (few.key_ranges, few.cluster_ranges) == (2, 1)
    assert (many.key_ranges, many.cluster_ranges) == (65, 28)
    costs = [{cost.stage: cost.core_seconds for cost in plan.stages} for plan in (few, many)]
    assert [cost["link"] for cost in costs] == pytest.approx([9e9 * (9 + ranges) * 1e-7 for ranges in (2, 65)])
    assert max(few.memory.values()) == few.memory["setting"] == 64 * GIB
    assert max(many.memory.values()) == many.memory["setting"] == 4 * GIB


def test_more_than_one_range_of_linked_documents_spills_pairs() -> None:
    name = "clusters, and while they are made"
    few, many = (
        run_plan(Config(memory=memory), sources(10**9, 10**12), MEASURED, WANTED) for memory in (64 * GIB, 4 * GIB)
    )
    assert (few.cluster_ranges, few.disk[name]) == (1, (32 + 2 * 38 + 24) * 10**9)
    assert (many.cluster_ranges, many.disk[name]) == (28, (32 + 2 * 38 + 24 + 90) * 10**9)


def test_notes_and_ranges_that_are_none() -> None:
    lines = plan_lines(replace(planned(), notes=["one"]))
    assert lines[0] == "from 1 MB of text sampled"
    assert lines[-1] == "note: one"


def test_the_table_says_it_all() -> None:
    plan = planned(replace(WANTED, kept=0.45))
    known = plan.sources["web"]
    about = replace(known, documents=Range(estimate=500_000, low=499_000, high=501_000))
    lines = "\n".join(plan_lines(replace(plan, sources={"web": known, "total": about}))).splitlines()
    assert lines[0] == "from 1 MB of text sampled"
    about = replace(about, text=Range(estimate=10**9, low=10**9 - 10**7, high=10**9 + 10**7))
    lines = "\n".join(plan_lines(replace(plan, sources={"web": known, "total": about}))).splitlines()
    assert lines[0] == "from 1 MB of text sampled; ranges hold 19 times in 20"
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith(("web", "total"))}
    assert rows["web"] == ["2", "250.0", "1,000.0", "500,000"]
    assert rows["total"] == ["2", "250.0", "1,000.0", "990.0", "-", "1,010.0", "500,000", "499,000", "-", "501,000"]
    assert "45.0 % of the text kept, as said: 112,500 tokens" in lines
    assert any(line.split() == ["read", "and", "sketch", "2.78", "all", "workers"] for line in lines)
    assert any(line.split() == ["cluster", "0.00", "one", "process"] for line in lines)
    assert lines[-4:] == [
        "6 core-hours: 0.6 hours on 3 x 4 worker(s) as fast as one here, if disk and network keep up:",
        "a node reads up to 0 MB/s from disk",
        "memory of a node, set to 8.0 GiB: at most reading and writing 2.4 GiB, linking 2.4 GiB, clustering 2.4 GiB",
        "keys of a band in 1 range(s), linked documents in 1",
    ]
