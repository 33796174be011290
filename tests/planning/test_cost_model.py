"""A plan is the sample's figures, each scaled by what it goes by: a worked example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from slimpajama.config.dedup import Config
from slimpajama.planning.calibration import LinkingSpeed
from slimpajama.planning.cost_model import Measured, RunPlan, SourceEstimate, StageCost, Wanted, run_plan
from slimpajama.planning.estimates import Range
from slimpajama.planning.plan_table import plan_lines
from slimpajama.planning.stage_rates import Observed, Rates

GIB = 1 << 30
RATES = {
    "read and sketch": Rates(0.0, 0.1, 0.0, 1e-5),
    "exact": Rates(0.01, 0.0, 1e-5, 0.0),
    "link": Rates(0.5, 0.01, 0.0, 0.0),
    "cluster": Rates(0.2, 0.0, 0.0, 0.0),
    "group": Rates(0.05, 0.0, 0.0, 0.0),
    "diff": Rates(0.1, 0.01, 1e-4, 0.0),
    "decide": Rates(0.0, 0.1, 1e-3, 0.0),
    "write": Rates(0.0, 0.1, 0.0, 5e-6),
}


def observed(rates: Mapping[str, Rates]) -> tuple[Observed, Observed, Observed, Observed]:
    sizes = ((1, 1, 200), (5, 5, 1000), (2, 10_000, 1_000_000), (10, 1000, 1_000_000))
    one, two, three, four = (
        Observed(*size, {stage: own.seconds(*size) for stage, own in rates.items()}) for size in sizes
    )
    return one, two, three, four


MIXING = {
    "survey": 0.5,
    "holdout": 0.2,
    "tokenizer": 6.0,
    "tokenise": 8.0,
    "shuffle": 2.0,
    "token store": 0.3,
    "mixtures": 1.0,
}
MEASURED = Measured(
    corpora=observed(RATES),
    mixing=MIXING,
    reading=1.0,
    kept_text={"global": 800_000, "local": 900_000},
    disk={"rows": 100_000, "decisions": 20_000, "global": 240_000, "local": 270_000, "tokens": 500, "mixture": 4400},
    tokens=225,
    mixed=1000,
    linking=LinkingSpeed(gathering=1e-7, linking=9e-7, clustering=2e-6, grouping=3e-6, link_bytes=16.0),
)
WANTED = Wanted(pieces=100, scopes=("global", "local"), mixed=5000, kept=None, cores=4, nodes=3)


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
            "read and sketch": 100 * 0.1 + 10**9 * 1e-5,
            "exact": 0.01 + 500_000 * 1e-5,
            "link": 0.5 + 100 * 0.01 + 500_000 * 9 * 1e-6,
            "cluster": 0.2 + 50_000 * 9 * 2e-6,
            "group": 0.05 + 2 * 50_000 * 3e-6,
            "diff": 0.1 + 100 * 0.01 + 500_000 * 1e-4,
            "decide": 100 * 0.1 + 500_000 * 1e-3,
            "write": 100 * 0.1 + 10**9 * 5e-6,
            "survey": 250,
            "holdout": 100,
            "tokenizer": 6,
            "tokenise": 8000,
            "shuffle": 2000,
            "token store": 300,
            "mixtures": 5,
        }
    )
    assert list(seconds)[:4] == ["read and sketch", "exact", "link", "cluster"]
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


def test_the_seconds_of_a_stage_are_divided_among_those_that_run_it() -> None:
    plan = replace(
        planned(),
        stages=[
            StageCost("read and sketch", 3600, "all workers"),
            StageCost("cluster", 360, "one machine"),
            StageCost("diff", 36, "one process"),
        ],
    )
    assert (plan.workers, plan.nodes) == (4, 3)
    assert plan.core_hours == pytest.approx(1.11)
    assert plan.wall_hours == pytest.approx(1 / 12 + 0.1 / 4 + 0.01)
    on = {cost.stage: cost.on for cost in planned().stages if cost.on != "all workers"}
    singles = ("diff", "holdout", "tokenizer", "token store")
    assert on == {"cluster": "one machine", **dict.fromkeys(singles, "one process")}
    assert planned().reading == pytest.approx(0.25e9 * 4 / 10_010)


def test_looking_for_evaluation_items_costs_what_it_cost_for_the_sample() -> None:
    """The items once, what was found by documents, and the look-ups in the sketch stage, by text."""
    corpora = observed(RATES | {"read and sketch": Rates(0.0, 0.1, 0.0, 1.2e-5)})
    screened = {"evaluation items": 7.0, "evaluation matches": 0.2}
    corpora = (*corpora[:3], replace(corpora[-1], seconds={**corpora[-1].seconds, **screened}))
    plan = run_plan(Config(memory=8 * GIB), sources(500_000, 10**9), replace(MEASURED, corpora=corpora), WANTED)
    costs = {cost.stage: cost for cost in plan.stages}
    assert (costs["evaluation items"].core_seconds, costs["evaluation items"].on) == (7.0, "one process")
    assert costs["evaluation matches"].core_seconds == pytest.approx(0.2 * 500)
    assert costs["read and sketch"].core_seconds == pytest.approx(100 * 0.1 + 10**9 * 1.2e-5)
    assert not [cost.stage for cost in planned().stages if cost.stage.startswith("evaluation")]


def test_a_share_that_is_said_to_be_kept_scales_what_is_kept_and_bounds_the_links() -> None:
    plan = planned(replace(WANTED, kept=0.45))
    seconds = {cost.stage: cost.core_seconds for cost in plan.stages}
    assert (plan.tokens, round(seconds["tokenise"])) == (112_500, 4000)
    # Of 5 ns for each byte, 1 is for reading, which is the same however much is kept.
    assert seconds["write"] == pytest.approx(10 + 10**9 * (1e-6 + 4e-6 / 2))
    assert seconds["cluster"] == pytest.approx(0.2 + 500_000 * 0.55 * 9 * 2e-6)
    assert plan.disk["shards, global"] == plan.disk["shards, local"] == round(0.45 * 0.3 * 10**9)
    assert plan.disk["links"] == round(500_000 * 9 * 0.55) * 16
    assert plan.disk["clusters, and while they are made"] == (32 + 2 * 38 + 24) * 500_000


def test_as_many_removals_are_looked_at_however_many_there_are_and_more_is_read_to_get_to_them() -> None:
    measured = replace(MEASURED, corpora=observed(RATES | {"look": Rates(0.2, 0.1, 0.0, 2e-6)}))
    for pieces, read in ((100, 1000), (10_000, 100)):
        wanted = replace(WANTED, pieces=pieces)
        plan = run_plan(Config(memory=8 * GIB, sampled_removals=1000), sources(500_000, 10**9), measured, wanted)
        (look,) = (cost.core_seconds for cost in plan.stages if cost.stage == "look")
        assert look == pytest.approx(0.2 + 0.1 * pieces + (2 - 1) + read, rel=1e-3)


def test_without_mixtures_there_are_no_tokens_and_with_one_scope_no_shards_of_the_other() -> None:
    wanted = Wanted(pieces=1, scopes=("global",), mixed=None, kept=None, cores=4, nodes=1)
    few = replace(MEASURED, mixing={}, tokens=0)
    plan = run_plan(Config(memory=8 * GIB), sources(10, 10_000), few, wanted)
    assert [cost.stage for cost in plan.stages] == list(RATES)
    assert plan.tokens is None
    assert plan.kept == 0.8
    assert list(plan.disk)[3:] == ["decisions", "shards, global"]


def test_memory_decides_how_many_ranges_there_are() -> None:
    few = run_plan(Config(memory=64 * GIB), sources(10**9, 10**12), MEASURED, WANTED)
    many = run_plan(Config(memory=4 * GIB), sources(10**9, 10**12), MEASURED, WANTED)
    assert (few.key_ranges, few.cluster_ranges) == (2, 1)
    assert (many.key_ranges, many.cluster_ranges) == (74, 28)
    costs = [{cost.stage: cost.core_seconds for cost in plan.stages} for plan in (few, many)]
    assert [cost["link"] for cost in costs] == pytest.approx([1.5 + 9e9 * (9 + ranges) * 1e-7 for ranges in (2, 74)])
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
    assert any(line.split() == ["cluster", "0.00", "one", "machine"] for line in lines)
    assert lines[-4:] == [
        "5 core-hours: 0.5 hours on 3 x 4 worker(s) as fast as one here, if disk and network keep up:",
        "a node reads up to 0 MB/s from disk",
        "memory of a node, set to 8.0 GiB: at most reading and writing 2.4 GiB, linking 2.4 GiB, clustering 2.4 GiB",
        "keys of a band in 1 range(s), linked documents in 1",
    ]
