"""The examples of docs/python.md and the scripts of examples/ run, in a folder with a small corpus."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

import pytest

import slimpajama
from tests.corpus.shards import jsonl

ROOT = Path(__file__).parents[1]


def document(number: int) -> str:
    """Long enough to take part, and with hardly a shingle in common with another."""
    return " ".join(f"{number * 7919 + word * 104_729:x}" for word in range(80))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "in"
    for source, first in (("c4", 0), ("arxiv", 1000)):
        (folder / source).mkdir(parents=True)
        texts = [document(first + number) for number in range(60)]
        (folder / source / "a.jsonl").write_bytes(jsonl({"text": text} for text in [*texts, texts[0]]))
    return folder


@pytest.fixture(scope="module")
def deduplicated(corpus: Path) -> Path:
    slimpajama.deduplicate(corpus, corpus.parent / "dedup", workers=1)
    return corpus.parent / "dedup"


def test_the_examples_of_the_page_on_python_run_one_after_the_other(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(corpus, tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 8
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)  # noqa: S102


def run_script(name: str, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")


def test_dedup_folder(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_script("dedup_folder.py", corpus, tmp_path / "out", monkeypatch=monkeypatch)
    assert capsys.readouterr().out.splitlines() == [
        "arxiv: 60 of 61 documents kept",
        "c4: 60 of 61 documents kept",
        "total: 120 of 122 documents kept",
    ]


def test_read_decisions(
    deduplicated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_script("read_decisions.py", deduplicated, monkeypatch=monkeypatch)
    kept, duplicate = capsys.readouterr().out.splitlines()
    assert kept.startswith("kept: position 0 of ")
    assert duplicate.startswith("duplicate: position ")


def test_two_mixtures(
    deduplicated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_script("two_mixtures.py", deduplicated, tmp_path / "out", monkeypatch=monkeypatch)
    assert capsys.readouterr().out.splitlines() == ["c4-50: 64 sequences", "c4-80: 64 sequences"]


def test_every_script_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    for script in (ROOT / "examples").glob("*.py"):
        assert f'"{script.name}"' in here, script
