"""Runs on many small shards: what comes out is what single shards give, in fewer files, and all commands work on it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimpajama import InputChanged, deduplicate, duplicates, explain, verify
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES, load_config
from slimpajama.corpus.bundles import BundleLimits
from slimpajama.dedup.dedup_run import WorkSizes
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.dedup.stages.write import WriteStage
from slimpajama.engine import Death
from slimpajama.engine.choice import EngineChoice
from slimpajama.errors import TooManyBadRecords
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.stages.runner import Stages
from slimpajama.tokens.dedup_reader import kept_documents, open_dedup_output
from tests.corpus.shards import files_below, put, records_of
from tests.dedup.test_careful import Dying
from tests.watching import before_each, interrupted_in

BUNDLED = WorkSizes(bundles=BundleLimits(fewest=2, small_bytes=1 << 16, most_shards=4, most_bytes=1 << 20))
"""Of each source with more than two small shards, four at a time are read by one task."""


def text(number: int) -> str:
    source = random.Random(number)
    return " ".join("".join(source.choices("etaoinshrdlu", k=source.randint(2, 9))) for _ in range(60))


def record(number: int) -> dict[str, Any]:
    """Some occur twice, or again with another letter; some texts change when they are normalised."""
    own = text(number - 1)[:-1] + "X" if number % 10 == 1 else text(number % 37)
    return {"text": own + (" e\u0301" if number % 7 == 0 else ""), "meta": {"n": number}, "id": f"d{number}"}


def shards(ending: str = ".jsonl.zst") -> dict[str, Any]:
    """Ten small shards of c4 and three of arxiv; one holds a broken record, one nothing."""
    found: dict[str, Any] = {f"c4/{n:02d}{ending}": [record(10 * n + k) for k in range(3)] for n in range(10)}
    found |= {f"arxiv/{n}.jsonl": [record(10 * n + k) for k in range(4, 7)] for n in range(3)}
    found["c4/05.jsonl"] = b'{"text": 5}\n' + orjson.dumps(record(99)) + b'\n{"text": "beside it", "n": NaN}\n'
    del found[f"c4/05{ending}"]
    return found


def run(
    source: Path, out: Path, engine: EngineChoice | None = None, sizes: WorkSizes = BUNDLED, **settings: Any
) -> dict[str, tuple[int, int]]:
    """How many tasks each stage has, and how many of them were done already."""
    config = load_config(**{"workers": 1, "sampled_removals": 0, "max_bad_fraction": 0.5, **settings})
    with (engine or EngineChoice()).opened(config) as opened:
        stages = Stages(opened)
        deduplicate_on(stages, source, out, config, sizes=sizes)
    return {name: (one.items, one.reused) for name, one in stages.records.items()}


def decisions(out: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in sorted((out / "decisions").rglob("*.parquet"))]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).sort_by("id").to_pylist()
    return rows


def kept(out: Path, scope: str) -> list[dict[str, Any]]:
    """All records of a scope, in the order of their ids where the sources are folders."""
    return [one for path in sorted((out / scope).rglob("*.jsonl.zst")) for one in records_of(path)]


def quarantined(out: Path) -> list[dict[str, Any]]:
    return [
        orjson.loads(line)
        for path in sorted((out / "quarantine").rglob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def expect_alike(bundled: Path, single: Path, *, ordered: bool = True) -> None:
    assert decisions(bundled) == decisions(single)
    assert sorted(quarantined(bundled), key=str) == sorted(quarantined(single), key=str)
    for scope in ("global", "local"):
        found, expected = kept(bundled, scope), kept(single, scope)
        assert found == expected if ordered else sorted(found, key=str) == sorted(expected, key=str)


def outputs(out: Path) -> dict[str, bytes]:
    return {
        path: content
        for path, content in files_below(out).items()
        if path.startswith(("decisions/", "global/", "local/", "quarantine/"))
    }


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An input, its deduplication in bundles, ``out``, and another shard by shard, ``single``."""
    folder = tmp_path_factory.mktemp("both")
    put(folder / "in", shards())
    run(folder / "in", folder / "out", id_field="id", sampled_removals=5)
    deduplicate(folder / "in", folder / "single", workers=1, id_field="id", sampled_removals=5, max_bad_fraction=0.5)
    return folder


def test_a_bundle_leaves_one_file_where_each_shard_would_have_left_one(both: Path) -> None:
    names = ["arxiv/0-and-more", "c4/00-and-more", "c4/04-and-more", "c4/08-and-more"]
    for folder, ending in (("decisions", ".parquet"), ("global", ".jsonl.zst"), ("work/rows", ".arrow")):
        found = sorted(path for path in files_below(both / "out" / folder) if path.endswith(ending))
        assert found == [name + ending for name in names]
    assert sorted(files_below(both / "out/quarantine")) == ["c4/04-and-more.jsonl"]
    assert len(files_below(both / "out/work/done/sketch")) == 4


def test_decisions_records_and_quarantine_are_those_of_single_shards(both: Path) -> None:
    expect_alike(both / "out", both / "single")
    assert [one["shard"] for one in quarantined(both / "out")] == ["c4/05.jsonl"]


def test_figures_are_those_of_single_shards(both: Path) -> None:
    of_bundles, of_shards = (orjson.loads((both / name / "summary.json").read_bytes()) for name in ("out", "single"))
    timed = {"seconds", "stages", "mb_per_second", "peak_memory_bytes", "compile_seconds"}
    assert {name: of_bundles[name] for name in of_bundles if name not in timed} == {
        name: of_shards[name] for name in of_shards if name not in timed
    }


@pytest.mark.parametrize(
    "document", ["c4/00.jsonl.zst:2", "c4/07.jsonl.zst:3", "c4/05.jsonl:1", "c4/05.jsonl@12", "arxiv/2.jsonl:1", "d31"]
)
def test_a_document_of_a_bundle_is_explained_as_that_of_a_shard(both: Path, document: str) -> None:
    found, expected = explain(both / "out", document, members=9), explain(both / "single", document, members=9)
    assert found == expected
    assert (found.reason == "") == (document != "c4/05.jsonl:1")


def test_removals_of_bundles_are_shown_and_all_is_sound(both: Path) -> None:
    found, expected = (duplicates(both / name, count=50) for name in ("out", "single"))
    assert found == expected
    assert found.removals > 5
    assert verify(both / "out").findings == []


def test_who_reads_the_shards_finds_the_same_documents(both: Path) -> None:
    found = []
    for name in ("out", "single"):
        batches = [batch for shard in open_dedup_output(both / name).shards for batch in kept_documents(shard)]
        texts = [pair for batch in batches for pair in zip(batch.ids.tolist(), batch.texts.decoded(), strict=True)]
        clusters = [value for batch in batches for value in batch.clusters.tolist()]
        found.append((texts, clusters))
    assert found[0] == found[1]


def test_a_finished_run_is_not_gone_through_again(both: Path, tmp_path: Path) -> None:
    shutil.copytree(both / "out", tmp_path / "out")
    stages = run(both / "in", tmp_path / "out", id_field="id", sampled_removals=5)
    assert all(items == reused for items, reused in stages.values()), stages


def changed(folder: Path, files: Mapping[str, Any], *gone: str) -> None:
    put(folder / "in", files)
    for one in gone:
        (folder / "in" / one).unlink()


@pytest.mark.parametrize(
    ("files", "gone", "read"),
    [
        ({"c4/06.jsonl.zst": [record(500), record(3)]}, (), 1),
        ({"c4/95.jsonl": [record(501)]}, (), 1),
        ({}, ("c4/09.jsonl.zst",), 1),
        ({}, ("c4/05.jsonl",), 2),
        ({"arxiv/3.jsonl": [record(502)], "arxiv/4.jsonl": [record(503)]}, (), 5),  # c4's ids move
    ],
)
def test_a_changed_added_or_removed_shard_redoes_its_bundle(
    both: Path, tmp_path: Path, files: Mapping[str, Any], gone: tuple[str, ...], read: int
) -> None:
    for name in ("in", "out"):
        shutil.copytree(both / name, tmp_path / name)
    changed(tmp_path, files, *gone)
    stages = run(tmp_path / "in", tmp_path / "out", id_field="id")
    items, reused = stages["read and sketch"]
    assert items - reused == read
    run(tmp_path / "in", tmp_path / "fresh", id_field="id")
    assert outputs(tmp_path / "out") == outputs(tmp_path / "fresh")


def test_shards_that_are_bundled_no_longer_leave_nothing_behind(both: Path, tmp_path: Path) -> None:
    shutil.copytree(both / "out", tmp_path / "out")
    run(both / "in", tmp_path / "out", id_field="id", sizes=WorkSizes())
    assert outputs(tmp_path / "out") == outputs(both / "single")


@pytest.mark.parametrize(("stage", "number"), [(SketchStage, 1), (WriteStage, 2)])
def test_an_interrupted_run_goes_on_with_the_bundles_that_are_missing(
    both: Path, tmp_path: Path, stage: Any, number: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(both / "in", tmp_path / "out", interrupted_in(stage, number), id_field="id")
    stages = run(both / "in", tmp_path / "out", id_field="id")
    assert stages[stage.title] == (4, number)
    assert outputs(tmp_path / "out") == outputs(both / "out")


@pytest.mark.parametrize("truncate", [False, True])
def test_a_shard_that_changes_unseen_while_it_is_written_stops_the_run(tmp_path: Path, truncate: bool) -> None:
    """Its size and time stay, so that only its content can tell."""
    put(tmp_path / "in", shards(".jsonl"))
    path = tmp_path / "in/c4/02.jsonl"
    status, content = path.stat(), path.read_bytes()

    def change() -> None:
        lines = content.splitlines(keepends=True)
        other = b"".join(lines[:1]).ljust(len(content), b" ") if truncate else content.replace(b'"n":20', b'"n":77')
        path.write_bytes(other)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    with pytest.raises(InputChanged, match=r"c4/02\.jsonl changed during the run"):
        run(tmp_path / "in", tmp_path / "out", before_each(WriteStage, change))
    stages = run(tmp_path / "in", tmp_path / "out")
    items, reused = stages["read and sketch"]
    assert items - reused == 1
    run(tmp_path / "in", tmp_path / "fresh")
    assert outputs(tmp_path / "out") == outputs(tmp_path / "fresh")


def test_the_shard_that_is_mostly_broken_is_named(tmp_path: Path) -> None:
    put(tmp_path / "in", shards())
    with pytest.raises(TooManyBadRecords, match=r"c4/05\.jsonl: 1 of 3 records read are bad"):
        run(tmp_path / "in", tmp_path / "out", max_bad_fraction=0.2)


def test_shards_without_ids_are_warned_of_once_for_a_bundle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {f"c4/{n}.jsonl": [{"text": text(n)} if n else record(n)] for n in range(4)}
    run(put(tmp_path / "in", files), tmp_path / "out", id_field="id")
    (message,) = caplog.messages
    assert message == (
        f"{tmp_path}/in/c4/1.jsonl and 2 other shards: none of 3 documents has the field that id_field names, 'id'; "
        "correct the setting if they should have one"
    )


def test_a_document_at_which_workers_die_is_named_by_its_shard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {f"c4/{n}.jsonl": [{"text": text(3 * n + k)} for k in range(3)] for n in range(3)}
    put(tmp_path / "in", files)
    position = len(orjson.dumps(files["c4/1.jsonl"][0])) + 1
    death = Death(2, "showed no sign of life for 300 s", by_item=True, may_repeat=False)
    config = load_config(workers=1, max_bad_fraction=0.5, sampled_removals=0)
    engine: Any = Dying((1 << 40) + position, death)
    summary = deduplicate_on(Stages(engine), tmp_path / "in", tmp_path / "out", config, sizes=BUNDLED)
    assert (summary.total.bad.documents, summary.total.global_.kept.documents) == (1, 8)
    (bad,) = quarantined(tmp_path / "out")
    assert (bad["shard"], bad["position"]) == ("c4/1.jsonl", position)
    assert caplog.messages == [
        f"{tmp_path}/in/c4/1.jsonl: the document at byte {position} is quarantined: {bad['reason']}"
    ]


def mixed() -> dict[str, Any]:
    names = list(REDPAJAMA_SET_NAMES.values())[:3]
    files: dict[str, Any] = {}
    for n in range(6):
        records = [record(10 * n + k) for k in range(5)]
        for k, one in enumerate(records):
            one["meta"]["redpajama_set_name"] = names[(n + k) % 3]
        files[f"chunk/{n}.jsonl.zst"] = records
    return files


@pytest.mark.parametrize(
    ("files", "settings"),
    [
        (shards(), {"scope": "global", "checked": True}),
        (shards(".parquet"), {}),
        (shards(".jsonl.gz"), {"checked": True, "duplicate_counts": False, "prefer": ["meta.n", "source"]}),
        (mixed(), {"checked": True}),
        (mixed(), {"layout": "records", "normalisation": "none"}),
    ],
)
def test_every_kind_of_run_gives_what_single_shards_give(
    tmp_path: Path, files: dict[str, Any], settings: dict[str, Any]
) -> None:
    put(tmp_path / "in", files)
    run(tmp_path / "in", tmp_path / "out", **settings)
    run(tmp_path / "in", tmp_path / "single", sizes=WorkSizes(), **settings)
    expect_alike(tmp_path / "out", tmp_path / "single", ordered=not any(name.startswith("chunk") for name in files))
    assert verify(tmp_path / "out").findings == []


@pytest.mark.parametrize("checked", [False, True])
def test_a_later_run_is_compared_with_one_in_bundles(both: Path, tmp_path: Path, checked: bool) -> None:
    """Where removals are checked, it reads texts of the earlier run again, as that was bundled."""
    put(tmp_path / "old", shards())
    put(tmp_path / "new", {f"c4/{n}.jsonl": [record(n), record(200 + n)] for n in range(5)})
    for name, sizes in (("out", BUNDLED), ("single", WorkSizes())):
        run(tmp_path / "old", tmp_path / f"old-{name}", sizes=sizes, checked=checked)
        against = str(tmp_path / f"old-{name}")
        run(tmp_path / "new", tmp_path / name, sizes=sizes, checked=checked, against=against)
    expect_alike(tmp_path / "out", tmp_path / "single")
    assert verify(tmp_path / "out").findings == []
    removed = next(one for one in decisions(tmp_path / "out") if one["status"] == "duplicate")
    assert explain(tmp_path / "out", removed["id"]) == explain(tmp_path / "single", removed["id"])
