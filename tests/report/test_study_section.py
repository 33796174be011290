"""What a study found stands in the report of the output that it was made in."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from slimpajama.errors import InputError
from slimpajama.report.drawings.study import study_drawings
from slimpajama.report.drawings.style import look
from slimpajama.report.figures.study import HeldOutCell, LossCurve, ScopePair, SourceSpread, StudyFigures, TrainedPoint
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
    spreads=(
        SourceSpread(model="tiny", source="web", holding=0.02, lacking=None),
        SourceSpread(model="tiny", source="wiki", holding=0.02, lacking=0.02),
    ),
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
        "above the best of their source by more than twice the spread; among them, 1 of 1 on sources that a mixture "
        "has none of."
    )
    one = study_lead(msgspec.structs.replace(FOUND, seeds=(1,)))
    assert one.startswith(
        "Models of the preset tiny were trained on 4,096 tokens of each of 2 mixtures, with one seed. "
    )


def test_the_page_has_the_section_only_where_there_was_a_study() -> None:
    without = page_of(Report(title="t", made="m")).html.decode()
    assert 'id="study"' not in without
    page = page_of(Report(title="t", made="m", study=FOUND))
    html = page.html.decode()
    assert 'id="study"' in html
    assert "It is small &amp; young." in html
    assert "<b>two" not in html
    assert {"study-losses-tiny", "study-curves-tiny"} <= set(page.drawings)
    assert page.tables["study-losses"].rows[1] == ("one", "tiny", "wiki", 3, 7.5, 3.75, 0.01, False, True, 0.0)
    assert page.tables["study-curves"].rows == (("one", "tiny", 1024, 7.5), ("one", "tiny", 4096, 5.25))


def test_a_source_that_a_mixture_has_none_of_has_a_dashed_frame_and_files_say_what_it_means() -> None:
    with look():
        losses, curves = study_drawings(FOUND)
    assert (losses.name, curves.name) == ("study-losses-tiny", "study-curves-tiny")
    assert losses.file.count("stroke-dasharray") == 1
    assert "Dashed: the" in losses.file
    assert ">beyond<" in losses.file


def test_several_sizes_are_drawn_beside_each_other_from_small_to_large() -> None:
    larger = tuple(msgspec.structs.replace(one, model="1.3b", bits=one.bits / 2) for one in FOUND.cells)
    found = msgspec.structs.replace(
        FOUND, models=("1.3b", "tiny"), parameters={"1.3b": 1_311_586_288, "tiny": 661_344}, cells=FOUND.cells + larger
    )
    page = page_of(Report(title="t", made="m", study=found))
    assert {"study-losses-1-3b", "study-losses-tiny", "study-curves-tiny", "study-sizes"} == set(page.drawings)
    sizes = page.drawings["study-sizes"]
    assert sizes.description == "one: tiny 3.375, 1.3b 1.688; <b>two: tiny 3.130, 1.3b 1.565."
    assert ">1,311.6 M<" in sizes.file
    assert all(one.inline in page.html.decode() for one in page.drawings.values())


def test_a_drawing_of_more_mixtures_than_it_has_room_for_says_so() -> None:
    names = tuple(f"m{number}" for number in range(30))
    cells = tuple(cell(name, "web", 3.0 + at, not at, bool(at), 1.0) for at, name in enumerate(names))
    points = FOUND.curves[0].points
    curves = tuple(LossCurve(mixture=name, model="tiny", points=points) for name in names)
    with look():
        losses, lines = study_drawings(
            msgspec.structs.replace(FOUND, mixtures=names, sources=("web",), cells=cells, curves=curves)
        )
    assert losses.title.endswith("in bits a byte, of the first 20 of 30 mixtures")
    assert lines.title == "Training losses of tiny, by mixture, of the first 21 of 30 mixtures"
