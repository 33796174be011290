"""What is not read is said, in words that tell why; or it is an error, where a setting asks for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimpajama import InputNotFound
from slimpajama.corpus.discovery import discover
from slimpajama.corpus.file_formats import endings_in_words
from slimpajama.corpus.left_out import left_out, report_left_out
from tests.corpus.shards import put

UNKNOWN = f"2 file(s) have an ending that is not read, e.g. a.tar; shards end in {endings_in_words()}"
UNASSIGNED = (
    "1 shard(s) belong to no source, e.g. top.jsonl; move them into a source's folder, or list the sources in a config"
)


@pytest.mark.parametrize(
    ("names", "sentences"),
    [
        (["c4/a.jsonl"], []),
        (["c4/a.jsonl", "c4/.hidden", "c4/_hidden.jsonl", "c4/b.jsonl.tmp"], []),
        (["c4/a.jsonl", "c4/b.txt", "a.tar"], [UNKNOWN]),
        (["c4/a.jsonl", "top.jsonl"], [UNASSIGNED]),
        (["c4/a.jsonl", "top.jsonl", "c4/b.txt", "a.tar"], [UNKNOWN, UNASSIGNED]),
    ],
)
def test_each_kind_of_file_that_is_left_out_has_its_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], sentences: list[str]
) -> None:
    corpus = discover(put(tmp_path, dict.fromkeys(names, b"")))
    assert left_out(corpus) == sentences
    report_left_out(corpus, strict=False)
    assert [record.getMessage() for record in caplog.records] == [f"not read: {sentence}" for sentence in sentences]
    if not sentences:
        report_left_out(corpus, strict=True)
        return
    with pytest.raises(InputNotFound) as caught:
        report_left_out(corpus, strict=True)
    assert str(caught.value) == (f"{sentences[0]}; or remove them, or set strict_input=false to leave them out")


def test_a_link_to_a_folder_that_is_read_anyway_leaves_nothing_out(tmp_path: Path) -> None:
    put(tmp_path, {"c4/a.jsonl": b""})
    (tmp_path / "c4" / "self").symlink_to(tmp_path / "c4")
    corpus = discover(tmp_path)
    assert (corpus.ignored, left_out(corpus)) == (("c4/self",), [])


def test_what_is_held_out_is_counted_and_no_fault(tmp_path: Path) -> None:
    names = ["train/a.jsonl", "test/a.jsonl", "validation/a.jsonl", "validation/b.jsonl"]
    corpus = discover(put(tmp_path, dict.fromkeys(names, b"")))
    assert corpus.held_out == {"validation": 2, "test": 1}
    report_left_out(corpus, strict=True)


def test_a_description_beside_shards_is_no_shard(tmp_path: Path) -> None:
    put(tmp_path, {"c4/a.jsonl": b"", "c4/b.json": b'{"text": "a"}\n{"text": "b"}\n'})
    (tmp_path / "c4/dataset_info.json").write_text('{\n  "features": {}\n}\n')
    corpus = discover(tmp_path)
    assert [file.relative for file in corpus.files] == ["c4/a.jsonl", "c4/b.json"]
    (sentence,) = left_out(corpus)
    assert sentence == (
        "1 .json file(s) hold one indented object and no records, e.g. c4/dataset_info.json; write records as JSON "
        "lines (jq -c .) or as an array"
    )


def test_an_input_of_nothing_but_descriptions_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"c4/a.json": b"{\n}", "c4/b.json": b"{\n}"})
    with pytest.raises(InputNotFound, match=r"its \.json files hold one indented object each, e\.g\. c4/a\.json"):
        discover(tmp_path)
