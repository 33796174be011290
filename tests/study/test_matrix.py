import csv
import json
import math
import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from slimpajama.config.study import StudyConfig, load_study_config
from slimpajama.errors import ConfigError, InputError
from slimpajama.report.figures.study import HeldOutCell, StudyFigures
from slimpajama.report.sections.caches import caches as measured_caches
from slimpajama.study.command import do_study
from slimpajama.study.kvcache.measuring import EVICTING, NOISES, SHARES
from slimpajama.study.matrix import StudiedMixture, plan_study
from slimpajama.study.runs import loss_points
from slimpajama.study.summary import differ, pooled_spread, source_spread
from tests.study.made_mixtures import holdout, made_output, mixture

CONFIG = """
tokens: 3k
window: 16
batch_tokens: 128
learning_rate: 0.004
seeds: [1, 2]
processes: 1
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = made_output(tmp_path_factory.mktemp("mixtures"))
    mixture(root / "both-local", {"letters": 48, "numbers": 48}, scope="local", seed=7)
    return root


def config(output: Path, folder: Path, **values: object) -> StudyConfig:
    (folder / "study.yaml").write_text(CONFIG)
    return load_study_config(folder / "study.yaml", (), input=str(output), **values)


@pytest.fixture(scope="module")
def finished(output: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyFigures]:
    folder = tmp_path_factory.mktemp("study")
    found = do_study(config(output, folder), folder / "out", told=lambda line: None)
    assert found is not None
    return folder / "out", found.figures


def test_a_source_is_lost_by_the_mixture_that_has_none_of_it(finished: tuple[Path, StudyFigures]) -> None:
    _, figures = finished
    assert figures.mixtures == ("both", "both-local", "letters", "numbers")
    cells = {(cell.mixture, cell.source): cell for cell in figures.cells}
    assert cells["letters", "letters"].best
    assert cells["numbers", "letters"].beyond
    assert cells["letters", "numbers"].beyond
    assert cells["both", "letters"].trained_on == 0.5
    assert cells["numbers", "letters"].trained_on == 0


def test_local_is_compared_with_global_of_the_same_recipe(finished: tuple[Path, StudyFigures]) -> None:
    _, figures = finished
    assert {(pair.local_mixture, pair.global_mixture) for pair in figures.scopes} == {("both-local", "both")}
    assert len(figures.scopes) == 2


def test_all_files_say_the_same(finished: tuple[Path, StudyFigures]) -> None:
    folder, figures = finished
    assert msgspec.json.decode((folder / "results.json").read_bytes(), type=StudyFigures) == figures
    rows = pq.read_table(folder / "losses.parquet").to_pylist()
    assert len(rows) == 4 * 2 * 2
    for cell in figures.cells:
        own = [row for row in rows if (row["mixture"], row["source"]) == (cell.mixture, cell.source)]
        assert cell.bits == pytest.approx(sum(row["bits_per_byte"] for row in own) / 2)
    assert "0.73" in (folder / "tables.txt").read_text()
    assert {path.name for path in folder.glob("*.svg")} == {"losses-tiny.svg", "curves-tiny.svg"}


def test_finished_runs_are_not_done_again_and_broken_or_other_ones_are(
    output: Path, finished: tuple[Path, StudyFigures], tmp_path: Path
) -> None:
    folder, figures = finished
    files = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/result.json")}
    broken = folder / "runs" / "both-tiny-seed2" / "result.json"
    content = broken.read_bytes()
    broken.write_bytes(content[:100])
    again = do_study(config(output, tmp_path), folder, told=lambda line: None)
    assert again is not None
    assert again.figures.cells == figures.cells
    assert [path for path, before in files.items() if path.stat().st_mtime_ns != before] == [broken]


def test_processes_give_the_same_results(output: Path, finished: tuple[Path, StudyFigures], tmp_path: Path) -> None:
    _, figures = finished
    settings = config(output, tmp_path, processes=2, mixtures=["letters"])
    found = do_study(settings, tmp_path / "out", told=lambda line: None)
    assert found is not None
    expected = {cell.source: cell.bits for cell in figures.cells if cell.mixture == "letters"}
    assert {cell.source: cell.bits for cell in found.figures.cells} == expected


def test_a_swarm_is_written_as_regressions_read_it(output: Path, tmp_path: Path) -> None:
    ratios = tmp_path / "swarm.csv"
    ratios.write_text("run,name,index,letters,numbers\nr1,letters,0,1,0\nr2,both,1,0.5,0.5\n")
    settings = config(output, tmp_path, seeds=[1])
    found = do_study(settings, tmp_path / "out", ratios=ratios, told=lambda line: None)
    assert found is not None
    read = {
        name: list(csv.DictReader((tmp_path / "out" / name).read_text().splitlines()))
        for name in ("ratios.csv", "metrics.csv")
    }
    assert [(row["name"], row["letters"], row["numbers"]) for row in read["ratios.csv"]] == [
        ("letters", "1.0", "0.0"),
        ("both", "0.5", "0.5"),
    ]
    cells = {(cell.mixture, cell.source): cell.bits for cell in found.figures.cells}
    for row in read["metrics.csv"]:
        assert float(row["numbers_bits_per_byte"]) == cells[row["name"], "numbers"]
    assert [list(row)[:3] for row in read["metrics.csv"]] == [["run", "name", "index"]] * 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("r,both,0,-0.5,1.5", "at least 0"),
        ("r,both,0,0.5,0.4", "sum to 0.9"),
        ("r,both,0,0,0", "sum to 0"),
        ("r,both,0,0.5,0.5\nr,both,1,0.5,0.5", "is that of row 1, too"),
        ("r,../both,0,0.5,0.5", "begin with a letter or digit"),
        ("r,other,0,0.5,0.5", "no finished mixture 'other' in .*; there are both, both-local, letters, numbers"),
        ("r,both,0,0.8,0.2", "gives 0.8 of 'letters' to both, and the mixture in .* was built with 0.5"),
        ("", "no mixture"),
    ],
)
def test_a_table_that_is_wrong_or_not_that_of_the_mixtures_is_refused(
    output: Path, tmp_path: Path, rows: str, message: str
) -> None:
    ratios = tmp_path / "swarm.csv"
    ratios.write_text(f"run,name,index,letters,numbers\n{rows}\n")
    with pytest.raises((ConfigError, InputError), match=message):
        do_study(config(output, tmp_path, seeds=[1]), tmp_path / "out", ratios=ratios, told=lambda line: None)
    assert not (tmp_path / "out").exists()


def test_a_source_that_the_mixtures_lack_is_refused(output: Path, tmp_path: Path) -> None:
    ratios = tmp_path / "swarm.csv"
    ratios.write_text("run,name,index,letters,pile\nr,letters,0,0.5,0.5\n")
    with pytest.raises(ConfigError, match=r"gives 0\.5 of 'letters' to letters"):
        do_study(config(output, tmp_path, seeds=[1]), tmp_path / "out", ratios=ratios, told=lambda line: None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": ["7b"]}, "no model size '7b'"),
        ({"tokens": "1M"}, "build a larger one"),
        ({"device": "cuda"}, "finds no GPU"),
        ({"mixtures": ["dc-9"]}, "no finished mixture 'dc-9' in .*; there are both, both-local, letters, numbers"),
        ({"mixtures": ["../mixtures/both"]}, "no finished mixture '../mixtures/both'"),
        ({"mixtures": ["holdout"]}, "no finished mixture 'holdout'"),
        ({"window": 64, "batch_tokens": 64}, "make the window smaller"),
        ({"seeds": [-1]}, "seeds"),
        ({"seeds": [1 << 63]}, "seeds"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"weight_decay": float("inf")}, "weight_decay"),
        ({"phases": [float("nan"), 0.5, 0.5]}, "phases"),
        ({"split": "test"}, "no Parquet file of test"),
        ({"seeds": [1, 1]}, "seed 1 twice"),
        ({"mixtures": ["both", "both"]}, "'both' twice"),
        ({"choices": "none.jsonl"}, "cannot read the questions"),
        ({"choices": ["a.jsonl", "a.jsonl"]}, "set of questions 'a.jsonl' twice"),
    ],
)
def test_what_would_stop_a_run_is_found_before_the_first(
    output: Path, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    with pytest.raises((ConfigError, InputError), match=message):
        plan_study(config(output, tmp_path, **values))


def test_a_holdout_of_another_store_is_refused(tmp_path: Path) -> None:
    root = made_output(tmp_path / "mixtures")
    manifest = root / "both" / "manifest.json"
    values = json.loads(manifest.read_text())
    values["store"]["fingerprint"] = "other"
    manifest.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="different token stores"):
        plan_study(config(root, tmp_path))


def of_source(mixture: str, bits: float, share: float) -> HeldOutCell:
    return HeldOutCell(
        mixture=mixture,
        model="tiny",
        source="code",
        seeds=3,
        nats=bits,
        bits=bits,
        spread=0.0,
        best=False,
        beyond=False,
        trained_on=share,
    )


def test_a_mixture_without_a_source_does_not_hide_differences_of_the_others() -> None:
    bits = {"even": [2.78, 2.79, 2.80], "local": [2.74, 2.75, 2.76], "none": [3.9, 4.0, 6.1]}
    mixtures = [
        StudiedMixture(name, "global", {"code": share}, "") for name, share in zip(bits, (0.5, 0.5, 0), strict=True)
    ]
    spread = source_spread("tiny", "code", bits, mixtures)
    assert spread.holding == pytest.approx(0.01)
    assert spread.lacking == pytest.approx(1.242, abs=1e-3)
    even, local = of_source("even", 2.79, 0.5), of_source("local", 2.75, 0.5)
    assert differ(even, local, spread)
    assert not differ(even, of_source("even", 2.775, 0.5), spread)
    assert not differ(of_source("none", 4.5, 0.0), local, spread), "2 * sqrt((0.01² + 1.242²) / 2) = 1.756"
    assert differ(of_source("none", 4.6, 0.0), local, spread)


def test_the_pooled_spread_by_hand() -> None:
    assert pooled_spread([[1.0, 3.0], [10.0, 10.0]]) == pytest.approx(1.0)
    assert pooled_spread([[1.0, 2.0, 3.0]]) == pytest.approx(1.0)
    assert pooled_spread([[1.0], [2.0]]) is None


def test_a_curve_has_means_of_all_steps() -> None:
    losses = np.arange(150, dtype=np.float32)
    points = loss_points(losses, 10)
    assert len(points) == 60
    assert points[-1].tokens == 1500
    counts = np.diff([0, *(point.tokens for point in points)]) / 10
    assert math.isclose(sum(point.loss * count for point, count in zip(points, counts, strict=True)), losses.sum())


def test_sets_of_questions_are_seen_from_the_file_and_told_apart(output: Path, tmp_path: Path) -> None:
    for name, answers in (("first", [0, 1]), ("second", [1])):
        rows = [
            {"question": "a", "choices": ["b", "c", "d", "e"], "answer": answer, "group": str(answer)}
            for answer in answers
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    file = tmp_path / "asked.yaml"
    file.write_text(f"{CONFIG}mixtures: [letters, numbers]\nchoices: [first.jsonl, second.jsonl, 'olmo:mmlu']\n")
    settings = load_study_config(file, (), input=str(output))
    assert settings.choices == (str(tmp_path / "first.jsonl"), str(tmp_path / "second.jsonl"), "olmo:mmlu")
    one = load_study_config(file, ["choices=first.jsonl"])
    assert one.choices == ("first.jsonl",)

    settings = settings.model_copy(update={"choices": settings.choices[:2]})
    found = do_study(settings, tmp_path / "out", told=lambda line: None)
    assert found is not None
    assert [(cell.task, cell.mixture, cell.questions) for cell in found.figures.choices] == [
        ("first", "letters", 2),
        ("first", "numbers", 2),
        ("second", "letters", 1),
        ("second", "numbers", 1),
    ]
    for cell in found.figures.choices:
        runs = [json.loads(path.read_bytes()) for path in (tmp_path / "out").glob(f"runs/{cell.mixture}-*/result.json")]
        groups = [[group for group in run["choices"] if group["task"] == cell.task] for run in runs]
        right = sum(group["right_per_byte"] for run in groups for group in run) / 2
        assert cell.per_byte == pytest.approx(right / cell.questions)
        assert cell.chance == 0.25
        assert cell.rrgs is not None
    assert re.search("\nsecond +letters +tiny +1 ", (tmp_path / "out" / "tables.txt").read_text())

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("runs/*/result.json")}
    (tmp_path / "second.jsonl").write_text(json.dumps({"question": "a", "choices": ["b", "c"], "answer": 1}))
    again = do_study(settings, tmp_path / "out", told=lambda line: None)
    assert again is not None
    assert all(path.stat().st_mtime_ns != at for path, at in before.items())


def test_caches_are_compared_where_it_is_asked_and_forgotten_where_not(
    output: Path, finished: tuple[Path, StudyFigures], tmp_path: Path
) -> None:
    folder, _ = finished
    shutil.copytree(folder, tmp_path / "study")
    found = do_study(config(output, tmp_path, cache=True), tmp_path / "study", told=lambda line: None)
    assert found is not None
    assert "kvcache.json" in found.places
    caches = measured_caches(tmp_path)
    assert caches is not None
    assert caches.models.startswith("2 models tiny, trained on both with a seed each; ")
    assert {(one.share, one.seed) for one in caches.quality} == {(share, seed) for share in SHARES for seed in (1, 2)}
    assert {one.method for one in caches.quality} == set(EVICTING)
    assert len({one.full_loss for one in caches.quality}) == 2  # one a seed
    assert len(caches.noise) == 2 * len(NOISES) * 2
    assert (tmp_path / "study" / "kvcache-quality.svg").is_file()
    made = (tmp_path / "study" / "kvcache.json").stat().st_mtime_ns
    do_study(config(output, tmp_path, cache=True), tmp_path / "study", told=lambda line: None)
    assert (tmp_path / "study" / "kvcache.json").stat().st_mtime_ns == made
    do_study(config(output, tmp_path), tmp_path / "study", told=lambda line: None)
    assert measured_caches(tmp_path) is None


def test_a_run_is_done_again_where_its_model_or_the_held_out_text_is_another(output: Path, tmp_path: Path) -> None:
    shutil.copytree(output, tmp_path / "mixtures")
    settings = config(tmp_path / "mixtures", tmp_path, mixtures=["letters"], seeds=[1])
    first = do_study(settings, tmp_path / "out", told=lambda line: None)
    run = tmp_path / "out" / "runs" / "letters-tiny-seed1"
    (run / "model.safetensors").unlink()
    again = do_study(settings, tmp_path / "out", told=lambda line: None)
    assert (run / "model.safetensors").is_file()
    shutil.rmtree(tmp_path / "mixtures" / "holdout")
    holdout(tmp_path / "mixtures" / "holdout", seed=7)
    other = do_study(settings, tmp_path / "out", told=lambda line: None)
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.figures.cells == again.figures.cells
    assert all(one.bits != two.bits for one, two in zip(first.figures.cells, other.figures.cells, strict=True))


@pytest.mark.parametrize(
    "file", ["letters/train-00000-of-00001.parquet", "holdout/letters/validation-32-00000-of-00001.parquet"]
)
def test_a_damaged_file_is_refused_before_training(output: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(output, tmp_path / "mixtures")
    path = tmp_path / "mixtures" / file
    content = bytearray(path.read_bytes())
    content[200] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not what slimpajama mix wrote"):
        do_study(config(tmp_path / "mixtures", tmp_path), tmp_path / "out", told=lambda line: None)
    assert not (tmp_path / "out").exists()


def test_a_run_that_diverges_ends_the_study_with_a_remedy(output: Path, tmp_path: Path) -> None:
    settings = config(output, tmp_path, mixtures=["letters"], seeds=[1], learning_rate=1e30)
    with pytest.raises(ConfigError, match=r"letters-tiny-seed1 diverged: .*; give a learning_rate below 1e\+30"):
        do_study(settings, tmp_path / "out", told=lambda line: None)
    assert not list((tmp_path / "out").rglob("result.json"))
