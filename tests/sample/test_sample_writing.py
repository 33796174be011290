"""What a user of ``slimpajama sample`` is promised: same bytes, clean folders, clear refusals, honest counts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from slimpajama.engine.local import LocalEngine
from slimpajama.errors import ConfigError, OutputError
from slimpajama.sample import GROUND_TRUTH, PAIRS, write_sample
from tests.sample.sample_reading import WrittenSample, write


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*")
        if path.is_file()
    }


def test_bytes_do_not_depend_on_the_number_of_workers_or_on_the_run(tmp_path: Path) -> None:
    one = digests(write(tmp_path / "one", docs=120).out)
    assert digests(write(tmp_path / "two", docs=120, workers=2).out) == one
    assert digests(write(tmp_path / "one", docs=120).out) == one


def test_another_seed_gives_other_texts(tmp_path: Path) -> None:
    first, second = (write(tmp_path / str(seed), docs=60, seed=seed) for seed in (1, 2))
    assert not set(first.texts("c4")) & set(second.texts("c4")) - {"", " \n\t"}


def test_a_replaced_sample_leaves_nothing_behind(tmp_path: Path) -> None:
    write(tmp_path, docs=150, seed=3)
    again = write(tmp_path, docs=60, seed=4)
    assert set(digests(tmp_path)) == {*again.truth["files"], GROUND_TRUTH, PAIRS}


def test_an_interrupted_sample_is_replaced(tmp_path: Path) -> None:
    whole = write(tmp_path, docs=60)
    (tmp_path / PAIRS).unlink()
    (tmp_path / whole.truth["files"][0]).rename(tmp_path / (whole.truth["files"][0] + ".tmp"))
    again = write(tmp_path, docs=60)
    assert set(digests(tmp_path)) == {*again.truth["files"], GROUND_TRUTH, PAIRS}


@pytest.mark.parametrize("kept", ["notes.txt", "c4/my-own.jsonl.zst"])
def test_files_of_others_are_never_touched(tmp_path: Path, kept: str) -> None:
    (tmp_path / kept).parent.mkdir(exist_ok=True)
    (tmp_path / kept).write_text("precious")
    with pytest.raises(OutputError, match="is not empty and holds no earlier sample"):
        write(tmp_path, docs=60)
    assert (tmp_path / kept).read_text() == "precious"


def test_a_stranger_among_an_earlier_sample_is_named_before_anything_is_removed(tmp_path: Path) -> None:
    write(tmp_path, docs=60)
    (tmp_path / "c4" / "my-own.jsonl.zst").write_text("precious")
    before = digests(tmp_path)
    with pytest.raises(OutputError, match="my-own"):
        write(tmp_path, docs=60)
    assert digests(tmp_path) == before


def test_a_marker_cannot_make_us_remove_files_elsewhere(tmp_path: Path) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim"
    write(out, docs=60)
    victim.write_text("precious")
    listing = (out / GROUND_TRUTH).read_text().replace('"files": [', '"files": [ "../victim",')
    (out / GROUND_TRUTH).write_text(listing)
    write(out, docs=60)
    assert victim.read_text() == "precious"


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        write(tmp_path / "out", docs=60)


@pytest.mark.parametrize(("docs", "seed", "message"), [(49, 1, "49 documents .* 50 or more"), (50, -1, "seed -1")])
def test_impossible_requests_are_refused_before_anything_is_written(
    tmp_path: Path, docs: int, seed: int, message: str
) -> None:
    with LocalEngine(1) as engine, pytest.raises(ConfigError, match=message):
        write_sample(tmp_path / "out", docs=docs, seed=seed, engine=engine, progress=print)
    assert not (tmp_path / "out").exists()


def test_summary_and_ground_truth_count_what_is_in_the_files(sample: WrittenSample) -> None:
    summary, sources = sample.summary, sample.truth["sources"]
    assert sample.truth["finished"] is True
    assert summary.documents == 1500 == sum(len(records) for records in sample.records.values())
    assert summary.bytes == sum(sample.progress) == sum(source["bytes"] for source in sources.values())
    assert summary.bytes == sum(len(line) for lines in sample.lines.values() for _, line in lines)
    assert summary.pairs == len(sample.pairs) == sum(source["copies"] for source in sources.values())
    assert summary.exact_pairs == sum(pair["kind"] == "exact" for pair in sample.pairs)
    lines = sum(len(lines) for lines in sample.lines.values())
    assert lines == summary.documents + summary.broken + summary.blank
    bins = sample.truth["pairs"]
    assert sum(count for name, count in bins.items() if name.startswith("jaccard")) == summary.pairs


@pytest.mark.parametrize(("docs", "least", "most"), [(50, 0.1e6, 0.4e6), (300, 0.6e6, 1.6e6)])
def test_small_samples_are_small(tmp_path: Path, docs: int, least: float, most: float) -> None:
    sample = write(tmp_path, docs=docs)
    assert least < sample.summary.bytes < most
    assert all(source["documents"] >= 4 for source in sample.truth["sources"].values())
