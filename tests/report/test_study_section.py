"""What a study found stands in the report of the output that it was made in."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from slimpajama.errors import InputError
from slimpajama.report.figures.study import HeldOutCell, LossCurve, ScopePair, StudyFigures, TrainedPoint
from slimpajama.report.figures.whole import Report
from slimpajama.report.leads import study_lead
from slimpajama.report.page import page_of
from slimpajama.report.sections.study import STUDY_RESULTS, study


def cell(mixture: str, source: str, bits: float, best: bool, beyond: bool, share: float) -> HeldOutCell:
    return HeldOutCell(
        mixture=mixture,
        model="tiny",
        source=source,
        seeds=3,
        nats=2 * bits,
        bits=bits,
        spread=0.01,
        best=best,
        beyond=beyond,
        trained_on=share,
    )


FOUND = StudyFigures(
    mixtures=("one", "<b>two"),
    models=("tiny",),
    sources=("web", "wiki"),
    seeds=(1, 2, 3),
    parameters={"tiny": 661_344},
    tokens=4096,
    window=256,
    split="validation",
    cells=(
        cell("one", "web", 3.0, True, False, 1.0),
        cell("one", "wiki", 3.75, False, True, 0.0),
        cell("<b>two", "web", 3.01, False, False, 0.5),
        cell("<b>two", "wiki", 3.25, True, False, 0.5),
    ),
    spreads={"tiny": {"web": 0.02, "wiki": 0.02}},
    curves=(
        LossCurve(
            mixture="one",
            model="tiny",
            points=(TrainedPoint(tokens=1024, loss=7.5), TrainedPoint(tokens=4096, loss=5.25)),
        ),
    ),
    scopes=(
        ScopePair(
            local_mixture="<b>two", global_mixture="one", model="tiny", source="web", difference=0.01, beyond=False
        ),
    ),
    choices=(),
    tokens_per_cpu_second=6000.0,
    limits=("It is small & young.",),
)


def test_the_results_of_a_study_are_read_and_those_of_another_version_refused(tmp_path: Path) -> None:
    assert study(tmp_path) is None
    file = tmp_path / STUDY_RESULTS
    file.parent.mkdir()
    file.write_bytes(msgspec.json.encode(FOUND))
    assert study(tmp_path) == FOUND
    file.write_text('{"mixtures": []}')
    with pytest.raises(InputError, match="run slimpajama study again with the same output"):
        study(tmp_path)


def test_the_lead_counts_what_is_beyond_the_spread() -> None:
    assert study_lead(FOUND) == (
        "Models of the preset tiny were trained on 4,096 tokens of each of 2 mixtures, with 3 seeds. 1 of 2 losses are "
        "above the best of their source by more than twice the spread; of the 1 on sources that a mixture has none of, "
        "1 are."
    )


def test_the_page_has_the_section_only_where_there_was_a_study() -> None:
    without = page_of(Report(title="t", made="m")).html.decode()
    assert 'id="study"' not in without
    page = page_of(Report(title="t", made="m", study=FOUND))
    html = page.html.decode()
    assert 'id="study"' in html
    assert "It is small &amp; young." in html
    assert "<b>two" not in html
    assert {"study-tiny", "study-curves-tiny"} <= set(page.drawings)
    assert page.tables["study-losses"].rows[1] == ("one", "tiny", "wiki", 3, 7.5, 3.75, 0.01, False, True, 0.0)
    assert page.tables["study-curves"].rows == (("one", "tiny", 1024, 7.5), ("one", "tiny", 4096, 5.25))
