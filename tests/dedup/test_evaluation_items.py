"""Items out of files as other programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimpajama.dedup.evaluation_items import EvaluationFile, EvaluationItem, read_items


@pytest.mark.parametrize(
    "content", [b'\xef\xbb\xbf{"q": "one"}\n{"q": "two"}\n', b'\xef\xbb\xbf{"q": "one"}\r\n\xef\xbb\xbf{"q": "two"}']
)
def test_a_byte_order_mark_is_stepped_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    file = EvaluationFile("set", str(tmp_path / "a.jsonl"), "a.jsonl", (("q",),))
    assert read_items(file) == [EvaluationItem(1, "one"), EvaluationItem(2, "two")]
