"""What was measured of caches stands in the report of the output that it was measured in."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from slimpajama.errors import InputError
from slimpajama.report.drawings.kvcache import cache_drawings
from slimpajama.report.drawings.style import look
from slimpajama.report.figures.kvcache import CacheResults, NoisePoint, QualityPoint, SpeedPoint, mean_and_spread
from slimpajama.report.figures.whole import Report
from slimpajama.report.page import page_of
from slimpajama.report.sections.caches import STUDY_CACHES, caches, noise_rows

METHODS = ("keyformer", "h2o", "window", "streaming_llm", "tova", "snapkv")
FOUND = CacheResults(
    "a machine",
    "3 models of <b>",
    tuple(
        QualityPoint(task, method, share, seed, 3 + at / 100 - share / 50 + seed / 500, 3.0, share, 0.1)
        for task in ("text", "text that returns")
        for at, method in enumerate(METHODS)
        for share in (0.2, 0.5, 0.9)
        for seed in (0, 1)
    ),
    tuple(
        NoisePoint("text", kind, fresh, 0.6, seed, 3.25 + seed / 4, 3.0, 0.9)
        for kind, fresh in (("gumbel", False), ("gumbel", True), ("none", False))
        for seed in (0, 1)
    ),
    tuple(
        SpeedPoint("cpu", method, share, context, 1, 9e4 * share / context, 1.0, int(share * context) << 12)
        for context in (1024, 2048, 16384)
        for method, share in (("full", 1.0), ("keyformer", 0.5))
    ),
)


def test_the_figures_are_read_and_those_of_another_version_refused(tmp_path: Path) -> None:
    assert caches(tmp_path) is None
    file = tmp_path / STUDY_CACHES
    file.parent.mkdir()
    file.write_bytes(msgspec.json.encode(FOUND))
    assert caches(tmp_path) == FOUND
    file.write_text('{"quality": []}')
    with pytest.raises(InputError, match="run slimpajama study again with the same output"):
        caches(tmp_path)


def test_the_spread_is_that_between_seeds() -> None:
    assert mean_and_spread([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_and_spread([4.0]) == (4.0, 0.0)


def test_the_table_of_noise_has_a_row_for_each_kind() -> None:
    assert noise_rows(FOUND.noise) == [
        ["noise", "text, 60%"],
        ["gumbel", "0.3750 ± 0.1768"],
        ["gumbel, fresh", "0.3750 ± 0.1768"],
        ["none", "0.3750 ± 0.1768"],
    ]


def test_the_page_has_the_section_only_where_caches_were_measured() -> None:
    assert 'id="caches"' not in page_of(Report(title="t", made="m")).html.decode()
    page = page_of(Report(title="t", made="m", caches=FOUND))
    html = page.html.decode()
    assert 'id="caches"' in html
    assert 'id="study"' not in html
    assert "3 models of &lt;b&gt;" in html
    assert {"kvcache-quality", "kvcache-speed"} == set(page.drawings)
    assert all(one.inline in html for one in page.drawings.values())
    assert '<td class="n">0.3750 ± 0.1768</td>' in html
    assert len(page.tables["cache-quality"].rows) == len(FOUND.quality)
    assert page.tables["cache-speed"].rows[1] == ("cpu", "keyformer", 0.5, 1024, 1, 9e4 * 0.5 / 1024, 1.0, 512 << 12)


def test_the_drawings_say_what_they_show_and_are_the_same_each_time() -> None:
    with look():
        quality, speed = cache_drawings(FOUND)
        assert (quality, speed) == tuple(cache_drawings(FOUND))
    assert "text: loss above full attention at 50%: keyformer -0.0090, h2o 0.0010, window 0.0110" in quality.description
    assert "keyformer with 50% of the cache: 2.7 tokens a second and 32.0 MiB after 16,384" in speed.description
    assert all(f">{method}<" in quality.file for method in METHODS)
    assert cache_drawings(CacheResults("", "", (), (), ())) == []
