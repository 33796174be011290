"""Checked removals in a whole deduplication: who stays, on any number of workers, after kills, and against earlier
runs."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

import slimpajama
from slimpajama import deduplicate
from slimpajama.dedup.stages.compare import CompareStage
from slimpajama.dedup.stages.greedy import GreedyStage
from slimpajama.dedup.stages.texts import TextsStage
from slimpajama.engine.local import LocalEngine
from slimpajama.errors import InputChanged
from slimpajama.evidence.request import DedupRequest, read_request, write_request
from slimpajama.pipeline.verify_removals import removal_findings
from slimpajama.stages.progress import SILENT
from tests.corpus.shards import decompressed, files_below, jsonl, put
from tests.watching import before_each, interrupted_in


def words(number: int, count: int) -> list[str]:
    source = random.Random(number)
    return ["".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(count)]


def with_changed(text: list[str], changes: int, seed: int) -> list[str]:
    """``changes`` words in a row are others, so that the shingles of the rest stay."""
    start = random.Random(seed).randrange(len(text) - changes)
    return [*text[:start], *words(seed + 1_000_000, changes), *text[start + changes :]]


def jaccard(one: str, other: str) -> float:
    a, b = (set(slimpajama.shingle_hashes(text).tolist()) for text in (one, other))
    return len(a & b) / len(a | b)


def chain(seed: int) -> list[str]:
    """Each is similar to the next, and the first to the last is not."""
    text = words(seed, 228)
    return [" ".join(text[start : start + 200]) for start in (0, 14, 28)]


def records(texts: list[str]) -> bytes:
    return jsonl([{"text": text} for text in texts])


def corpus(folder: Path, seed: int = 0, families: int = 12) -> Path:
    """Chains, copies and near copies over two sources and three shards, beside texts that are alone."""
    draw = random.Random(seed)
    texts: list[str] = []
    for family in range(families):
        texts += chain(1000 * seed + 10 * family)
        base = words(77_000 + 100 * seed + family, 150)
        texts += [" ".join(with_changed(base, changes, family)) for changes in (0, 0, 2, 5, 9, 14, 20)]
        texts.append(" ".join(words(99_000 + 100 * seed + family, 60)))
    draw.shuffle(texts)
    third = len(texts) // 3
    put(
        folder,
        {
            "c4/a.jsonl": records(texts[:third]),
            "c4/b.jsonl.zst": records(texts[third : 2 * third]),
            "github/c.jsonl.gz": records(texts[2 * third :]),
        },
    )
    return folder


def run(source: Path, out: Path, **chosen: Any) -> slimpajama.DedupSummary:
    return deduplicate(source, out, **{"preset": "verified", "workers": 1, **chosen})


def outputs(out: Path) -> dict[str, bytes]:
    kinds = ("decisions/", "global/", "local/")
    return {path: content for path, content in files_below(out).items() if path.startswith(kinds)}


def rows(out: Path) -> list[dict[str, Any]]:
    found = [row for path in (out / "decisions").rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(found, key=lambda row: row["id"])


def texts_by_id(source: Path, out: Path) -> dict[int, str]:
    """By reading the input again, position by position."""
    found = {}
    for row in rows(out):
        content = decompressed(source / row["shard"])
        line = content[row["position"] :].split(b"\n", 1)[0]
        found[row["id"]] = orjson.loads(line)["text"]
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, slimpajama.DedupSummary]:
    folder = tmp_path_factory.mktemp("checked")
    source = corpus(folder / "in")
    return source, folder / "out", run(source, folder / "out")


@pytest.mark.parametrize("scope", ["global", "local"])
def test_who_stays_is_the_greedy_set_by_exact_similarity(
    finished: tuple[Path, Path, slimpajama.DedupSummary], scope: str
) -> None:
    source, out, _ = finished
    check_greedy_set(source, out, scope)


def test_so_it_is_with_signatures_by_one_permutation(tmp_path: Path) -> None:
    source = corpus(tmp_path / "in", seed=3, families=6)
    summary = run(source, tmp_path / "out", preset="quick")
    for scope in ("global", "local"):
        check_greedy_set(source, tmp_path / "out", scope)
    assert summary.checks is not None
    assert summary.checks.similar > 10


def check_greedy_set(source: Path, out: Path, scope: str) -> None:
    """Each document that goes has a twin among those that stay, and each that stays has none but what bands miss."""
    texts = texts_by_id(source, out)
    kept: list[int] = []
    of_source = {row["id"]: row["source"] for row in rows(out)}
    for row in rows(out):
        twins = [
            one
            for one in kept
            if jaccard(texts[one], texts[row["id"]]) >= 0.8 and (scope == "global" or of_source[one] == row["source"])
        ]
        if row[f"kept_{scope}"]:
            # 14 bands of 8 rows miss three pairs of a thousand at 0.85, and at 0.8 one of fourteen.
            assert all(jaccard(texts[one], texts[row["id"]]) < 0.86 for one in twins)
            kept.append(row["id"])
        else:
            assert row[f"cluster_{scope}"] in twins


def test_the_figures_tell_what_was_checked(finished: tuple[Path, Path, slimpajama.DedupSummary]) -> None:
    checks = finished[2].checks
    assert checks is not None
    assert checks.copies > 0
    assert checks.estimated > 0
    assert checks.compared > 0
    assert checks.left_out == 0


def test_a_chain_loses_its_middle_and_keeps_its_end(tmp_path: Path) -> None:
    one, two, three = chain(5)
    assert min(jaccard(one, two), jaccard(two, three)) >= 0.8 > jaccard(one, three)
    put(tmp_path / "in", {"c4/a.jsonl": records([one, two, three])})
    run(tmp_path / "in", tmp_path / "out", bands=100, rows=1, num_perm=112)
    assert [row["kept_global"] for row in rows(tmp_path / "out")] == [True, False, True]
    run(tmp_path / "in", tmp_path / "unchecked", bands=100, rows=1, num_perm=112, checked=False, threshold=None)
    assert [row["kept_global"] for row in rows(tmp_path / "unchecked")] == [True, False, False]


def test_two_workers_write_the_same_bytes(finished: tuple[Path, Path, slimpajama.DedupSummary], tmp_path: Path) -> None:
    source, out, summary = finished
    again = run(source, tmp_path / "out", workers=2)
    assert outputs(tmp_path / "out") == outputs(out)
    assert again.checks == summary.checks


def test_little_memory_and_disk_change_nothing(
    finished: tuple[Path, Path, slimpajama.DedupSummary], tmp_path: Path
) -> None:
    source, out, _ = finished
    run(source, tmp_path / "out", memory="256MiB", piece_bytes=1 << 16, part_bytes=1 << 16)
    kept = [(row["shard"], row["position"], row["kept_global"], row["kept_local"]) for row in rows(out)]
    cut = [(row["shard"], row["position"], row["kept_global"], row["kept_local"]) for row in rows(tmp_path / "out")]
    assert sorted(kept) == sorted(cut)


@pytest.mark.parametrize(
    ("stage", "task"), [(TextsStage, 0), (TextsStage, 1), (CompareStage, 0), (GreedyStage, 0), (GreedyStage, 1)]
)
def test_a_run_that_was_interrupted_goes_on(
    finished: tuple[Path, Path, slimpajama.DedupSummary], tmp_path: Path, stage: Any, task: int
) -> None:
    source, out, _ = finished
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out", engine=interrupted_in(stage, task))
    run(source, tmp_path / "out")
    assert outputs(tmp_path / "out") == outputs(out)


def test_a_second_run_checks_nothing_again(
    finished: tuple[Path, Path, slimpajama.DedupSummary], tmp_path: Path
) -> None:
    shutil.copytree(finished[0], tmp_path / "in")
    run(tmp_path / "in", tmp_path / "out")
    again = run(tmp_path / "in", tmp_path / "out")
    assert all(stage.reused == stage.items for stage in again.stages.values())
    assert not (tmp_path / "out" / "work" / "check").exists()


@pytest.mark.slow
def test_what_is_compared_with_an_earlier_run_is_compared_with_what_stayed_there(tmp_path: Path) -> None:
    one, two, three = chain(5)
    put(tmp_path / "old", {"c4/a.jsonl": records([one, two])})
    put(tmp_path / "new", {"c4/b.jsonl": records([three, one, " ".join(words(3, 60))])})
    settings = {"bands": 100, "rows": 1, "num_perm": 112}
    run(tmp_path / "old", tmp_path / "first", **settings)
    run(tmp_path / "new", tmp_path / "second", against=str(tmp_path / "first"), **settings)
    # The third is similar to the second alone, which went for the first.
    assert [row["kept_global"] for row in rows(tmp_path / "second")] == [True, False, True]
    shutil.rmtree(tmp_path / "old")
    with pytest.raises(InputChanged, match="bring the input back, or set checked=false"):
        run(tmp_path / "new", tmp_path / "third", against=str(tmp_path / "first"), **settings)


@pytest.mark.slow
def test_a_chain_of_runs_knows_who_stayed_in_all_of_them(tmp_path: Path) -> None:
    one, two, three = chain(5)
    settings = {"bands": 100, "rows": 1, "num_perm": 112}
    lone = " ".join(words(3, 60))
    put(tmp_path / "a", {"c4/a.jsonl": records([one, two])})
    put(tmp_path / "b", {"github/b.jsonl": records([lone, two])})
    put(tmp_path / "c", {"c4/c.jsonl": records([three, lone, two])})
    run(tmp_path / "a", tmp_path / "1", **settings)
    run(tmp_path / "b", tmp_path / "2", against=str(tmp_path / "1"), **settings)
    run(tmp_path / "c", tmp_path / "3", against=str(tmp_path / "2"), **settings)
    assert [row["kept_global"] for row in rows(tmp_path / "2")] == [True, False]
    assert [row["kept_global"] for row in rows(tmp_path / "3")] == [True, False, False]
    assert [row["kept_local"] for row in rows(tmp_path / "3")] == [True, True, False]
    assert slimpajama.verify(tmp_path / "3").findings == []


def test_the_longest_can_be_preferred(tmp_path: Path) -> None:
    base = words(4, 150)
    texts = [" ".join(base), " ".join(base + words(5, 10)), " ".join(base + words(6, 6)), " ".join(words(8, 60))]
    put(tmp_path / "in", {"c4/a.jsonl": records(texts[:1]), "github/b.jsonl": records(texts[1:])})
    run(tmp_path / "in", tmp_path / "out", prefer=("longest",))
    kept: dict[str, list[bool]] = {"c4/a.jsonl": [], "github/b.jsonl": []}
    for row in rows(tmp_path / "out"):
        kept[row["shard"]].append(row["kept_global"])
    assert kept == {"c4/a.jsonl": [False], "github/b.jsonl": [True, False, True]}


def test_exact_similarities_of_removed_documents_are_told(
    finished: tuple[Path, Path, slimpajama.DedupSummary],
) -> None:
    source, out, _ = finished
    texts = texts_by_id(source, out)
    removed = [row for row in rows(out) if not row["kept_global"]]
    told = [row for row in removed if row["similarity_global"] is not None]
    assert 0 < len(told) < len(removed)
    for row in told:
        exact = jaccard(texts[row["id"]], texts[row["cluster_global"]])
        assert row["similarity_global"] == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("settings", [{}, {"preset": "slimpajama"}])
def test_a_shard_that_changes_during_the_run_at_its_size_and_time_is_read_anew(
    finished: tuple[Path, Path, slimpajama.DedupSummary], tmp_path: Path, settings: dict[str, Any]
) -> None:
    source = shutil.copytree(finished[0], tmp_path / "in")
    shard = source / "c4" / "a.jsonl"
    before, times = shard.read_bytes(), shard.stat()

    def other_text() -> None:
        shard.write_bytes(before[: len(before) // 2] + before[len(before) // 2 :].replace(b"z", b"q"))
        os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))

    with pytest.raises(InputChanged, match="run the same command again"):
        run(source, tmp_path / "out", engine=before_each(TextsStage, other_text), **settings)
    run(source, tmp_path / "out", **settings)
    run(source, tmp_path / "fresh", **settings)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "fresh")


def test_verify_compares_a_sample_again_if_the_input_is_there(
    finished: tuple[Path, Path, slimpajama.DedupSummary], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, out = shutil.copytree(finished[0], tmp_path / "in"), tmp_path / "out"
    summary = run(source, out)
    found = slimpajama.verify(out)
    assert found.findings == []
    assert found.checked["removals compared again"] == summary.total.global_.duplicate.documents
    shutil.rmtree(source / "c4")
    found = slimpajama.verify(out)
    assert found.findings == []
    assert "removals compared again" not in found.checked
    assert "holds other shards than" in caplog.text
    shutil.rmtree(source)
    found = slimpajama.verify(out)
    assert found.findings == []
    assert "removals compared again" not in found.checked
    assert "removals were not compared again" in caplog.text


def test_removals_below_the_threshold_are_found(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": records(chain(5))})
    out = tmp_path / "out"
    run(tmp_path / "in", out, bands=100, rows=1, num_perm=112, checked=False, threshold=None)
    request = read_request(out)
    assert isinstance(request, DedupRequest)
    as_if_checked = {**request.settings, "checked": True, "threshold": 0.8}
    write_request(out, DedupRequest(input=request.input, settings=as_if_checked))
    with LocalEngine(1) as engine:
        compared, findings = removal_findings(out, engine, SILENT)
    assert compared == 2
    (finding,) = findings
    assert finding.startswith(f"1 of 2 removals of source 'c4' in {out} are below the threshold 0.8, the lowest at 0.7")


def test_bands_that_cannot_reach_the_threshold_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": records(chain(5))})
    run(tmp_path / "in", tmp_path / "out", threshold=0.5)
    assert "14 bands of 8 rows find 5% of the pairs at the threshold 0.5" in caplog.text
    caplog.clear()
    run(tmp_path / "in", tmp_path / "out")
    assert "bands of" not in caplog.text


def test_an_earlier_input_with_a_shard_less_is_refused(tmp_path: Path) -> None:
    one, two, three = chain(5)
    settings = {"bands": 100, "rows": 1, "num_perm": 112}
    put(tmp_path / "old", {"c4/a.jsonl": records([" ".join(words(3, 60))]), "c4/b.jsonl": records([one, two])})
    put(tmp_path / "new", {"c4/c.jsonl": records([three])})
    run(tmp_path / "old", tmp_path / "first", **settings)
    (tmp_path / "old" / "c4" / "a.jsonl").unlink()  # from now on, ids would name other documents
    with pytest.raises(InputChanged, match=r"holds other shards than .*; bring the input back, or set checked=false"):
        run(tmp_path / "new", tmp_path / "second", against=str(tmp_path / "first"), **settings)
