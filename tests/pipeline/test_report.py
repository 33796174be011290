"""Where a report is written, when it is made again, and what the other commands know of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import slimpajama
from slimpajama.cli.main import app
from slimpajama.errors import ConfigError, InputNotFound, OutputError
from slimpajama.pipeline.preflight import check_targets
from slimpajama.pipeline.report import report_of, report_state
from slimpajama.storage.file_list import files_in, read_file_list

RECORDS = {
    "wiki": [
        "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. " * 4 + str(n) for n in (1, 2)
    ],
    "web": ["Seven wizards mix jars of liquid while nobody looks, which takes them all night. " * 4] * 3 + ["short"],
}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for source, texts in RECORDS.items():
        (tmp_path / "in" / source).mkdir(parents=True)
        lines = "".join(f'{{"text": "{text}", "meta": {{}}}}\n' for text in texts)
        (tmp_path / "in" / source / "a.jsonl").write_text(lines)
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    return tmp_path / "out"


def times(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in files_in(folder, ".") if name != ".lock"}


def test_a_report_is_a_page_with_figures_and_numbers_and_changes_nothing_else(output: Path) -> None:
    before = times(output)
    result = CliRunner().invoke(app, ["report", str(output)])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"report: {output / 'report' / 'index.html'}\n"
    assert {name: at for name, at in times(output).items() if not name.startswith("report/")} == before
    listing = read_file_list(output / "report" / "files.json")
    assert listing is not None
    assert {*listing.files, *listing.sealed, "files.json"} == set(files_in(output / "report", "."))
    assert {"index.html", "data/sources.csv", "data/sources.json", "data/report.json", "figures/sources.svg"} <= set(
        listing.files
    )


def test_a_report_that_holds_is_left_and_one_that_does_not_is_made_again(output: Path) -> None:
    assert report_state(output) == "none"
    assert not report_of(output).reused
    before = times(output)
    again = report_of(output)
    assert again.reused
    assert again.figures == slimpajama.make_report(output, to=output.parent / "elsewhere").figures
    slimpajama.deduplicate(output.parent / "in", output, workers=1)
    assert report_of(output).reused
    assert {name: before[name] for name in before if name.startswith("report/")} == {
        name: at for name, at in times(output).items() if name.startswith("report/")
    }
    (output / "report" / "data" / "sources.csv").unlink()
    assert report_state(output) == "stale"
    assert not report_of(output).reused
    slimpajama.deduplicate(output.parent / "in", output, workers=1, min_cleaned_characters=1)
    assert slimpajama.status(output).report == "stale"
    assert not report_of(output).reused
    assert slimpajama.status(output).report == "current"


def test_verify_checks_the_files_of_a_report(output: Path) -> None:
    slimpajama.make_report(output)
    assert slimpajama.verify(output, workers=1).findings == []
    page = output / "report" / "index.html"
    page.write_bytes(page.read_bytes() + b" ")
    (finding,) = slimpajama.verify(output, workers=1).findings
    assert finding.startswith(f"{page} has ")
    assert finding.endswith(f"; slimpajama report {output} makes it again")
    page.unlink()
    assert slimpajama.verify(output, workers=1).findings == [
        f"{page} is missing; slimpajama report {output} makes it again"
    ]


def test_a_second_command_that_found_all_done_is_not_told_as_the_work(output: Path) -> None:
    assert "time in all" in slimpajama.make_report(output).page.read_text("utf-8")
    slimpajama.deduplicate(output.parent / "in", output, workers=1)
    page = slimpajama.make_report(output).page.read_text("utf-8")
    assert "all of it was there already" in page
    assert "Everything was there already from an earlier run" in page
    assert "time in all" not in page
    assert " MB/s" not in page


def test_a_folder_of_something_else_is_refused(output: Path) -> None:
    (output / "report").mkdir()
    (output / "report" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"mine\.txt is there already and belongs to no report; move it"):
        slimpajama.make_report(output)
    assert slimpajama.make_report(output, to=output.parent / "there").page == output.parent / "there" / "index.html"


def test_what_is_no_finished_output_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputNotFound):
            slimpajama.make_report(folder)
    assert list(tmp_path.iterdir()) == []


def test_the_same_output_gives_the_same_page(output: Path, tmp_path: Path) -> None:
    first = slimpajama.make_report(output, to=tmp_path / "one").page.parent
    second = slimpajama.make_report(output, to=tmp_path / "two").page.parent
    assert files_in(first, ".") == files_in(second, ".")
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files_in(first, "."))


def test_no_recipe_takes_the_folder_of_the_report(tmp_path: Path) -> None:
    recipe = slimpajama.Recipe(name="report", weights={"web": 1}, tokens=10_000)
    with pytest.raises(ConfigError, match="a recipe cannot be named 'report': that is where the report lies"):
        check_targets([recipe], tmp_path)


def test_an_interrupted_report_is_made_anew(output: Path) -> None:
    slimpajama.make_report(output)
    (output / "report" / "files.json").unlink()
    (output / "report" / "index.html").unlink()
    assert slimpajama.status(output).report == "stale"
    assert not report_of(output).reused
    shutil.rmtree(output / "report")


def test_two_runs_are_compared_in_a_folder_of_their_own(output: Path, tmp_path: Path) -> None:
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "other", workers=1, min_cleaned_characters=1)
    before = times(output), times(tmp_path / "other")
    result = CliRunner().invoke(app, ["report", str(output), str(tmp_path / "other"), "--to", str(tmp_path / "both")])
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "both" / "index.html").read_text("utf-8")
    assert "min_cleaned_characters</th><td>200</td><td>1</td>" in page
    assert "out keeps 2 documents" in page
    assert {"data/comparison.json", "data/kept-alone.csv", "figures/kept-by-two.svg"} <= set(
        files_in(tmp_path / "both", ".")
    )
    assert (times(output), times(tmp_path / "other")) == before
