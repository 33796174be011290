"""The lines of the picture are where the counts are."""

from __future__ import annotations

import re

import numpy as np

from benchmarks.pictures import curves_svg


def test_a_line_for_each_method_that_rises_with_the_count() -> None:
    drawn = curves_svg([("one", np.array([0.2, 0.9, 1.0])), ("none", np.empty(0))])
    lines = re.findall(r'<polyline points="([^"]*)"', drawn)
    heights = [[float(point.split(",")[1]) for point in line.split()] for line in lines]
    assert [len(line) for line in heights] == [101, 101]
    assert heights[0][20] == heights[0][0] > heights[0][21] == heights[0][90] > heights[0][91] == heights[0][100]
    assert len(set(heights[1])) == 1
