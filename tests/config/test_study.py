from pathlib import Path

import pytest

from slimpajama.config.study import load_study_config
from slimpajama.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs" / "study"


def test_the_shipped_studies_are_valid() -> None:
    files = sorted(CONFIGS.glob("*.yaml"))
    assert files
    for file in files:
        assert load_study_config(file).tokens >= 100_000


def test_a_setting_and_a_flag_beat_the_file_and_paths_are_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("tokens: 1M\ninput: mixtures\nseeds: [4]\n")
    assert load_study_config(file).input == str(tmp_path / "mixtures")
    found = load_study_config(file, ["tokens=2k", "models=[5m]"], input="elsewhere", processes=None)
    assert (found.tokens, found.models, found.input, found.seeds) == (2000, ("5m",), "elsewhere", (4,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tokens: 1M\nsizes: [tiny]\n", "no setting 'sizes'"),
        ("seeds: [1]\n", "tokens"),
        ("tokens: 1M\nseeds: [1, 2, 1]\n", "seed 1 twice; a run is made once"),
        ("tokens: 1M\nmodels: [tiny, tiny]\n", "model 'tiny' twice"),
        ("- tokens\n", "must be a mapping"),
    ],
)
def test_what_a_study_cannot_mean_is_refused_by_its_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_study_config(tmp_path / "study.yaml")
    assert "study.yaml" in str(caught.value)
