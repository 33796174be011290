"""An intermediate that was changed in place is noticed by the stage that reads it, and made anew."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from slimpajama import deduplicate
from tests.corpus.shards import files_below, put

DOCUMENTS = 700
"""So many that no intermediate is small enough to be compared at each rerun."""


def text(number: int) -> str:
    return " ".join(f"w{number}x{word * 7919 % 1000}" for word in range(40))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    texts = [text(number // 2) for number in range(2 * DOCUMENTS)]
    put(folder / "in", {"c4/a.jsonl": texts[:DOCUMENTS], "wiki/a.jsonl": texts[DOCUMENTS // 2 :]})
    deduplicate(folder / "in", folder / "out", workers=1)
    return folder


def results(out: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_below(out).items() if name.endswith((".zst", ".parquet"))}


@pytest.mark.parametrize(
    ("damaged", "gone"),
    [
        ("work/rows/c4/a.arrow", "work/exact/links-0.arrow"),
        ("work/rows/c4/a.arrow", "work/links/0-0.arrow"),
        ("work/exact/left-out-0.arrow", "work/links/2-0.arrow"),
        ("work/links/3-0.arrow", "work/clusters.arrow"),
        ("work/clusters.arrow", "work/groups/global-0.arrow"),
        ("work/rows/c4/a.arrow", "work/groups/local-0.arrow"),
        ("work/groups/local-0.arrow", "decisions/wiki/a.parquet"),
        ("work/rows/wiki/a.arrow", "decisions/wiki/a.parquet"),
        ("work/rows/wiki/a.arrow", "global/wiki/a.jsonl.zst"),
        ("decisions/wiki/a.parquet", "global/wiki/a.jsonl.zst"),
    ],
)
def test_it_is_made_anew_by_the_run_that_would_have_read_it(
    sound: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: str, gone: str
) -> None:
    """``gone``: a file that is made of the damaged one."""
    out = tmp_path / "out"
    shutil.copytree(sound / "out", out)
    content = bytearray((out / damaged).read_bytes())
    content[len(content) // 2] ^= 1
    (out / damaged).write_bytes(content)
    (out / gone).unlink()
    with caplog.at_level(logging.WARNING, "slimpajama"):
        deduplicate(sound / "in", out, workers=1)
    assert results(out) == results(sound / "out")
    assert (out / damaged).read_bytes() == (sound / "out" / damaged).read_bytes()
    small = (out / damaged).stat().st_size <= 1 << 16
    assert caplog.messages == ([] if small else [f"{out / damaged} is not what was written: it is made anew"])
