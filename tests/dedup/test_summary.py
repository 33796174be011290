"""The summary of a deduplication: its figures, and that a file of another shape is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import slimpajama
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.run_summary import source_figures
from slimpajama.dedup.summary import Count, ScopeFigures, SourceFigures, read_summary
from slimpajama.dedup.tally import Tally
from slimpajama.versions import versions
from tests.dedup.summaries import COUNTS, NAMES, REMOVED, STOOD_FOR


def test_a_source_has_what_was_read_and_what_became_of_it_in_each_scope() -> None:
    tally = Tally(3, 3)
    tally.merge(COUNTS, REMOVED, STOOD_FOR)
    tally.check_sizes()
    figures = source_figures(tally, NAMES, [3, 0, 1])
    assert list(figures) == [*NAMES, "total"]
    assert figures["common_crawl"] == SourceFigures(
        read=Count(1000, 5_000_000),
        short=Count(10, 1_000),
        bad=Count(2, 500),
        global_=ScopeFigures(Count(900, 4_500_000), Count(88, 498_500), Count(60, 300_000), Count(28, 198_500)),
        local=ScopeFigures(Count(950, 4_800_000), Count(38, 198_500), Count(30, 150_000), Count(8, 48_500)),
        replaced_values=3,
    )
    assert figures["total"].read == Count(1020, 5_090_000)
    assert figures["total"].replaced_values == 4
    assert figures["total"].of("global") is figures["total"].global_
    assert figures["total"].of("local") is figures["total"].local
    unknown = source_figures(tally, NAMES, None)
    assert {one.replaced_values for one in unknown.values()} == {None}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, slimpajama.DedupSummary]:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "in" / "c4").mkdir(parents=True)
    text = " ".join(f"word{number**3}" for number in range(60))
    (folder / "in" / "c4" / "a.jsonl").write_text(json.dumps({"text": text}) + "\n")
    return folder / "out", slimpajama.deduplicate(folder / "in", folder / "out", workers=1)


def test_the_file_holds_what_the_function_returned(finished: tuple[Path, slimpajama.DedupSummary]) -> None:
    out, summary = finished
    assert json.loads((out / "summary.json").read_bytes()) == summary.as_dict()
    assert read_summary(DedupLayout(out)) == summary
    assert list(summary.as_dict()) == [
        *("input", "sources", "overlap", "clusters", "lsh", "versions", "shards", "stages", "seconds"),
        *("compile_seconds", "mb_per_second", "settings", "peak_memory_bytes", "looked_at", "checks"),
        "decontamination",
    ]
    assert summary.as_dict()["stages"]["link"].keys() == {"seconds", "items", "reused", "mb_per_second"}
    assert summary.as_dict()["settings"]["workers"] == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seconds": None}, "Expected `float`, got `null` - at `$.seconds`"),
        ({"speed": 1}, "Object contains unknown field `speed`"),
        ({"settings": {"sede": 1}}, "settings: there is no setting 'sede'"),
    ],
)
def test_a_summary_of_another_shape_is_of_another_version(
    finished: tuple[Path, slimpajama.DedupSummary], tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(finished[1].as_dict() | change))
    with pytest.raises(slimpajama.InputNotFound) as caught:
        read_summary(DedupLayout(tmp_path))
    assert str(caught.value).startswith(
        f"{tmp_path}/summary.json was written by another version of slimpajama or is no summary of a deduplication "
        f"({reason}"
    )
    assert str(caught.value).endswith("); run slimpajama dedup again with the same input and output")


@pytest.mark.parametrize("content", [None, b"{", b"[]"])
def test_without_a_summary_there_is_no_finished_deduplication(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(slimpajama.InputNotFound, match=r"summary\.json is missing or broken; give the output of slim"):
        read_summary(DedupLayout(tmp_path))


def test_versions_name_what_could_change_a_result() -> None:
    assert {"slimpajama", "python", "unicode", "numpy", "numba", "pyarrow", "orjson"} <= set(versions())
