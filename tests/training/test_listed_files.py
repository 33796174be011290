"""Which files a split is read from: those of the mixture, or of the holdout in the mixture's length and packing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slimpajama.errors import ConfigError, InputError
from slimpajama.mixture.formats.base import SequenceShape
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.training.listed_files import Split, listed_files
from slimpajama.training.sequence_files import SequenceFiles
from tests.mixture.formats.made_sequences import made, write
from tests.training.mixture_folder import ended, mixture

LENGTH = 6
ROWS = {("web", "validation"): 5, ("web", "test"): 3, ("wiki", "validation"): 4, ("code", "validation"): 2}


def holdout(folder: Path, *, padded: bool = False, formats: tuple[str, ...] = ("parquet", "olmo")) -> dict[Any, Any]:
    """A shared holdout in ``folder``, in the packing that is asked for and in another length; the tokens by split."""
    found, listed = {}, []
    for (source, split), rows in ROWS.items():
        for length in (LENGTH, LENGTH + 1):
            sequences = ended(made(rows, rows, length, 300, padded))
            shape = SequenceShape(length, (source,), 300, padded)
            sequences.sources = [0] * rows
            (folder / source).mkdir(parents=True, exist_ok=True)
            for name in formats:
                stem = folder / source / f"{split}-{length}-00000-of-00001"
                for path in write(MIXTURE_FORMATS.get(name), stem, shape, [sequences.group(0, rows, padded)]):
                    one = {"name": f"{source}/{path.name}", "format": name, "source": source, "split": split}
                    more = {"packing": "best-fit"} if padded else {}
                    listed.append({**one, "length": length, "sequences": rows, **more})
            found[source, split, length] = sequences
    store = {"fingerprint": "f", "vocabulary": 300, "end_of_text": 1}
    (folder / "manifest.json").write_text(json.dumps({"store": store, "files": listed}))
    return found


def weighed(folder: Path, **weights: float) -> Path:
    """Say in the manifest of a mixture how the holdout measures it."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["holdout"] = [
        {"source": source, "weight": weight, "validation": 1, "test": 1} for source, weight in weights.items()
    ]
    path.write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["joined", "padded"])
def output(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Any, Any]]:
    folder = tmp_path_factory.mktemp("output")
    mixture(folder / "dc", 9, LENGTH, formats=("olmo", "parquet"), padded=request.param)
    weighed(folder / "dc", wiki=0.5, web=0.5, code=0.0)
    return folder / "dc", holdout(folder / "holdout", padded=request.param)


@pytest.mark.parametrize("format", [None, "parquet"])
@pytest.mark.parametrize(
    ("sources", "read"), [(None, ["wiki", "web"]), (["code"], ["code"]), (["web", "code", "web"], ["web", "code"])]
)
def test_the_holdout_of_the_mixture_or_of_chosen_sources_is_read(
    output: tuple[Path, dict[Any, Any]], format: str | None, sources: list[str] | None, read: list[str]
) -> None:
    folder, expected = output
    files = SequenceFiles(folder, format, "validation", sources)
    of_sources = [expected[source, "validation", LENGTH] for source in read]
    tokens = [row for one in of_sources for row in one.tokens]
    assert (files.sequences, files.length, files.format) == (len(tokens), LENGTH, format or "olmo")
    found = files.read(0, len(tokens))
    assert found.tokens.tolist() == tokens
    filled = [place for one in of_sources for place in one.filled]
    assert found.filled is None or found.filled.tolist() == filled
    assert (found.filled is None) == (min(expected["web", "validation", LENGTH].filled) == LENGTH)


def test_a_split_without_sequences_of_a_source_is_refused(output: tuple[Path, dict[Any, Any]]) -> None:
    folder, _ = output
    assert SequenceFiles(folder, split="test").sequences == 3, "of wiki there are none, of web there are"
    with pytest.raises(ConfigError, match=r"has no test sequence of 6 tokens from source 'wiki'; it has some from web"):
        SequenceFiles(folder, split="test", sources=["wiki"])
    with pytest.raises(ConfigError, match=r"has no validation sequence of 6 tokens from any source of the mixture"):
        SequenceFiles(folder, split="validation", sources=[])


def test_train_is_read_whole(output: tuple[Path, dict[Any, Any]]) -> None:
    folder, _ = output
    with pytest.raises(ConfigError, match=r"sources is \['web'\], but train is read as the mixture has it"):
        SequenceFiles(folder, sources=["web"])
    with pytest.raises(ConfigError, match=r"there is no split 'dev'; the splits are train, validation, test"):
        listed_files(folder, "dev")  # type: ignore[arg-type]


def test_a_state_is_of_one_split_and_its_sources(output: tuple[Path, dict[Any, Any]]) -> None:
    folder, _ = output
    ways: list[tuple[str, Split, list[str] | None]] = [
        ("olmo", "train", None),
        ("olmo", "validation", None),
        ("parquet", "validation", ["wiki", "web"]),
        ("parquet", "validation", ["web", "wiki"]),
        ("parquet", "test", ["web"]),
    ]
    prints = [SequenceFiles(folder, name, split, sources).fingerprint for name, split, sources in ways]
    assert prints[1] == prints[2]
    assert len(set(prints)) == 4


def test_a_holdout_of_another_store_or_none_is_refused(tmp_path: Path) -> None:
    mixture(tmp_path / "dc", 9, LENGTH, formats=("olmo",))
    weighed(tmp_path / "dc", web=1.0)
    with pytest.raises(InputError, match=r"there is no shared holdout in"):
        SequenceFiles(tmp_path / "dc", split="validation")
    holdout(tmp_path / "holdout")
    path = tmp_path / "holdout" / "manifest.json"
    path.write_text(path.read_text().replace('"fingerprint": "f"', '"fingerprint": "g"'))
    with pytest.raises(InputError, match=r"is not what .*dc is measured by; run slimpajama mix with its recipe again"):
        SequenceFiles(tmp_path / "dc", split="validation")


def test_the_holdout_in_formats_that_are_not_read_is_refused(tmp_path: Path) -> None:
    mixture(tmp_path / "dc", 9, LENGTH, formats=("olmo",))
    weighed(tmp_path / "dc", web=1.0)
    holdout(tmp_path / "holdout", formats=("nanogpt",))
    with pytest.raises(ConfigError, match=r"the validation in .* is there in nanogpt; build it in one of nanotron"):
        SequenceFiles(tmp_path / "dc", split="validation")
