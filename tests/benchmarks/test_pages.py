"""Only what stands between the marks changes, and a page without them is refused."""

from __future__ import annotations

import pytest

from benchmarks.pages import rewritten

PAGE = "# Title\n<!-- table: begin -->\nold\n<!-- table: end -->\nrest\n"


def test_what_stands_between_the_marks_is_replaced() -> None:
    new = rewritten(PAGE, "table", ["| a |", "| b |"])
    assert new == "# Title\n<!-- table: begin -->\n\n| a |\n| b |\n\n<!-- table: end -->\nrest\n"
    assert rewritten(new, "table", ["| a |", "| b |"]) == new


@pytest.mark.parametrize(
    "page", ["# Title\n", "<!-- table: begin -->\n", "<!-- other: begin -->\n<!-- other: end -->\n"]
)
def test_a_page_without_the_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="<!-- table: begin -->"):
        rewritten(page, "table", [])
