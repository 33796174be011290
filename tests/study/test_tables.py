from slimpajama.report.figures.study import HeldOutCell, SourceSpread, StudyFigures
from slimpajama.study.tables import study_text


def cell(
    mixture: str, source: str, bits: float, share: float, *, best: bool = False, beyond: bool = False
) -> HeldOutCell:
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


def test_the_matrix_marks_the_best_what_is_within_the_spread_and_what_a_mixture_has_nothing_of() -> None:
    figures = StudyFigures(
        mixtures=("web", "both"),
        models=("tiny",),
        sources=("code", "web"),
        seeds=(1, 2, 3),
        parameters={"tiny": 661_344},
        tokens=1024,
        window=256,
        split="validation",
        cells=(
            cell("web", "code", 4.25, 0, beyond=True),
            cell("web", "web", 2.5, 1, best=True),
            cell("both", "code", 3.0, 0.5, best=True),
            cell("both", "web", 2.515, 0.5),
        ),
        spreads=(
            SourceSpread(model="tiny", source="code", holding=0.02, lacking=0.5),
            SourceSpread(model="tiny", source="web", holding=0.01, lacking=None),
        ),
        curves=(),
        scopes=(),
        choices=(),
        tokens_per_cpu_second=7000.0,
        limits=("There is little here.",),
    )
    lines = [line.rstrip() for line in study_text(figures).splitlines()]
    assert lines[:9] == [
        "tiny (661,344 parameters), 1,024 tokens, 3 seeds, validation: bits a byte",
        "mixture       code      web",
        "---------------------------",
        "web       (4.250)   2.500*",
        "both       3.000*   2.515=",
        "---------------------------",
        "spread     0.020    0.010",
        "(spread)  (0.500)       -",
        (
            "* least of its column; in parentheses: the mixture has nothing of the source; = not more than twice the "
            "spread above it; spread: standard deviation between seeds"
        ),
    ]
    assert lines[-1] == "- There is little here."
