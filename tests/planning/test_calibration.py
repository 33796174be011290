"""What is measured on keys and on corpora that are made is about what it seems to be."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import slimpajama
from slimpajama.planning.calibration import linking_speed
from slimpajama.planning.made_corpora import write_documents, write_pieces


def test_all_speeds_are_measured(tmp_path: Path) -> None:
    speed = linking_speed(tmp_path, bands=3, documents=3000)
    assert all(seconds >= 0 for seconds in astuple(speed))
    assert min(speed.clustering, speed.grouping) > 0
    assert 16 <= speed.link_bytes < 30, "two ids, and the frame of a file"


def test_a_third_of_the_many_documents_are_removed_and_none_of_the_few(tmp_path: Path) -> None:
    write_pieces(tmp_path / "pieces", 3)
    write_documents(tmp_path / "documents", 60)
    for name, documents, kept in (("pieces", 3, 3), ("documents", 60, 40)):
        total = slimpajama.deduplicate(tmp_path / name, tmp_path / f"{name}_out", workers=1).total
        assert (total.read.documents, total.of("global").kept.documents) == (documents, kept)
    assert len(list((tmp_path / "pieces").rglob("*.zst"))) == 3
