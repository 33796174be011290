"""A run that was cut off goes on where it was, also inside a shard; what changed is redone, and no more."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from slimpajama import InputNotFound
from slimpajama.cli.main import app
from slimpajama.config.dedup import Config, load_config
from slimpajama.config.tokens import TokenConfig
from slimpajama.dedup.dedup_run import WorkSizes
from slimpajama.dedup.files.sketches import read_columns
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.dedup.stages.write import WriteStage
from slimpajama.engine.choice import EngineChoice
from slimpajama.engine.local import LocalEngine
from slimpajama.engine.resources import task_bytes
from slimpajama.errors import WorkspaceLocked
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.pipeline.status import run_status, status_lines
from slimpajama.pipeline.tokens import make_store
from slimpajama.stages.markers import Markers
from slimpajama.stages.runner import Stages
from slimpajama.stages.stage import Stage
from slimpajama.storage.atomic import read_json
from slimpajama.storage.lock import locked
from slimpajama.tokens.dedup_reader import kept_documents, open_dedup_output
from tests.corpus.shards import decompressed, files_below, put
from tests.watching import Watched, interrupted_in

FOLDERS = ("decisions/", "global/", "local/", "quarantine/")


def document(number: int) -> str:
    source = random.Random(number)
    return " ".join("".join(source.choices(string.ascii_lowercase, k=9)) for _ in range(40))


DOCUMENTS = [document(number) for number in range(600)]
LONG = [*DOCUMENTS[:300], *DOCUMENTS[20:40], *DOCUMENTS[300:]]


SMALL_BLOCKS = WorkSizes(block_bytes=4096)
"""Parts end with a block, so blocks are smaller than the 64 KiB of a part here."""


def run(
    folder: Path, out: str = "out", engine: EngineChoice | None = None, sizes: WorkSizes = SMALL_BLOCKS, **chosen: Any
) -> dict[str, Any]:
    config = load_config(**{"workers": 1, "part_bytes": "64KiB", "sampled_removals": 0, **chosen})
    with (engine or EngineChoice()).opened(config) as opened:
        return deduplicate_on(Stages(opened), folder / "in", folder / out, config, sizes=sizes).as_dict()


def results(out: Path) -> dict[str, bytes]:
    return {path: content for path, content in files_below(out).items() if path.startswith(FOLDERS)}


@pytest.fixture(params=["a.jsonl.zst", "a.jsonl.gz", "a.parquet"])
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    put(tmp_path / "in", {f"c4/{request.param}": LONG, "arxiv/b.jsonl": [DOCUMENTS[3], document(9999)]})
    return tmp_path


def c4_shards(out: Path, scope: str) -> list[Path]:
    return sorted((out / scope / "c4").iterdir())


def test_a_long_shard_is_written_in_parts_that_are_its_shard_cut(corpus: Path) -> None:
    run(corpus)
    whole = run(corpus, "whole", part_bytes="1GiB")
    for scope in ("global", "local"):
        parts = c4_shards(corpus / "out", scope)
        assert [path.name for path in parts] == [f"a-{part:05d}-of-00004.jsonl.zst" for part in range(4)]
        (one,) = c4_shards(corpus / "whole", scope)
        assert one.name == "a.jsonl.zst"
        assert b"".join(map(decompressed, parts)) == decompressed(one)
    tables = [pq.read_table(corpus / out / "decisions" / "c4" / "a.parquet") for out in ("out", "whole")]
    assert tables[0].equals(tables[1])
    assert whole["sources"]["c4"]["local"]["duplicate"]["documents"] == 20
    assert not (corpus / "out" / "work" / "parts").exists()


def test_a_store_of_parts_is_that_of_whole_shards(corpus: Path) -> None:
    stores = []
    for out, part_bytes in (("out", "64KiB"), ("whole", "1GiB")):
        run(corpus, out, part_bytes=part_bytes)
        opened = open_dedup_output(corpus / out)
        assert [
            text for shard in opened.shards for batch in kept_documents(shard) for text in batch.texts.decoded()
        ] == [
            DOCUMENTS[3],
            document(9999),
            *DOCUMENTS,
        ]
        with LocalEngine(1) as engine:
            config = TokenConfig(vocabulary=600, holdout=0.05)
            summary = make_store(opened, config, corpus / out / "tokens", stages=Stages(engine), memory=1 << 28)
        files = files_below(corpus / out / "tokens" / "sources")
        stores.append((summary.sources, files))
    assert stores[0] == stores[1]


PARTS = {SketchStage: "parts", WriteStage: "written"}
"""For each stage that has parts, the field of its payload that remembers them."""


@dataclass(frozen=True)
class CountedParts(Markers[Any]):
    """Counts finished parts, and interrupts the run where one more than ``most`` would be remembered."""

    most: int = 1 << 30
    finished: list[str] = field(default_factory=list)

    def finish(self, key: str, inputs: Mapping[str, object], result: Any) -> None:
        if len(self.finished) == self.most:
            raise KeyboardInterrupt  # its files are written, but nothing says so yet
        self.finished.append(key)
        super().finish(key, inputs, result)


def counting(stage: type[Stage[Any, Any]], finished: list[str], most: int = 1 << 30) -> Watched:
    """Put the parts of shards of c4 that ``stage`` finishes into ``finished``; interrupt after the first ``most``."""

    def around(function: Callable[[Any], Any], payload: Any) -> Any:
        if function is stage.run and payload.bundle.name.startswith("c4/"):
            name = PARTS[stage]
            plain: Markers[Any] = getattr(payload, name)
            counted = CountedParts(plain.folder, plain.root, plain.result_type, most=most, finished=finished)
            payload = dataclasses.replace(payload, **{name: counted})
        return function(payload)

    return Watched(around=around)


@pytest.mark.parametrize("stage", PARTS)
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_shard_that_was_cut_off_goes_on_with_the_part_it_was_in(
    corpus: Path, stage: type[Stage[Any, Any]], after: int
) -> None:
    run(corpus, "whole")
    before: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run(corpus, engine=counting(stage, before, after))
    assert before == ["0", "1", "2", "3"][:after]
    again: list[str] = []
    run(corpus, engine=counting(stage, again))
    assert again == ["0", "1", "2", "3"][after:], "parts that were finished are not gone through again"
    assert results(corpus / "out") == results(corpus / "whole")
    assert not (corpus / "out" / "work" / "parts").exists()


def test_parts_of_a_shard_that_changed_are_not_used(corpus: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(corpus, engine=counting(SketchStage, [], 2))
    (shard,) = (corpus / "in" / "c4").iterdir()
    put(corpus / "in", {f"c4/{shard.name}": LONG[10:]})
    run(corpus)
    run(corpus, "fresh")
    assert results(corpus / "out") == results(corpus / "fresh")


# ------------------------------------------------------------------------------------------------ what changed


def many(folder: Path) -> Path:
    shards = {f"c4/{number}.jsonl": DOCUMENTS[number * 60 : number * 60 + 62] for number in range(9)}
    put(folder / "in", shards)
    return folder


def done(summary: dict[str, Any]) -> dict[str, int]:
    """How many items of each stage were run."""
    return {name: stage["items"] - stage["reused"] for name, stage in summary["stages"].items()}


def test_a_replaced_shard_redoes_itself_and_what_comes_out_differently(tmp_path: Path) -> None:
    run(many(tmp_path))
    put(tmp_path / "in", {"c4/4.jsonl": DOCUMENTS[570:600]})
    # Shard 3 shared two documents with the old shard 4, which shared two with 5: 3, 4 and 5 are decided anew. The
    # two that 5 has in common with nobody any more are new in its output; 3 keeps what it kept, for fewer copies.
    assert done(run(tmp_path)) == {
        "read and sketch": 1,
        "exact": 1,
        "link": 9,
        "cluster": 1,
        "group": 2,
        "diff": 1,
        "decide": 3,
        "write": 3,
    }
    run(tmp_path, "fresh")
    assert results(tmp_path / "out") == results(tmp_path / "fresh")


def test_what_no_item_needs_any_more_goes(tmp_path: Path) -> None:
    def below(folder: str) -> set[str]:
        return set(files_below(tmp_path / "out" / "work" / folder))

    many(tmp_path)
    put(tmp_path / "in", {"arxiv/a.jsonl": [DOCUMENTS[3]]})
    with (tmp_path / "in" / "arxiv" / "a.jsonl").open("ab") as shard:
        shard.write(b"broken\n")
    run(tmp_path, max_bad_fraction=0.5)
    two_ranges = WorkSizes(SMALL_BLOCKS.block_bytes, bytes_per_key=task_bytes(Config(workers=1)) // 400)
    run(tmp_path, sizes=two_ranges, max_bad_fraction=0.5)
    assert below("links") == {f"{band}-{number}.arrow" for band in range(9) for number in range(2)}
    assert {"arxiv/a.arrow"} < below("rows")
    assert (tmp_path / "out" / "quarantine" / "arxiv" / "a.jsonl").exists()
    shutil.rmtree(tmp_path / "in" / "arxiv")
    run(tmp_path)
    assert below("links") == {f"{band}-0.arrow" for band in range(9)}
    assert below("done/link") == {f"{band}-0.json" for band in range(9)}
    assert below("rows") == {f"c4/{number}.arrow" for number in range(9)}
    assert below("done/sketch") == {f"c4/{number}.json" for number in range(9)}
    assert not (tmp_path / "out" / "quarantine" / "arxiv" / "a.jsonl").exists()
    assert set(done(run(tmp_path)).values()) == {0}


def test_outputs_in_a_folder_named_like_scratch_stay(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/2019.tmp/a.jsonl": DOCUMENTS[:5]})
    run(tmp_path)
    assert set(done(run(tmp_path)).values()) == {0}


def test_ids_ascend_from_file_to_file_whatever_the_files_are_called(tmp_path: Path) -> None:
    texts = iter(DOCUMENTS)
    shards = ("arxiv/a", "c4/b", "common_crawl/c", "wikipedia/d", "book/e")  # not in the order of the sources
    run(Path(put(tmp_path / "in", {f"{name}.jsonl": [next(texts), next(texts)] for name in shards}).parent))
    work = tmp_path / "out" / "work"
    rows = [read_columns(work / path, ["id"])[0].tolist() for path in read_json(work / "rows.json")]
    ids = [one for file in rows for one in file]
    assert len(ids) == 10
    assert ids == sorted(ids)


def test_a_shard_that_is_only_touched_is_read_and_written_again_alone(tmp_path: Path) -> None:
    run(many(tmp_path))
    before = results(tmp_path / "out")
    os.utime(tmp_path / "in" / "c4" / "4.jsonl", ns=(1, 1))
    assert done(run(tmp_path)) == {
        "read and sketch": 1,
        "exact": 0,
        "link": 0,
        "cluster": 0,
        "group": 0,
        "diff": 0,
        "decide": 0,
        "write": 1,
    }
    assert results(tmp_path / "out") == before


def test_another_content_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    run(many(tmp_path))
    shard = tmp_path / "in" / "c4" / "4.jsonl"
    time = shard.stat().st_mtime_ns
    shard.write_bytes(shard.read_bytes().replace(DOCUMENTS[290].encode(), DOCUMENTS[590].encode()))
    os.utime(shard, ns=(time, time))
    assert done(run(tmp_path))["read and sketch"] == 1
    run(tmp_path, "fresh")
    assert results(tmp_path / "out") == results(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("name", "redone"),
    [
        ("global/c4/4.jsonl.zst", ["write"]),
        ("decisions/c4/4.parquet", ["decide"]),
        ("work/rows/c4/4.arrow", ["read and sketch"]),
        ("work/clusters.arrow", ["cluster"]),
        ("work/groups/local-0.arrow", ["group"]),
        ("quarantine/c4/4.jsonl", ["read and sketch"]),
    ],
)
def test_an_output_cut_off_is_made_again_and_nothing_else(tmp_path: Path, name: str, redone: list[str]) -> None:
    put(many(tmp_path) / "in", {"c4/4.jsonl": b"broken\n"})
    run(tmp_path, max_bad_fraction=1)
    before = results(tmp_path / "out")
    os.truncate(tmp_path / "out" / name, os.path.getsize(tmp_path / "out" / name) - 1)
    counts = done(run(tmp_path, max_bad_fraction=1))
    assert [stage for stage, count in counts.items() if count] == redone
    assert sum(counts.values()) == 1
    assert results(tmp_path / "out") == before


def test_an_output_that_was_moved_still_holds(tmp_path: Path) -> None:
    run(many(tmp_path))
    (tmp_path / "out").rename(tmp_path / "moved")
    assert set(done(run(tmp_path, "moved")).values()) == {0}


# ------------------------------------------------------------------------------------------------------ status


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_status_of_what_was_finished_cut_off_or_changed(tmp_path: Path) -> None:
    many(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, engine=interrupted_in(WriteStage, 5))
    out = tmp_path / "out"
    before = snapshot(out)
    assert status_lines(run_status(out)) == [
        "read and sketch  9 of 9 done",
        "exact            1 of 1 done",
        "link             9 of 9 done",
        "cluster          1 of 1 done",
        "group            2 of 2 done",
        "diff             1 of 1 done",
        "decide           9 of 9 done",
        "write            5 of 9 done, 4 to do",
        "what comes after 'write' depends on what that will write",
        "run the same command again to go on",
    ]
    assert snapshot(out) == before
    run(tmp_path)
    assert status_lines(run_status(out))[-2:] == ["write            9 of 9 done", "everything is done"]
    assert status_lines(run_status(out, ["seed=3", "compression_level=2"]))[:3] == [
        "read and sketch  0 of 9 done, 9 stale",
        "                   9 items, e.g. c4/0: settings.seed: 1 -> 3",
        "what comes after 'read and sketch' depends on what that will write",
    ]
    assert status_lines(run_status(out, ["compression_level=2"]))[7:9] == [
        "write            0 of 9 done, 9 stale",
        "                   9 items, e.g. c4/0: settings.compression_level: 1 -> 2",
    ]
    (out / "local" / "c4" / "7.jsonl.zst").unlink()
    assert f"                   c4/7: {out}/local/c4/7.jsonl.zst is missing" in status_lines(run_status(out))
    shutil.rmtree(tmp_path / "in")
    with pytest.raises(InputNotFound, match="cannot read the input"):
        run_status(out)


def command(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_prints_the_state_also_as_json(tmp_path: Path) -> None:
    run(many(tmp_path))
    shown = command("status", tmp_path / "out")
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (0, "everything is done")
    state = orjson.loads(command("status", tmp_path / "out", "--json", "--set", "seed=2").stdout)
    assert (state["command"], state["finished"]) == ("dedup", False)
    assert state["stages"]["read and sketch"]["stale"]["c4/8"] == "settings.seed: 1 -> 2"
    refused = command("status", tmp_path)
    assert refused.exit_code == 3
    assert refused.stderr == (
        f"error: {tmp_path} is not the output of a run, its request.json is missing or damaged; give the folder "
        "that --output said, or run the same command again\n"
    )


def test_two_runs_on_one_output_do_not_meet(tmp_path: Path) -> None:
    many(tmp_path)
    with locked(tmp_path / "out"), pytest.raises(WorkspaceLocked, match="is in use by process"):
        run(tmp_path)
    run(tmp_path)
    with locked(tmp_path / "out"):
        assert run_status(tmp_path / "out").finished, "looking disturbs nobody"
